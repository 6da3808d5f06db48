//! A line to the database that breaks at a statement, before it arrives or before its answer does:
//! every change is made once, every answered call is counted once, and whoever is told to try again
//! can.

use std::time::Duration;

use serde_json::{Value, json};
use tenantry_testkit_postgres::{Fault, Proxy};
use tokio::time::sleep;

use crate::load::assert_unavailable;
use crate::postgres::{Installation, post};
use crate::support::{ACME, PLATFORM, Server, entries_of_changes};

/// How a statement begins that is in each change, and one that is in each batch of calls.
const ENTRY: &str = "INSERT INTO ledger (";
const CALLS: &str = "INSERT INTO usage_hours";
/// What the connection is set up with that counts calls.
const COUNTING: &str = "SET synchronous_commit = off";
const COMMIT: &str = "COMMIT";

const CUTS: [Fault; 3] =
    [Fault::CutBefore, Fault::CutAfter, Fault::Late(Duration::from_millis(200))];

/// A server behind a proxy, and what it was asked for so far.
struct Site {
    installation: Installation,
    proxy: Proxy,
    server: Server,
    operator: String,
    admin: String,
    users: u64,
    entries: u64,
    /// Those that are counted, and those that may be.
    calls: u64,
    unsure: u64,
}

/// A whole answer.
struct Answer {
    status: u16,
    replayed: bool,
    body: Value,
}

impl Answer {
    async fn of(request: reqwest::RequestBuilder) -> Self {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.json().await.unwrap();
        if status == 503 {
            assert_unavailable(&headers, &body);
        }
        Self { status, replayed: headers.contains_key("idempotent-replayed"), body }
    }

    fn is_refused(&self) -> bool {
        self.status == 503
    }

    fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body["data"].clone()
    }
}

fn users() -> String {
    format!("/admin/tenants/{ACME}/users")
}

impl Site {
    async fn new(flags: &str) -> Self {
        let installation = Installation::new();
        installation.run("migrate").succeeded();
        let proxy = Proxy::to(&installation.0);
        let server = installation.serve_by(&proxy, flags);
        let (operator, acme) = (installation.operator(), json!({"id": ACME, "name": "Acme"}));
        post(&server, "/admin/tenants", &operator, PLATFORM, &acme).await;
        let admin = installation.admin(ACME);
        let mut site = Self {
            installation,
            proxy,
            server,
            operator,
            admin,
            users: 0,
            // That it was made, and who may administer it.
            entries: 2,
            calls: 0,
            unsure: 0,
        };
        // Each connection is there, and each statement is prepared.
        site.create("first").await.expect(201);
        site.list().await.expect(200);
        site.check().await;
        site
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.server.request(method, path, &self.admin, ACME)
    }

    fn creation(&self, name: &str) -> reqwest::RequestBuilder {
        let body = json!({"email": format!("{name}@example.com")});
        self.request("POST", &users()).header("idempotency-key", name).json(&body)
    }

    async fn create(&mut self, name: &str) -> Answer {
        let answer = Answer::of(self.creation(name)).await;
        self.made(&answer);
        answer
    }

    /// Notes what became of the request for a user.
    fn made(&mut self, answer: &Answer) {
        if answer.is_refused() {
            self.unsure += 1;
        } else {
            self.calls += 1;
            self.users += 1;
            self.entries += 1;
        }
    }

    async fn list(&mut self) -> Answer {
        let answer = Answer::of(self.request("GET", &format!("{}?limit=1", users()))).await;
        *(if answer.is_refused() { &mut self.unsure } else { &mut self.calls }) += 1;
        answer
    }

