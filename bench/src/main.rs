//! The benchmarks: `cargo xtask bench` builds what they need and runs them.
//!
//! Speed is a ratio: both sides are measured in turn, in one run on one machine, and the medians of
//! their rounds are compared. What a figure is worth elsewhere only a run there can tell.

mod headline;
mod process;
mod wrk;

use std::path::Path;

use anyhow::{Context as _, Result};

/// Where the figures of the last run are, beside the page that tells of them.
const RESULTS: &str = "../docs/performance.json";

#[expect(clippy::print_stdout, reason = "whoever runs it reads the table")]
fn main() -> Result<()> {
    let headline = headline::run()?;
    println!("{}", headline.table());
    let json = serde_json::to_string_pretty(&serde_json::json!({ "headline": headline }))? + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(RESULTS);
    std::fs::write(&path, json).with_context(|| format!("cannot write {}", path.display()))
}
