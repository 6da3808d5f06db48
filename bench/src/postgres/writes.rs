//! Users made over HTTP, each on the disk before it is answered: all of one tenant, whose changes come
//! one after the other, and of a thousand tenants in turn.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

use super::Platform;
use crate::disk;
use crate::fill::tenant;
use crate::median::median;
use crate::templates::make;
use crate::wrk::{Load, Round};

const ROUNDS: usize = 7;
const SECONDS: u32 = 4;
const CLIENTS: u32 = 64;
const TENANTS: u64 = 1_000;

/// What the rounds showed, each side's in their order.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Writes {
    /// Users made a second.
    one_tenant: Vec<Round>,
    many_tenants: Vec<Round>,
    /// What the disk can do, beside them.
    flushes_per_second: Vec<f64>,
}

/// Measures the sides in turn.
pub(crate) fn run() -> Result<Writes> {
    let installation = make(|filler| filler.tenants(TENANTS))?;
    let headers = installation.headers()?;
    let directory = tempfile::tempdir()?;
    let paths = |tenants: u64| {
        let file = directory.path().join(tenants.to_string());
        let path = |number| format!("/api/v1/admin/tenants/{}/users\n", tenant(number));
        std::fs::write(&file, (0..tenants).map(path).collect::<String>())?;
        Ok::<_, anyhow::Error>(file)
    };
    let (one, many) = (paths(1)?, paths(TENANTS)?);
    let platform = Platform::copy_of(installation)?;
    let mut writes = Writes::default();
    for round in 0..ROUNDS {
        writes.flushes_per_second.push(disk::flushes(directory.path())?);
        for (name, paths, rounds) in
            [("one", &one, &mut writes.one_tenant), ("many", &many, &mut writes.many_tenants)]
        {
            let server = platform.serve(&[])?;
            let run = format!("{name}.{round}");
            let load = Load::of(&server.url, &headers).over(CLIENTS);
            rounds.push(load.by("users.lua", &run).and(paths).run(SECONDS)?);
            server.stop()?;
        }
    }
    platform.verify()?;
    Ok(writes)
}

impl Writes {
    /// The medians, as a table in Markdown.
    pub(crate) fn table(&self) -> String {
        let rate = |rounds: &[Round]| median(rounds, |round| round.requests_per_second);
        let one = rate(&self.one_tenant);
        let mut table =
            String::from("| | users/s | of the first | p50 | p99 |\n|---|---|---|---|---|\n");
        for (name, rounds) in
            [("of one tenant", &self.one_tenant), ("of 1,000 tenants", &self.many_tenants)]
        {
            let (rate, p50) = (rate(rounds), median(rounds, |round| round.p50_ms));
            let p99 = median(rounds, |round| round.p99_ms);
            let ratio = rate / one;
            // Writing to a `String` cannot fail.
            let _ =
                writeln!(table, "| {name} | {rate:.0} | {ratio:.2} | {p50:.1} ms | {p99:.1} ms |");
        }
        let flushes = median(&self.flushes_per_second, |it| *it);
        let _ = writeln!(table, "\nThe disk alone: {flushes:.0} flushes/s.");
        table
    }
}
