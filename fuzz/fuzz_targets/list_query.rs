//! The queries of lists.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    tenantry_fuzz::list_query::check(input);
});
