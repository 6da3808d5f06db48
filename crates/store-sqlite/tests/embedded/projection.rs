//! What the server remembers is never older than what anybody was told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tenantry_domain::access::CallerProbe;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::id::TenantId;
use tenantry_domain::user::NewUser;
use tenantry_store::Store;
use tenantry_store::conformance::builders::{calls, system};
use tenantry_store::conformance::{Fixture, ManualClock, SeededEntropy, assert_exact};
use tenantry_store_sqlite::SqliteStore;

/// A server's store, and the command line's beside it on the same files and under the same clock.
fn beside() -> (Fixture, Fixture) {
    let directory = tempfile::tempdir().unwrap();
    let (clock, entropy) = (Arc::new(ManualClock::default()), Arc::new(SeededEntropy::default()));
    let path = directory.path().to_owned();
    let server = SqliteStore::serve(&path, Arc::clone(&clock) as _, Arc::clone(&entropy) as _);
    let outside = SqliteStore::attach(&path, Arc::clone(&clock) as _, Arc::clone(&entropy) as _);
    let fixture = |store: SqliteStore, keep: Option<tempfile::TempDir>| {
        Fixture::new(Arc::new(store), Arc::clone(&clock), Arc::clone(&entropy), keep)
    };
    (fixture(server.unwrap(), Some(directory)), fixture(outside.unwrap(), None))
}

#[tokio::test]
async fn a_change_by_the_command_line_is_in_the_next_read() {
    let (server, outside) = beside();
    let tenant = server.tenant("Acme").await;
    for number in 1..20 {
        assert_eq!(server.statistics(tenant).await.counts.users(), number - 1);
        outside.user(tenant, &format!("user-{number}@example.com")).await;
        assert_eq!(server.statistics(tenant).await.counts.users(), number);
        assert_eq!(outside.statistics(tenant).await, server.statistics(tenant).await);
    }
    assert_exact(&server).await;
}

#[tokio::test]
async fn the_command_line_sees_the_calls_that_the_server_has_counted() {
    let (server, outside) = beside();
    let tenant = server.tenant("Acme").await;
    for number in 1..20 {
        server
            .store
            .count_calls(tenantry_domain::usage::Tally::from_iter([calls(tenant, 1, server.now())]))
            .await
            .unwrap();
        assert_eq!(outside.statistics(tenant).await.calls_this_month, number);
        assert_eq!(server.statistics(tenant).await.calls_this_month, number);
    }
    assert_exact(&outside).await;
}

/// Something that is counted: how often it was begun, and how often it was answered.
#[derive(Debug, Default)]
struct Tally {
    begun: AtomicU64,
    answered: AtomicU64,
}

#[derive(Debug, Default)]
struct Tallies {
    calls: Tally,
    users: Tally,
    done: AtomicBool,
}

impl Tallies {
    fn answered(&self) -> [u64; 2] {
        [&self.calls, &self.users].map(|tally| tally.answered.load(Ordering::SeqCst))
    }

    fn begun(&self) -> [u64; 2] {
        [&self.calls, &self.users].map(|tally| tally.begun.load(Ordering::SeqCst))
    }
}

async fn make(store: Arc<dyn Store>, tenant: TenantId, users: Vec<NewUser>, it: Arc<Tallies>) {
    for new in users {
        it.users.begun.fetch_add(1, Ordering::SeqCst);
        store.create_user(&system(tenant), new).await.unwrap();
        it.users.answered.fetch_add(1, Ordering::SeqCst);
    }
}

async fn count(store: Arc<dyn Store>, tenant: TenantId, at: Timestamp, it: Arc<Tallies>) {
    while !it.done.load(Ordering::SeqCst) {
        it.calls.begun.fetch_add(1, Ordering::SeqCst);
        store
            .count_calls(tenantry_domain::usage::Tally::from_iter([calls(tenant, 1, at)]))
            .await
            .unwrap();
        it.calls.answered.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
}

/// Reads again and again; answers how often.
async fn read(store: Arc<dyn Store>, tenant: TenantId, it: Arc<Tallies>) -> u64 {
    let (mut newest, mut reads) = ([0, 0], 0);
    while !it.done.load(Ordering::SeqCst) {
        let before = it.answered();
        let read = numbers(&*store, tenant).await;
        let after = it.begun();
        for ((read, newest), (before, after)) in
            read.into_iter().zip(newest).zip(before.into_iter().zip(after))
        {
            assert!((before..=after).contains(&read), "{before} <= {read} <= {after}");
            assert!(read >= newest, "{read} after {newest}");
        }
        (newest, reads) = (read, reads + 1);
        tokio::task::yield_now().await;
    }
    reads
}

/// The calls and the users of a tenant.
async fn numbers(store: &dyn Store, tenant: TenantId) -> [u64; 2] {
    let probe = CallerProbe::of_tenant(tenant);
    let (_, statistics) = store.statistics(&probe, tenant).await.unwrap();
    let statistics = statistics.open(&system(tenant)).unwrap().unwrap();
    [statistics.calls_this_month, statistics.counts.users()]
}

/// Reads of a tenant while its calls are counted and users are made, by the server and beside it:
/// each holds what was answered before it began, no more than what had begun, and nothing goes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reads_under_way_hold_what_was_answered() {
    let (server, outside) = beside();
    let tenant = server.tenant("Acme").await;
    let it = Arc::new(Tallies::default());
    let store = |fixture: &Fixture| Arc::clone(&fixture.store);
    let users = |side: &str| -> Vec<_> {
        (0..80).map(|number| server.new_user(&format!("{side}-{number}@example.com"))).collect()
    };
    let readers: Vec<_> =
        (0..3).map(|_| tokio::spawn(read(store(&server), tenant, Arc::clone(&it)))).collect();
    let counter = tokio::spawn(count(store(&server), tenant, server.now(), Arc::clone(&it)));
    let makers = [(&server, "server"), (&outside, "outside")].map(|(fixture, side)| {
        tokio::spawn(make(store(fixture), tenant, users(side), Arc::clone(&it)))
    });
    for maker in makers {
        maker.await.unwrap();
    }
    it.done.store(true, Ordering::SeqCst);
    counter.await.unwrap();
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    assert_eq!(numbers(&*server.store, tenant).await, it.answered());
    assert_eq!(it.answered()[1], 160);
    assert_exact(&server).await;
}
