//! `serve`: from its one line to its end, however it ends.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{DataDir, LIMIT, PLATFORM, run};

fn own_statistics() -> String {
    format!("/admin/tenants/{PLATFORM}/stats")
}

/// All counted calls, so that a month may turn while the test runs.
fn calls(data: &Value) -> u64 {
    let usage = |member: &str| data["usage"][member].as_u64().unwrap();
    usage("apiCallsThisMonth") + usage("apiCallsLastMonth")
}

#[tokio::test]
async fn it_says_one_line_and_stops_when_asked() {
    let directory = DataDir::new();
    let server = directory.serve();
    assert!(server.is_ready().await);
    server.stop();
}

#[tokio::test]
async fn what_is_under_way_is_finished_before_it_stops() {
    let directory = DataDir::new();
    let server = directory.serve();
    let token = directory.operator();
    let body = json!({"name": "Late Arrivals"}).to_string();
    let head = format!(
        "POST /api/v1/admin/tenants HTTP/1.1\r\nhost: localhost\r\nx-tenantid: {PLATFORM}\r\n\
         authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body: the request is under way.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    server.terminate();
    let refuses = async {
        while TcpStream::connect(server.address()).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, refuses).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    assert_eq!(server.end().succeeded().stdout, "");

    let server = directory.serve();
    let found = server.data("/admin/tenants?q=late", &token, PLATFORM).await;
    assert_eq!(found["total"], 1, "{found}");
    server.stop();
    directory.run("verify").succeeded();
}

#[tokio::test]
async fn calls_answered_while_it_stops_are_counted_once_each() {
    let directory = DataDir::new();
    let server = directory.serve();
    let token = directory.operator();
    let ask = || server.request("GET", &own_statistics(), &token, PLATFORM);
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let requests: Vec<_> = (0..2_000).map(|_| ask()).collect();
            tokio::spawn(async move {
                let mut answered = 0;
                for request in requests {
                    let Ok(answer) = request.send().await else { break };
                    assert_eq!(answer.status(), 200);
                    let Ok(_) = answer.bytes().await else { break };
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    // Some have been answered already.
    assert_eq!(ask().send().await.unwrap().status(), 200);
    server.terminate();
    let mut answered = 1;
    for caller in callers {
        answered += caller.await.unwrap();
    }
    assert_eq!(server.end().succeeded().stdout, "");

    let output = directory.run(&format!("stats {PLATFORM} --json")).succeeded();
    let body: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(calls(&body["data"]), answered);
    directory.run("verify").succeeded();
}

#[tokio::test]
async fn an_answered_call_is_counted_even_if_the_server_is_killed_at_once() {
    let directory = DataDir::new();
    let server = directory.serve();
    let token = directory.operator();
    for number in 0..50 {
        let data = server.data(&own_statistics(), &token, PLATFORM).await;
        assert_eq!(calls(&data), number);
    }
    server.kill();

    let server = directory.serve();
    let data = server.data(&own_statistics(), &token, PLATFORM).await;
    assert_eq!(calls(&data), 50);
    server.stop();
    directory.run("verify").succeeded();
}

#[tokio::test]
async fn a_second_server_on_the_same_directory_is_refused() {
    let directory = DataDir::new();
    let server = directory.serve();
    for command in ["serve --listen 127.0.0.1:0", "migrate"] {
        directory.run(command).failed_with(&["another server is using", "--data-dir"]);
    }
    assert!(server.is_ready().await);
    server.stop();
}

#[tokio::test]
async fn a_port_in_use_is_refused_and_nothing_is_made() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for command in ["serve", "demo"] {
        let directory = DataDir::new();
        let mut command = directory.command(command);
        run(command.args(["--listen", &address])).failed_with(&[&address, "--listen"]);
        assert!(!directory.path().exists());
    }
}
