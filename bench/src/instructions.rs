//! Instructions of a request, which do not depend on how busy the machine is. Counted by Valgrind,
//! since a virtual machine often has no counters of its own.

use std::process::Command;

use anyhow::{Context as _, Result};
use tempfile::NamedTempFile;

use crate::burst::Burst;
use crate::process::Server;

/// Rounds of the shorter run; the longer one has twice as many.
const ROUNDS: u64 = 60;
/// Requests of a round, made at once, so that their calls share commits as those of busy servers do.
const AT_ONCE: u32 = 32;

/// Instructions of one request: those of a server that answers so many more of them than another.
/// The least of `times` measurements of each counts. `ready` is called once a server answers, and what it answers is kept as long as it runs.
pub(crate) fn of_a_request<T>(
    server: impl Fn() -> Result<Command>,
    path: &str,
    headers: &[String],
    ready: impl Fn() -> Result<T>,
    times: usize,
) -> Result<u64> {
    let run = |rounds| {
        let log = NamedTempFile::new()?;
        let mut valgrind = counted(&server()?, &log);
        let server = Server::start(&mut valgrind)?;
        let mut burst = Burst::new(&server.url, path, headers, AT_ONCE)?;
        let kept = ready()?;
        for _ in 0..rounds {
            burst.fire()?;
        }
        server.stop()?;
        drop(kept);
        total(&std::fs::read_to_string(log.path())?)
    };
    // How many calls happen to share a commit differs, and only ever adds.
    let least = |rounds| {
        let all = (0..times).map(|_| run(rounds)).collect::<Result<Vec<_>>>()?;
        all.into_iter().min().context("nothing was measured")
    };
    let more = least(2 * ROUNDS)?.checked_sub(least(ROUNDS)?);
    let more = more.filter(|more| *more > 0).context("more requests took fewer instructions")?;
    Ok(more / (ROUNDS * u64::from(AT_ONCE)))
}

fn counted(command: &Command, log: &NamedTempFile) -> Command {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
    valgrind.arg(format!("--log-file={}", log.path().display()));
    // Valgrind runs one thread at a time; two would only take turns differently each time.
    valgrind.env("TOKIO_WORKER_THREADS", "1");
    valgrind.arg(command.get_program()).args(command.get_args());
    valgrind
}

fn total(log: &str) -> Result<u64> {
    // With more or fewer blanks after the letter.
    let (_, rest) =
        log.split_once(" refs:").with_context(|| format!("no instructions were counted: {log}"))?;
    let number = rest.lines().next().unwrap_or_default();
    Ok(number.trim().replace(',', "").parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_valgrind_writes() {
        for log in
            ["==7== \n==7== I   refs:      206,815,386\n==7== \n", "==7== I refs: 206,815,386"]
        {
            assert_eq!(total(log).unwrap(), 206_815_386);
        }
        assert!(total("==7== Cachegrind").is_err());
    }
}
