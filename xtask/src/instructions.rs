//! `cargo xtask instructions`: whether the hot path takes more instructions than it did.

use anyhow::{Result, ensure};

use crate::packages;
use crate::step::{self, command};

/// Checks it, or records what it takes now.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    ensure!(matches!(words, [] | ["record"]), "the one word it takes is `record`");
    packages::need("valgrind", "valgrind")?;
    let word = if words.is_empty() { "check" } else { "record" };
    let release = ["build", "--release", "--locked", "--package", "tenantry"];
    step::run(&mut command("cargo", &release))?;
    // Who counts need not be fast.
    step::build_all()?;
    let mut count = command("target/debug/tenantry-bench", &[word]);
    step::run(count.env("TENANTRY_BINARIES", "target/release"))
}
