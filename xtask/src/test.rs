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
    // Tests make databases of their own.
    packages::need_that("PostgreSQL", "postgresql", has_postgres)?;
    step::run(&mut command("cargo", &["test", "--workspace", "--locked"]))?;
    fuzz::run()
}

/// Whether its server is on `PATH`, or where Debian puts what users do not call themselves.
fn has_postgres() -> bool {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut debian = debian.map(|version| version.path().join("bin/initdb"));
    step::succeeds("initdb", &["--version"]) || debian.any(|program| program.is_file())
}
