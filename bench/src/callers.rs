//! The statistics, read by each kind of caller in turn: with a token of the built-in realm, one of an
//! external realm, an API key, and a token of an OAuth client, each known to the server already.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::{Value, json};

use crate::client::Client;
use crate::fill::tenant;
use crate::installation::platform;
use crate::median::{median, ratio};
use crate::postgres::Platform;
use crate::process::{Server, output};
use crate::provider::Provider;
use crate::templates::Templates;
use crate::wrk::{self, Round};

const ROUNDS: usize = 15;
const SECONDS: u32 = 3;
const USERS: u64 = 100;
const SERVE: [&str; 6] =
    ["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--allow-loopback-realms"];

/// What the rounds showed, on each store.
#[derive(Debug, Serialize)]
pub(crate) struct Callers(Vec<OnStore>);

#[derive(Debug, Serialize)]
struct OnStore {
    name: &'static str,
    callers: Vec<Caller>,
}

#[derive(Debug, Serialize)]
struct Caller {
    name: &'static str,
    rounds: Vec<Round>,
}

/// Measures the callers in turn.
pub(crate) fn run(templates: &mut Templates) -> Result<Callers> {
    let directory = templates.users(USERS)?;
    let sqlite = on_store("SQLite", &|arguments| directory.command(arguments))?;
    directory.verify()?;
    let database = Platform::copy_of(templates.users(USERS)?)?;
    let postgres = on_store("PostgreSQL", &|arguments| database.command(arguments))?;
    database.verify()?;
    Ok(Callers(vec![sqlite, postgres]))
}

fn on_store(name: &'static str, command: &dyn Fn(&[&str]) -> Result<Command>) -> Result<OnStore> {
    let (server, provider) = (Server::start(&mut command(&SERVE)?)?, Provider::start()?);
    let known = credentials(&server, &provider, command)?;
    let url = server.statistics(&tenant(0));
    let mut callers = Vec::new();
    for (name, headers) in &known {
        // The first time a signature is verified, or a provider's keys are fetched.
        Client::new(headers)?.get(&url)?;
        callers.push(Caller { name, rounds: Vec::new() });
    }
    for _ in 0..ROUNDS {
        for (caller, (_, headers)) in callers.iter_mut().zip(&known) {
            caller.rounds.push(wrk::run(&url, headers, SECONDS)?);
        }
    }
    server.stop()?;
    Ok(OnStore { name, callers })
}

/// What each caller sends, as headers.
fn credentials(
    server: &Server,
    provider: &Provider,
    command: &dyn Fn(&[&str]) -> Result<Command>,
) -> Result<Vec<(&'static str, Vec<String>)>> {
    let (id, api) = (tenant(0), format!("{}/api/v1", server.url));
    let of_tenant = format!("x-tenantid: {id}");
    let bearer = |token: &str| vec![format!("Authorization: Bearer {token}"), of_tenant.clone()];

    let super_admin = output(&mut command(&["token", "--role", "super_admin", "--ttl", "1d"])?)?;
    let super_admin = format!("Authorization: Bearer {}", super_admin.trim());
    let operator = Client::new(&[super_admin.clone(), platform()])?;
    let realm = json!({
        "name": "corp", "issuer": provider.issuer(), "audience": "tenantry",
        "tenantClaim": "tenant", "rolesClaim": "roles",
    });
    operator.change("POST", &format!("{api}/admin/realms"), &realm)?;
    let of_realm = json!({ "realmName": "corp" });
    operator.change("PATCH", &format!("{api}/admin/tenants/{id}"), &of_realm)?;

    let client = Client::new(&[super_admin, of_tenant.clone()])?;
    let users = format!("{api}/admin/tenants/{id}/users?role=tenant_admin&limit=1");
    let users: Value = serde_json::from_slice(&client.get(&users)?)?;
    let user = users.pointer("/data/items/0/id").and_then(Value::as_str);
    let user = user.context("the tenant has no administrator")?;
    let token = ["token", "--role", "tenant_admin", "--ttl", "1d", "--tenant", &id];
    let built_in = output(command(&token)?.args(["--subject", user]))?;

    let reads = json!({ "name": "dashboard", "scopes": ["stats:read"] });
    let key = client.change("POST", &format!("{api}/api-keys"), &reads)?;
    let made = client.change("POST", &format!("{api}/oauth-clients"), &reads)?;
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        member(&made, "clientId")?,
        member(&made, "clientSecret")?
    );
    // Whoever proves itself in the form does so nowhere else.
    let issued = Client::new(&[])?.form(&format!("{}/oauth/token", server.url), &form)?;
    Ok(vec![
        ("a token of the built-in realm", bearer(built_in.trim())),
        ("a token of an external realm", bearer(&provider.token(&id)?)),
        ("an API key", vec![format!("X-API-Key: {}", member(&key, "key")?), of_tenant.clone()]),
        ("a token of an OAuth client", bearer(member(&issued, "access_token")?)),
    ])
}

fn member<'a>(answer: &'a Value, name: &str) -> Result<&'a str> {
    answer.get(name).and_then(Value::as_str).with_context(|| format!("an answer has no {name}"))
}

impl Callers {
    /// The medians, as a table in Markdown.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "| | | requests/s | of the first | p50 | p99 |\n|---|---|---|---|---|---|\n",
        );
        for OnStore { name: store, callers } in &self.0 {
            for Caller { name, rounds } in callers {
                let rate = |round: &Round| round.requests_per_second;
                let first = callers.first().map_or(rounds, |first| &first.rounds);
                let (requests, ratio) = (median(rounds, rate), ratio(rounds, first, rate));
                let (p50, p99) = (median(rounds, |it| it.p50_ms), median(rounds, |it| it.p99_ms));
                // Writing to a `String` cannot fail.
                let _ = writeln!(
                    table,
                    "| {store} | {name} | {requests:.0} | {ratio:.2} | {p50:.2} ms | {p99:.2} ms |"
                );
            }
        }
        table
    }
}
