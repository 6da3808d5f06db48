//! Programs that come from the system's packages.

use anyhow::{Result, bail, ensure};

use crate::step::{self, command, succeeds};

/// Makes sure that a program is there, by installing Debian's package of it if need be.
pub(crate) fn need(program: &str, package: &str) -> Result<()> {
    if is_there(program) {
        return Ok(());
    }
    let Some(as_root) = apt_get_as_root() else {
        bail!("the tests need `{program}`, which is missing and cannot be installed from here");
    };
    let install = ["install", "--yes", "--no-install-recommends", package];
    for arguments in [&["update"][..], &install] {
        step::run(command("env", &as_root).args(arguments))?;
    }
    ensure!(is_there(program), "`{program}` is missing although `{package}` is installed");
    Ok(())
}

fn is_there(program: &str) -> bool {
    succeeds(program, &["--version"])
}

/// The arguments of `env` that start apt-get with the right to install, if there is a way without a
/// password.
fn apt_get_as_root() -> Option<Vec<&'static str>> {
    let apt_get = ["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"];
    if !is_there("apt-get") {
        None
    } else if command("id", &["--user"]).output().ok()?.stdout.trim_ascii() == b"0" {
        Some(apt_get.to_vec())
    } else if succeeds("sudo", &["--non-interactive", "true"]) {
        Some([&["sudo", "--non-interactive"], &apt_get[..]].concat())
    } else {
        None
    }
}
