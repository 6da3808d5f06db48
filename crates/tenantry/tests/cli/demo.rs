//! `demo`: the sample's numbers, number for number.

use std::fs;
use std::process::Command;

use serde_json::Value;
use tenantry_domain::clock::{Clock as _, SystemClock, Timestamp};

use crate::support::{
    ACME, DataDir, PLATFORM, Server, kill_once, run, sample, tenantry, without_times,
};

/// What the demo prints after its first line: the operator's line and the administrator's.
fn curl_lines(demo: &mut Server) -> [String; 2] {
    let mut lines = Vec::new();
    while lines.len() < 2 {
        let line = demo.line();
        assert!(!line.contains(['\x1b', '\r']), "{line}");
        assert!(!line.contains("listening"), "{line}");
        if line.starts_with("curl ") {
            lines.push(line);
        }
    }
    lines.try_into().unwrap()
}

/// Pastes a line into a shell; the body must be all it prints.
fn paste(line: &str) -> String {
    let output = run(Command::new("bash").args(["-euc", line]));
    output.succeeded().stdout
}

fn token_of(line: &str) -> &str {
    line.split("Bearer ").nth(1).unwrap().trim_end_matches('\'')
}

#[tokio::test]
async fn the_sample_s_numbers_come_back_until_somebody_changes_them() {
    let directory = DataDir::new();
    let mut demo = directory.demo();
    let [by_operator, by_administrator] = curl_lines(&mut demo);
    // The operator's calls count for the platform's own tenant.
    assert_eq!(without_times(&paste(&by_operator)), sample());
    assert_eq!(without_times(&paste(&by_operator)), sample());
    assert_varied(&demo, token_of(&by_operator)).await;
    demo.terminate();
    let output = demo.end().succeeded();
    assert_eq!(output.stdout.trim(), "");
    assert!(directory.run("verify").succeeded().stdout.contains("26 tenants recounted, all exact"));

    let key = fs::read(directory.path().join("master.key")).unwrap();
    let mut demo = directory.demo();
    let [again, by_administrator_again] = curl_lines(&mut demo);
    assert_eq!(without_times(&paste(&again)), sample());
    // The tokens of the first run are good still. What loads again would have a new key.
    let port = |line: &str| line.split("127.0.0.1:").nth(1).unwrap()[..5].to_owned();
    let first = by_operator.replace(&port(&by_operator), &port(&again));
    assert_eq!(without_times(&paste(&first)), sample());
    assert_eq!(fs::read(directory.path().join("master.key")).unwrap(), key);

    // An administrator's calls count for Acme: one each, never in its own answer.
    assert_ne!(by_administrator, by_administrator_again);
    assert_eq!(without_times(&paste(&by_administrator_again)), sample());
    let one_more = sample().replace("125000", "125001");
    assert_eq!(without_times(&paste(&again)), one_more);
    demo.terminate();
    assert_eq!(demo.end().succeeded().stdout.trim(), "");
    assert_eq!(directory.run("verify").code, Some(0));
}

/// At least twenty other tenants, each with a life of its own.
async fn assert_varied(demo: &Server, operator: &str) {
    let list = demo.data("/admin/tenants?limit=500", operator, PLATFORM).await;
    let tenants: Vec<&Value> = list["items"].as_array().unwrap().iter().collect();
    assert!(tenants.len() >= 22, "{list}");
    assert_eq!(list["total"], tenants.len());
    let others =
        tenants.iter().filter(|tenant| ![PLATFORM, ACME].iter().any(|id| tenant["id"] == *id));
    let mut lives = Vec::new();
    for tenant in others.clone() {
        let id = tenant["id"].as_str().unwrap();
        let life = demo.data(&format!("/admin/tenants/{id}/stats"), operator, id).await;
        assert!(life["users"]["total"].as_u64() > Some(0), "{life}");
        lives.push(life);
    }
    let suspended = others.filter(|tenant| tenant["status"] == "suspended").count();
    assert!(suspended > 0 && suspended < lives.len(), "{list}");
    let some = |what: fn(&Value) -> bool| {
        let number = lives.iter().filter(|life| what(life)).count();
        assert!(number > 0 && number < lives.len(), "{number} of {lives:#?}");
    };
    some(|life| life["usage"]["storageQuotaMB"].is_null());
    some(|life| life["lastActivity"].is_null());
    some(|life| life["credentials"]["expired"] != 0);
    some(|life| {
        let keys = |bucket: &str| life["apiKeys"][bucket].as_u64().unwrap();
        keys("total") > keys("active") + keys("revoked")
    });
    some(|life| life["oauthClients"]["total"] != life["oauthClients"]["active"]);
    let mut users: Vec<_> = lives.iter().map(|life| life["users"].to_string()).collect();
    users.sort_unstable();
    users.dedup();
    assert!(users.len() > 10, "{users:?}");
}

#[test]
fn a_load_that_was_killed_is_not_taken_for_the_sample() {
    let directory = DataDir::new();
    let mut command = directory.command("demo --listen 127.0.0.1:0");
    for file in ["demo.loading", "master.key"] {
        let path = directory.path().join(file);
        let killed = kill_once(&mut command, || path.exists());
        assert_eq!((killed.code, &*killed.stdout), (None, ""), "{file}");
        assert!(!directory.path().join("demo").exists(), "{file}");
    }
    let mut demo = directory.demo();
    let [by_operator, _] = curl_lines(&mut demo);
    assert_eq!(without_times(&paste(&by_operator)), sample());
    demo.terminate();
    assert_eq!(demo.end().succeeded().stdout.trim(), "");
    assert_eq!(directory.run("verify").code, Some(0));
}

#[test]
fn a_directory_with_anything_else_in_it_is_left_as_it_is() {
    let directory = DataDir::new();
    fs::create_dir(directory.path()).unwrap();
    fs::write(directory.path().join("thesis.txt"), "Chapter 1").unwrap();
    let words = ["holds something other than the demo's data", "--data-dir"];
    directory.run("demo --listen 127.0.0.1:0").failed_with(&words);
    let names: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["thesis.txt"]);
    assert_eq!(fs::read_to_string(directory.path().join("thesis.txt")).unwrap(), "Chapter 1");

    let directory = DataDir::new();
    directory.run("migrate").succeeded();
    let database = fs::read(directory.path().join("tenantry.db")).unwrap();
    directory.run("demo --listen 127.0.0.1:0").failed_with(&words);
    assert_eq!(fs::read(directory.path().join("tenantry.db")).unwrap(), database);
}

#[tokio::test]
async fn an_empty_directory_is_loaded_into_even_if_it_is_the_present_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = tenantry("demo --listen 127.0.0.1:0 --data-dir .");
    let before = SystemClock.now();
    let mut demo = Server::start(command.current_dir(directory.path()));
    let [_, by_administrator] = curl_lines(&mut demo);
    // The newest sign of life is ten minutes old when the sample is loaded.
    let body: Value = serde_json::from_str(&paste(&by_administrator)).unwrap();
    let last_activity: Timestamp = body["data"]["lastActivity"].as_str().unwrap().parse().unwrap();
    let loaded = last_activity.plus_millis(600_000);
    assert!(before <= loaded && loaded <= SystemClock.now(), "{body}");
}
