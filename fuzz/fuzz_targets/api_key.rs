//! API keys, and what else has their form.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    tenantry_fuzz::api_key::check(input);
});
