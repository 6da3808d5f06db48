//! A platform of many tenants: what the server takes to start, how much memory it has in use, and
//! whether reads of any of them are as fast as reads of one.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use crate::client::Client;
use crate::fill::tenant;
use crate::installation::Installation;
use crate::median::median;
use crate::process::program;
use crate::templates::make;
use crate::wrk::{Load, Round};

const ROUNDS: usize = 7;
const SECONDS: u32 = 3;
const TENANTS: u64 = 100_000;
/// Prime to the number of tenants, so that steps of it come to each tenant once, and far apart.
const STEP: u64 = 38_197;

/// What the rounds showed, each side's in their order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tenants {
    binary_bytes: u64,
    /// Memory in use after the start, and after each tenant's statistics were read once.
    empty_bytes: u64,
    started_bytes: u64,
    read_bytes: u64,
    /// From the start of the process to the first answer.
    empty_start_ms: Vec<f64>,
    start_ms: Vec<f64>,
    one: Vec<Round>,
    any: Vec<Round>,
}

/// Measures the sides in turn.
pub(crate) fn run() -> Result<Tenants> {
    let empty = make(|filler| filler.tenants(1))?;
    let full = make(|filler| filler.tenants(TENANTS))?;
    let (mut empty_start_ms, mut start_ms) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        empty_start_ms.push(start(&empty)?);
        start_ms.push(start(&full)?);
    }

    let headers = full.headers()?;
    let client = Client::new(&headers)?;
    let server = full.serve()?;
    let started_bytes = server.resident()?;
    for tenant in any_order() {
        client.get(&server.statistics(&tenant))?;
    }
    let read_bytes = server.resident()?;

    let path = |tenant: &str| format!("/api/v1/admin/tenants/{tenant}/stats\n");
    let (one_path, paths) = (full.path().join("path"), full.path().join("paths"));
    std::fs::write(&one_path, path(&tenant(0)))?;
    std::fs::write(&paths, any_order().map(|tenant| path(&tenant)).collect::<String>())?;
    let read = |paths| Load::of(&server.url, &headers).by("paths.lua", paths).run(SECONDS);
    let (mut one, mut any) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        one.push(read(&one_path)?);
        any.push(read(&paths)?);
    }
    Ok(Tenants {
        binary_bytes: std::fs::metadata(program("tenantry")?.get_program())?.len(),
        empty_bytes: empty.serve()?.resident()?,
        started_bytes,
        read_bytes,
        empty_start_ms,
        start_ms,
        one,
        any,
    })
}

/// Each tenant once.
fn any_order() -> impl Iterator<Item = String> {
    (0..TENANTS).map(|number| tenant(number * STEP % TENANTS))
}

/// How long it takes from the start of the server to its first answer.
fn start(installation: &Installation) -> Result<f64> {
    let headers = installation.headers()?;
    let client = Client::new(&headers)?;
    let started = Instant::now();
    let server = installation.serve()?;
    client.get(&server.statistics(&tenant(0)))?;
    let took = started.elapsed().as_secs_f64() * 1_000.0;
    server.stop()?;
    Ok(took)
}

impl Tenants {
    /// The medians, as a table in Markdown.
    pub(crate) fn table(&self) -> String {
        let rate = |rounds: &[Round]| median(rounds, |round| round.requests_per_second);
        let (one, any) = (rate(&self.one), rate(&self.any));
        let [binary, empty, started, read] =
            [self.binary_bytes, self.empty_bytes, self.started_bytes, self.read_bytes]
                .map(megabytes);
        let [empty_start, start] =
            [&self.empty_start_ms, &self.start_ms].map(|times| median(times, |it| *it));
        let mut table = String::from("| | 1 tenant | 100,000 tenants |\n|---|---|---|\n");
        // Writing to a `String` cannot fail.
        let _ = write!(
            table,
            "| from the start to the first answer | {empty_start:.0} ms | {start:.0} ms |\n\
             | memory in use after the start | {empty} MB | {started} MB |\n\
             | memory in use once each was read | | {read} MB |\n\
             | statistics of one and the same tenant | | {one:.0} requests/s |\n\
             | statistics of any tenant | | {any:.0} requests/s |\n\
             \nReads of any tenant come to {:.2} of the rate of one. The binary has {binary} MB.\n",
            any / one
        );
        table
    }
}

/// Of a million bytes each, with one decimal.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes.div_ceil(100_000);
    format!("{}.{}", tenths / 10, tenths % 10)
}
