//! Programs that come from the system's packages.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::step::{self, command, succeeds};

/// Makes sure that a program is there, by installing Debian's package of it if need be.
pub(crate) fn need(program: &str, package: &str) -> Result<()> {
    need_that(program, package, || is_there(program))
}

/// As [`need`], for what does not show by a program's name.
pub(crate) fn need_that(what: &str, package: &str, is_there: impl Fn() -> bool) -> Result<()> {
    if is_there() {
        return Ok(());
    }
    let install = ["install", "--yes", "--no-install-recommends", package];
    for arguments in [&["update"][..], &install] {
        let mut apt_get = apt_get().with_context(|| {
            format!(
                "please install `{what}`, which the tests need; \
                 that takes apt-get, as root or by sudo without a password, to be done for you"
            )
        })?;
        step::run(apt_get.args(arguments))?;
    }
    ensure!(is_there(), "`{what}` is missing although `{package}` is installed");
    Ok(())
}

/// Makes sure that PostgreSQL is there: on `PATH`, or where Debian puts what users do not call
/// themselves.
pub(crate) fn need_postgres() -> Result<()> {
    need_that("PostgreSQL", "postgresql", || {
        let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut debian = debian.map(|version| version.path().join("bin/initdb"));
        is_there("initdb") || debian.any(|program| program.is_file())
    })
}

/// Makes sure that there is a C++ compiler, which libFuzzer is built by.
pub(crate) fn need_cpp() -> Result<()> {
    need("c++", "g++")
}

fn is_there(program: &str) -> bool {
    succeeds(program, &["--version"])
}

/// apt-get with the right to install and no questions asked, if there is such a way.
fn apt_get() -> Option<Command> {
    if !is_there("apt-get") {
        return None;
    }
    let user = command("id", &["--user"]).output().ok()?.stdout;
    let mut command = if user.trim_ascii() == b"0" {
        command("env", &[])
    } else if succeeds("sudo", &["--non-interactive", "true"]) {
        command("sudo", &["--non-interactive", "env"])
    } else {
        return None;
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]);
    Some(command)
}
