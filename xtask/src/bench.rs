//! `cargo xtask bench`: how fast the release binary is, side by side with what it is compared to.

use anyhow::Result;

use crate::packages;
use crate::step::{self, command};

/// Measures the lines of these names, or all.
pub(crate) fn run(names: &[&str]) -> Result<()> {
    // The load generator. Asked for its version it prints it, and fails.
    packages::need_that("wrk", "wrk", || command("wrk", &[]).output().is_ok())?;
    // It counts instructions.
    packages::need("valgrind", "valgrind")?;
    // It has a load generator of its own too.
    packages::need_postgres()?;
    // One after the other, so that the binary has no feature on that only the benchmarks ask for.
    for package in ["tenantry", "tenantry-bench"] {
        step::run(&mut command(
            "cargo",
            &["build", "--release", "--locked", "--package", package],
        ))?;
    }
    step::run(&mut command("target/release/tenantry-bench", names))
}
