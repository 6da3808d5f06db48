//! What no input may lead to. Each module is one target: its `check` reads an input as the routes do,
//! panics if what came of that cannot be, and answers whether the input was taken.
//!
//! libFuzzer looks for the input (`fuzz_targets`); the tests here see to it that the seeds it begins with
//! are taken.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "to panic is how a target tells what it found"
)]

pub mod api_key;
pub mod key_set;
pub mod list_query;
mod provider;
pub mod token;
pub mod user_import;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    type Target = (&'static str, fn(&[u8]) -> bool);

    /// A seed that is refused leads to no input that is taken.
    #[test]
    fn seeds_are_taken() {
        let targets: [Target; 5] = [
            ("api_key", api_key::check),
            ("key_set", key_set::check),
            ("list_query", list_query::check),
            ("token", token::check),
            ("user_import", user_import::check),
        ];
        for (name, check) in targets {
            let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
            let seeds: Vec<_> = fs::read_dir(&seeds).unwrap().map(|seed| seed.unwrap()).collect();
            assert!(!seeds.is_empty(), "{name}");
            for seed in seeds {
                assert!(check(&fs::read(seed.path()).unwrap()), "{}", seed.path().display());
            }
        }
    }
}
