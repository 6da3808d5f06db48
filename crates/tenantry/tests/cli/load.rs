//! Clients of several servers that answer as one: they make and remove users, call, and look whether
//! every answer holds what was answered before it was asked for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::postgres::{Installation, post};
use crate::support::{ACME, Caller, LIMIT, PLATFORM, Server};

/// Users of an import.
const IMPORTED: u64 = 5;
/// How long whoever was refused waits.
const PAUSE: Duration = Duration::from_millis(20);

/// How often something was begun, and how often it was answered.
#[derive(Debug, Default)]
struct Tally {
    begun: AtomicU64,
    answered: AtomicU64,
}

impl Tally {
    fn begin(&self, number: u64) {
        self.begun.fetch_add(number, Ordering::SeqCst);
    }

    fn end(&self, number: u64) {
        self.answered.fetch_add(number, Ordering::SeqCst);
    }

    fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    fn answered(&self) -> u64 {
        self.answered.load(Ordering::SeqCst)
    }
}

/// What was answered at a moment.
#[derive(Debug, Clone, Copy)]
struct Answered {
    made: u64,
    removed: u64,
    calls: u64,
}

/// A tenant, the servers that its clients ask, and what they were told.
pub(crate) struct Load {
    doors: Mutex<Vec<Caller>>,
    made: Tally,
    removed: Tally,
    calls: Tally,
    /// Changes, each of which is an entry of the ledger.
    changes: AtomicU64,
    /// Answers that were 503.
    refused: AtomicU64,
    /// Whether counted calls can be lost meanwhile.
    forgetful: bool,
    over: AtomicBool,
}

/// The clients of a load.
pub(crate) struct Clients(Vec<JoinHandle<()>>);

/// A whole answer.
struct Answer {
    status: u16,
    replayed: bool,
    body: Value,
}

impl Load {
    /// Makes the tenant.
    pub(crate) async fn on(installation: &Installation, servers: &[Server]) -> Arc<Self> {
        let tenant = json!({"id": ACME, "name": "Acme Corporation"});
        post(&servers[0], "/admin/tenants", &installation.operator(), PLATFORM, &tenant).await;
        let admin = installation.admin(ACME);
        let doors = servers.iter().map(|server| server.caller(&admin, ACME));
        Arc::new(Self {
            doors: Mutex::new(doors.collect()),
            made: Tally::default(),
            removed: Tally::default(),
            calls: Tally::default(),
            changes: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            forgetful: false,
            over: AtomicBool::new(false),
        })
    }

    /// The same, of a database that can lose counted calls.
    pub(crate) async fn forgetful(installation: &Installation, servers: &[Server]) -> Arc<Self> {
        let load = Self::on(installation, servers).await;
        Arc::new(Self { forgetful: true, ..Arc::into_inner(load).unwrap() })
    }

    /// Lets so many clients of each kind do what they do until they are told to stop.
    pub(crate) fn start(self: &Arc<Self>, clients: usize) -> Clients {
        let each = (0..clients).flat_map(|number| {
            [
                tokio::spawn(Arc::clone(self).write(number)),
                tokio::spawn(Arc::clone(self).read(number)),
            ]
        });
        Clients(each.collect())
    }

    /// Puts another server in a place.
    pub(crate) fn replace(&self, place: usize, server: &Server) {
        let mut doors = self.doors.lock().unwrap();
        doors[place] = doors[place].of(server);
    }

    /// Waits until this many more changes, and calls, were answered.
    pub(crate) async fn more(&self, changes: u64, calls: u64) {
        let (changes, calls) = (self.changes() + changes, self.calls() + calls);
        let answered = async {
            while self.changes() < changes || self.calls() < calls {
                sleep(PAUSE / 4).await;
            }
        };
        // Nothing more is answered once clients have failed.
        timeout(LIMIT, answered).await.unwrap();
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Calls that were answered.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.answered()
    }

    /// Waits until this many more answers were that clients should try again.
    pub(crate) async fn more_refused(&self, answers: u64) {
        let refused = || self.refused.load(Ordering::SeqCst);
        let until = refused() + answers;
        let refused = async {
            while refused() < until {
                sleep(PAUSE / 4).await;
            }
        };
        timeout(LIMIT, refused).await.unwrap();
    }

