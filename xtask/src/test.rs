//! `cargo xtask test`: every test, and before them what they need from the system.

use std::process::Command;
use std::thread;

use anyhow::Result;

use crate::step::{self, command};
use crate::{fuzz, packages, provider};

/// The tests of the API that do not run on PostgreSQL: those of what no store has a part in, and of
/// what is on disk.
const NOT_ON_POSTGRES: &[&str] = &["bounds", "docs", "document", "erasure", "signing_keys"];

pub(crate) fn run() -> Result<()> {
    // A test runs the README's commands as they are printed there.
    packages::need("curl", "curl")?;
    // A test opens the page that the API is browsed on.
    packages::need("chromium", "chromium")?;
    packages::need("chromedriver", "chromium-driver")?;
    // Tests end and pause processes.
    packages::need("kill", "procps")?;
    // Tests make databases of their own.
    packages::need_postgres()?;
    // What fuzzes is built with everything else.
    packages::need_cpp()?;
    // A test takes tokens of a real provider.
    provider::install()?;
    step::run(&mut tests(&[])?)?;
    // Of the whole workspace, as above, so that nothing is built anew with features of its own.
    let mut api = tests(&["--test", "api", "--"])?;
    api.args(NOT_ON_POSTGRES.iter().flat_map(|file| ["--skip".to_owned(), format!("{file}::")]));
    step::run(api.env("TENANTRY_TEST_STORE", "postgres"))?;
    fuzz::run(&[])
}

/// Runs tests: twice as many at once as there are cores, since most of them wait for a disk, a database or
/// another process.
fn tests(which: &[&str]) -> Result<Command> {
    let mut tests = command("cargo", &["test", "--workspace", "--locked"]);
    let threads = 2 * thread::available_parallelism()?.get();
    tests.args(which).env("RUST_TEST_THREADS", threads.to_string());
    Ok(tests)
}
