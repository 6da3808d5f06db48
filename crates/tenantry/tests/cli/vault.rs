//! `vault`: the master key is replaced while servers run, and nothing that it sealed is lost.

use std::process::Command;

use serde_json::{Value, json};

use crate::postgres::{Installation, KEY, OTHER_KEY, post};
use crate::support::{DataDir, PLATFORM, SERVE, Server, kill_once, run};

/// Neither the installation's, nor the other one.
const THIRD_KEY: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

/// Puts a credential into the vault; answers where it is.
async fn keep(server: &Server, operator: &str, secret: &str) -> String {
    let body = json!({"integrationId": "github", "credentialName": secret, "authType": "api_key",
        "apiKey": secret});
    let made = post(server, "/credentials", operator, PLATFORM, &body).await;
    format!("/credentials/github/{}", made["id"].as_str().unwrap())
}

async fn reveal(server: &Server, operator: &str, path: &str) -> Value {
    let revealed = server.request("POST", &format!("{path}/reveal"), operator, PLATFORM);
    let revealed = revealed.send().await.unwrap();
    assert_eq!(revealed.status(), 200, "{path}");
    revealed.json::<Value>().await.unwrap()["data"]["secret"]["apiKey"].take()
}

/// Asks for an API key under the same idempotency key each time: whether that was a repetition, and what
/// was answered.
async fn once(server: &Server, operator: &str) -> (bool, Value) {
    let request = server.request("POST", "/api-keys", operator, PLATFORM);
    let request = request.header("Idempotency-Key", "once").json(&json!({"name": "gateway"}));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let replayed = answer.headers().contains_key("Idempotent-Replayed");
    (replayed, answer.json::<Value>().await.unwrap()["data"].take())
}

/// Replaces the master key of an installation with running servers. `old` and `new` are commands that are
/// given the one key and the other.
async fn rotate(
    old: &dyn Fn(&str) -> Command,
    new: &dyn Fn(&str) -> Command,
    servers: Vec<Server>,
) {
    let told = |mut command: Command| run(&mut command).succeeded().stdout;
    let operator = told(old("token --role super_admin")).trim_end().to_owned();
    let mut kept = vec![(keep(&servers[0], &operator, "before").await, json!("before"))];
    let (replayed, answer) = once(&servers[0], &operator).await;
    assert!(!replayed);
    assert!(told(old("vault retire")).starts_with("no master key is being replaced\n"));
    assert_eq!(told(old("vault list")).lines().count(), 2);

    let rewrapped = told(old("vault rewrap"));
    let words = "sealed anew: 1 signing keys, 1 credentials, 1 kept answers";
    assert!(rewrapped.contains(words), "{rewrapped}");
    let list = told(new("vault list"));
    assert!(list.contains(" seals\n") && list.contains("not retired yet"), "{list}");
    for (number, server) in servers.iter().enumerate() {
        // Of several who meet the new key at once, one is not the first.
        let look = || reveal(server, &operator, &kept[0].0);
        tokio::join!(look(), look(), look(), look());
        assert_eq!(once(server, &operator).await, (true, answer.clone()));
        let secret = format!("at {number}");
        kept.push((keep(server, &operator, &secret).await, json!(secret)));
        for (path, secret) in &kept {
            assert_eq!(reveal(server, &operator, path).await, *secret);
        }
    }
    // What the servers sealed meanwhile is under the new key, since they have met it.
    let again = told(new("vault rewrap"));
    let words = "sealed anew: 0 signing keys, 0 credentials, 0 kept answers";
    assert!(again.contains(words), "{again}");

    servers.into_iter().for_each(Server::stop);
    let look = async |command: &dyn Fn(&str) -> Command| {
        let server = Server::start(&mut command(SERVE));
        assert_eq!(once(&server, &operator).await, (true, answer.clone()));
        for (path, secret) in &kept {
            assert_eq!(reveal(&server, &operator, path).await, *secret);
        }
        server
    };
    // Until then servers can be started with either key.
    look(old).await.stop();
    look(new).await.stop();
    run(&mut new("vault retire")).failed_with(&["within a minute", "after 2"]);
    let retired = told(new("vault retire --now"));
    assert!(retired.starts_with("retired "), "{retired}");
    let list = told(new("vault list"));
    assert!(list.contains(" seals\n") && list.contains(" retired\n"), "{list}");
    let server = look(new).await;
    let log = server.data("/admin/audit-logs?limit=500", &operator, PLATFORM).await;
    let entries = log["items"].as_array().unwrap().iter();
    let of_keys = entries.filter(|entry| entry["resource"]["type"] == "master_key");
    let actions: Vec<_> = of_keys.map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["MASTER_KEY_RETIRED", "MASTER_KEY_ROTATED"]);
    server.stop();
    run(&mut new("verify")).succeeded();
}

