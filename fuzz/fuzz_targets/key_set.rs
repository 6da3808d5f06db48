//! Key sets of providers and of clients.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    tenantry_fuzz::key_set::check(input);
});
