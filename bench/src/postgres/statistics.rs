//! The statistics through one server, every call counted before it is answered, against PostgreSQL's
//! own load generator, which asks the database for the very same and does nothing else.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::Platform;
use super::asked::{self, Asked};
use crate::client::Client;
use crate::fill::tenant;
use crate::median::median;
use crate::process::output;
use crate::templates::Templates;
use crate::wrk::{Load, Round};

const ROUNDS: usize = 7;
const SECONDS: u32 = 4;
const USERS: u64 = 10_000;
/// To the database, on either side: what a server takes unless it is told otherwise, and as many as the
/// machine that this is mostly run on has cores.
const CONNECTIONS: [u32; 2] = [8, 2];
/// Reads from whose statements it is told what a read asks.
const READS: usize = 5;

/// What the rounds showed, for each number of connections.
#[derive(Debug, Serialize)]
pub(crate) struct Statistics(Vec<Over>);

/// What they showed over so many connections to the database, each side's in their order.
#[derive(Debug, Serialize)]
struct Over {
    connections: u32,
    /// Transactions a second, each of all statements of a read.
    pgbench: Vec<f64>,
    served: Vec<Round>,
}

/// Measures the sides in turn.
pub(crate) fn run(templates: &mut Templates) -> Result<Statistics> {
    let platform = Platform::copy_of(templates.users(USERS)?)?;
    let headers = platform.administrator()?;
    let script = Script::of(&asked(&platform, &headers)?)?;
    let new = |connections| Over { connections, pgbench: Vec::new(), served: Vec::new() };
    let mut all = CONNECTIONS.map(new);
    for _ in 0..ROUNDS {
        for Over { connections, pgbench, served } in &mut all {
            pgbench.push(script.run(&platform, *connections)?);
            let server = platform.serve(&["--database-pool-size", &connections.to_string()])?;
            let url = server.statistics(&tenant(0));
            served.push(Load::of(&url, &headers).run(SECONDS)?);
            server.stop()?;
        }
    }
    platform.verify()?;
    Ok(Statistics(all.into()))
}

/// What a read asks the database.
fn asked(platform: &Platform, headers: &[String]) -> Result<Vec<Asked>> {
    platform.database.run(asked::LOG);
    let server = platform.serve(&[])?;
    let client = Client::new(headers)?;
    for _ in 0..READS {
        client.get(&server.statistics(&tenant(0)))?;
    }
    server.stop()?;
    platform.database.run(asked::LOG_NO_MORE);
    asked::by_each_of(READS, &platform.database.log())
}

/// What the load generator is to do.
#[derive(Debug)]
struct Script {
    file: tempfile::NamedTempFile,
    variables: Vec<String>,
}

impl Script {
    /// The statements, with a variable for each parameter.
    fn of(asked: &[Asked]) -> Result<Self> {
        let (mut text, mut variables) = (String::new(), Vec::new());
        for (number, Asked { sql, params }) in asked.iter().enumerate() {
            let mut sql = sql.clone();
            // From the last one on, since the first one's name begins those of others.
            for (param, value) in params.iter().enumerate().rev() {
                let name = format!("statement_{number}_param_{param}");
                sql = sql.replace(&format!("${}", param + 1), &format!(":{name}"));
                variables.push(format!("{name}={value}"));
            }
            writeln!(text, "{sql};")?;
        }
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(&file, text)?;
        Ok(Self { file, variables })
    }

    /// Asks as fast as it is answered; tells the transactions a second.
    fn run(&self, platform: &Platform, connections: u32) -> Result<f64> {
        let mut pgbench = platform.database.pgbench();
        // It prepares each statement once. There are no tables of its own to look after.
        pgbench.args(["--protocol=prepared", "--no-vacuum", "--jobs=2"]);
        pgbench.arg(format!("--client={connections}")).arg(format!("--time={SECONDS}"));
        for variable in &self.variables {
            pgbench.args(["--define", variable]);
        }
        let path: &Path = self.file.path();
        let text = output(pgbench.arg("--file").arg(path))?;
        let tps = text.lines().find_map(|line| line.strip_prefix("tps = "));
        let tps = tps.and_then(|line| line.split(' ').next());
        Ok(tps.with_context(|| format!("it tells no rate: {text}"))?.parse()?)
    }
}

impl Statistics {
    /// The medians, as a table in Markdown.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "| connections to the database | pgbench, reads/s | statistics over HTTP, reads/s \
             | of pgbench's | p50 | p99 |\n|---|---|---|---|---|---|\n",
        );
        for Over { connections, pgbench, served } in &self.0 {
            let pgbench = median(pgbench, |rate| *rate);
            let rate = median(served, |round| round.requests_per_second);
            let (p50, p99) = (median(served, |it| it.p50_ms), median(served, |it| it.p99_ms));
            let ratio = rate / pgbench;
            // Writing to a `String` cannot fail.
            let _ = writeln!(
                table,
                "| {connections} | {pgbench:.0} | {rate:.0} | {ratio:.2} | {p50:.2} ms | {p99:.2} ms |"
            );
        }
        table
    }
}
