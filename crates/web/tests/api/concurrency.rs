//! Many change and call at once, and many read meanwhile: in every single answer each number lies
//! between what had been answered before the read began and what had been begun when it ended, and
//! all of them together are those of one entry of the ledger and of what has expired since.
//!
//! An answer does not say which entry it comes from. Over HTTP one that fits must be in the audit
//! log, not before those that were acknowledged when the read began nor after those that were begun
//! when it ended, and of two reads one after the other the second must not have an earlier one. What
//! the store answers beneath does say it (`ledger_seq`), so there it must be that very entry.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tenantry_domain::access::CallerProbe;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::Entry;
use tenantry_domain::stats::Statistics;
use tenantry_testkit::{Answer, Bearer, START, TestApp};
use tokio::task::JoinHandle;

const TENANTS: usize = 2;
const WRITERS: usize = 4;
/// What each writer does so often.
const ROUNDS: usize = 12;
const CALLERS: usize = 3;
/// Credentials of each tenant that expire meanwhile, one after the other.
const EXPIRING: i64 = 12;
/// Time between them by the server's clock, in milliseconds.
const STEP: i64 = 10;

/// A number of the statistics, as a path into their `data`.
type Number = &'static str;
/// What a change does to the numbers.
type Moves = &'static [(Number, i64)];

const CALLS: Number = "/usage/apiCallsThisMonth";
const COUNTS: [Number; 12] = [
    "/users/total",
    "/users/active",
    "/users/inactive",
    "/users/admins",
    "/credentials/total",
    "/credentials/active",
    "/credentials/expired",
    "/apiKeys/total",
    "/apiKeys/active",
    "/apiKeys/revoked",
    "/oauthClients/total",
    "/oauthClients/active",
];

/// How often something was begun, and how often it was answered.
#[derive(Debug, Default)]
struct Tally {
    begun: AtomicI64,
    answered: AtomicI64,
}

/// What moves a number, apart by its direction: of two that are under way one may have happened.
#[derive(Debug, Default)]
struct Tallies {
    up: Tally,
    down: Tally,
}

impl Tallies {
    fn of(&self, by: i64) -> &Tally {
        if by > 0 { &self.up } else { &self.down }
    }
}

/// A tenant, and what was done to it.
struct Watched {
    app: Arc<TestApp>,
    tenant: TenantId,
    token: String,
    numbers: BTreeMap<Number, Tallies>,
    entries: Tally,
    over: AtomicBool,
}

/// What had happened, or might have, at a moment: each number's way up and its way down.
struct Moment {
    numbers: BTreeMap<Number, (i64, i64)>,
    entries: i64,
}

