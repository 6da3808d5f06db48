//! The benchmarks: `cargo xtask bench` builds what they need and runs them, all or those it is told.
//! `cargo xtask instructions` has it look for a regression instead (`check`).
//!
//! Speed is a ratio: both sides are measured in turn, in one run on one machine, and compared round by
//! round. What a figure is worth elsewhere only a run there can tell.

mod burst;
mod callers;
mod client;
mod count_star;
mod disk;
mod expiry;
mod fill;
mod headline;
mod installation;
mod instructions;
mod machine;
mod median;
mod postgres;
mod process;
mod provider;
mod regression;
mod report;
mod size;
mod templates;
mod tenants;
mod tokens;
mod writes;
mod wrk;

use anyhow::{Result, bail};

use crate::machine::Machine;
use crate::report::Findings;
use crate::templates::Templates;

/// Something that is measured by itself, with its name.
type Line = (&'static str, fn(&mut Templates) -> Result<Findings>);

const LINES: &[Line] = &[
    ("headline", |_| {
        let it = headline::run()?;
        Findings::of(&it, it.table())
    }),
    ("size", |templates| {
        let it = size::run(templates)?;
        Findings::of(&it, it.table())
    }),
    ("count_star", |templates| {
        let it = count_star::run(templates)?;
        Findings::of(&it, it.table())
    }),
    ("writes", |templates| {
        let it = writes::run(templates)?;
        Findings::of(&it, it.table())
    }),
    ("tokens", |templates| {
        let it = tokens::run(templates)?;
        Findings::of(&it, it.table())
    }),
    ("callers", |templates| {
        let it = callers::run(templates)?;
        Findings::of(&it, it.table())
    }),
    ("tenants", |_| {
        let it = tenants::run()?;
        Findings::of(&it, it.table())
    }),
    ("postgres_statistics", |templates| {
        let it = postgres::statistics::run(templates)?;
        Findings::of(&it, it.table())
    }),
    ("postgres_calls", |templates| {
        let it = postgres::calls::run(templates)?;
        Findings::of(&it, it.table())
    }),
    ("postgres_writes", |_| {
        let it = postgres::writes::run()?;
        Findings::of(&it, it.table())
    }),
];

#[expect(clippy::print_stdout, reason = "whoever runs it reads the tables")]
fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    match wanted.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["check"] => return regression::check(),
        ["record"] => return regression::record(),
        _ => {}
    }
    let names = || LINES.iter().map(|(name, _)| *name);
    if let Some(unknown) = wanted.iter().find(|it| names().all(|name| name != it.as_str())) {
        bail!("{unknown} is not measured; these are: {}", names().collect::<Vec<_>>().join(", "));
    }
    let (machine, mut templates) = (Machine::this(), Templates::default());
    for (name, run) in LINES {
        if wanted.is_empty() || wanted.iter().any(|it| it == name) {
            println!("\n{name}");
            let findings = run(&mut templates)?;
            println!("\n{}", report::write(name, &findings, &machine)?);
        }
    }
    Ok(())
}
