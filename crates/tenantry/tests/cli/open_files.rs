//! Fewer files than there are connections: whoever is connected is answered or told that it cannot be
//! now, and the server neither ends nor spins, and goes on by itself once there are files again.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::hostile::{Target, rest};
use crate::support::{DataDir, LIMIT, PLATFORM, Server, tenantry};

/// Requests that wait longer than any test takes.
const PATIENT: &str = "--head-timeout 1h --body-timeout 1h --idle-timeout 1h --request-timeout 1h";
/// What the log says each time that a connection could not be taken, ...
const REFUSED: &str = "a connection could not be taken";
/// ... after which none is tried for so long.
const PAUSE: Duration = Duration::from_millis(50);

#[tokio::test]
async fn fewer_files_than_connections() {
    let directory = DataDir::new();
    let serve = tenantry("serve --listen 127.0.0.1:0");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n 264 && exec \"$0\" \"$@\""]).arg(serve.get_program());
    command.args(serve.get_args()).arg("--data-dir").arg(directory.path());
    let server = Server::start(command.env("TENANTRY_LOG", "warn"));
    let token = directory.operator();
    let target = Target { directory, server, token };
    let _crowd = crowd(&target).await;
    target.serves_others().await;
    assert!(target.server.metric("tenantry_connections").await <= 72);
    target.stop_silently().await;
}

/// However fast they come.
#[tokio::test]
async fn who_made_room_for_others_has_ended_before_many_more_are_taken() {
    const MOST: usize = 72;
    let target = Target::start(&format!("--max-connections {MOST} --log warn"));
    target.serves_others().await;
    target.server.leave_room_for(MOST + 32);
    let _crowd = crowd(&target).await;
    target.serves_others().await;
    target.stop_silently().await;
}

/// More connections than there is room for, one right after the other and none with a request.
async fn crowd(target: &Target) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for _ in 0..400 {
        crowd.push(target.connect().await);
    }
    crowd
}

