//! The binary on PostgreSQL: several processes that answer as one, and a database that is gone.

use std::process::Command;
use std::sync::LazyLock;

use serde_json::{Value, json};
use tenantry_testkit_postgres::{Cluster, Database, ENCRYPTED, PASSWORD, Proxy};

use crate::support::{ACME, Output, PLATFORM, SERVE, Server, run, tenantry};

pub(crate) static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start_with_tls);

pub(crate) const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
pub(crate) const OTHER_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// An installation in a database.
pub(crate) struct Installation(pub(crate) Database);

impl Installation {
    pub(crate) fn new() -> Self {
        Self(CLUSTER.database())
    }

    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = tenantry(arguments);
        command.env("TENANTRY_DATABASE", self.0.url()).env("TENANTRY_MASTER_KEY", KEY);
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Output {
        run(&mut self.command(arguments))
    }

    pub(crate) fn serve(&self) -> Server {
        self.serve_with("")
    }

    /// Starts a server with more flags.
    pub(crate) fn serve_with(&self, flags: &str) -> Server {
        Server::start(&mut self.command(&format!("{SERVE} {flags}")))
    }

    /// Starts a server that reaches the database by way of a proxy.
    pub(crate) fn serve_by(&self, proxy: &Proxy, flags: &str) -> Server {
        let mut command = self.command(&format!("{SERVE} {flags}"));
        Server::start(command.env("TENANTRY_DATABASE", proxy.url()))
    }

    pub(crate) fn operator(&self) -> String {
        self.run("token --role super_admin").succeeded().stdout.trim_end().to_owned()
    }

    /// A token of an administrator of a tenant.
    pub(crate) fn admin(&self, tenant: &str) -> String {
        let output = self.run(&format!("token --role tenant_admin --tenant {tenant}"));
        output.succeeded().stdout.trim_end().to_owned()
    }
}

pub(crate) async fn post(
    server: &Server,
    path: &str,
    token: &str,
    tenant: &str,
    body: &Value,
) -> Value {
    let answer = server.request("POST", path, token, tenant).json(body).send().await.unwrap();
    assert_eq!(answer.status(), 201, "{path}");
    answer.json::<Value>().await.unwrap()["data"].take()
}

#[tokio::test]
async fn processes_on_one_database_answer_as_one() {
    let installation = Installation::new();
    // Those that start at once make one installation.
    let started: Vec<_> = (0..3)
        .map(|_| {
            let mut command = installation.command(SERVE);
            std::thread::spawn(move || Server::start(&mut command))
        })
        .collect();
    let mut servers: Vec<_> = started.into_iter().map(|it| it.join().unwrap()).collect();
    installation.run("migrate").succeeded();
    let operator = installation.operator();
    let tenant = json!({"id": ACME, "name": "Acme Corporation"});
    post(&servers[0], "/admin/tenants", &operator, PLATFORM, &tenant).await;
    let admin = installation.admin(ACME);
    let (users, stats) =
        (format!("/admin/tenants/{ACME}/users"), format!("/admin/tenants/{ACME}/stats"));
    let mut calls = 0;
    for round in 0..12 {
        let (writer, reader) = (&servers[round % 3], &servers[(round + 1) % 3]);
        let user = json!({"email": format!("user-{round}@example.com")});
        let user = post(writer, &users, &admin, ACME, &user).await;
        let path = format!("{users}/{}", user["id"].as_str().unwrap());
        // What one has answered, the next one knows, and counts.
        assert_eq!(reader.data(&path, &admin, ACME).await, user);
        calls += 2;
        let data = servers[(round + 2) % 3].data(&stats, &admin, ACME).await;
        assert_eq!(data["users"]["total"], round + 1);
        assert_eq!(data["usage"]["apiCallsThisMonth"], calls);
        calls += 1;
    }
    // A process that is killed takes nothing with it.
    let path = format!("{users}?limit=1");
    for _ in 0..5 {
        servers[0].get(&path, &admin, ACME).await;
        calls += 1;
    }
    servers.remove(0).kill();
    let data = servers[0].data(&stats, &admin, ACME).await;
    assert_eq!(data["usage"]["apiCallsThisMonth"], calls);
    calls += 1;
    let printed = installation.run(&format!("stats {ACME} --json")).succeeded().stdout;
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        printed["data"]["users"],
        json!({"total": 12, "active": 12, "inactive": 0, "admins": 0})
    );
    assert_eq!(printed["data"]["usage"]["apiCallsThisMonth"], calls);
    let verified = installation.run("verify").succeeded().stdout;
    assert!(verified.contains("all exact"), "{verified}");
    servers.into_iter().for_each(Server::stop);
    installation.run("verify").succeeded();
    // It finds what does not fit.
    installation.0.run("DELETE FROM users WHERE email = 'user-3@example.com'");
    assert_eq!(installation.run("verify").code, Some(1));
}

