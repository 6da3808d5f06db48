//! The commands that do one thing and end.

use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tenantry_testkit::tamper;

use crate::support::{DataDir, PLATFORM, Server, compact, run_with_input, tenantry};

const UNKNOWN: &str = "00000000-0000-4000-8000-00000000dead";

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn ttl(token: &str) -> i64 {
    let claims = claims(token);
    claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap()
}

/// Makes a tenant, as the bearer of the token.
async fn make_tenant(server: &Server, token: &str, name: &str) -> String {
    let request = server.request("POST", "/admin/tenants", token, PLATFORM);
    let answer = request.json(&json!({"name": name})).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let body: Value = answer.json().await.unwrap();
    body["data"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_is_alone_on_its_line_and_works_whether_a_server_runs_or_not() {
    let directory = DataDir::new();
    directory.run("migrate").succeeded();
    let before = directory.run("token --role super_admin").succeeded().stdout;
    let server = directory.serve();
    let during = directory.run("token --role super_admin --ttl 15m").succeeded().stdout;
    for text in [&before, &during] {
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(text.ends_with('\n'), "{text:?}");
        server.data("/admin/tenants", text.trim_end(), PLATFORM).await;
    }
    let (before, during) = (before.trim_end(), during.trim_end());
    assert_eq!((ttl(before), ttl(during)), (3_600, 900));

    let issued = "/admin/audit-logs?action=TOKEN_ISSUED";
    let entries = server.data(issued, during, PLATFORM).await;
    assert_eq!(entries["total"], 2, "{entries}");
    let mut resources: Vec<_> = entries["items"].as_array().unwrap().iter().collect();
    resources.sort_by_key(|entry| entry["seq"].as_u64());
    for (entry, token) in resources.iter().zip([before, during]) {
        assert_eq!(entry["resource"]["id"], claims(token)["jti"], "{entry}");
        assert!(!entry.to_string().contains(token), "{entry}");
    }

    let tenant = make_tenant(&server, during, "Acme").await;
    let token = format!("token --role tenant_admin --tenant {tenant}");
    let own = directory.run(&token).succeeded().stdout;
    let entries = server.data(issued, own.trim_end(), &tenant).await;
    assert_eq!(entries["total"], 1, "{entries}");
    let elsewhere = format!("/admin/tenants/{PLATFORM}/stats");
    let answer = server.request("GET", &elsewhere, own.trim_end(), &tenant).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    let token = format!("token --role super_admin --tenant {tenant}");
    directory.run(&token).failed_with(&["super_admin", "platform"]);
    server.stop();
    directory.run("verify").succeeded();
}

#[test]
fn a_token_for_nobody_is_refused() {
    let directory = DataDir::new();
    directory.run("migrate").succeeded();
    let tenant = format!("token --role tenant_admin --tenant {UNKNOWN}");
    directory.run(&tenant).failed_with(&["Tenant not found"]);
    let subject = format!("token --role member --subject {UNKNOWN}");
    directory.run(&subject).failed_with(&["User not found"]);
}

#[tokio::test]
async fn statistics_are_those_of_the_api() {
    let directory = DataDir::new();
    let server = directory.serve();
    let operator = directory.operator();
    let tenant = make_tenant(&server, &operator, "Acme \"Rockets\" \\ Co").await;
    let users =
        server.request("POST", &format!("/admin/tenants/{tenant}/users"), &operator, &tenant);
    let answer = users.json(&json!({"email": "ann@example.com"})).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let answered = server.get(&format!("/admin/tenants/{tenant}/stats"), &operator, &tenant).await;
    let printed = directory.run(&format!("stats {tenant} --json")).succeeded().stdout;
    assert!(printed.starts_with("{\n  \"success\": true,\n") && printed.ends_with("}\n"));
    assert_eq!(without_instants(&compact(&printed)), without_instants(&answered));

    let table = directory.run(&format!("stats {tenant}")).succeeded().stdout;
    let row = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap();
        line.strip_prefix(name).unwrap().trim().to_owned()
    };
    assert!(table.starts_with(&format!("Acme \"Rockets\" \\ Co ({tenant})\n")), "{table}");
    assert_eq!(
        (row("users"), row("last activity"), row("storage quota")),
        ("1".into(), "never".into(), "no limit".into())
    );
    directory.run(&format!("stats {UNKNOWN}")).failed_with(&["there is no tenant", UNKNOWN]);
    server.stop();
}

/// A statistics body in whose place of `generatedAt` and `timestamp` nothing stands.
fn without_instants(body: &str) -> String {
    let value: Value = serde_json::from_str(body).unwrap();
    body.replace(value["timestamp"].as_str().unwrap(), "")
}

#[tokio::test]
async fn verification_names_what_drifted() {
    let directory = DataDir::new();
    let server = directory.serve();
    let operator = directory.operator();
    let drifted = make_tenant(&server, &operator, "Drifted").await;
    let exact = make_tenant(&server, &operator, "Exact").await;
    server.stop();
    for (email, tenant) in [("a@example.com", &drifted), ("b@example.com", &exact)] {
        let create = format!("admin create --email {email} --tenant {tenant}");
        directory.run(&create).succeeded();
    }
    let output = directory.run("verify").succeeded();
    assert!(output.stdout.ends_with("\n3 tenants recounted, all exact\n"), "{output:?}");

    tamper(&directory.path(), "DELETE FROM users WHERE email LIKE 'a@%'");
    let output = directory.run("verify");
    assert_eq!((output.code, &*output.stderr), (Some(1), ""), "{output:?}");
    assert!(output.stdout.contains(&format!("\n{drifted}: ")), "{output:?}");
    assert!(output.stdout.contains("users.active"), "{output:?}");
    assert!(output.stdout.ends_with("\n3 tenants recounted, 1 with drift\n"), "{output:?}");
    assert_eq!(directory.run(&format!("verify --tenant {drifted}")).code, Some(1));
    let output = directory.run(&format!("verify --tenant {exact}")).succeeded();
    assert!(output.stdout.contains("1 tenant recounted, all exact"), "{output:?}");

    tamper(
        &directory.path(),
        "UPDATE ledger SET actor_id = 'somebody else' WHERE action = 'TOKEN_ISSUED'",
    );
    let output = directory.run(&format!("verify --tenant {PLATFORM}"));
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stdout.contains(&format!("\n{PLATFORM}: ledger entry ")), "{output:?}");
    let unknown = directory.run(&format!("verify --tenant {UNKNOWN}"));
    unknown.failed_with(&["there never was a tenant", UNKNOWN]);
}