/// A request that makes a tenant, without its body: it is under way once the server asks for that.
async fn begin(target: &Target, body: &str) -> TcpStream {
    let mut stream = target.connect().await;
    let length = body.len();
    let head =
        format!("{}content-length: {length}\r\nexpect: 100-continue\r\n\r\n", target.making());
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    timeout(LIMIT, stream.read_exact(&mut go_on)).await.unwrap().unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

/// Reads one answer of a connection that stays open: its status, and its body.
async fn answer(stream: &mut TcpStream) -> (u16, Value) {
    let mut read = Vec::new();
    loop {
        let bytes = timeout(LIMIT, stream.read_buf(&mut read)).await.unwrap().unwrap();
        let text = std::str::from_utf8(&read).unwrap();
        assert!(bytes > 0, "cut off: {text:?}");
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if let Ok(body) = serde_json::from_str(body) {
            return (head[9..12].parse().unwrap(), body);
        }
    }
}

/// All tenants but the platform's own, and all calls of the platform.
async fn counted(target: &Target) -> (u64, u64) {
    let statistics = format!("/admin/tenants/{PLATFORM}/stats");
    let data = target.server.data(&statistics, &target.token, PLATFORM).await;
    let usage = |member: &str| data["usage"][member].as_u64().unwrap();
    let calls = usage("apiCallsThisMonth") + usage("apiCallsLastMonth");
    let tenants = target.server.data("/admin/tenants", &target.token, PLATFORM).await;
    (tenants["total"].as_u64().unwrap() - 1, calls)
}

#[tokio::test]
async fn idle_connections_give_up_their_files() {
    let target = Target::start(PATIENT);
    target.serves_others().await;
    target.server.leave_room_for(30);
    let mut idle = Vec::new();
    for number in 0..300 {
        let mut stream = target.connect().await;
        if number % 2 == 0 {
            // It need not be there any more.
            let _ = stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        }
        idle.push(stream);
    }
    target.serves_others().await;
    drop(idle);
    let output = target.stop().await;
    assert!(output.stderr.contains(REFUSED), "{output:?}");
    assert!(output.stderr.lines().all(|line| line.contains(REFUSED)), "{output:?}");
}

#[tokio::test]
async fn requests_under_way_keep_theirs_and_who_is_new_waits() {
    const UNDER_WAY: usize = 20;
    const GOING: u64 = 5;
    let target = Target::start(PATIENT);
    let body = r#"{"name": "Acme"}"#;
    // This one has a file before there are too few, and makes the server open what it needs.
    let started = Instant::now();
    let mut under_way = vec![begin(&target, body).await];
    target.server.leave_room_for(UNDER_WAY);
    while under_way.len() <= UNDER_WAY {
        under_way.push(begin(&target, body).await);
    }
    let come = async || {
        let mut new = target.connect().await;
        let request = target.head("GET", "/admin/tenants") + "connection: close\r\n\r\n";
        new.write_all(request.as_bytes()).await.unwrap();
        new
    };
    let mut new = come().await;
    let (full, processor_time) = (Instant::now(), target.server.processor_time());
    sleep(20 * PAUSE).await;
    let (used, waited) = (target.server.processor_time(), full.elapsed());
    assert!(used < processor_time + waited / 2, "{processor_time:?} {used:?} {waited:?}");
    new.try_read(&mut [0]).unwrap_err();

    // Who is connected is answered all the while, and whoever goes makes room for one who waits.
    let finish = async |stream: &mut TcpStream| {
        stream.write_all(body.as_bytes()).await.unwrap();
        let (status, told) = answer(stream).await;
        assert_eq!(status, 201, "{told}");
    };
    let is_served = |told: String| assert!(told.starts_with("HTTP/1.1 200 OK\r\n"), "{told:?}");
    for _ in 0..GOING {
        let mut going = under_way.pop().unwrap();
        finish(&mut going).await;
        drop(going);
        is_served(rest(&mut new).await);
        new = come().await;
    }
    // And so does whoever stays without a request.
    for stream in &mut under_way {
        finish(stream).await;
    }
    is_served(rest(&mut new).await);
    target.serves_others().await;
    let made = 1 + u64::try_from(UNDER_WAY).unwrap();
    assert_eq!(counted(&target).await, (made, made + GOING + 1 + 20));
    let output = target.stop().await;
    assert!(output.stderr.lines().all(|line| line.contains(REFUSED)), "{output:?}");
    let refused = u32::try_from(output.stderr.lines().count()).unwrap();
    // One for each pause, and no more: it does not try again and again.
    assert!(refused > 0 && PAUSE * (refused - 1) <= started.elapsed(), "{refused} times");
}

/// Everything that is open stays open, and the database cannot open more to read beside others.
#[tokio::test]
async fn who_is_connected_is_answered_or_told_to_come_again() {
    const CLIENTS: usize = 24;
    const ROUNDS: usize = 10;
    let target = Target::start(PATIENT);
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = target.connect().await;
        stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        assert_eq!(answer(&mut stream).await.0, 200);
        clients.push(stream);
    }
    // For a connection, if one came, and not for a reader, which takes several.
    target.server.leave_room_for(1);
    let body = r#"{"name": "Acme"}"#;
    let length = body.len();
    let make = format!("{}content-length: {length}\r\n\r\n{body}", target.making());
    let list = target.head("GET", "/admin/tenants?limit=5") + "\r\n";
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|mut stream| {
            let requests = [make.clone(), list.clone()];
            tokio::spawn(async move {
                let mut answered = [0; 2];
                for _ in 0..ROUNDS {
                    for (request, answered) in requests.iter().zip(&mut answered) {
                        stream.write_all(request.as_bytes()).await.unwrap();
                        match answer(&mut stream).await {
                            (200 | 201, _) => *answered += 1,
                            (status, told) => {
                                assert_eq!(
                                    (status, &told["error"]["code"]),
                                    (503, &"UNAVAILABLE".into())
                                );
                            }
                        }
                    }
                }
                answered
            })
        })
        .collect();
    let (mut made, mut listed) = (0, 0);
    for task in tasks {
        let answered = task.await.unwrap();
        made += answered[0];
        listed += answered[1];
    }
    target.server.leave_room_for(100);
    assert_eq!(counted(&target).await, (made, made + listed));
    assert!(made > 0, "nobody was answered");
    target.stop().await;
}
