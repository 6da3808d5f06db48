//! The targets in `fuzz`: readers of what anybody can send, attacked by libFuzzer, which goes on from
//! inputs that reach code that none before has reached.
//!
//! They are built without cargo-fuzz, which builds every dependency anew for it. What of those is generic
//! is compiled into the workspace's own crates, and so is seen as they are.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::packages;
use crate::step::{self, command, root};

/// A file for each.
const TARGETS: &str = "fuzz/fuzz_targets";
/// What each begins with, and is known to be taken.
const SEEDS: &str = "fuzz/seeds";
/// What is found: inputs that reach something new, and one that must not be.
const FOUND: &str = "target/fuzz-targets";
/// What the compiler is called by, for the workspace's own crates.
const WRAPPER: &str = "fuzz/instrumented";
/// How many inputs each is given. They begin alike every time, and part where hash tables, which every
/// process seeds anew, make a target take another way.
const RUNS: u32 = 200_000;

/// Attacks all of them with as many inputs as there is time for in tests.
pub(super) fn attack_all() -> Result<()> {
    let targets = build()?;
    let mut attacks = Vec::new();
    for target in targets {
        let found = found(&target);
        if found.exists() {
            fs::remove_dir_all(&found)
                .with_context(|| format!("cannot remove {}", found.display()))?;
        }
        let mut attack = attack(&target)?;
        // It would read what it has found once more, by the clock.
        attack.args(["-reload=0", "-seed=1", &format!("-runs={RUNS}")]);
        attacks.push(attack);
    }
    super::all_at_once(attacks)
}

/// Attacks one until it is stopped or has found something; what it has learned, it begins with the next
/// time.
pub(super) fn attack_one(target: &str) -> Result<()> {
    let targets = build()?;
    ensure!(targets.iter().any(|it| it == target), "the targets are {}", targets.join(", "));
    step::run(&mut attack(target)?)
}

/// Builds them, and answers their names.
fn build() -> Result<Vec<String>> {
    packages::need_cpp()?;
    let mut targets = Vec::new();
    for file in fs::read_dir(root().join(TARGETS)).context(TARGETS)? {
        let name = file?.path().file_stem().map(|name| name.display().to_string());
        targets.extend(name);
    }
    targets.sort();
    // With the whole workspace, for the features that the dependencies were built with for the tests.
    let mut build = command("cargo", &["build", "--workspace", "--locked"]);
    build.args(targets.iter().flat_map(|target| ["--bin", target]));
    step::run(build.env("RUSTC_WORKSPACE_WRAPPER", root().join(WRAPPER)))?;
    Ok(targets)
}

/// An attack on a target without bounds. An input that must not be is written to a file, by which
/// the target is to be called to see it once more.
fn attack(target: &str) -> Result<Command> {
    let (found, seeds) = (found(target), format!("{SEEDS}/{target}"));
    fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
    let mut attack = command(&format!("target/debug/{target}"), &[]);
    // Of two directories the first is for what is found.
    attack.arg(format!("{FOUND}/{target}")).arg(seeds);
    attack.arg(format!("-artifact_prefix={FOUND}/{target}-"));
    Ok(attack)
}

fn found(target: &str) -> PathBuf {
    root().join(FOUND).join(target)
}
