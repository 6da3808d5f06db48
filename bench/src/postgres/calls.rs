//! Calls that are counted before they are answered, and the commits that they share.

use anyhow::Result;
use serde::Serialize;

use super::Platform;
use crate::fill::tenant;
use crate::median::median;
use crate::templates::Templates;
use crate::wrk::{Load, Round};

const ROUNDS: usize = 7;
const SECONDS: u32 = 4;
const CLIENTS: u32 = 64;

/// What the rounds showed, in their order.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Calls {
    answered: Vec<Round>,
    counted: Vec<u64>,
    commits: Vec<u64>,
}

/// Measures it.
pub(crate) fn run(templates: &mut Templates) -> Result<Calls> {
    let platform = Platform::copy_of(templates.users(100)?)?;
    let headers = platform.administrator()?;
    let mut calls = Calls::default();
    for _ in 0..ROUNDS {
        let (counted, commits) = so_far(&platform)?;
        let server = platform.serve(&[])?;
        let load = Load::of(&server.statistics(&tenant(0)), &headers).over(CLIENTS).run(SECONDS)?;
        calls.answered.push(load);
        // The database knows what a connection has done once it has ended.
        server.stop()?;
        let (counted_then, commits_then) = so_far(&platform)?;
        calls.counted.push(counted_then - counted);
        calls.commits.push(commits_then - commits);
    }
    platform.verify()?;
    Ok(calls)
}

/// The calls that were counted so far, and how often that was written. All of them are of one tenant,
/// so each commit of calls writes one row of a month.
fn so_far(platform: &Platform) -> Result<(u64, u64)> {
    let number = |sql: &str| Ok::<u64, anyhow::Error>(platform.database.run(sql).parse()?);
    let connected = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
            AND backend_type = 'client backend'";
    while number(connected)? > 0 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let counted = number("SELECT coalesce(sum(calls), 0) FROM usage_months")?;
    let commits = "SELECT n_tup_ins + n_tup_upd FROM pg_stat_user_tables
        WHERE relname = 'usage_months'";
    Ok((counted, number(commits)?))
}

impl Calls {
    /// The medians, as a table in Markdown.
    pub(crate) fn table(&self) -> String {
        let rate = median(&self.answered, |round| round.requests_per_second);
        let p50 = median(&self.answered, |round| round.p50_ms);
        let p99 = median(&self.answered, |round| round.p99_ms);
        let ratios: Vec<f64> = self
            .counted
            .iter()
            .zip(&self.commits)
            .map(|(calls, commits)| calls_per(*calls, *commits))
            .collect();
        let shared = median(&ratios, |it| *it);
        format!(
            "| calls/s | commits/s | calls of a commit | p50 | p99 |\n|---|---|---|---|---|\n\
             | {rate:.0} | {:.0} | {shared:.1} | {p50:.2} ms | {p99:.2} ms |\n",
            rate / shared
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are not so many")]
fn calls_per(calls: u64, commits: u64) -> f64 {
    calls as f64 / commits as f64
}
