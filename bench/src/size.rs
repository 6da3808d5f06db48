//! The statistics of tenants of different sizes: what a read costs must not depend on how much there
//! is to count, nor on what has just expired.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use tenantry_domain::clock::Timestamp;

use crate::client::Client;
use crate::expiry::{self, Unsettled};
use crate::fill::{Filler, tenant};
use crate::installation::Installation;
use crate::instructions;
use crate::median::{median, ratio};
use crate::process::Server;
use crate::templates::Templates;
use crate::wrk::{self, Round};

const ROUNDS: usize = 7;
const SECONDS: u32 = 3;
/// Half of the credentials.
const HALF: u32 = 500_000;
/// How long a server may take to start under Valgrind.
const START_SECONDS: i64 = 15;

/// What the rounds showed, for each size.
#[derive(Debug, Serialize)]
pub(crate) struct Size(Vec<Side>);

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Side {
    name: &'static str,
    instructions_per_request: u64,
    rounds: Vec<Round>,
}

/// Measures the sizes in turn.
pub(crate) fn run(templates: &mut Templates) -> Result<Size> {
    let half = with_credentials(templates)?;
    let settled = settled(&half)?;
    let sides = [
        ("100 users", templates.users(100)?),
        ("10,000 users", templates.users(10_000)?),
        ("1,000,000 users", templates.users(1_000_000)?),
        ("and 1,000,000 credentials, half of them expired", settled),
    ];
    let mut size = Size(Vec::new());
    let mut running = Vec::new();
    for (name, installation) in &sides {
        let instructions_per_request = instructions(installation, || Ok(()), || Ok(()))?;
        size.0.push(Side { name, instructions_per_request, rounds: Vec::new() });
        running.push((installation.headers()?, installation.serve()?));
    }

    let expires = std::cell::Cell::new(Timestamp::MIN);
    let expire_soon = || {
        expires.set(expiry::in_seconds(START_SECONDS));
        expiry::expire_at(&half, expires.get())
    };
    let unsettled = || Unsettled::from(&half, expires.get());
    let instructions_per_request = instructions(&half, expire_soon, unsettled)?;
    let name = "and 1,000,000 credentials, half of them just expired and not settled";
    size.0.push(Side { name, instructions_per_request, rounds: Vec::new() });
    expire_soon()?;
    running.push((half.headers()?, half.serve()?));
    let unsettled = unsettled()?;
    if let Some((headers, server)) = running.last() {
        require_expired(server, headers)?;
    }

    for _ in 0..ROUNDS {
        for (side, (headers, server)) in size.0.iter_mut().zip(&running) {
            side.rounds.push(wrk::run(&server.statistics(&tenant(0)), headers, SECONDS)?);
        }
    }
    ensure!(unsettled.rows()? == HALF, "what has expired was settled meanwhile");
    Ok(size)
}

/// A platform of a million users and a million credentials, of which half are to expire.
fn with_credentials(templates: &mut Templates) -> Result<Installation> {
    let installation = templates.users(1_000_000)?;
    let filler = Filler::of(installation.path())?;
    filler.credentials(HALF.into(), None)?;
    filler.credentials(HALF.into(), Some(expiry::in_seconds(86_400)))?;
    drop(filler);
    installation.verify()?;
    Ok(installation)
}

/// The same, once half of them have expired and the ledger says so.
fn settled(half: &Installation) -> Result<Installation> {
    let installation = half.copy()?;
    let at = expiry::in_seconds(1);
    expiry::expire_at(&installation, at)?;
    expiry::wait_until(at);
    let server = installation.serve()?;
    require_expired(&server, &installation.headers()?)?;
    // It is settled at the start, before the request of any client.
    server.stop()?;
    installation.verify()?;
    Ok(installation)
}

fn require_expired(server: &Server, headers: &[String]) -> Result<()> {
    let answer = Client::new(headers)?.get(&server.statistics(&tenant(0)))?;
    let answer: serde_json::Value = serde_json::from_slice(&answer)?;
    let expired = answer.pointer("/data/credentials/expired").and_then(serde_json::Value::as_u64);
    let expired = expired.context("the statistics tell of no credentials")?;
    ensure!(expired == u64::from(HALF), "{expired} credentials have expired rather than {HALF}");
    Ok(())
}

/// The instructions of a read, with something to be done before a server starts, and afterwards.
fn instructions<T>(
    installation: &Installation,
    prepare: impl Fn() -> Result<()>,
    ready: impl Fn() -> Result<T>,
) -> Result<u64> {
    let server = || {
        prepare()?;
        installation.server()
    };
    let path = format!("/api/v1/admin/tenants/{}/stats", tenant(0));
    instructions::of_a_request(server, &path, &installation.headers()?, ready, 1)
}

impl Size {
    /// The medians, as a table in Markdown.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "| the tenant has | requests/s | of the first | p50 | p99 | instructions |\n\
             |---|---|---|---|---|---|\n",
        );
        let rate = |round: &Round| round.requests_per_second;
        let first = self.0.first().map_or_else(Vec::new, |side| side.rounds.clone());
        for side in &self.0 {
            let (requests, name) = (median(&side.rounds, rate), side.name);
            let p50 = median(&side.rounds, |round| round.p50_ms);
            let p99 = median(&side.rounds, |round| round.p99_ms);
            let (ratio, instructions) =
                (ratio(&side.rounds, &first, rate), side.instructions_per_request);
            // Writing to a `String` cannot fail.
            let _ = writeln!(
                table,
                "| {name} | {requests:.0} | {ratio:.2} | {p50:.2} ms | {p99:.2} ms \
                 | {instructions} |"
            );
        }
        table
    }
}
