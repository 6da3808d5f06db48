//! `copy`: an installation moves to a database and back, with everything that it is, or not at all.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tenantry_testkit::tamper;
use tenantry_testkit_postgres::{Database, Fault, Proxy};

use crate::postgres::{CLUSTER, post};
use crate::support::{
    ACME, DataDir, Output, PLATFORM, SERVE, Server, compact, kill_once, run, tenantry,
    without_times,
};

/// What is about a database and its processes, not of the installation.
const NOT_COPIED: &[&str] = &["tenantry_migrations", "usage_slots"];

/// A command that is given the master key of a directory, if it has one.
fn with_key(directory: &DataDir, arguments: &str) -> Command {
    let mut command = tenantry(arguments);
    if let Ok(key) = std::fs::read_to_string(directory.path().join("master.key")) {
        command.env("TENANTRY_MASTER_KEY", key.trim_end());
    }
    command
}

fn sqlite(directory: &Path) -> String {
    format!("sqlite:{}", directory.display())
}

fn copy(keys: &DataDir, from: &str, to: &str) -> Output {
    run(with_key(keys, "copy").args(["--from", from, "--to", to]))
}

/// How many rows of each table a copy has told.
fn told(output: Output) -> BTreeMap<String, u64> {
    let output = output.succeeded().stdout;
    assert!(output.contains(" tenants recounted, all exact\n"), "{output}");
    let lines = output.lines().filter_map(|line| line.strip_suffix(" rows")?.split_once(": "));
    lines.map(|(table, rows)| (table.to_owned(), rows.parse().unwrap())).collect()
}

