//! How long others wait while 50,000 users are imported: reads of statistics over HTTP, each of
//! them a counted call, and the same reads without the call being counted.
//!
//! `cargo run --release -p tenantry-testkit --example reads_during_import`

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "it measures and prints")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tenantry_domain::access::CallerProbe;
use tenantry_domain::id::TenantId;
use tenantry_testkit::{Bearer, TestApp};

const USERS: usize = 50_000;
const IMPORTS: usize = 5;
const READERS: usize = 4;
/// Between two reads of a reader, so that waiting and not the machine's load is what is seen.
const PAUSE: Duration = Duration::from_millis(1);

#[tokio::main]
async fn main() {
    let app = Arc::new(TestApp::start().await);
    let watched = app.tenant("Watched").await;
    let csv = csv();

    let quiet = Readers::start(&app, watched);
    tokio::time::sleep(Duration::from_secs(3)).await;
    quiet.stop("nothing else").await;

    let busy = Readers::start(&app, watched);
    for number in 0..IMPORTS {
        let tenant = app.tenant(&format!("Imported {number}")).await;
        let path = format!("/api/v1/admin/tenants/{tenant}/users/import");
        let started = Instant::now();
        let request = app.request_by(Bearer::SUPER_ADMIN, "POST", &path);
        request.body("text/csv", csv.clone()).send().await.expect(200);
        println!("import of {USERS} users: {:.0} ms", millis(started.elapsed()));
    }
    busy.stop("imports").await;
}

fn csv() -> String {
    let mut csv = "email,name,roles\n".to_owned();
    for number in 0..USERS {
        // In no order, as people come.
        let place = number * 7_919 % USERS;
        writeln!(csv, "person.{place}@example.com,Person {place},member").unwrap();
    }
    csv
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

type Reader = tokio::task::JoinHandle<Vec<Duration>>;

/// Readers that go on until they are told to stop.
struct Readers {
    over: Arc<AtomicBool>,
    counted: Vec<Reader>,
    uncounted: Vec<Reader>,
}

impl Readers {
    fn start(app: &Arc<TestApp>, tenant: TenantId) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let counted = |_| {
            let (app, over) = (Arc::clone(app), Arc::clone(&over));
            tokio::spawn(async move {
                let path = format!("/api/v1/admin/tenants/{tenant}/stats");
                let mut took = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let request = app.request_by(Bearer::admin_of(tenant), "GET", &path);
                    let started = Instant::now();
                    request.send().await.expect(200);
                    took.push(started.elapsed());
                    tokio::time::sleep(PAUSE).await;
                }
                took
            })
        };
        let uncounted = |_| {
            let (app, over) = (Arc::clone(app), Arc::clone(&over));
            tokio::spawn(async move {
                let probe = CallerProbe::of_tenant(tenant);
                let mut took = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let started = Instant::now();
                    app.service.store().statistics(&probe, tenant).await.unwrap();
                    took.push(started.elapsed());
                    tokio::time::sleep(PAUSE).await;
                }
                took
            })
        };
        Self {
            counted: (0..READERS).map(counted).collect(),
            uncounted: (0..READERS).map(uncounted).collect(),
            over: Arc::clone(&over),
        }
    }

    async fn stop(self, beside: &str) {
        self.over.store(true, Ordering::Relaxed);
        for (what, readers) in
            [("over HTTP, counted", self.counted), ("in the store", self.uncounted)]
        {
            let mut took = Vec::new();
            for reader in readers {
                took.extend(reader.await.unwrap());
            }
            took.sort_unstable();
            let last = took.len().saturating_sub(1);
            let at = |share: usize| took.get(last * share / 1_000).copied().map_or(0.0, millis);
            println!(
                "beside {beside}, reads {what}: {} of them, p50 {:.2} ms, p99 {:.2} ms, \
                 p99.9 {:.2} ms, longest {:.2} ms",
                took.len(),
                at(500),
                at(990),
                at(999),
                at(1_000),
            );
        }
    }
}