#[test]
fn migrating_twice_does_nothing_more() {
    let directory = DataDir::new();
    let first = directory.run("migrate").succeeded().stdout;
    assert!(first.starts_with("applied 0001_initial"), "{first}");
    let again = directory.run("migrate").succeeded().stdout;
    assert_eq!(again, "the database is at this version already\n");
    directory.run("verify").succeeded();
}

#[tokio::test]
async fn an_administrator_can_be_made_and_given_a_token() {
    let directory = DataDir::new();
    directory.run("migrate").succeeded();
    let password = "correct horse battery staple";
    let create = "admin create --email Ann@Example.com --name Ann --password-stdin";
    let output = run_with_input(&mut directory.command(create), &format!("{password}\n"));
    let output = output.succeeded().stdout;
    assert!(!output.contains("horse"), "{output}");
    for file in fs::read_dir(directory.path()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(password.len()).any(|window| window == password.as_bytes()));
    }
    // It says how to get a token.
    let token = output.lines().find_map(|line| line.split_once("tenantry ")).unwrap().1;
    assert!(token.starts_with("token --role super_admin "), "{output}");
    let token = directory.run(token).succeeded().stdout;
    let server = directory.serve();
    let me = claims(&token)["sub"].as_str().unwrap().to_owned();
    let path = format!("/admin/tenants/{PLATFORM}/users/{me}");
    let user = server.data(&path, token.trim_end(), PLATFORM).await;
    assert_eq!((&user["name"], &user["email"]), (&json!("Ann"), &json!("Ann@Example.com")));
    server.stop();
    directory.run("admin create --email ann@example.com").failed_with(&["e-mail"]);
    directory.run("verify").succeeded();
}

#[test]
fn the_openapi_document_is_the_one_in_the_repository() {
    let printed = crate::support::run(&mut tenantry("openapi")).succeeded().stdout;
    let document: Value = serde_json::from_str(&printed).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi.json");
    assert_eq!(printed, fs::read_to_string(committed).unwrap());
}
