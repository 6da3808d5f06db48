//! SIGTERM: who was answered was counted, and nobody who has nothing to wait for holds it up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{DataDir, PLATFORM, Server};

const LIVE: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Far longer than a test may take.
const GRACE: &str = "--shutdown-grace 1d --head-timeout 1d --idle-timeout 1d";

#[tokio::test]
async fn connections_with_nothing_under_way_are_not_waited_for() {
    let directory = DataDir::new();
    let server = directory.serve_with(GRACE);
    let connect = || async { TcpStream::connect(server.address()).await.unwrap() };
    let new = connect().await;
    let mut half_sent = connect().await;
    half_sent.write_all(b"GET /health/live HTTP/1.1\r\nhost: loc").await.unwrap();
    let mut idle = connect().await;
    idle.write_all(LIVE).await.unwrap();
    let mut half_of_the_next = connect().await;
    half_of_the_next.write_all(&[LIVE, b"GET /hea"].concat()).await.unwrap();
    let (client, connection) = h2::client::handshake(connect().await).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request = http::Request::get(format!("{}/health/live", server.url)).body(()).unwrap();
    let (answer, _) = client.send_request(request, true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    // A client of HTTP/2 that never says a word after its preface.
    let mut mute = connect().await;
    mute.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    for stream in [&mut idle, &mut half_of_the_next] {
        let mut answered = [0; 15];
        stream.read_exact(&mut answered).await.unwrap();
        assert_eq!(&answered, b"HTTP/1.1 200 OK");
    }
    server.stop();
    connection.await.unwrap().unwrap();
    drop((new, half_sent, client, mute));
}

/// Asks for statistics until it is not answered; notes what it sends and what is answered.
async fn call(address: String, request: Arc<str>, sent: Arc<AtomicU64>, answered: Arc<AtomicU64>) {
    let Ok(mut stream) = TcpStream::connect(address).await else { return };
    let mut read = Vec::new();
    loop {
        sent.fetch_add(1, Ordering::Relaxed);
        if stream.write_all(request.as_bytes()).await.is_err() {
            return;
        }
        read.clear();
        // The answer is whole once the last brace of its body is there.
        while !read.ends_with(b"\"}") {
            if !stream.read_buf(&mut read).await.is_ok_and(|bytes| bytes > 0) {
                assert_eq!(String::from_utf8_lossy(&read), "", "an answer was cut off");
                return;
            }
        }
        assert!(read.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&read));
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn every_answered_call_is_counted_however_often_it_is_stopped() {
    const CALLERS: usize = 64;
    const ROUNDS: u64 = 5;
    let directory = DataDir::new();
    let mut server = directory.serve();
    let token = directory.operator();
    let path = format!("/admin/tenants/{PLATFORM}/stats");
    let request: Arc<str> = format!(
        "GET /api/v1{path} HTTP/1.1\r\nhost: localhost\r\nx-tenantid: {PLATFORM}\r\n\
         authorization: Bearer {token}\r\n\r\n"
    )
    .into();
    let (sent, answered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    for round in 1..=ROUNDS {
        let before = answered.load(Ordering::Relaxed);
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let address = server.address().to_owned();
                tokio::spawn(call(address, request.clone(), sent.clone(), answered.clone()))
            })
            .collect();
        while answered.load(Ordering::Relaxed) < before + 200 * round {
            tokio::task::yield_now().await;
        }
        server.terminate();
        for caller in callers {
            caller.await.unwrap();
        }
        assert_eq!(server.end().succeeded().stdout, "");
        server = directory.serve();
        let calls = counted(&server, &path, &token).await;
        let (sent, answered) = (sent.load(Ordering::Relaxed), answered.load(Ordering::Relaxed));
        // Asking for the number is a call, too: it is in the next one.
        let own = round - 1;
        assert!(
            (answered + own..=sent + own).contains(&calls),
            "round {round}: {answered} answered, {sent} sent, {own} asked, {calls} counted"
        );
    }
    server.stop();
    directory.run("verify").succeeded();
}

/// All counted calls, so that a month may turn while the test runs.
async fn counted(server: &Server, path: &str, token: &str) -> u64 {
    let data = server.data(path, token, PLATFORM).await;
    let usage = |member: &str| data["usage"][member].as_u64().unwrap();
    usage("apiCallsThisMonth") + usage("apiCallsLastMonth")
}
