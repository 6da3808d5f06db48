//! The statistics endpoint, with a token that was seen before and every call counted before it is
//! answered, against the bare route that answers the same bytes without any work.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

use crate::client::Client;
use crate::median::{median, ratio};
use crate::process::{Server, output, program};
use crate::wrk::{self, Round};

/// The demo's tenant.
const TENANT: &str = "3fa85f64-5717-4562-b3fc-2c963f66afa6";
const ROUNDS: usize = 7;
const SECONDS: u32 = 4;

/// What the rounds showed, each side's in their order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Headline {
    bare: Vec<Round>,
    statistics: Vec<Round>,
    /// As [`Headline::statistics`], with a line in the log for each request, which is thrown away.
    with_log: Vec<Round>,
}

/// Measures the sides in turn.
pub(crate) fn run() -> Result<Headline> {
    let directory = tempfile::tempdir()?;
    let data = || Ok::<_, anyhow::Error>((program("tenantry")?, directory.path()));
    let start = |command: &str, log: &str| {
        let (mut tenantry, path) = data()?;
        tenantry.args([command, "--listen", "127.0.0.1:0", "--log", log, "--data-dir"]);
        Server::start(tenantry.arg(path))
    };
    // It loads its data before it answers.
    drop(start("demo", "warn")?);
    let (mut tenantry, path) = data()?;
    tenantry.args(["token", "--role", "super_admin", "--ttl", "1h", "--data-dir"]);
    let token = output(tenantry.arg(path))?;
    let headers =
        [format!("Authorization: Bearer {}", token.trim()), format!("x-tenantid: {TENANT}")];
    let stats = |server: &Server| format!("{}/api/v1/admin/tenants/{TENANT}/stats", server.url);

    let answer = directory.path().join("answer.json");
    let server = start("serve", "warn")?;
    std::fs::write(&answer, Client::new(&headers)?.get(&stats(&server))?)?;
    drop(server);
    let bare = Server::start(program("bare")?.arg(&answer))?;

    let mut headline = Headline { bare: Vec::new(), statistics: Vec::new(), with_log: Vec::new() };
    for _ in 0..ROUNDS {
        headline.bare.push(wrk::run(&stats(&bare), &headers, SECONDS)?);
        let server = start("serve", "warn")?;
        headline.statistics.push(wrk::run(&stats(&server), &headers, SECONDS)?);
        drop(server);
        let server = start("serve", "info")?;
        headline.with_log.push(wrk::run(&stats(&server), &headers, SECONDS)?);
    }
    Ok(headline)
}

impl Headline {
    /// The medians, as a table in Markdown.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "| | requests/s | of the bare route | p50 | p99 |\n|---|---|---|---|---|\n",
        );
        for (name, rounds) in [
            ("bare route", &self.bare),
            ("statistics", &self.statistics),
            ("statistics, each request in the log", &self.with_log),
        ] {
            let requests = median(rounds, |round| round.requests_per_second);
            let p50 = median(rounds, |round| round.p50_ms);
            let p99 = median(rounds, |round| round.p99_ms);
            let ratio = ratio(rounds, &self.bare, |round| round.requests_per_second);
            // Writing to a `String` cannot fail.
            let _ = writeln!(
                table,
                "| {name} | {requests:.0} | {ratio:.2} | {p50:.2} ms | {p99:.2} ms |"
            );
        }
        table
    }
}