impl Watched {
    async fn new(app: &Arc<TestApp>, name: &str) -> Arc<Self> {
        let tenant = app.tenant(name).await;
        let numbers = COUNTS.into_iter().chain([CALLS]);
        let watched = Self {
            app: Arc::clone(app),
            tenant,
            token: app.token(Bearer::admin_of(tenant)),
            numbers: numbers.map(|number| (number, Tallies::default())).collect(),
            entries: Tally::default(),
            over: AtomicBool::new(false),
        };
        // The entry of the tenant itself.
        watched.entries.begun.store(1, Ordering::SeqCst);
        watched.entries.answered.store(1, Ordering::SeqCst);
        Arc::new(watched)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn begin(&self, moves: Moves) {
        for (number, by) in moves {
            self.numbers[number].of(*by).begun.fetch_add(by.abs(), Ordering::SeqCst);
        }
    }

    fn end(&self, moves: Moves) {
        for (number, by) in moves {
            self.numbers[number].of(*by).answered.fetch_add(by.abs(), Ordering::SeqCst);
        }
    }

    fn moment(&self, of: impl Fn(&Tally) -> &AtomicI64) -> Moment {
        let value = |tally| of(tally).load(Ordering::SeqCst);
        let numbers =
            self.numbers.iter().map(|(it, both)| (*it, (value(&both.up), value(&both.down))));
        Moment { numbers: numbers.collect(), entries: value(&self.entries) }
    }

    fn answered(&self) -> Moment {
        self.moment(|tally| &tally.answered)
    }

    fn begun(&self) -> Moment {
        self.moment(|tally| &tally.begun)
    }

    /// A call of the tenant's own.
    async fn call(&self, method: &str, path: &str, body: Option<Body>) -> Answer {
        const CALL: Moves = &[(CALLS, 1)];
        let request = self.app.request(method, &format!("/api/v1{path}")).bearer(&self.token);
        let request = request.header("x-tenantid", &self.tenant.to_string());
        let request = match body {
            Some(Body::Json(body)) => request.json(&body),
            Some(Body::Lines(lines)) => request.body("application/x-ndjson", lines),
            None => request,
        };
        self.begin(CALL);
        let answer = request.send().await;
        assert!(matches!(answer.status, 200 | 201), "{method} {path}: {}", answer.text);
        self.end(CALL);
        answer
    }

    /// A call that changes the tenant, and appends an entry.
    async fn change(&self, moves: Moves, method: &str, path: &str, body: Option<Body>) -> Value {
        self.begin(moves);
        self.entries.begun.fetch_add(1, Ordering::SeqCst);
        let answer = self.call(method, path, body).await;
        self.end(moves);
        self.entries.answered.fetch_add(1, Ordering::SeqCst);
        answer.data()
    }

    fn path(&self, rest: &str) -> String {
        format!("/admin/tenants/{}{rest}", self.tenant)
    }
}

enum Body {
    Json(Value),
    Lines(String),
}

/// Fails the test unless a number lies between what was answered before and what is begun now.
fn assert_between(number: Number, value: i64, before: &Moment, now: &Moment) {
    let least = before.numbers[number].0 - now.numbers[number].1;
    let most = now.numbers[number].0 - before.numbers[number].1;
    assert!((least..=most).contains(&value), "{number}: {least} <= {value} <= {most}");
}

fn number(data: &Value, path: &str) -> i64 {
    data.pointer(path).unwrap().as_i64().unwrap()
}

/// Makes things of every kind, changes them, and removes some.
async fn write(watched: Arc<Watched>, writer: usize) {
    let json = |body| Some(Body::Json(body));
    for round in 0..ROUNDS {
        let name = format!("{writer}-{round}@example.com");
        let is_admin = round % 2 == 0;
        let roles = if is_admin { json!(["tenant_admin"]) } else { json!(["member"]) };
        let (made, gone): (Moves, Moves) = if is_admin {
            (
                &[("/users/total", 1), ("/users/active", 1), ("/users/admins", 1)],
                &[("/users/total", -1), ("/users/inactive", -1), ("/users/admins", -1)],
            )
        } else {
            (
                &[("/users/total", 1), ("/users/active", 1)],
                &[("/users/total", -1), ("/users/inactive", -1)],
            )
        };
        let users = watched.path("/users");
        let body = json(json!({"email": name, "roles": roles}));
        let user = watched.change(made, "POST", &users, body).await;
        let user = format!("{users}/{}", user["id"].as_str().unwrap());
        let moves = &[("/users/active", -1), ("/users/inactive", 1)];
        watched.change(moves, "PATCH", &user, json(json!({"status": "disabled"}))).await;

        let moves = &[("/apiKeys/total", 1), ("/apiKeys/active", 1)];
        let key = watched.change(moves, "POST", "/api-keys", json(json!({"name": name}))).await;
        let key = format!("/api-keys/{}", key["id"].as_str().unwrap());
        let moves = &[("/apiKeys/active", -1), ("/apiKeys/revoked", 1)];
        watched.change(moves, "DELETE", &key, None).await;

        let moves = &[("/oauthClients/total", 1), ("/oauthClients/active", 1)];
        let body = json(json!({"name": name}));
        let client = watched.change(moves, "POST", "/oauth-clients", body).await;
        let client = format!("/oauth-clients/{}", client["id"].as_str().unwrap());
        let moves = &[("/oauthClients/active", -1)];
        watched.change(moves, "PATCH", &client, json(json!({"status": "disabled"}))).await;
        let moves = &[("/oauthClients/total", -1)];
        watched.change(moves, "DELETE", &client, None).await;

        let credential = credential(&watched, None).await;
        let moves = &[("/credentials/total", -1), ("/credentials/active", -1)];
        watched.change(moves, "DELETE", &credential, None).await;

        let lines = (0..5).map(|it| json!({"email": format!("{it}-{name}")}).to_string() + "\n");
        let moves = &[("/users/total", 5), ("/users/active", 5)];
        let lines = Some(Body::Lines(lines.collect()));
        watched.change(moves, "POST", &watched.path("/users/import"), lines).await;
        watched.change(gone, "DELETE", &user, None).await;
    }
}

/// Makes a credential; answers its path.
async fn credential(watched: &Watched, expires_at: Option<String>) -> String {
    let moves = &[("/credentials/total", 1), ("/credentials/active", 1)];
    let body = json!({
        "integrationId": "github", "credentialName": "deploy", "authType": "api_key",
        "apiKey": "third-party-key", "expiresAt": expires_at,
    });
    let made = watched.change(moves, "POST", "/credentials", Some(Body::Json(body))).await;
    format!("/credentials/github/{}", made["id"].as_str().unwrap())
}

/// Calls that change nothing.
async fn call(watched: Arc<Watched>) {
    while !watched.is_over() {
        watched.call("GET", &watched.path(""), None).await;
    }
}

/// Moves the clock on, past one expiry after the other.
async fn let_time_pass(all: Vec<Arc<Watched>>) {
    const EXPIRED: Moves = &[("/credentials/active", -1), ("/credentials/expired", 1)];
    for _ in 0..EXPIRING {
        tokio::time::sleep(Duration::from_millis(50)).await;
        for watched in &all {
            watched.begin(EXPIRED);
            // Its entry comes with the next change, and so is never sure to be there.
            watched.entries.begun.fetch_add(1, Ordering::SeqCst);
        }
        all[0].app.clock.advance(STEP);
        for watched in &all {
            watched.end(EXPIRED);
        }
    }
}

/// A read of all counts, and which entries it may come from.
struct Read {
    data: Value,
    first: i64,
    last: i64,
}

/// Reads the statistics again and again, as the tenant itself or as the platform.
async fn read(watched: Arc<Watched>, own: bool) -> Vec<Read> {
    let operator = watched.app.token(Bearer::SUPER_ADMIN);
    let path = watched.path("/stats");
    let by_operator = async || {
        let request = watched.app.request("GET", &format!("/api/v1{path}")).bearer(&operator);
        request.header("x-tenantid", &watched.tenant.to_string()).send().await.expect(200)
    };
    if !own {
        // That it reads is an entry of this hour.
        watched.entries.begun.fetch_add(1, Ordering::SeqCst);
        by_operator().await;
        watched.entries.answered.fetch_add(1, Ordering::SeqCst);
    }
    let mut reads: Vec<Read> = Vec::new();
    while !watched.is_over() {
        let before = watched.answered();
        let answer = if own { watched.call("GET", &path, None).await } else { by_operator().await };
        let mut now = watched.begun();
        if own {
            // An answer does not include its own call.
            now.numbers.get_mut(CALLS).unwrap().0 -= 1;
        }
        let data = answer.data();
        for it in COUNTS.into_iter().chain([CALLS]) {
            assert_between(it, number(&data, it), &before, &now);
        }
        let is_sum = |total, parts: [&str; 2]| {
            let sum: i64 = parts.into_iter().map(|part| number(&data, part)).sum();
            assert_eq!(number(&data, total), sum, "{data}");
        };
        is_sum("/users/total", ["/users/active", "/users/inactive"]);
        is_sum("/credentials/total", ["/credentials/active", "/credentials/expired"]);
        is_sum("/apiKeys/total", ["/apiKeys/active", "/apiKeys/revoked"]);
        if let Some(Read { data: last, .. }) = reads.last() {
            assert!(number(last, CALLS) <= number(&data, CALLS), "{data} after {last}");
            assert!(last["generatedAt"].as_str() <= data["generatedAt"].as_str());
        }
        reads.push(Read { data, first: before.entries, last: now.entries });
    }
    reads
}

/// Reads how long the lists are that the numbers count.
async fn list(watched: Arc<Watched>) -> usize {
    let users = |filter: &str| watched.path("/users") + filter;
    let lists: [(String, Number); 9] = [
        (users("?limit=1"), "/users/total"),
        (users("?limit=1&status=active"), "/users/active"),
        (users("?limit=1&status=inactive"), "/users/inactive"),
        (users("?limit=1&role=tenant_admin"), "/users/admins"),
        ("/api-keys?limit=1".to_owned(), "/apiKeys/total"),
        ("/api-keys?limit=1&status=revoked".to_owned(), "/apiKeys/revoked"),
        ("/oauth-clients?limit=1&status=active".to_owned(), "/oauthClients/active"),
        ("/credentials?limit=1&status=active".to_owned(), "/credentials/active"),
        ("/credentials?limit=1&status=expired".to_owned(), "/credentials/expired"),
    ];
    let mut reads = 0;
    while !watched.is_over() {
        for (path, number) in &lists {
            let before = watched.answered();
            let total = watched.call("GET", path, None).await.data()["total"].as_i64().unwrap();
            assert_between(number, total, &before, &watched.begun());
        }
        let before = watched.answered();
        let log = watched.call("GET", "/admin/audit-logs?limit=1", None).await.data();
        let total = log["total"].as_i64().unwrap();
        assert!((before.entries..=watched.begun().entries).contains(&total), "{total} entries");
        assert_eq!(log["items"][0]["seq"], total);
        reads += 1;
    }
    reads
}

/// Reads beneath HTTP, where the entry is told.
async fn read_beneath(watched: Arc<Watched>) -> Vec<Statistics> {
    let (tenant, store) = (watched.tenant, Arc::clone(watched.app.service.store()));
    let probe = CallerProbe::of_tenant(tenant);
    let mut reads = Vec::new();
    while !watched.is_over() {
        let first = watched.answered().entries;
        let (_, statistics) = store.statistics(&probe, tenant).await.unwrap();
        let statistics = statistics.open(&TestApp::access(tenant)).unwrap().unwrap();
        let seq = i64::try_from(statistics.ledger_seq).unwrap();
        let last = watched.begun().entries;
        assert!((first..=last).contains(&seq), "{first} <= {seq} <= {last}");
        reads.push(statistics);
        tokio::task::yield_now().await;
    }
    reads
}

/// Every entry of the audit log, oldest first.
async fn entries(watched: &Watched) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let path = format!("/admin/audit-logs?limit=500&offset={}", all.len());
        let page = watched.call("GET", &path, None).await.data();
        all.extend_from_slice(page["items"].as_array().unwrap());
        if page["total"] == all.len() {
            all.reverse();
            return all;
        }
    }
}

