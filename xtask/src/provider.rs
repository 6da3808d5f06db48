//! The identity provider that tests have as an external realm: `oidc-provider` from npm, in the version
//! of `xtask/provider`.

use std::fs;

use anyhow::{Context, Result};

use crate::packages;
use crate::step::{self, command};

/// What it is made of.
const FROM: &str = "xtask/provider";
/// Where it is installed, away from the user's own tools. A test starts it there.
const TOOLS: &str = "target/tools/provider";
const FILES: [&str; 3] = ["package.json", "provider.mjs", "package-lock.json"];

/// Installs it, unless it is there as it is wanted.
pub(crate) fn install() -> Result<()> {
    packages::need("node", "nodejs")?;
    let root = step::root();
    let (from, to) = (root.join(FROM), root.join(TOOLS));
    let is_same = |file: &str| {
        let wanted = fs::read(from.join(file));
        wanted.is_ok_and(|wanted| fs::read(to.join(file)).is_ok_and(|there| there == wanted))
    };
    if FILES.iter().all(|file| is_same(file)) {
        return Ok(());
    }
    packages::need("npm", "npm")?;
    fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
    let copy = |file: &str| {
        fs::copy(from.join(file), to.join(file)).with_context(|| format!("cannot copy {file}"))
    };
    let [package, program, lock] = FILES;
    copy(package)?;
    copy(program)?;
    copy(lock)?;
    let quietly = ["ci", "--prefix", TOOLS, "--ignore-scripts", "--no-audit", "--no-fund"];
    let installed = step::run(command("npm", &quietly).arg("--loglevel=error"));
    if installed.is_err() {
        // Only what is there as a whole is told by its lock.
        let _ = fs::remove_file(to.join(lock));
    }
    installed
}
