//! `cargo xtask lint`: what can be judged without running the program, the quickest first.

use anyhow::{Result, ensure};

use crate::step::{self, command, succeeds};
use crate::{deny, deploy, packages};

pub(crate) fn run() -> Result<()> {
    component("fmt", "rustfmt")?;
    component("clippy", "clippy")?;
    step::run(&mut command("cargo", &["fmt", "--all", "--check"]))?;
    deploy::check()?;
    deny::check()?;
    // What fuzzes is checked with everything else.
    packages::need_cpp()?;
    // Clippy and rustdoc check the dependencies alike, so the second finds them checked.
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    step::run(&mut command("cargo", &clippy))?;
    let doc = ["doc", "--workspace", "--no-deps", "--locked"];
    step::run(command("cargo", &doc).env("RUSTDOCFLAGS", "-D warnings"))
}

fn component(subcommand: &str, name: &str) -> Result<()> {
    ensure!(
        succeeds("cargo", &[subcommand, "--version"]),
        "`cargo {subcommand}` is missing; install it with `rustup component add {name}`"
    );
    Ok(())
}