/// How many credentials expire after one instant and not after another.
fn expiries(after: Timestamp, until: Timestamp) -> i64 {
    let due = (1..=EXPIRING).map(|step| START.plus_millis(step * STEP));
    i64::try_from(due.filter(|due| after < *due && *due <= until).count()).unwrap()
}

fn instant(data: &Value, member: &str) -> Timestamp {
    data[member].as_str().unwrap().parse().unwrap()
}

/// Whether statistics are the counts after an entry, and what has expired since.
fn is_from(data: &Value, entry: &Value) -> bool {
    let expired = expiries(instant(entry, "at"), instant(data, "generatedAt"));
    COUNTS.into_iter().all(|it| {
        let since = match it {
            "/credentials/active" => -expired,
            "/credentials/expired" => expired,
            _ => 0,
        };
        number(data, it) == number(&entry["counts"], it) + since
    })
}

/// Finds for each read of a reader an entry that it can be from, each not before the last one's.
fn assert_in_log(reads: &[Read], log: &[Value]) {
    let mut newest = 0;
    for Read { data, first, last } in reads {
        let fits = |seq: &i64| is_from(data, &log[usize::try_from(seq - 1).unwrap()]);
        let found = (newest.max(*first)..=*last).find(fits);
        assert!(found.is_some(), "no entry from {newest}, of {first} to {last}, has {data}");
        newest = found.unwrap();
    }
}