#[test]
fn the_key_must_be_the_installation_s() {
    let installation = Installation::new();
    let without = |arguments: &str| {
        let mut command = installation.command(arguments);
        command.env_remove("TENANTRY_MASTER_KEY");
        run(&mut command)
    };
    without(SERVE).failed_with(&["--database", "TENANTRY_MASTER_KEY"]);
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(installation.0.run(tables), "0");
    installation
        .run("token --role super_admin")
        .failed_with(&["nothing in the database", "migrate"]);
    // Whoever shows no secret needs none.
    let applied = without("migrate").succeeded().stdout;
    assert_eq!(
        applied,
        "applied 0001_initial, 0002_api_key_uses, 0003_revoked_tokens, 0004_realms, \
         0005_sessions, 0006_signing_keys_rotate, 0007_wrapped_keys\n"
    );
    assert_eq!(without("migrate").succeeded().stdout, "the database is at this version already\n");
    without("verify").succeeded();
    installation.serve().stop();
    for arguments in [SERVE, "token --role super_admin"] {
        let mut command = installation.command(arguments);
        command.env("TENANTRY_MASTER_KEY", OTHER_KEY);
        run(&mut command).failed_with(&["does not match this installation"]);
    }
    installation.run("demo --listen 127.0.0.1:0").failed_with(&["leave out --database"]);
}

#[test]
fn the_password_comes_from_the_url_a_variable_or_a_file_and_is_told_nobody() {
    let installation = Installation::new();
    let url = installation.0.tcp_url(ENCRYPTED, "sslmode=require");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let migrate = |url: &str| {
        let mut command = tenantry("migrate --log trace");
        command.arg("--database").arg(url);
        command
    };
    let escaped = PASSWORD.replace(' ', "%20").replace('/', "%2F").replace('@', "%40");
    let with_password = url.replace('@', &format!(":{escaped}@"));
    let wrong = url.replace('@', ":hunter2@");
    let mut commands = [
        (migrate(&with_password), true),
        (migrate(&url), false),
        (migrate(&wrong), false),
        (migrate(&url), true),
        (migrate(&url), true),
    ];
    commands[1].0.env_remove("TENANTRY_DATABASE_PASSWORD");
    commands[2].0.env("TENANTRY_DATABASE_PASSWORD", PASSWORD);
    commands[3].0.env("TENANTRY_DATABASE_PASSWORD", PASSWORD);
    commands[4].0.arg("--database-password-file").arg(&file);
    for (command, succeeds) in &mut commands {
        let output = run(command);
        assert_eq!(output.code == Some(0), *succeeds, "{output:?}");
        for secret in [PASSWORD, &escaped, "hunter2"] {
            assert!(!format!("{output:?}").contains(secret), "{output:?}");
        }
    }
}

/// Which server is asked must not make a difference, so whose clock differs is not asked.
#[tokio::test]
async fn a_server_whose_clock_is_not_the_database_s_is_not_ready() {
    let installation = Installation::new();
    installation.run("migrate").succeeded();
    let is_off_by = |milliseconds: i32| {
        installation.0.run(&format!(
            "CREATE OR REPLACE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
             AS $$ SELECT pg_catalog.clock_timestamp() + interval '{milliseconds} ms' $$"
        ));
    };
    // Ours is found before the system's.
    let path = "DO $$ BEGIN EXECUTE format(
        'ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); END $$";
    installation.0.run(path);
    is_off_by(0);
    let server = installation.serve();
    assert!(server.is_ready().await);
    for milliseconds in [2_000, -2_000] {
        is_off_by(milliseconds);
        let request = server.request("GET", "/../../health/ready", "", PLATFORM);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 503);
        let body: Value = answer.json().await.unwrap();
        let details = body["error"]["details"].as_str().unwrap();
        let how = if milliseconds > 0 { " ms behind the" } else { " ms ahead of the" };
        assert!(details.contains("clock") && details.contains(how), "{details}");
        is_off_by(0);
        assert!(server.is_ready().await);
    }
    server.terminate();
    assert_eq!(server.end().code, Some(0));
}

#[tokio::test]
async fn while_the_database_is_gone_it_says_so_and_then_goes_on() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start()));
    let installation = Installation(cluster.database());
    let server = installation.serve_with("--database-queue-timeout 1s");
    let operator = installation.operator();
    let stats = format!("/admin/tenants/{PLATFORM}/stats");
    server.get(&stats, &operator, PLATFORM).await;
    cluster.stop();
    let create = json!({"name": "Meanwhile"});
    for request in [
        server.request("GET", &stats, &operator, PLATFORM),
        server.request("POST", "/admin/tenants", &operator, PLATFORM).json(&create),
        server.request("GET", "/../../health/ready", &operator, PLATFORM),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "1");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"], json!({"code": "UNAVAILABLE", "details": "try again shortly"}));
    }
    cluster.start_again();
    assert!(server.is_ready().await);
    let data = server.data(&stats, &operator, PLATFORM).await;
    // Those that were refused are not counted.
    assert_eq!(data["usage"]["apiCallsThisMonth"], 1);
    let tenants = server.data("/admin/tenants", &operator, PLATFORM).await;
    assert_eq!(tenants["total"], 1);
    server.terminate();
    assert_eq!(server.end().code, Some(0));
    installation.run("verify").succeeded();
}
