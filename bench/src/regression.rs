//! The hot path must not take more instructions than it did. They are counted by Valgrind, so that a
//! busy machine changes nothing about the verdict.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::fill::tenant;
use crate::instructions;
use crate::process::output;
use crate::templates::Templates;

/// Instructions of one read of the statistics, by the compiler that the server was built with.
const BASELINE: &str = "instructions.json";
/// How much more than the baseline is a regression, in hundredths.
const TOLERANCE: u64 = 5;
const MEASUREMENTS: usize = 4;

type Baseline = BTreeMap<String, u64>;

/// Fails if reading the statistics takes more instructions than the baseline allows.
#[expect(clippy::print_stdout, reason = "whoever runs it reads the verdict")]
pub(crate) fn check() -> Result<()> {
    let (compiler, measured) = (compiler()?, measure()?);
    let Some(known) = baseline()?.get(&compiler).copied() else {
        println!(
            "{measured} instructions for one read of the statistics; there is no baseline for \
             {compiler}: `cargo xtask instructions record` makes one"
        );
        return Ok(());
    };
    println!("{measured} instructions for one read of the statistics; the baseline is {known}");
    let most = known + known * TOLERANCE / 100;
    ensure!(
        measured <= most,
        "the hot path takes over {TOLERANCE} % more instructions than it did; find out why, or \
         accept it with `cargo xtask instructions record` and say why in the commit"
    );
    Ok(())
}

/// Makes what is measured now the baseline of this compiler.
#[expect(clippy::print_stdout, reason = "whoever runs it reads the figure")]
pub(crate) fn record() -> Result<()> {
    let (compiler, measured) = (compiler()?, measure()?);
    println!("{measured} instructions for one read of the statistics, with {compiler}");
    let mut all = baseline()?;
    all.insert(compiler, measured);
    let path = path();
    std::fs::write(&path, serde_json::to_string_pretty(&all)? + "\n")
        .with_context(|| format!("cannot write {}", path.display()))
}

fn measure() -> Result<u64> {
    let installation = Templates::default().users(100)?;
    let headers = installation.headers()?;
    let path = format!("/api/v1/admin/tenants/{}/stats", tenant(0));
    let server = || installation.server();
    instructions::of_a_request(server, &path, &headers, || Ok(()), MEASUREMENTS)
}

/// The compiler and what it compiles for: `1.95.0 x86_64-unknown-linux-gnu`.
fn compiler() -> Result<String> {
    let said = output(Command::new("rustc").arg("-vV"))?;
    let after = |label: &str| said.lines().find_map(|line| line.strip_prefix(label));
    let (release, host) = (after("release: "), after("host: "));
    release.zip(host).map(|(release, host)| format!("{release} {host}")).context(said.clone())
}

fn baseline() -> Result<Baseline> {
    let path = path();
    let text = std::fs::read_to_string(&path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} holds no baseline", path.display()))
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(BASELINE)
}