/// Finds the counts of each read in the very entry that it says.
fn assert_from_entries(reads: &[Statistics], entries: &[Entry]) {
    for read in reads {
        let entry = &entries[usize::try_from(read.ledger_seq - 1).unwrap()];
        let expired = expiries(entry.at, read.generated_at).unsigned_abs();
        let mut counts = entry.counts;
        counts.credentials_active -= expired;
        counts.credentials_expired += expired;
        assert_eq!(read.counts, counts, "{}", read.ledger_seq);
    }
    assert!(reads.is_sorted_by_key(|read| (read.ledger_seq, read.generated_at)));
}

/// What goes on beside the changes of a tenant.
struct Beside {
    callers: Vec<JoinHandle<()>>,
    readers: Vec<JoinHandle<Vec<Read>>>,
    lister: JoinHandle<usize>,
    beneath: JoinHandle<Vec<Statistics>>,
}

impl Beside {
    fn start(watched: &Arc<Watched>) -> Self {
        let it = || Arc::clone(watched);
        Self {
            callers: (0..CALLERS).map(|_| tokio::spawn(call(it()))).collect(),
            readers: [true, true, false].map(|own| tokio::spawn(read(it(), own))).into(),
            lister: tokio::spawn(list(it())),
            beneath: tokio::spawn(read_beneath(it())),
        }
    }

