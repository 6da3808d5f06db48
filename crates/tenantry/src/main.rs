//! Tenantry's command line: configuration and wiring.

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;

mod cli;
mod commands;
mod config;
mod database;
mod demo;
mod files;
mod installation;
mod limits;
mod logging;
mod master_key;
mod shutdown;

/// A request is many small allocations, which this one serves with fewer instructions than the C
/// library's. SQLite uses it too (the crate's feature `override`).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(cli) {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// One sentence that says what is wrong and what to do.
#[expect(clippy::print_stderr, reason = "errors of the command line are for standard error")]
fn complain(error: &anyhow::Error) {
    eprintln!("tenantry: {error:#}");
}
