//! Bearer tokens, and clients' assertions.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    tenantry_fuzz::token::check(input);
});
