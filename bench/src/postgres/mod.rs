//! Platforms in PostgreSQL: one process serves, and the server, the database and the load share the
//! machine.

mod asked;
pub(crate) mod calls;
pub(crate) mod statistics;
pub(crate) mod writes;

use std::process::Command;
use std::sync::LazyLock;

use anyhow::Result;
use tenantry_testkit_postgres::{Cluster, Database};

use crate::fill::tenant;
use crate::installation::Installation;
use crate::process::{Server, output, program};

/// A PostgreSQL of one's own, until the benchmark ends.
static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start_to_measure);

/// A database with a platform to measure, until it is dropped.
#[derive(Debug)]
pub(crate) struct Platform {
    /// What it was copied from, which has its master key.
    installation: Installation,
    database: Database,
}

impl Platform {
    /// A copy of an installation that nobody uses.
    pub(crate) fn copy_of(installation: Installation) -> Result<Self> {
        let database = CLUSTER.database();
        let from = format!("sqlite:{}", installation.path().display());
        output(program("tenantry")?.args(["copy", "--from", &from, "--to", &database.url()]))?;
        database.run("VACUUM ANALYZE");
        Ok(Self { installation, database })
    }

    /// A command of the binary about it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = program("tenantry")?;
        let key = std::fs::read_to_string(self.installation.path().join("master.key"))?;
        command.args(arguments).env("TENANTRY_DATABASE", self.database.url());
        command.env("TENANTRY_MASTER_KEY", key.trim());
        Ok(command)
    }

    /// Its server, once it answers.
    pub(crate) fn serve(&self, flags: &[&str]) -> Result<Server> {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0", "--log", "warn"])?;
        Server::start(command.args(flags))
    }

    /// The headers of one of the first tenant's administrators, each as `Name: value`.
    fn administrator(&self) -> Result<Vec<String>> {
        let tenant = tenant(0);
        let user = self.database.run(&format!(
            "SELECT user_id FROM users WHERE tenant_id = '{tenant}' AND tenant_admin LIMIT 1"
        ));
        let token = ["token", "--role", "tenant_admin", "--ttl", "1d", "--tenant", &tenant];
        let token = output(self.command(&token)?.args(["--subject", &user]))?;
        Ok(vec![format!("Authorization: Bearer {}", token.trim()), format!("x-tenantid: {tenant}")])
    }

    /// Recounts everything.
    pub(crate) fn verify(&self) -> Result<()> {
        output(&mut self.command(&["verify"])?).map(drop)
    }
}