    /// Lets a fault strike, and waits for what it lets happen.
    async fn strike<T>(
        &mut self,
        fault: Fault,
        after: &'static str,
        at: &'static str,
        request: impl AsyncFnOnce(&mut Self) -> T,
    ) -> T {
        let before = self.proxy.struck();
        self.proxy.strike(fault, after, at);
        let answer = request(self).await;
        for _ in 0..500 {
            if self.proxy.struck() > before {
                return answer;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("{fault:?} at {at:?} did not strike")
    }

    /// Asks again until it is not refused.
    async fn insist(&mut self, request: impl AsyncFn(&mut Self) -> Answer) -> Answer {
        for _ in 0..50 {
            let answer = request(self).await;
            if !answer.is_refused() {
                return answer;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("it is refused for ever")
    }

    /// Compares what is there with what was answered. A super admin's calls are not the tenant's.
    async fn check(&self) {
        let get = async |path: &str| self.server.data(path, &self.operator, ACME).await;
        let data = get(&format!("/admin/tenants/{ACME}/stats")).await;
        assert_eq!(data["users"]["total"], self.users);
        assert_eq!(get(&format!("{}?limit=1", users())).await["total"], self.users);
        let entries = entries_of_changes(async |filter| {
            let log = get(&format!("/admin/audit-logs?limit=1{filter}")).await;
            log["total"].as_u64().unwrap()
        });
        assert_eq!(entries.await, self.entries);
        let calls = data["usage"]["apiCallsThisMonth"].as_u64().unwrap();
        let (least, most) = (self.calls, self.calls + self.unsure);
        assert!((least..=most).contains(&calls), "{least} <= {calls} <= {most} calls");
    }

    async fn end(self) {
        self.check().await;
        self.server.terminate();
        assert_eq!(self.server.end().code, Some(0));
        self.installation.run("verify").succeeded();
    }
}

#[tokio::test]
async fn a_change_whose_commit_is_cut_off_is_made_once() {
    let mut site = Site::new("").await;
    for (number, fault) in CUTS.into_iter().enumerate() {
        let name = format!("user-{number}");
        let made = site
            .strike(fault, ENTRY, COMMIT, async |site| {
                let answer = site.create(&name).await;
                assert!(!answer.replayed);
                answer.expect(201)
            })
            .await;
        site.check().await;
        // What is answered afterwards is what was answered.
        let again = Answer::of(site.creation(&name)).await;
        site.calls += 1;
        assert_eq!((again.replayed, again.expect(201)), (true, made.clone()));
        let path = format!("{}/{}", users(), made["id"].as_str().unwrap());

        // Nobody can ask again for what has no key, so it must not be needed.
        site.strike(fault, ENTRY, COMMIT, async |site| {
            let request = site.request("PATCH", &path).json(&json!({"name": "Ann"}));
            let changed = Answer::of(request).await.expect(200);
            assert_eq!(changed["name"], "Ann");
        })
        .await;
        (site.calls, site.entries) = (site.calls + 1, site.entries + 1);
        site.check().await;
        site.strike(fault, ENTRY, COMMIT, async |site| {
            Answer::of(site.request("DELETE", &path)).await.expect(200);
        })
        .await;
        (site.calls, site.entries, site.users) = (site.calls + 1, site.entries + 1, site.users - 1);
        site.check().await;
        site.strike(fault, ENTRY, COMMIT, async |site| {
            let lines = (0..3).map(|it| json!({"email": format!("{it}-{name}@example.com")}));
            let lines = lines.map(|line| line.to_string() + "\n").collect::<String>();
            let request = site.request("POST", &format!("{}/import", users()));
            let request = request.header("content-type", "application/x-ndjson").body(lines);
            Answer::of(request).await.expect(200);
        })
        .await;
        (site.calls, site.entries, site.users) = (site.calls + 1, site.entries + 1, site.users + 3);
        site.check().await;
    }
    site.end().await;
}

#[tokio::test]
async fn a_tenant_whose_commit_is_cut_off_is_made_once() {
    let mut site = Site::new("").await;
    for (number, fault) in CUTS.into_iter().enumerate() {
        let name = format!("Tenant {number}");
        let id = format!("3fa85f64-5717-4562-b3fc-00000000000{number}");
        site.strike(fault, ENTRY, COMMIT, async |site| {
            let request = site.server.request("POST", "/admin/tenants", &site.operator, PLATFORM);
            let made = Answer::of(request.json(&json!({"id": id, "name": name}))).await;
            assert_eq!(made.expect(201)["id"], id);
        })
        .await;
    }
    let tenants = site.server.data("/admin/tenants", &site.operator, PLATFORM).await;
    assert_eq!(tenants["total"], 2 + CUTS.len());
    site.end().await;
}

#[tokio::test]
async fn a_call_whose_batch_is_cut_off_is_counted_once() {
    let mut site = Site::new("").await;
    for fault in CUTS {
        for at in [COMMIT, CALLS] {
            // A batch that arrives late is without its commit.
            site.strike(fault, COUNTING, at, async |site| site.list().await.expect(200)).await;
            site.check().await;
        }
    }
    site.end().await;
}

#[tokio::test]
async fn what_is_cut_off_on_the_way_is_done_anew() {
    let mut site = Site::new("").await;
    for (number, at) in
        ["BEGIN", "SELECT seq, hash", "INSERT INTO users", ENTRY, "UPDATE ledger_heads"]
            .into_iter()
            .enumerate()
    {
        for fault in [Fault::CutBefore, Fault::CutAfter] {
            let name = format!("{number}-{fault:?}");
            site.strike(fault, "", at, async |site| site.create(&name).await.expect(201)).await;
            site.check().await;
        }
    }
    for fault in [Fault::CutBefore, Fault::CutAfter] {
        site.strike(fault, "", "SELECT h.seq", async |site| site.check().await).await;
    }
    site.end().await;
}

/// What cannot be found out is told, and the key tells afterwards.
#[tokio::test]
async fn whoever_is_not_told_whether_a_change_was_made_asks_again() {
    let mut site = Site::new("--database-queue-timeout 1s").await;
    for fault in [Fault::SilentBefore, Fault::SilentAfter] {
        let name = format!("{fault:?}");
        let answer = tokio::spawn(Answer::of(site.creation(&name)));
        // Nobody gets through any more once the commit is gone.
        site.strike(fault, ENTRY, COMMIT, async |_| sleep(Duration::from_millis(1)).await).await;
        site.proxy.close();
        let answer = answer.await.unwrap();
        assert!(answer.is_refused(), "{}", answer.body);
        site.made(&answer);
        let ready = Answer::of(site.server.request("GET", "/../../health/ready", "", ACME)).await;
        assert!(ready.is_refused());
        assert!(site.list().await.is_refused());
        site.proxy.open();
        assert!(site.server.is_ready().await);
        let again = site.create(&name).await;
        assert_eq!(again.replayed, fault == Fault::SilentAfter);
        again.expect(201);
        site.check().await;
    }
    site.end().await;
}

/// A line that says nothing any more is given up, whoever keeps it.
#[tokio::test]
async fn a_line_that_falls_silent_is_given_up() {
    const SOON: &str = "--request-timeout 1s --database-queue-timeout 1s \
        --database-statement-timeout 1s --database-connect-timeout 1s";
    let mut site = Site::new(SOON).await;
    for fault in [Fault::SilentBefore, Fault::SilentAfter] {
        let name = format!("{fault:?}");
        let answer = site.strike(fault, ENTRY, COMMIT, async |site| site.create(&name).await).await;
        assert!(answer.is_refused(), "{}", answer.body);
        let again = site.insist(async |site| site.create(&name).await).await;
        assert_eq!(again.replayed, fault == Fault::SilentAfter);
        again.expect(201);
        site.check().await;

        site.strike(fault, COUNTING, COMMIT, async |site| site.list().await).await;
        site.insist(Site::list).await.expect(200);
        site.check().await;
    }
    // So is one that is silent from the beginning.
    site.proxy.close();
    site.proxy.open();
    site.strike(
        Fault::SilentBefore,
        "",
        COUNTING,
        async |site| {
            while site.list().await.is_refused() {}
        },
    )
    .await;
    site.end().await;
}
