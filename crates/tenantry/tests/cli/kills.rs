//! Servers that are killed (SIGKILL) at any moment while many clients change and read: whatever was
//! answered has happened once, what had no answer has happened once or not at all and never by half,
//! and every answered call is counted.
//!
//! What is asked and when a server dies comes from a seed (`KILLS_SEED=1` for another one). What is
//! under way at that moment does not, so a seed that failed may have to be tried a few times.

mod clients;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tenantry_domain::entropy::Entropy;
use tenantry_testkit::SeededEntropy;
use tokio::time::sleep;

use crate::support::{DataDir, PLATFORM, Server, entries_of_changes};
use clients::{Calls, Kind, Reader, State, Writer};

/// How often a server is killed while it is busy.
const KILLS: u32 = 32;
/// Kills after which everything is recounted.
const RECOUNT: u32 = 8;
/// How long a server is busy before it is killed, in milliseconds: from, and fewer than.
const BUSY: (u64, u64) = (50, 400);
const TENANTS: usize = 3;
const WRITERS: usize = 4;
const READERS: usize = 4;
/// Who makes tenants.
const GOVERNOR: &str = "governor";

/// Chance that repeats itself.
struct Chance(SeededEntropy);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }

    /// A number below this one.
    fn below(&self, number: u64) -> u64 {
        u64::from_le_bytes((&self.0 as &dyn Entropy).bytes()) % number
    }

    fn one_in(&self, number: u64) -> bool {
        self.below(number) == 0
    }

    /// One of these, if there is any.
    fn choose<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        let number = u64::try_from(of.len()).unwrap();
        (number > 0).then(|| &of[usize::try_from(self.below(number)).unwrap()])
    }
}

/// A seed, which is told if the test fails.
struct Seed(u64);

impl Drop for Seed {
    #[expect(clippy::print_stderr, reason = "it is how a test talks")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("KILLS_SEED={}", self.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_a_server_is_killed_what_was_answered_is_there_once() {
    let seed = std::env::var("KILLS_SEED").map_or(7, |seed| seed.parse().unwrap());
    let _told = Seed(seed);
    let directory = DataDir::new();
    let chance = Chance::new(seed);
    let mut server = directory.serve();
    let mut platform = Platform { operator: directory.operator(), asked: 0 };
    let mut places = vec![Place::platform(seed, &platform.operator)];
    for number in 1..=TENANTS {
        places.push(platform.place(&server, &directory, seed, number).await);
    }
    for kill in 1..=KILLS {
        let busy = places.into_iter().map(|place| place.begin(&server)).collect::<Vec<_>>();
        sleep(Duration::from_millis(BUSY.0 + chance.below(BUSY.1 - BUSY.0))).await;
        server.kill();
        places = Vec::new();
        for place in busy {
            places.push(place.end().await);
        }
        server = directory.serve();
        while chance.one_in(4) {
            // It dies before anybody has asked it, while it is still clearing up.
            sleep(Duration::from_millis(chance.below(50))).await;
            server.kill();
            server = directory.serve();
        }
        for place in &mut places {
            platform.check(&server, place).await;
        }
        if kill % RECOUNT == 0 {
            directory.run("verify").succeeded();
        }
    }
    // Whoever has no answer yet gets one.
    for place in &mut places {
        place.settle(&server).await;
        platform.check(&server, place).await;
    }
    server.stop();
    directory.run("verify").succeeded();
    let fates: BTreeSet<_> =
        places.iter().flat_map(|it| &it.writers).flat_map(|it| &it.fates).collect();
    assert_eq!(fates.len(), 4, "{fates:?}");
}

/// What became of a change that had no answer.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fate {
    /// Whether it is asked for again.
    again: bool,
    happened: bool,
}

/// A tenant, and its clients. Nobody else changes what they have made.
struct Place {
    tenant: String,
    token: String,
    kinds: &'static [Kind],
    writers: Vec<Writer>,
    readers: Vec<Reader>,
    /// Entries of its ledger from before.
    entries: u64,
    /// The calls that were counted when it was looked at last.
    calls: u64,
}

