//! The first request of a token that the server has never seen, against requests of one that it
//! knows: with the same load generator and the same endpoint.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;
use tenantry_domain::access::Role;
use tenantry_domain::clock::SystemClock;
use tenantry_domain::id::TenantId;
use tenantry_security::entropy::SystemEntropy;
use tenantry_security::realm::{TokenBearer, TokenRequest};
use tenantry_store_sqlite::SqliteStore;

use crate::fill::tenant;
use crate::installation::{Installation, platform};
use crate::median::{median, ratio};
use crate::process::Server;
use crate::templates::Templates;
use crate::wrk::{Load, Round};

const ROUNDS: usize = 7;
const SECONDS: u32 = 3;
/// More than are used up in a round. A server that was just started has seen none of them.
const TOKENS: usize = 200_000;
const TTL_SECONDS: u64 = 86_400;

/// What the rounds showed, for each algorithm that the server takes.
#[derive(Debug, Serialize)]
pub(crate) struct Tokens(Vec<Algorithm>);

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Algorithm {
    name: &'static str,
    /// Over 32 connections: how many requests are answered.
    known: Vec<Round>,
    never_seen: Vec<Round>,
    /// Over one connection: how long an answer takes when nobody else asks.
    known_alone: Vec<Round>,
    never_seen_alone: Vec<Round>,
}

/// Measures the sides in turn.
pub(crate) fn run(templates: &mut Templates) -> Result<Tokens> {
    // The built-in realm signs with this one, and there is no other realm.
    Ok(Tokens(vec![algorithm(templates, "EdDSA")?]))
}

fn algorithm(templates: &mut Templates, name: &'static str) -> Result<Algorithm> {
    let installation = templates.users(100)?;
    let (one, many) = (installation.path().join("token"), installation.path().join("tokens"));
    std::fs::write(&one, mint(&installation, 1)?)?;
    std::fs::write(&many, mint(&installation, TOKENS)?)?;
    let measure = |tokens: &Path, connections| {
        // A new one, which knows no token.
        let server: Server = installation.serve()?;
        Load::of(&server.statistics(&tenant(0)), &[platform()])
            .over(connections)
            .by("tokens.lua", tokens)
            .run(SECONDS)
    };
    let mut it = Algorithm {
        name,
        known: Vec::new(),
        never_seen: Vec::new(),
        known_alone: Vec::new(),
        never_seen_alone: Vec::new(),
    };
    for _ in 0..ROUNDS {
        it.known.push(measure(&one, 32)?);
        it.never_seen.push(measure(&many, 32)?);
        it.known_alone.push(measure(&one, 1)?);
        it.never_seen_alone.push(measure(&many, 1)?);
    }
    Ok(it)
}

/// Tokens of a super admin, a line each.
fn mint(installation: &Installation, number: usize) -> Result<String> {
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let store = Arc::new(SqliteStore::attach(installation.path(), clock, entropy)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let service = tenantry_bench::service(store, installation.path()).await?;
        let request = TokenRequest {
            tenant: TenantId::PLATFORM,
            bearer: TokenBearer::Person { id: None, role: Role::SuperAdmin },
            session: None,
            ttl_seconds: TTL_SECONDS,
        };
        let mut lines = String::new();
        for _ in 0..number {
            lines.push_str(service.realm().issue(&request)?.text.expose());
            lines.push('\n');
        }
        Ok(lines)
    })
}

impl Tokens {
    /// The medians, as a table in Markdown.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "| | requests/s | of a known one's | p50 of one connection |\n|---|---|---|---|\n",
        );
        for it in &self.0 {
            let rate = |round: &Round| round.requests_per_second;
            for (what, rounds, alone) in [
                ("known", &it.known, &it.known_alone),
                ("never seen", &it.never_seen, &it.never_seen_alone),
            ] {
                let (requests, name) = (median(rounds, rate), it.name);
                let ratio = ratio(rounds, &it.known, rate);
                let p50 = median(alone, |round| round.p50_ms);
                // Writing to a `String` cannot fail.
                let _ = writeln!(
                    table,
                    "| {name}, {what} | {requests:.0} | {ratio:.2} | {p50:.3} ms |"
                );
            }
        }
        table
    }
}
