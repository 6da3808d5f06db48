//! What is deployed with: each file is read by the program that it is for.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};

use crate::packages;
use crate::step::{self, command, root};

const COMPOSE: &str = "deploy/compose.yaml";
const BALANCER: &str = "deploy/haproxy.cfg";

pub(crate) fn check() -> Result<()> {
    packages::need("docker-compose", "docker-compose")?;
    packages::need_that("haproxy", "haproxy", || step::succeeds("haproxy", &["-v"]))?;
    let mut services = command("docker-compose", &["--file", COMPOSE, "config", "--services"]);
    for secret in ["TENANTRY_MASTER_KEY", "TENANTRY_DATABASE_PASSWORD"] {
        services.env(secret, "given");
    }
    let services = String::from_utf8(step::output(&mut services)?)?;
    step::quietly(&mut command("haproxy", &["-c", "-f", BALANCER]))?;

    // Whom the balancer sends requests to, by the names that the network has for them.
    let balancer = fs::read_to_string(root().join(BALANCER)).context(BALANCER)?;
    let servers: BTreeSet<_> = balancer.lines().filter_map(server).collect();
    let services: BTreeSet<_> = services.lines().collect();
    ensure!(!servers.is_empty(), "{BALANCER} has no servers");
    ensure!(servers.is_subset(&services), "{servers:?} of {BALANCER} are not all in {COMPOSE}");
    Ok(())
}

/// The name by which a line of the balancer's configuration finds a server.
fn server(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let place = words.next().filter(|word| *word == "server").and_then(|_| words.nth(1))?;
    place.split(':').next()
}
