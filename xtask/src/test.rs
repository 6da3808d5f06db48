//! `cargo xtask test`: every test, and before them what they need from the system.

use anyhow::Result;

use crate::step::{self, command};
use crate::{fuzz, packages};

pub(crate) fn run() -> Result<()> {
    // A test runs the README's commands as they are printed there.
    packages::need("curl", "curl")?;
    // A test opens the page that the API is browsed on.
    packages::need("chromium", "chromium")?;
    packages::need("chromedriver", "chromium-driver")?;
    step::run(&mut command("cargo", &["test", "--workspace", "--locked"]))?;
    fuzz::run()
}