    async fn end(self, watched: &Watched) {
        watched.over.store(true, Ordering::SeqCst);
        for caller in self.callers {
            caller.await.unwrap();
        }
        assert!(self.lister.await.unwrap() > 0);
        // Has what expired last entered in the ledger.
        credential(watched, None).await;
        let log = entries(watched).await;
        for reader in self.readers {
            let reads = reader.await.unwrap();
            assert!(reads.len() > 10);
            assert_in_log(&reads, &log);
        }
        let store = watched.app.service.store();
        let entries = store.entries_after(watched.tenant, 0, 1_000_000).await.unwrap();
        assert_eq!(entries.len(), log.len());
        let reads = self.beneath.await.unwrap();
        assert!(reads.len() > 10);
        assert_from_entries(&reads, &entries);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_answer_holds_what_was_answered_and_is_one_entry_of_the_ledger() {
    let app = Arc::new(TestApp::start().await);
    let mut all = Vec::new();
    for number in 0..TENANTS {
        let watched = Watched::new(&app, &format!("Tenant {number}")).await;
        for step in 1..=EXPIRING {
            credential(&watched, Some(app.now().plus_millis(step * STEP).to_string())).await;
        }
        all.push(watched);
    }
    let beside: Vec<_> = all.iter().map(Beside::start).collect();
    let time = tokio::spawn(let_time_pass(all.clone()));
    let writers = all.iter().flat_map(|watched| {
        (0..WRITERS).map(|writer| tokio::spawn(write(Arc::clone(watched), writer)))
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    time.await.unwrap();
    for (watched, beside) in all.iter().zip(beside) {
        beside.end(watched).await;
        let (answered, begun) = (watched.answered(), watched.begun());
        let data = watched.call("GET", &watched.path("/stats"), None).await.data();
        for it in COUNTS.into_iter().chain([CALLS]) {
            assert_between(it, number(&data, it), &answered, &begun);
            assert_eq!(answered.numbers[it], begun.numbers[it], "{it}");
        }
    }
    drop(all);
    Arc::into_inner(app).unwrap().stop().await;
}
