//! The project's chores: `cargo xtask help` lists them.
//!
//! Only the standard library and `anyhow`: it is compiled before anything else can start.

mod bench;
mod deny;
mod deploy;
mod fuzz;
mod instructions;
mod lint;
mod openapi;
mod packages;
mod provider;
mod step;
mod test;

use std::process::ExitCode;

use anyhow::Result;

use crate::step::StepFailed;

struct Chore {
    name: &'static str,
    about: &'static str,
    run: Run,
}

#[derive(Clone, Copy)]
enum Run {
    Whole(fn() -> Result<()>),
    /// Or only the parts of these names.
    Parts(fn(&[&str]) -> Result<()>),
}

const CHORES: &[Chore] = &[
    Chore {
        name: "bench",
        about: "measure the release binary, side by side; all, or the lines that are named",
        run: Run::Parts(bench::run),
    },
    Chore {
        name: "fuzz",
        about: "attack the readers and the API; or one reader, until it is stopped",
        run: Run::Parts(fuzz::run),
    },
    Chore {
        name: "instructions",
        about: "check how many the hot path takes, or `record` it",
        run: Run::Parts(instructions::run),
    },
    Chore {
        name: "lint",
        about: "formatting, clippy, dependencies, documentation",
        run: Run::Whole(lint::run),
    },
    Chore {
        name: "openapi",
        about: "write openapi.json anew from the code",
        run: Run::Whole(openapi::run),
    },
    Chore {
        name: "test",
        about: "install what the tests need, and run them",
        run: Run::Whole(test::run),
    },
];

#[expect(clippy::print_stderr, clippy::print_stdout, reason = "a chore talks to who called it")]
fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some((name, parts)) = words.split_first() else { return misused() };
    if let ("help" | "--help" | "-h", []) = (*name, parts) {
        println!("{}", usage());
        return ExitCode::SUCCESS;
    }
    let chore = CHORES.iter().find(|chore| chore.name == *name);
    let ended = match (chore.map(|chore| chore.run), parts) {
        (Some(Run::Whole(run)), []) => run(),
        (Some(Run::Parts(run)), parts) => run(parts),
        _ => return misused(),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            error.downcast_ref::<StepFailed>().map_or(ExitCode::FAILURE, StepFailed::exit_code)
        }
    }
}

#[expect(clippy::print_stderr, reason = "a chore talks to who called it")]
fn misused() -> ExitCode {
    eprintln!("{}", usage());
    ExitCode::from(2)
}

fn usage() -> String {
    let line = |chore: &Chore| format!("\n  {:<14}{}", chore.name, chore.about);
    let lines: String = CHORES.iter().map(line).collect();
    format!("Usage: cargo xtask <chore>\n{lines}\n  help          this list")
}
