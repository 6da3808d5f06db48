//! The project's chores: `cargo xtask help` lists them.
//!
//! Only the standard library and `anyhow`: it is compiled before anything else can start.

mod bench;
mod deny;
mod fuzz;
mod lint;
mod openapi;
mod packages;
mod step;
mod test;

use std::process::ExitCode;

use anyhow::Result;

use crate::step::StepFailed;

struct Chore {
    name: &'static str,
    about: &'static str,
    run: fn() -> Result<()>,
}

const CHORES: &[Chore] = &[
    Chore { name: "bench", about: "measure the release binary, side by side", run: bench::run },
    Chore { name: "fuzz", about: "attack the API from its own document", run: fuzz::run },
    Chore {
        name: "lint",
        about: "formatting, clippy, dependencies, documentation",
        run: lint::run,
    },
    Chore { name: "openapi", about: "write openapi.json anew from the code", run: openapi::run },
    Chore { name: "test", about: "install what the tests need, and run them", run: test::run },
];

#[expect(clippy::print_stderr, clippy::print_stdout, reason = "a chore talks to who called it")]
fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let chore = match words.as_slice() {
        ["help" | "--help" | "-h"] => {
            println!("{}", usage());
            return ExitCode::SUCCESS;
        }
        [name] => CHORES.iter().find(|chore| chore.name == *name),
        _ => None,
    };
    let Some(chore) = chore else {
        eprintln!("{}", usage());
        return ExitCode::from(2);
    };
    match (chore.run)() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            error.downcast_ref::<StepFailed>().map_or(ExitCode::FAILURE, StepFailed::exit_code)
        }
    }
}

fn usage() -> String {
    let line = |chore: &Chore| format!("\n  {:<9}{}", chore.name, chore.about);
    let lines: String = CHORES.iter().map(line).collect();
    format!("Usage: cargo xtask <chore>\n{lines}\n  help     this list")
}
