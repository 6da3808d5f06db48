//! `Idempotency-Key` and a server that dies: whoever got no answer asks again, and it was done once.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenantry_domain::entropy::Entropy;
use tenantry_testkit::SeededEntropy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::support::{DataDir, PLATFORM, Server};

/// Clients that ask at once.
const CLIENTS: usize = 16;
/// Deaths after which both cases must have been seen: some answers lost, some changes not made.
const MOST_DEATHS: usize = 40;

/// A request for an API key. Its idempotency key is the name that the API key gets.
fn post(server: &Server, token: &str, name: &str) -> reqwest::RequestBuilder {
    let request = server.request("POST", "/api-keys", token, PLATFORM);
    request.header("idempotency-key", name).json(&json!({"name": name}))
}

/// A whole answer: what it says, and whether it says that it was given before.
struct Made {
    text: String,
    replayed: bool,
}

impl Made {
    async fn read(answer: reqwest::Response) -> reqwest::Result<Self> {
        let status = answer.status();
        let replayed = answer.headers().contains_key("idempotent-replayed");
        let text = answer.text().await?;
        assert_eq!(status, 201, "{text}");
        Ok(Self { text, replayed })
    }

    /// Asks for the same as before.
    async fn again(server: &Server, token: &str, name: &str) -> Self {
        Self::read(post(server, token, name).send().await.unwrap()).await.unwrap()
    }

    fn data(&self) -> Value {
        let mut body: Value = serde_json::from_str(&self.text).unwrap();
        body["data"].take()
    }

    fn id(&self) -> String {
        self.data()["id"].as_str().unwrap().to_owned()
    }
}

/// Fails the test unless the key that an answer shows is good.
async fn assert_valid(server: &Server, token: &str, made: &Made) {
    let body = json!({"key": made.data()["key"]});
    let request = server.request("POST", "/api-keys/validate", token, PLATFORM).json(&body);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["data"]["valid"], true, "{answer}");
    assert_eq!(answer["data"]["id"], made.data()["id"], "{answer}");
}

async fn total(server: &Server, token: &str) -> Value {
    server.data("/api-keys", token, PLATFORM).await["total"].take()
}

/// Takes one request to a server, and its answer, and keeps that to itself.
async fn swallow(listener: TcpListener, server: String) -> String {
    let (mut client, _) = listener.accept().await.unwrap();
    let mut server = TcpStream::connect(server).await.unwrap();
    let (mut from_server, mut to_server) = server.split();
    let (mut from_client, _to_client) = client.split();
    let mut answer = String::new();
    tokio::select! {
        // The server closes the connection after its answer, and the client before it never.
        read = from_server.read_to_string(&mut answer) => { read.unwrap(); }
        sent = tokio::io::copy(&mut from_client, &mut to_server) => panic!("{sent:?}"),
    }
    answer
}

#[tokio::test]
async fn an_answer_that_was_lost_is_given_again_by_the_next_process() {
    let directory = DataDir::new();
    let server = directory.serve();
    let token = directory.operator();
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v1/api-keys", between.local_addr().unwrap());
    let swallowed = tokio::spawn(swallow(between, server.address().to_owned()));
    let (client, request) = post(&server, &token, "lost").build_split();
    let mut request = request.unwrap();
    *request.url_mut() = url.parse().unwrap();
    request.headers_mut().insert("connection", "close".parse().unwrap());
    client.execute(request).await.unwrap_err();
    let swallowed = swallowed.await.unwrap();
    let (head, body) = swallowed.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 201 Created\r\n"), "{swallowed}");
    server.kill();

    let server = directory.serve();
    let made = Made::again(&server, &token, "lost").await;
    assert_eq!((made.text.as_str(), made.replayed), (body, true));
    assert_valid(&server, &token, &made).await;
    assert_eq!(total(&server, &token).await, 1);
    server.stop();
    directory.run("verify").succeeded();
}

#[tokio::test]
async fn what_was_not_done_before_the_end_is_done_by_the_next_process() {
    let directory = DataDir::new();
    let server = directory.serve();
    let token = directory.operator();
    let body = json!({"name": "late"}).to_string();
    let head = format!(
        "POST /api/v1/api-keys HTTP/1.1\r\nhost: localhost\r\nx-tenantid: {PLATFORM}\r\n\
         authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         idempotency-key: late\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body: it has begun, and cannot end.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    server.kill();

    let server = directory.serve();
    assert_eq!(total(&server, &token).await, 0);
    let made = Made::again(&server, &token, "late").await;
    assert!(!made.replayed);
    assert_valid(&server, &token, &made).await;
    let again = Made::again(&server, &token, "late").await;
    assert_eq!((again.text, again.replayed), (made.text, true));
    assert_eq!(total(&server, &token).await, 1);
    server.stop();
    directory.run("verify").succeeded();
}

/// Makes one request after the other until one has no answer. Tells what was answered, and answers
/// the name that there was no answer for.
async fn ask(
    requests: Vec<(String, reqwest::RequestBuilder)>,
    told: mpsc::UnboundedSender<(String, Made)>,
) -> String {
    for (name, request) in requests {
        let Ok(answer) = request.send().await else { return name };
        let Ok(made) = Made::read(answer).await else { return name };
        told.send((name, made)).unwrap();
    }
    panic!("the server outlived the requests")
}

#[tokio::test]
async fn whenever_a_server_dies_each_request_is_done_once() {
    let directory = DataDir::new();
    let mut server = directory.serve();
    let token = directory.operator();
    let chance = SeededEntropy::new(7);
    let mut ids = BTreeSet::new();
    let (mut requests, mut answers_lost, mut not_done) = (0, 0, 0);
    for death in 1..=MOST_DEATHS {
        let (told, mut answers) = mpsc::unbounded_channel();
        let until: [u8; 1] = (&chance as &dyn Entropy).bytes();
        let until = 1 + usize::from(until[0]) % 64;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let names = (0..1_000).map(|number| format!("{death}-{client}-{number}"));
                let requests = names.map(|name| (name.clone(), post(&server, &token, &name)));
                tokio::spawn(ask(requests.collect(), told.clone()))
            })
            .collect();
        drop(told);
        let mut answered = Vec::new();
        while answered.len() < until {
            answered.push(answers.recv().await.unwrap());
        }
        server.kill();
        while let Some(answer) = answers.recv().await {
            answered.push(answer);
        }

        server = directory.serve();
        requests += answered.len() + CLIENTS;
        for (name, made) in answered {
            assert!(!made.replayed, "{name}");
            let again = Made::again(&server, &token, &name).await;
            assert_eq!((&again.text, again.replayed), (&made.text, true));
            assert!(ids.insert(made.id()), "{name}");
        }
        for client in clients {
            let name = client.await.unwrap();
            let made = Made::again(&server, &token, &name).await;
            *(if made.replayed { &mut answers_lost } else { &mut not_done }) += 1;
            assert_eq!(made.data()["name"], name.as_str());
            assert_valid(&server, &token, &made).await;
            let again = Made::again(&server, &token, &name).await;
            assert_eq!((&again.text, again.replayed), (&made.text, true));
            assert!(ids.insert(made.id()), "{name}");
        }
        assert_eq!(ids.len(), requests);
        assert_eq!(total(&server, &token).await, requests);
        if answers_lost > 0 && not_done > 0 {
            break;
        }
    }
    server.stop();
    directory.run("verify").succeeded();
    assert!(answers_lost > 0 && not_done > 0, "{answers_lost} lost, {not_done} not done");
}
