//! Hostile clients: whatever they do, the others are answered, and memory stays bounded.

use std::time::Duration;

use h2::client;
use http::Request;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::support::{DataDir, LIMIT, Output, PLATFORM, Server};

/// Far more than the server takes, and far less than these clients send, or ask for.
const MEMORY: u64 = 256 << 20; // bytes

/// How long slow clients wait before they send another byte.
const DRIBBLE: Duration = Duration::from_millis(100);

/// A server, and somebody who may use it.
pub(crate) struct Target {
    pub(crate) directory: DataDir,
    pub(crate) server: Server,
    pub(crate) token: String,
}

impl Target {
    pub(crate) fn start(flags: &str) -> Self {
        let directory = DataDir::new();
        let server = directory.serve_with(flags);
        let token = directory.operator();
        Self { directory, server, token }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.address()).await.unwrap()
    }

    /// Sends this and reads until the server closes the connection.
    async fn answers(&self, sent: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // The server need not read everything before it answers.
        let _ = stream.write_all(sent.as_ref()).await;
        rest(&mut stream).await
    }

    /// The head of a request by somebody who may make it, up to its last headers.
    pub(crate) fn head(&self, method: &str, path: &str) -> String {
        format!(
            "{method} /api/v1{path} HTTP/1.1\r\nhost: localhost\r\nx-tenantid: {PLATFORM}\r\n\
             authorization: Bearer {}\r\n",
            self.token
        )
    }

    /// The head of a request that makes a tenant, up to the headers about its body.
    pub(crate) fn making(&self) -> String {
        self.head("POST", "/admin/tenants") + "content-type: application/json\r\n"
    }

    /// Others are answered, each on a connection of its own.
    pub(crate) async fn serves_others(&self) {
        let path = format!("/admin/tenants/{PLATFORM}/stats");
        let request = self.head("GET", &path) + "connection: close\r\n\r\n";
        for _ in 0..20 {
            let answer = self.answers(&request).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
        }
    }

    /// Waits until the server has closed this many connections for this reason.
    async fn has_closed(&self, number: u64, reason: &str) {
        let name = format!("tenantry_connections_closed_total{{reason=\"{reason}\"}}");
        let closed = async {
            while self.server.metric(&name).await < number {
                sleep(DRIBBLE).await;
            }
        };
        timeout(LIMIT, closed).await.unwrap();
    }

    /// Stops the server, which must be as it was: answers what it logged.
    pub(crate) async fn stop(self) -> Output {
        self.serves_others().await;
        let peak = self.server.peak_memory();
        assert!(peak < MEMORY, "{peak} bytes");
        self.server.terminate();
        let output = self.server.end();
        assert_eq!(output.code, Some(0), "{output:?}");
        assert!(!output.stderr.contains("panicked"), "{output:?}");
        self.directory.run("verify").succeeded();
        output
    }

    /// Stops the server, which must have nothing to complain of.
    pub(crate) async fn stop_silently(self) {
        assert_eq!(self.stop().await.stderr, "");
    }
}

