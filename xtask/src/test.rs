//! `cargo xtask test`: every test, and before them what they need from the system.

use anyhow::Result;

use crate::step::{self, command};
use crate::{fuzz, packages};

pub(crate) fn run() -> Result<()> {
    // A test runs the README's commands as they are printed there.
    packages::need("curl", "curl")?;
    step::run(&mut command("cargo", &["test", "--workspace", "--locked"]))?;
    fuzz::run()
}
