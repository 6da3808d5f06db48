//! cargo-deny, by the rules in `deny.toml`.

use anyhow::Result;

use crate::step::{self, command};

const VERSION: &str = "0.20.2";

/// Where it is installed if it is not on the `PATH`, away from the user's own tools.
const TOOLS: &str = "target/tools";

/// Checks the dependencies, after installing cargo-deny if this version of it is missing.
pub(crate) fn check() -> Result<()> {
    let installed = step::root().join(TOOLS).join("bin/cargo-deny").display().to_string();
    let program = if is_right("cargo-deny") { "cargo-deny" } else { &installed };
    if !is_right(program) {
        // Unoptimised: it takes a second to run and would take minutes to optimise. Nobody debugs it.
        let install = ["install", "cargo-deny", "--locked", "--debug", "--root", TOOLS];
        let mut install = command("cargo", &install);
        step::run(install.args(["--version", VERSION]).env("CARGO_PROFILE_DEV_DEBUG", "none"))?;
    }
    step::run(&mut command(program, &["--locked", "check", "bans", "licenses", "sources"]))
}

fn is_right(program: &str) -> bool {
    let output = command(program, &["--version"]).output();
    output.is_ok_and(|output| {
        output.stdout.trim_ascii() == format!("cargo-deny {VERSION}").as_bytes()
    })
}