/// Reads until the server closes the connection. A reset closes it too.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = timeout(LIMIT, stream.read_to_end(&mut bytes)).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends a byte now and then until the server closes the connection: what it had to say.
async fn dribble(mut stream: TcpStream, start: String) -> String {
    stream.write_all(start.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    loop {
        tokio::select! {
            read = stream.read_buf(&mut said) => if !read.is_ok_and(|bytes| bytes > 0) {
                return String::from_utf8_lossy(&said).into_owned();
            },
            () = sleep(DRIBBLE) => {
                let _ = stream.write_all(b"a").await;
            }
        }
    }
}

/// Sends this over and over until the server closes the connection, which it must before so much.
async fn flood(stream: &mut TcpStream, start: &str, more: &[u8]) {
    const LONGEST: usize = 256 << 20;
    let mut sent = stream.write_all(start.as_bytes()).await;
    let mut bytes = 0;
    while sent.is_ok() {
        assert!(bytes < LONGEST, "all of it was taken");
        sent = timeout(LIMIT, stream.write_all(more)).await.unwrap();
        bytes += more.len();
    }
}

#[tokio::test]
async fn heads_that_come_byte_by_byte() {
    let target = Target::start("--head-timeout 1s");
    let mut clients = Vec::new();
    for number in 0..300 {
        // Some have been served before.
        let before = "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let before = if number % 2 == 0 { "" } else { before };
        let start = format!("{before}GET /health/live HTTP/1.1\r\nx-slow: ");
        clients.push(tokio::spawn(dribble(target.connect().await, start)));
    }
    target.serves_others().await;
    for client in clients {
        let said = timeout(LIMIT, client).await.unwrap().unwrap();
        assert!(said.matches("HTTP/1.1").count() <= 1, "{said:?}");
    }
    target.has_closed(300, "head_timeout").await;
    target.stop_silently().await;
}

#[tokio::test]
async fn bodies_that_stop_coming() {
    let target = Target::start("--body-timeout 1s");
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut stream = target.connect().await;
        let start = target.making() + "content-length: 100\r\n\r\n{\"name\": ";
        stream.write_all(start.as_bytes()).await.unwrap();
        clients.push(stream);
    }
    target.serves_others().await;
    for mut client in clients {
        let answer = rest(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
        assert!(answer.contains("\"REQUEST_TIMEOUT\""), "{answer}");
    }
    target.stop_silently().await;
}

#[tokio::test]
async fn bodies_that_come_byte_by_byte() {
    let target = Target::start("--request-timeout 10s");
    let mut clients = Vec::new();
    for number in 0..100 {
        // Who is not known is not waited for.
        let who = if number % 2 == 0 {
            target.making()
        } else {
            "POST /api/v1/x HTTP/1.1\r\n".to_owned()
        };
        let start = who + "content-length: 100000\r\n\r\n{\"name\": \"";
        clients.push((number, tokio::spawn(dribble(target.connect().await, start))));
    }
    target.serves_others().await;
    for (number, client) in clients {
        let answer = timeout(LIMIT, client).await.unwrap().unwrap();
        let status = if number % 2 == 0 { "503" } else { "401" };
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    target.stop().await;
}

#[tokio::test]
async fn heads_that_are_too_large() {
    let target = Target::start("--max-head-size 16KiB");
    let head = |headers: &str| format!("GET /health/live HTTP/1.1\r\n{headers}\r\n");
    let many = |number| "a: b\r\n".repeat(number);
    let long = |length| format!("a: {}\r\nconnection: close\r\n", "b".repeat(length));
    for (sent, status) in [
        (head(&(many(99) + "connection: close\r\n")), "200 OK"),
        (head(&many(101)), "431 Request Header Fields Too Large"),
        (head(&long(15_000)), "200 OK"),
        (head(&long(16_384)), "431 Request Header Fields Too Large"),
    ] {
        let answer = target.answers(sent).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
    }
    for _ in 0..10 {
        let mut stream = target.connect().await;
        flood(&mut stream, "GET /health/live HTTP/1.1\r\na: ", &[b'b'; 16_384]).await;
        let mut stream = target.connect().await;
        flood(&mut stream, "GET /health/live HTTP/1.1\r\n", "a: b\r\n".repeat(9_999).as_bytes())
            .await;
        let mut stream = target.connect().await;
        flood(&mut stream, "GET /", &[b'b'; 16_384]).await;
    }
    target.stop_silently().await;
}

#[tokio::test]
async fn thousands_of_idle_connections() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let target = Target::start("--max-connections 500");
    let mut idle = Vec::new();
    for number in 0..2_500 {
        let mut stream = target.connect().await;
        if number % 2 == 0 {
            // It need not be there any more.
            let _ = stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        }
        idle.push(stream);
        if number % 500 == 0 {
            target.serves_others().await;
        }
    }
    target.serves_others().await;
    assert!(target.server.metric("tenantry_connections").await <= 500);
    drop(idle);
    target.stop_silently().await;
}

#[tokio::test]
async fn connections_that_are_done() {
    let target = Target::start("--idle-timeout 1s");
    let mut idle = Vec::new();
    for _ in 0..100 {
        let mut stream = target.connect().await;
        stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        idle.push(stream);
    }
    for mut stream in idle {
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    target.has_closed(100, "idle_timeout").await;
    target.stop_silently().await;
}

#[tokio::test]
async fn garbage() {
    let target = Target::start("--head-timeout 1s");
    let mut state = 1_u64;
    let mut random = || {
        // Xorshift: the same garbage each time.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let sane = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n".as_slice();
    for number in 0..100 {
        let mut garbage: Vec<u8> = (0..512).flat_map(|_| random()).collect();
        if number % 2 == 0 {
            // As if it were HTTP/2.
            let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
            garbage = [preface, garbage.as_slice()].concat();
        }
        target.answers(&garbage).await;
        let answer = target.answers([sane, sane, &garbage].concat()).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") || answer.is_empty(), "{answer}");
    }
    let client_hello = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03";
    for sent in [client_hello.as_slice(), b"\0\0\0\0\r\n\r\n", b"\r\n\r\n\r\n", b"SSH-2.0-x\r\n"] {
        let answer = target.answers(sent).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    target.stop_silently().await;
}

#[tokio::test]
async fn bodies_that_are_not_what_their_heads_say() {
    let target = Target::start("--body-timeout 1s");
    let chunked = "transfer-encoding: chunked\r\n\r\n";
    let extension = format!("{chunked}1;{}\r\n", "a".repeat(100_000));
    let trailers = format!("{chunked}0\r\n{}\r\n", "a: b\r\n".repeat(10_000));
    for (rest, statuses) in [
        ("content-length: 5\r\ncontent-length: 6\r\n\r\n{}", ["400"].as_slice()),
        ("content-length: -1\r\n\r\n{}", &["400"]),
        ("content-length: 99999999999999999999\r\n\r\n{}", &["400"]),
        ("content-length: 2000000000\r\n\r\n{}", &["413"]),
        ("content-length: 1\r\n\r\n{}", &["400"]),
        ("content-length: 3\r\n\r\n{}", &["408"]),
        (&format!("{chunked}zz\r\n{{}}\r\n0\r\n\r\n"), &["400"]),
        (&format!("{chunked}fffffffffffffffff\r\n{{}}\r\n"), &["400"]),
        (&format!("{chunked}fffffff\r\n{{}}"), &["408"]),
        (&extension, &["400"]),
        (&trailers, &["400"]),
        ("transfer-encoding: gzip\r\n\r\n{}", &["400"]),
        // The length is not believed, so nothing can be smuggled behind it.
        (&format!("content-length: 3\r\n{chunked}2\r\n{{}}\r\n0\r\n\r\n"), &["400", "422"]),
    ] {
        let answer = target.answers(target.making() + rest).await;
        let status = answer.strip_prefix("HTTP/1.1 ").and_then(|line| line.get(..3));
        // Who sends more than is read may not see the answer.
        let lost = answer.is_empty() && rest.len() > 10_000;
        assert!(lost || status.is_some_and(|it| statuses.contains(&it)), "{rest:.60}: {answer}");
    }
    for _ in 0..10 {
        let mut stream = target.connect().await;
        let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x1_0000));
        flood(&mut stream, &(target.making() + chunked), chunk.as_bytes()).await;
    }
    let tenants = target.server.data("/admin/tenants", &target.token, PLATFORM).await;
    assert_eq!(tenants["total"], 1, "{tenants}");
    target.stop_silently().await;
}

#[tokio::test]
async fn more_bodies_than_there_is_room_for() {
    let target = Target::start("--max-import-size 8MiB --max-body-memory 16MiB");
    let path = format!("/admin/tenants/{PLATFORM}/users/import");
    let start =
        target.head("POST", &path) + "content-type: text/csv\r\ncontent-length: 8000000\r\n\r\n";
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut stream = target.connect().await;
        stream.write_all(start.as_bytes()).await.unwrap();
        clients.push(tokio::spawn(async move {
            // All but the last byte.
            let _ = stream.write_all(&vec![b'a'; 7_999_999]).await;
            stream
        }));
    }
    let mut streams = Vec::new();
    for client in clients {
        streams.push(timeout(LIMIT, client).await.unwrap().unwrap());
    }
    target.serves_others().await;
    assert!(target.server.metric("tenantry_requests_shed_total").await > 0);
    drop(streams);
    target.stop_silently().await;
}

#[tokio::test]
async fn answers_that_nobody_reads() {
    let target = Target::start("--write-timeout 1s");
    // Hundreds of megabytes for each.
    let requests = "GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(5_000);
    let mut streams = Vec::new();
    for _ in 0..50 {
        let (reader, mut writer) = target.connect().await.into_split();
        let requests = requests.clone();
        tokio::spawn(async move { writer.write_all(requests.as_bytes()).await });
        streams.push(reader);
    }
    target.serves_others().await;
    target.has_closed(50, "write_timeout").await;
    target.stop_silently().await;
}

/// A client of HTTP/2, and the end of its connection.
async fn http2(
    target: &Target,
    builder: &client::Builder,
) -> (client::SendRequest<&'static [u8]>, tokio::task::JoinHandle<()>) {
    let (client, connection) = builder.handshake(target.connect().await).await.unwrap();
    (client, tokio::spawn(async { drop(connection.await) }))
}

fn get(target: &Target, path: &str) -> Request<()> {
    Request::get(format!("{}{path}", target.server.url)).body(()).unwrap()
}

#[tokio::test]
async fn streams_that_are_reset_at_once() {
    let target = Target::start("");
    for _ in 0..10 {
        let (mut client, ended) = http2(&target, &client::Builder::new()).await;
        for _ in 0..5_000 {
            let Ok(mut ready) = client.ready().await else { break };
            let Ok((_answer, mut stream)) = ready.send_request(get(&target, "/health/live"), true)
            else {
                break;
            };
            stream.send_reset(h2::Reason::CANCEL);
            client = ready;
        }
        target.serves_others().await;
        ended.abort();
    }
    target.stop_silently().await;
}

#[tokio::test]
async fn streams_that_take_nothing() {
    let target = Target::start("--write-timeout 1s --max-streams 100");
    let mut builder = client::Builder::new();
    builder.initial_window_size(0);
    let mut connections = Vec::new();
    for _ in 0..20 {
        let (client, ended) = http2(&target, &builder).await;
        let mut client = client.ready().await.unwrap();
        let mut streams = Vec::new();
        for _ in 0..100 {
            streams.push(client.send_request(get(&target, "/openapi.json"), true).unwrap());
        }
        connections.push((client, streams, ended));
    }
    target.serves_others().await;
    for (_, _, ended) in &mut connections {
        timeout(LIMIT, ended).await.unwrap().unwrap();
    }
    target.has_closed(20, "write_timeout").await;
    target.stop_silently().await;
}

#[tokio::test]
async fn more_requests_than_may_be_under_way() {
    let target = Target::start("--max-requests 1");
    let body = r#"{"name": "Acme"}"#;
    let mut first = target.connect().await;
    let head = format!(
        "{}connection: close\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        target.making(),
        body.len()
    );
    first.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body: the request is under way.
    let mut go_on = [0; 25];
    first.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    let get =
        |path: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let known = target.head("GET", "/admin/tenants") + "connection: close\r\n\r\n";
    for request in [&known, &get("/api/v1/admin/tenants"), &get("/openapi.json")] {
        let answer = target.answers(request).await;
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
        for part in
            ["\r\nretry-after: 1\r\n", "\"UNAVAILABLE\"", "\r\nx-request-id: ", "\"requestId\""]
        {
            assert!(answer.contains(part), "{part}: {answer}");
        }
    }
    for path in ["/health/live", "/health/ready", "/metrics"] {
        let answer = target.answers(get(path)).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    assert_eq!(target.server.metric("tenantry_requests_shed_total").await, 3);
    first.write_all(body.as_bytes()).await.unwrap();
    let answer = rest(&mut first).await;
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    // What was turned away was not counted: this call, and none before it but the first.
    let path = format!("/admin/tenants/{PLATFORM}/stats");
    let data = target.server.data(&path, &target.token, PLATFORM).await;
    assert_eq!(data["usage"]["apiCallsThisMonth"], 1, "{data}");
    target.stop_silently().await;
}