#[tokio::test]
async fn beside_a_server_of_a_directory() {
    let directory = DataDir::new();
    let server = directory.serve();
    let key = || std::fs::read_to_string(directory.path().join("master.key")).unwrap();
    let before = key();
    let command = |arguments: &str| directory.command(arguments);
    rotate(&command, &command, vec![server]).await;
    let after = key();
    assert_ne!(before, after);
    assert!(!directory.path().join("master.key.next").exists());
    // The old key opens nothing any more.
    let mut given = directory.command("vault list");
    run(given.env("TENANTRY_MASTER_KEY", before.trim())).failed_with(&["does not match"]);
    // And so on: the key that comes after is made anew.
    directory.run("vault rewrap").succeeded();
    assert_ne!(key(), after);
    directory.run("vault retire --now").succeeded();
    directory.run("verify").succeeded();
}

#[tokio::test]
async fn beside_several_servers_of_a_database() {
    let installation = Installation::new();
    let servers = vec![installation.serve(), installation.serve()];
    let old = |arguments: &str| {
        let mut command = installation.command(arguments);
        command.env("TENANTRY_NEXT_MASTER_KEY", OTHER_KEY);
        command
    };
    let new = |arguments: &str| {
        let mut command = installation.command(arguments);
        command.env("TENANTRY_MASTER_KEY", OTHER_KEY);
        command
    };
    rotate(&old, &new, servers).await;
    run(&mut old("vault list")).failed_with(&["does not match", "TENANTRY_MASTER_KEY"]);
    run(&mut old(SERVE)).failed_with(&["does not match", "TENANTRY_MASTER_KEY"]);
}

#[test]
fn a_key_that_is_in_no_file_is_not_relied_on() {
    let directory = DataDir::new();
    directory.run("migrate").succeeded();
    directory.run("token --role super_admin").succeeded();
    let key = directory.path().join("master.key");
    let before = std::fs::read_to_string(&key).unwrap();
    directory.run("vault rewrap").succeeded();
    let after = std::fs::read_to_string(&key).unwrap();
    // Cut off before the file was replaced, and the new one mislaid.
    std::fs::write(&key, &before).unwrap();
    directory.run("vault retire --now").failed_with(&["master.key", "put it there"]);
    directory.run("token --role super_admin").succeeded();
    std::fs::write(&key, &after).unwrap();
    directory.run("vault retire --now").succeeded();
    directory.run("token --role super_admin").succeeded();
}

#[test]
fn what_is_wrong_changes_nothing() {
    let installation = Installation::new();
    installation.run("migrate").succeeded();
    let next = |key: &str, arguments: &str| {
        run(installation.command(arguments).env("TENANTRY_NEXT_MASTER_KEY", key))
    };
    let list = installation.run("vault list").succeeded().stdout;
    installation.run("vault rewrap").failed_with(&["TENANTRY_NEXT_MASTER_KEY", "openssl"]);
    for wrong in ["", "short", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        next(wrong, "vault rewrap").failed_with(&["TENANTRY_NEXT_MASTER_KEY", "32 bytes"]);
    }
    next(KEY, "vault rewrap").failed_with(&["must be a new one"]);
    assert_eq!(installation.run("vault list").succeeded().stdout, list);

    next(OTHER_KEY, "vault rewrap").succeeded();
    next(OTHER_KEY, "vault rewrap").succeeded();
    installation.run("vault rewrap").succeeded();
    next(THIRD_KEY, "vault rewrap").failed_with(&["still being replaced", "retire it first"]);
    // Servers with the old key could not be started any more.
    installation.run("vault retire --now").failed_with(&["TENANTRY_MASTER_KEY", "new"]);
    let mut retire = installation.command("vault retire --now");
    run(retire.env("TENANTRY_MASTER_KEY", OTHER_KEY)).succeeded();
    let mut back = installation.command("vault rewrap");
    back.env("TENANTRY_MASTER_KEY", OTHER_KEY).env("TENANTRY_NEXT_MASTER_KEY", KEY);
    run(&mut back).failed_with(&["must be a new one"]);
}