/// A place while its clients are busy.
struct Busy {
    place: Place,
    writers: Vec<tokio::task::JoinHandle<Writer>>,
    readers: Vec<tokio::task::JoinHandle<Reader>>,
}

impl Place {
    /// The platform, where tenants are made, suspended and deleted.
    fn platform(seed: u64, operator: &str) -> Self {
        Self {
            tenant: PLATFORM.to_owned(),
            token: operator.to_owned(),
            kinds: &[Kind::Tenant],
            writers: vec![Writer::new(seed, GOVERNOR, &[Kind::Tenant])],
            readers: Vec::new(),
            entries: 0,
            calls: 0,
        }
    }

    fn is_platform(&self) -> bool {
        self.tenant == PLATFORM
    }

    /// Lets all clients do what they do until the server is gone.
    fn begin(mut self, server: &Server) -> Busy {
        let caller = server.caller(&self.token, &self.tenant);
        let writers = self.writers.drain(..);
        let writers = writers.map(|it| tokio::spawn(it.run(caller.clone()))).collect();
        let readers = self.readers.drain(..);
        let readers = readers.map(|it| tokio::spawn(it.run(caller.clone()))).collect();
        Busy { place: self, writers, readers }
    }

    /// Has what was cut off asked for again.
    async fn settle(&mut self, server: &Server) {
        let caller = server.caller(&self.token, &self.tenant);
        for writer in &mut self.writers {
            writer.settle(&caller).await;
        }
    }

    /// The calls since the last look.
    fn calls_since(&mut self) -> Calls {
        let writers = self.writers.iter_mut().map(|writer| std::mem::take(&mut writer.calls));
        let readers = self.readers.iter_mut().map(|reader| std::mem::take(&mut reader.calls));
        writers.chain(readers).fold(Calls::default(), Calls::and)
    }
}

impl Busy {
    async fn end(mut self) -> Place {
        for writer in self.writers {
            self.place.writers.push(writer.await.unwrap());
        }
        for reader in self.readers {
            self.place.readers.push(reader.await.unwrap());
        }
        self.place
    }
}

/// A thing as a list shows it.
struct Listed {
    id: String,
    state: State,
}

/// Who looks at everything.
struct Platform {
    operator: String,
    /// Its calls since they were looked at last.
    asked: u64,
}

impl Platform {
    async fn data(&mut self, server: &Server, path: &str, tenant: &str) -> Value {
        let data = server.data(path, &self.operator, tenant).await;
        self.asked += 1;
        data
    }

    /// A new tenant with its clients.
    async fn place(
        &mut self,
        server: &Server,
        directory: &DataDir,
        seed: u64,
        number: usize,
    ) -> Place {
        let name = json!({"name": format!("Place {number}")});
        let request = server.request("POST", "/admin/tenants", &self.operator, PLATFORM);
        let answer = request.json(&name).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        self.asked += 1;
        let answer: Value = answer.json().await.unwrap();
        let tenant = answer["data"]["id"].as_str().unwrap().to_owned();
        let token = directory.run(&format!("token --role tenant_admin --tenant {tenant}"));
        let kinds = &[Kind::User, Kind::ApiKey, Kind::OauthClient, Kind::Credential];
        let writer = |it| Writer::new(seed, &format!("writer-{number}-{it}"), kinds);
        let reader = |it| Reader::new(seed, number * READERS + it);
        Place {
            entries: self.entries(server, &tenant).await,
            token: token.succeeded().stdout.trim_end().to_owned(),
            kinds,
            writers: (0..WRITERS).map(writer).collect(),
            readers: (0..READERS).map(reader).collect(),
            calls: 0,
            tenant,
        }
    }

