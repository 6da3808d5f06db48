//! `cargo xtask bench`: how fast the release binary is, side by side with what it is compared to.

use anyhow::Result;

use crate::packages;
use crate::step::{self, command};

pub(crate) fn run() -> Result<()> {
    // The load generator. Asked for its version it prints it, and fails.
    packages::need_that("wrk", "wrk", || command("wrk", &[]).output().is_ok())?;
    let build = ["build", "--release", "--locked", "--package", "tenantry"];
    step::run(command("cargo", &build).args(["--package", "tenantry-bench"]))?;
    step::run(&mut command("target/release/tenantry-bench", &[]))
}
