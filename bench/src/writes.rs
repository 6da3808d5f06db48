//! Users made over HTTP, each on the disk before it is answered: with commits that are shared, with
//! commits of one change each, and in a tenant that has a million users already.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

use crate::disk;
use crate::fill::tenant;
use crate::installation::Installation;
use crate::median::{median, ratio};
use crate::process::{Server, program};
use crate::templates::Templates;
use crate::wrk::{Load, Round};

const ROUNDS: usize = 7;
const SECONDS: u32 = 4;
const CLIENTS: u32 = 64;

/// What the rounds showed, each side's in their order.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Writes {
    /// Users made a second.
    shared: Vec<Round>,
    groups_of_one: Vec<Round>,
    at_a_million: Vec<Round>,
    /// What the disk can do, beside them.
    flushes_per_second: Vec<f64>,
}

/// Measures the sides in turn.
pub(crate) fn run(templates: &mut Templates) -> Result<Writes> {
    let million = templates.users(1_000_000)?;
    let mut writes = Writes::default();
    for round in 0..ROUNDS {
        let (shared, alone) = (templates.users(0)?, templates.users(0)?);
        writes.flushes_per_second.push(disk::flushes(shared.path())?);
        writes.shared.push(make_users(&shared, &shared.serve()?, round)?);
        let server = Server::start(program("groups_of_one")?.arg(alone.path()))?;
        writes.groups_of_one.push(make_users(&alone, &server, round)?);
        drop(server);
        writes.at_a_million.push(make_users(&million, &million.serve()?, round)?);
    }
    million.verify()?;
    Ok(writes)
}

fn make_users(installation: &Installation, server: &Server, round: usize) -> Result<Round> {
    let url = format!("{}/api/v1/admin/tenants/{}/users", server.url, tenant(0));
    let round = format!("round.{round}");
    Load::of(&url, &installation.headers()?).over(CLIENTS).by("users.lua", &round).run(SECONDS)
}

impl Writes {
    /// The medians, as a table in Markdown.
    pub(crate) fn table(&self) -> String {
        let rate = |round: &Round| round.requests_per_second;
        let mut table =
            String::from("| | users/s | of the first | p50 | p99 |\n|---|---|---|---|---|\n");
        for (name, rounds) in [
            ("shared commits", &self.shared),
            ("a commit for each change", &self.groups_of_one),
            ("shared commits, 1,000,000 users there", &self.at_a_million),
        ] {
            let (users, p50) = (median(rounds, rate), median(rounds, |round| round.p50_ms));
            let p99 = median(rounds, |round| round.p99_ms);
            let ratio = ratio(rounds, &self.shared, rate);
            // Writing to a `String` cannot fail.
            let _ =
                writeln!(table, "| {name} | {users:.0} | {ratio:.2} | {p50:.1} ms | {p99:.1} ms |");
        }
        let times = ratio(&self.shared, &self.groups_of_one, rate);
        let flushes = median(&self.flushes_per_second, |it| *it);
        let _ = writeln!(
            table,
            "\nSharing commits makes {times:.1} times as many. The disk alone: {flushes:.0} flushes/s."
        );
        table
    }
}
