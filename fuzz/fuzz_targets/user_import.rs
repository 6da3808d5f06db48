//! Imports of users.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    tenantry_fuzz::user_import::check(input);
});