    fn door(&self, number: usize) -> Caller {
        let doors = self.doors.lock().unwrap();
        doors[number % doors.len()].clone()
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn answered(&self) -> Answered {
        let (made, removed) = (self.made.answered(), self.removed.answered());
        Answered { made, removed, calls: self.calls.answered() }
    }

    /// Asks one server; `None` if there is no answer, or that it should be asked again.
    async fn ask(&self, request: reqwest::RequestBuilder) -> Option<Answer> {
        self.calls.begin(1);
        let answer = request.send().await.ok()?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body: Value = answer.json().await.ok()?;
        if status == 503 {
            assert_unavailable(&headers, &body);
            self.refused.fetch_add(1, Ordering::SeqCst);
            return None;
        }
        assert!(status < 500, "{status}: {body}");
        self.calls.end(1);
        // Whoever asks again may be faster than whoever has been given up.
        let in_flight = status == 409 && body["error"]["code"] == "IDEMPOTENCY_IN_FLIGHT";
        let replayed = headers.contains_key("idempotent-replayed");
        (!in_flight).then_some(Answer { status, replayed, body })
    }

    /// Asks one server after the other until there is an answer; answers also how often it asked.
    async fn insist(
        &self,
        door: &mut usize,
        request: impl Fn(&Caller) -> reqwest::RequestBuilder,
    ) -> (Answer, u32) {
        for tries in 1.. {
            *door += 1;
            if let Some(answer) = self.ask(request(&self.door(*door))).await {
                return (answer, tries);
            }
            sleep(PAUSE).await;
        }
        unreachable!()
    }

    /// Makes users, some of them many at once, and removes some.
    async fn write(self: Arc<Self>, number: usize) {
        let (mut door, users) = (number, format!("/admin/tenants/{ACME}/users"));
        for round in 0.. {
            if self.is_over() {
                return;
            }
            let name = format!("{number}-{round}");
            let (path, content_type, more) = match round % 3 {
                0 => (format!("{users}/import"), "application/x-ndjson", IMPORTED),
                _ => (users.clone(), "application/json", 1),
            };
            let lines = (0..more).map(|it| json!({"email": format!("{name}-{it}@example.com")}));
            let body = lines.map(|line| line.to_string() + "\n").collect::<String>();
            self.made.begin(more);
            let (answer, tries) = self
                .insist(&mut door, |caller| {
                    let request = caller.request("POST", &path).header("idempotency-key", &name);
                    request.header("content-type", content_type).body(body.clone())
                })
                .await;
            assert!(matches!(answer.status, 200 | 201), "{name}: {}", answer.body);
            assert!(tries > 1 || !answer.replayed, "{name}: {}", answer.body);
            self.made.end(more);
            self.changes.fetch_add(1, Ordering::SeqCst);
            if round % 3 != 2 {
                continue;
            }
            let path = format!("{users}/{}", answer.body["data"]["id"].as_str().unwrap());
            self.removed.begin(1);
            let (answer, tries) =
                self.insist(&mut door, |caller| caller.request("DELETE", &path)).await;
            let gone = answer.status == 404 && tries > 1;
            assert!(answer.status == 200 || gone, "{tries}: {}", answer.body);
            self.removed.end(1);
            self.changes.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Reads the statistics of one server after the other.
    async fn read(self: Arc<Self>, number: usize) {
        let path = format!("/admin/tenants/{ACME}/stats");
        let (mut last, mut door) = (0, number);
        while !self.is_over() {
            door += 1;
            let before = self.answered();
            let Some(answer) = self.ask(self.door(door).request("GET", &path)).await else {
                sleep(PAUSE).await;
                continue;
            };
            assert_eq!(answer.status, 200, "{}", answer.body);
            let (users, calls) = numbers(&answer.body["data"]);
            let least = before.made.saturating_sub(self.removed.begun());
            let most = self.made.begun() - before.removed;
            assert!((least..=most).contains(&users), "{least} <= {users} <= {most} users");
            // An answer does not include its own call.
            let most = self.calls.begun() - 1;
            let least = if self.forgetful { 0 } else { before.calls.max(last) };
            assert!((least..=most).contains(&calls), "{least} <= {calls} <= {most} calls");
            last = calls;
        }
    }

    /// Ends the clients, and looks whether what is there is what they were told: at least this many of
    /// the answered calls are counted, and none twice.
    pub(crate) async fn end(&self, clients: Clients, installation: &Installation, lost: u64) {
        self.over.store(true, Ordering::SeqCst);
        for client in clients.0 {
            client.await.unwrap();
        }
        let users = self.made.answered() - self.removed.answered();
        let path = format!("/admin/tenants/{ACME}");
        let doors = self.doors.lock().unwrap().clone();
        for door in doors {
            let (least, most) = (self.calls.answered() - lost, self.calls.begun());
            let get = async |path: &str| {
                let answer = self.ask(door.request("GET", path)).await.unwrap();
                assert_eq!(answer.status, 200, "{path}: {}", answer.body);
                answer.body["data"].clone()
            };
            let (counted, calls) = numbers(&get(&format!("{path}/stats")).await);
            assert_eq!(counted, users);
            assert!((least..=most).contains(&calls), "{least} <= {calls} <= {most} calls");
            assert_eq!(get(&format!("{path}/users?limit=1")).await["total"], users);
            // The first tell that the tenant was made, and who may administer it.
            let entries = get("/admin/audit-logs?limit=1").await["total"].clone();
            assert_eq!(entries, 2 + self.changes());
        }
        installation.run("verify").succeeded();
    }
}

/// How many users there are, and how many calls were counted, by the statistics. A month may turn
/// meanwhile.
fn numbers(data: &Value) -> (u64, u64) {
    let number = |path: &str| data.pointer(path).unwrap().as_u64().unwrap();
    let calls = number("/usage/apiCallsThisMonth") + number("/usage/apiCallsLastMonth");
    (number("/users/total"), calls)
}

/// Fails the test unless an answer is what is answered while the database cannot be asked.
pub(crate) fn assert_unavailable(headers: &reqwest::header::HeaderMap, body: &Value) {
    assert!(headers.contains_key("retry-after"), "{headers:?}");
    assert_eq!(body["success"], false, "{body}");
    assert_eq!(body["error"]["code"], "UNAVAILABLE", "{body}");
    for member in ["message", "requestId", "timestamp"] {
        assert!(body[member].is_string(), "{body}");
    }
    assert!(body["error"]["details"].is_string(), "{body}");
}