#[tokio::test]
async fn what_does_not_open_keeps_the_old_key() {
    let installation = Installation::new();
    let server = installation.serve();
    let operator = installation.operator();
    let (good, bad) =
        (keep(&server, &operator, "good").await, keep(&server, &operator, "bad").await);
    let id = bad.rsplit_once('/').unwrap().1;
    installation.0.run(&format!(
        "UPDATE credentials SET secret = overlay(secret PLACING '\\x00' FROM 22)
         WHERE credential_id = '{id}'"
    ));
    let words = ["1 sealed things do not open", id];
    let vault = |arguments: &str, key: &str| {
        let mut command = installation.command(arguments);
        command.env("TENANTRY_MASTER_KEY", key).env("TENANTRY_NEXT_MASTER_KEY", OTHER_KEY);
        run(&mut command)
    };
    let rewrapped = vault("vault rewrap", KEY);
    assert!(rewrapped.stdout.contains("1 signing keys, 1 credentials"), "{}", rewrapped.stdout);
    assert_eq!(rewrapped.code, Some(1));
    assert!(words.iter().all(|word| rewrapped.stderr.contains(word)), "{}", rewrapped.stderr);
    // The server learns of the new key by what it meets.
    assert_eq!(reveal(&server, &operator, &good).await, "good");
    vault("vault retire --now", OTHER_KEY).failed_with(&words);
    let list = vault("vault list", OTHER_KEY).succeeded().stdout;
    assert!(list.contains("not retired yet"), "{list}");
    let deleted = server.request("DELETE", &bad, &operator, PLATFORM).send().await.unwrap();
    assert!(deleted.status().is_success());
    vault("vault retire --now", OTHER_KEY).succeeded();
    assert_eq!(reveal(&server, &operator, &good).await, "good");
    server.stop();
    vault("verify", OTHER_KEY).succeeded();
}

#[tokio::test]
async fn what_is_cut_off_goes_on() {
    let directory = DataDir::new();
    let server = directory.serve();
    let operator = directory.operator();
    let mut kept = Vec::new();
    for number in 0..200 {
        kept.push(keep(&server, &operator, &number.to_string()).await);
    }
    let key = directory.path().join("master.key");
    let before = std::fs::read_to_string(&key).unwrap();
    let next = directory.path().join("master.key.next");
    // Before the installation is bound to the new key, at about that time, and while everything is sealed.
    kill_once(&mut directory.command("vault rewrap"), || next.exists());
    kill_once(&mut directory.command("vault rewrap"), || {
        std::fs::read_to_string(&key).unwrap() != before
    });
    directory.run("vault rewrap").succeeded();
    assert!(!next.exists());
    assert_ne!(std::fs::read_to_string(&key).unwrap(), before);
    // The server learns of the new key by what it meets, before the old one is retired.
    for (number, path) in kept.iter().enumerate() {
        assert_eq!(reveal(&server, &operator, path).await, number.to_string());
    }
    directory.run("vault retire --now").succeeded();
    for (number, path) in kept.iter().enumerate() {
        assert_eq!(reveal(&server, &operator, path).await, number.to_string());
    }
    server.stop();
    let server = directory.serve();
    assert_eq!(reveal(&server, &operator, &kept[0]).await, "0");
    server.stop();
    directory.run("verify").succeeded();
}
