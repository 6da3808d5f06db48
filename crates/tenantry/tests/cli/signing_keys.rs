//! `keys`, beside servers that run: each of them learns of it at once.

use serde_json::Value;

use crate::postgres::Installation;
use crate::support::{DataDir, Output, PLATFORM, Server};

/// The ids and purposes of the keys.
fn keys(run: &dyn Fn(&str) -> Output) -> Vec<(String, String)> {
    let list = run("keys list").succeeded().stdout;
    let lines = list.lines().skip(1).map(|line| {
        let mut words = line.split_whitespace();
        (words.next().unwrap().to_owned(), words.nth(1).unwrap().to_owned())
    });
    lines.collect()
}

async fn status(server: &Server, token: &str) -> u16 {
    let request = server.request("GET", "/admin/tenants", token, PLATFORM);
    request.send().await.unwrap().status().as_u16()
}

async fn rotate(run: &dyn Fn(&str) -> Output, servers: &[Server]) {
    let token = || run("token --role super_admin").succeeded().stdout.trim_end().to_owned();
    let before = token();
    for server in servers {
        assert_eq!(status(server, &before).await, 200);
    }
    run("keys rotate").succeeded();
    let found = keys(run);
    let purposes: Vec<_> = found.iter().map(|(_, purpose)| purpose.as_str()).collect();
    assert_eq!(purposes, ["signs", "signs"]);
    let list = run("keys list").succeeded().stdout;
    assert!(list.contains("signs from 2"), "{list}");
    for server in servers {
        let set: Value = server.public("/.well-known/jwks.json").await.json().await.unwrap();
        let shown = set["keys"].as_array().unwrap().iter();
        let shown: Vec<_> = shown.map(|key| key["kid"].as_str().unwrap()).collect();
        assert_eq!(shown, found.iter().map(|(kid, _)| kid).collect::<Vec<_>>());
        for token in [&before, &token()] {
            assert_eq!(status(server, token).await, 200);
        }
    }

    let told = run("keys rotate --now").succeeded().stdout;
    for (kid, _) in &found {
        assert!(told.contains(&format!("retired {kid}\n")), "{told}");
    }
    let (left, after) = (keys(run), token());
    assert_eq!((left.len(), left[0].1.as_str()), (1, "signs"));
    for server in servers {
        assert_eq!(status(server, &before).await, 401);
        assert_eq!(status(server, &after).await, 200);
    }
    let log = servers[0].data("/admin/audit-logs?limit=5", &after, PLATFORM).await;
    let mut actions: Vec<_> = log["items"].as_array().unwrap().iter().collect();
    actions.retain(|entry| entry["resource"]["type"] == "signing_key");
    assert_eq!(actions.len(), 3, "{log}");
}

#[tokio::test]
async fn a_server_learns_of_it_at_once() {
    let directory = DataDir::new();
    let server = directory.serve();
    rotate(&|arguments| directory.run(arguments), &[server]).await;
    directory.run("verify").succeeded();
}

#[tokio::test]
async fn every_server_learns_of_it_at_once() {
    let installation = Installation::new();
    let servers = [installation.serve(), installation.serve()];
    rotate(&|arguments| installation.run(arguments), &servers).await;
    servers.into_iter().for_each(Server::stop);
    installation.run("verify").succeeded();
}