/// How many rows each table has, and a digest of them.
fn content(database: &Database) -> BTreeMap<String, (u64, String)> {
    let tables = database
        .run("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename");
    let tables = tables.lines().filter(|table| !NOT_COPIED.contains(table));
    let digest = |table: &str| {
        let sql = format!(
            "SELECT count(*) || '|' || coalesce(md5(string_agg(it, ',' ORDER BY it)), '')
             FROM (SELECT t::text COLLATE \"C\" AS it FROM {table} t) it"
        );
        let line = database.run(&sql);
        let (rows, digest) = line.split_once('|').unwrap();
        (table.to_owned(), (rows.parse().unwrap(), digest.to_owned()))
    };
    tables.map(digest).collect()
}

/// What the bearer of a token is told of Acme, times of the telling aside.
async fn answers(server: &Server, operator: &str) -> Vec<Value> {
    let mut answers = Vec::new();
    for path in [
        format!("/admin/audit-logs?tenantId={ACME}&limit=500"),
        format!("/admin/tenants/{ACME}/users?limit=500"),
        "/api-keys?limit=500".to_owned(),
        "/admin/tenants?limit=500".to_owned(),
        "/admin/realms".to_owned(),
    ] {
        let mut answer = server.data(&path, operator, ACME).await;
        // That somebody looks is told, too, each time.
        if path.contains("audit-logs") {
            answer["total"].take();
            let items = answer["items"].as_array_mut().unwrap();
            items.retain(|entry| !entry["action"].as_str().unwrap().ends_with("_READ"));
        }
        answers.push(answer);
    }
    answers
}

fn statistics(mut command: Command) -> String {
    without_times(&compact(run(&mut command).succeeded().stdout.trim_end()))
}

/// Repeats a request that was made before the copy: the answer, if it is the same one.
async fn invite(server: &Server, operator: &str) -> (Option<String>, Value) {
    let path = format!("/admin/tenants/{ACME}/users");
    let request = server.request("POST", &path, operator, ACME).header("Idempotency-Key", "once");
    let answer = request.json(&json!({"email": "ann@example.com"})).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let replayed = answer.headers().get("Idempotent-Replayed");
    let replayed = replayed.map(|it| it.to_str().unwrap().to_owned());
    (replayed, answer.json::<Value>().await.unwrap()["data"].take())
}

/// Makes an API key and uses it, as a gateway does.
async fn use_key(server: &Server, operator: &str) {
    let post = async |path: &str, body: Value| {
        let request = server.request("POST", path, operator, ACME).json(&body);
        request.send().await.unwrap().json::<Value>().await.unwrap()["data"].take()
    };
    let key = post("/api-keys", json!({"name": "gateway"})).await;
    let good = post("/api-keys/validate", json!({"key": key["key"]})).await;
    assert_eq!(good["valid"], true);
}

/// Ends a token of a client before its time.
async fn end_token(server: &Server, operator: &str) {
    let client = json!({"name": "machine", "scopes": ["stats:read"]});
    let client = post(server, "/oauth-clients", operator, PLATFORM, &client).await;
    let [id, secret] = ["clientId", "clientSecret"].map(|it| client[it].as_str().unwrap());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |path: &str, fields: &str| {
        let form = format!("{fields}&client_id={id}&client_secret={secret}");
        let request = http.post(format!("{}{path}", server.url)).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    };
    let issued = ask("/oauth/token", "grant_type=client_credentials").await;
    let issued: Value = serde_json::from_str(&issued).unwrap();
    ask("/oauth/revoke", &format!("token={}", issued["access_token"].as_str().unwrap())).await;
}

/// Has a person be invited and sign in, with a wrong password first.
async fn sign_in(server: &Server, operator: &str) {
    let post = async |path: &str, body: Value| {
        let request = server.request("POST", path, operator, ACME).json(&body);
        request.send().await.unwrap().json::<Value>().await.unwrap()["data"].take()
    };
    let users = format!("/admin/tenants/{ACME}/users");
    let (email, password) = ("eve@example.com", "correct horse battery");
    let user = post(&users, json!({"email": email, "password": password})).await;
    let (wrong, right) = ("wrong horse battery", password);
    for password in [wrong, right] {
        post("/auth/login", json!({"email": email, "password": password})).await;
    }
    post("/auth/login", json!({"email": "nobody@example.com", "password": wrong})).await;
    post(&format!("{users}/{}/invitations", user["id"].as_str().unwrap()), json!({})).await;
}

#[tokio::test]
async fn an_installation_moves_to_a_database_and_back() {
    let (sample, back) = (DataDir::new(), DataDir::new());
    let demo = sample.demo();
    let operator = sample.operator();
    let (_, invited) = invite(&demo, &operator).await;
    use_key(&demo, &operator).await;
    end_token(&demo, &operator).await;
    let realm = json!({
        "name": "corp", "issuer": "https://id.example.com", "audience": "tenantry",
        "roleMapping": {"boss": "tenant_admin"}, "platform": true
    });
    let made = demo.request("POST", "/admin/realms", &operator, PLATFORM).json(&realm);
    assert_eq!(made.send().await.unwrap().status(), 201);
    sign_in(&demo, &operator).await;
    // Both keys are good from here on.
    sample.run("vault rewrap").succeeded();
    // Of a deleted tenant something may be left to remove.
    let path = format!("/admin/tenants/{PLATFORM}/stats");
    demo.get(&path, &operator, PLATFORM).await;
    let before = answers(&demo, &operator).await;
    demo.terminate();
    demo.end().succeeded();
    let stats = format!("stats {ACME} --json");
    let numbers = statistics(sample.command(&stats));
    let platform = format!("stats {PLATFORM} --json");
    let calls = statistics(sample.command(&platform));

    let (one, two) = (CLUSTER.database(), CLUSTER.database());
    let to_database = told(copy(&sample, &sqlite(&sample.path()), &one.url()));
    // What there is only for a moment.
    one.run("INSERT INTO purges VALUES ('11111111-1111-4111-8111-111111111111')");
    let back_again = told(copy(&sample, &one.url(), &sqlite(&back.path())));
    copy(&sample, &sqlite(&back.path()), &two.url()).succeeded();

    // Each table was copied, and each has rows that show it.
    let content = |database| content(database);
    let (first, second) = (content(&one), content(&two));
    for (table, (rows, _)) in &first {
        assert!(*rows > 0, "{table} has no rows");
        assert_eq!(back_again[table], *rows, "{table}");
        assert!(table == "purges" || to_database[table] == *rows, "{table}");
    }
    assert_eq!(back_again.len(), first.len());
    assert_eq!(first, second);

    let in_database = |arguments: &str| {
        let mut command = with_key(&sample, arguments);
        command.env("TENANTRY_DATABASE", one.url());
        command
    };
    let in_directory = |arguments: &str| {
        let mut command = with_key(&sample, arguments);
        command.arg("--data-dir").arg(back.path());
        command
    };
    for place in [&in_database as &dyn Fn(&str) -> Command, &in_directory] {
        assert_eq!(statistics(place(&stats)), numbers);
        assert_eq!(statistics(place(&platform)), calls);
        let server = Server::start(&mut place(SERVE));
        // The keys are the same, so a token is good still, and an answer is opened again.
        assert_eq!(answers(&server, &operator).await, before);
        assert_eq!(invite(&server, &operator).await, (Some("true".to_owned()), invited.clone()));
        server.stop();
        run(&mut place("verify")).succeeded();
    }
}

#[test]
fn what_is_in_use_or_not_empty_is_not_copied() {
    let (sample, other) = (DataDir::new(), DataDir::new());
    let server = sample.serve();
    let database = CLUSTER.database();
    let (from, to) = (sqlite(&sample.path()), database.url());
    copy(&sample, &from, &to).failed_with(&["another server is using"]);
    server.stop();
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(database.run(tables), "0");
    copy(&sample, &from, &to).succeeded();
    copy(&sample, &from, &to).failed_with(&["tables already", "empty"]);
    copy(&sample, &to, &from).failed_with(&["a database already", "empty"]);

    let server = Server::start(with_key(&sample, SERVE).env("TENANTRY_DATABASE", &to));
    let to_directory = sqlite(&other.path());
    copy(&sample, &to, &to_directory).failed_with(&["others are connected", "stop every server"]);
    server.stop();
    // Without the key, what is sealed with it would be lost.
    copy(&other, &to, &to_directory).failed_with(&["TENANTRY_MASTER_KEY"]);
    let mut wrong = tenantry("copy");
    wrong.env("TENANTRY_MASTER_KEY", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=");
    run(wrong.args(["--from", &to, "--to", &to_directory])).failed_with(&["does not match"]);
    assert!(!other.path().exists());
}

#[test]
fn what_was_cut_off_is_not_used() {
    let (sample, other) = (DataDir::new(), DataDir::new());
    sample.serve().stop();
    let (database, broken) = (CLUSTER.database(), CLUSTER.database());
    copy(&sample, &sqlite(&sample.path()), &database.url()).succeeded();
    // The last table cannot be copied either way: each store refuses one of these.
    let user = "INSERT INTO users (tenant_id, user_id, email, email_key, status, tenant_admin,
         member, created_at, updated_at)
         VALUES ('00000000-0000-7000-8000-000000000000', gen_random_uuid(), 'a', 'a', 'active',
             false, false, 0, 0)";
    database.run(&format!("DROP INDEX users_by_email; {user}; {user}"));
    tamper(&sample.path(), "INSERT INTO usage_months VALUES (x'00', 1, 1, 1)");

    let (to_directory, to_database) = (sqlite(&other.path()), broken.url());
    assert_eq!(copy(&sample, &database.url(), &to_directory).code, Some(1));
    assert_refused(&sample, &to_directory, &database.url());

    assert_eq!(copy(&sample, &sqlite(&sample.path()), &to_database).code, Some(1));
    assert_refused(&sample, &to_database, &sqlite(&other.path().join("next")));
    copy(&sample, &sqlite(&sample.path()), &to_database).failed_with(&["tables already"]);
}

/// It is killed while it copies, and when all is there and is not recounted yet.
#[test]
fn what_is_killed_on_the_way_is_not_used() {
    let sample = DataDir::new();
    sample.serve().stop();
    let from = sqlite(&sample.path());
    for (fault, at) in
        [(Fault::SilentBefore, "COPY \"ledger\""), (Fault::SilentAfter, "COMMIT; ANALYZE")]
    {
        let database = CLUSTER.database();
        let proxy = Proxy::to(&database);
        proxy.strike(fault, "", at);
        let mut command = with_key(&sample, "copy");
        let command = command.args(["--from", &from, "--to", proxy.url()]);
        let killed = kill_once(command, || proxy.struck() > 0);
        assert!(!killed.stdout.contains("recounted"), "{killed:?}");
        drop(proxy);
        assert_refused(&sample, &database.url(), &sqlite(&sample.path().join("next")));
        copy(&sample, &from, &database.url()).failed_with(&["tables already"]);
    }
    let (database, other) = (CLUSTER.database(), DataDir::new());
    copy(&sample, &from, &database.url()).succeeded();
    let proxy = Proxy::to(&database);
    proxy.strike(Fault::SilentBefore, "", "SELECT count(*) FROM \"users\"");
    let to = sqlite(&other.path());
    let mut command = with_key(&sample, "copy");
    let command = command.args(["--from", proxy.url(), "--to", &to]);
    kill_once(command, || proxy.struck() > 0);
    drop(proxy);
    assert_refused(&sample, &to, &CLUSTER.database().url());
    copy(&sample, &from, &to).failed_with(&["a database already"]);
}

/// Fails the test unless every command refuses a copy that is not whole, and so does copying it on to
/// a place that is empty.
fn assert_refused(keys: &DataDir, unfinished: &str, empty: &str) {
    let words = ["an installation is being copied into", "again"];
    let (stats, admin) =
        (format!("stats {PLATFORM}"), "admin create --email ann@example.com".to_owned());
    let commands = [SERVE, "migrate", "verify", "token --role super_admin", &stats, &admin];
    for arguments in commands {
        let mut command = with_key(keys, arguments);
        match unfinished.strip_prefix("sqlite:") {
            Some(directory) => command.args(["--data-dir", directory]),
            None => command.env("TENANTRY_DATABASE", unfinished),
        };
        run(&mut command).failed_with(&words);
    }
    copy(keys, unfinished, empty).failed_with(&words);
}