    /// How many entries tell of changes.
    async fn entries(&mut self, server: &Server, tenant: &str) -> u64 {
        entries_of_changes(async |filter| {
            let log = format!("/admin/audit-logs?limit=1{filter}");
            self.data(server, &log, tenant).await["total"].as_u64().unwrap()
        })
        .await
    }

    /// Everything of a kind that a tenant has, by its name.
    async fn list(
        &mut self,
        server: &Server,
        tenant: &str,
        kind: Kind,
    ) -> BTreeMap<String, Listed> {
        let mut all = BTreeMap::new();
        let mut cursor = String::new();
        loop {
            let path = format!("{}?limit=500{cursor}", kind.path(tenant));
            let page = self.data(server, &path, tenant).await;
            for item in page["items"].as_array().unwrap() {
                let (name, id, state) = kind.read(item);
                let twice = all.insert(name.clone(), Listed { id, state });
                assert!(twice.is_none(), "{name} is there twice");
            }
            let Some(next) = page["nextCursor"].as_str() else {
                assert_eq!(page["total"], all.len(), "{path}");
                return all;
            };
            cursor = format!("&cursor={next}");
        }
    }

    /// Compares a place with what its clients were told.
    async fn check(&mut self, server: &Server, place: &mut Place) {
        let tenant = place.tenant.clone();
        let asked = if place.is_platform() { std::mem::take(&mut self.asked) } else { 0 };
        let statistics =
            self.data(server, &format!("/admin/tenants/{tenant}/stats"), &tenant).await;
        let mut lists = BTreeMap::new();
        for kind in place.kinds {
            lists.insert(*kind, self.list(server, &tenant, *kind).await);
        }
        if place.is_platform() {
            let tenants = lists.get_mut(&Kind::Tenant).unwrap();
            tenants.retain(|name, _| name.starts_with(GOVERNOR));
        } else {
            assert_eq!(counts(&statistics), counted(&lists), "{statistics}");
        }
        for writer in &mut place.writers {
            writer.look(&mut lists);
        }
        for (kind, left) in lists {
            let left: Vec<_> = left.keys().collect();
            assert!(left.is_empty(), "{kind:?}s that nobody has asked for: {left:?}");
        }

        let usage = |member: &str| statistics["usage"][member].as_u64().unwrap();
        // A month may turn while the test runs.
        let counted = usage("apiCallsThisMonth") + usage("apiCallsLastMonth");
        let calls = place.calls_since();
        let least = place.calls + asked + calls.sure;
        let most = least + calls.unsure;
        assert!((least..=most).contains(&counted), "{least} <= {counted} <= {most} calls");
        place.calls = counted;

        if !place.is_platform() {
            let changes: u64 = place.writers.iter().map(|writer| writer.changes).sum();
            let entries = self.entries(server, &tenant).await;
            assert_eq!(entries, place.entries + changes, "each change is one entry");
        }
    }
}

/// What statistics say of things.
fn counts(statistics: &Value) -> Value {
    let of = |kind: &str, members: &[&str]| {
        members.iter().map(|it| statistics[kind][it].as_u64().unwrap()).collect::<Vec<_>>()
    };
    json!({
        "users": of("users", &["total", "active", "inactive"]),
        "apiKeys": of("apiKeys", &["total", "active", "revoked"]),
        "oauthClients": of("oauthClients", &["total", "active"]),
        "credentials": of("credentials", &["total", "active"]),
    })
}

/// The same, counted from lists.
fn counted(lists: &BTreeMap<Kind, BTreeMap<String, Listed>>) -> Value {
    let of = |kind: Kind| {
        let list = &lists[&kind];
        let active = list.values().filter(|it| it.state == State::Active).count();
        [list.len(), active, list.len() - active]
    };
    json!({
        "users": of(Kind::User),
        "apiKeys": of(Kind::ApiKey),
        "oauthClients": of(Kind::OauthClient)[..2],
        "credentials": of(Kind::Credential)[..2],
    })
}
