//! A database that is gone for a while, or that nobody can get at: what is asked of it fails in time,
//! with what passes, and goes on by itself afterwards.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tenantry_domain::access::CallerProbe;
use tenantry_domain::error::{Error, Result};
use tenantry_domain::id::TenantId;
use tenantry_domain::usage::Tally;
use tenantry_domain::user::User;
use tenantry_store::conformance::builders::{calls, own};
use tenantry_store::conformance::{Fixture, ManualClock, SeededEntropy, assert_exact};
use tenantry_store_postgres::{Limits, Options, PostgresStore};
use tenantry_testkit_postgres::{Cluster, Database, Held};
use tokio::task::JoinSet;

use crate::databases;

/// How long a process waits that has little patience, and one that has much.
const SOON: Duration = Duration::from_millis(300);
const EVER: Duration = Duration::from_mins(2);

/// A process that has few connections.
async fn process(database: &Database, queue_timeout: Duration) -> Fixture {
    let clock = Arc::new(ManualClock::default());
    let entropy = Arc::new(SeededEntropy::default());
    let limits =
        Limits { pool_size: 2, queue_timeout, statement_timeout: EVER, ..Limits::default() };
    let options = Options::new(&database.url(), None, limits).unwrap();
    let store = PostgresStore::serve(&options, clock.clone(), entropy.clone()).await;
    Fixture::new(Arc::new(store.unwrap()), clock, entropy, ())
}

fn create(
    process: &Fixture,
    tenant: TenantId,
    email: &str,
) -> impl Future<Output = Result<User>> + use<> {
    let (store, user) = (Arc::clone(&process.store), process.new_user(email));
    async move { store.create_user(&own(tenant, None), user).await }
}

fn passes<T: std::fmt::Debug>(result: &Result<T>) {
    assert!(matches!(result, Err(Error::Unavailable(_))), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_when_the_database_is_back() {
    // One of its own, since the others' would be gone too.
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start()));
    let database = cluster.database();
    let process = process(&database, SOON).await;
    let tenant = process.tenant("Acme").await;
    for round in 0..2 {
        create(&process, tenant, &format!("before-{round}@example.com")).await.unwrap();
        let counted = calls(tenant, 1, process.now());
        process.store.count_calls(Tally::from_iter([counted])).await.unwrap();
        cluster.stop();
        passes(&process.store.ping().await);
        passes(&process.store.statistics(&CallerProbe::of_tenant(tenant), tenant).await);
        passes(&create(&process, tenant, "meanwhile@example.com").await);
        passes(&process.store.count_calls(Tally::from_iter([counted])).await);
        cluster.start_again();
        process.store.ping().await.unwrap();
        let statistics = process.statistics(tenant).await;
        let (users, calls) = (statistics.counts.users(), statistics.calls_this_month);
        assert_eq!((users, calls), (round + 1, 2 * round + 1));
        process.store.count_calls(Tally::from_iter([counted])).await.unwrap();
        assert_eq!(process.statistics(tenant).await.calls_this_month, 2 * round + 2);
    }
    assert_exact(&process).await;
}

/// Somebody else has begun to change tenants, and does not come to an end.
fn stuck(database: &Database, tenants: &[TenantId]) -> Held {
    let ids: Vec<_> = tenants.iter().map(|tenant| format!("'{tenant}'")).collect();
    let ids = ids.join(", ");
    database.hold(&format!("SELECT 1 FROM ledger_heads WHERE tenant_id IN ({ids}) FOR UPDATE"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_many_wait_for_leaves_connections_to_the_others() {
    let database = databases::migrated().await;
    let process = process(&database, EVER).await;
    let (hot, other) = (process.tenant("Hot").await, process.tenant("Other").await);
    let held = stuck(&database, &[hot]);
    let mut waiting = JoinSet::new();
    for number in 0..20 {
        waiting.spawn(create(&process, hot, &format!("user-{number}@example.com")));
    }
    let waits = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while database.run(waits) == "0" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // One connection of two waits for the lock; every change of another tenant has the other.
    for number in 0..5 {
        create(&process, other, &format!("user-{number}@example.com")).await.unwrap();
    }
    assert_eq!(process.statistics(hot).await.counts.users(), 0);
    drop(held);
    for result in waiting.join_all().await {
        result.unwrap();
    }
    assert_eq!(process.statistics(hot).await.counts.users(), 20);
    assert_exact(&process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_finds_no_connection_waits_a_while_and_is_told() {
    let database = databases::migrated().await;
    let process = process(&database, SOON).await;
    let mut tenants = Vec::new();
    for number in 0..3 {
        tenants.push(process.tenant(&format!("Tenant {number}")).await);
    }
    let [first, second, third] = tenants[..] else { panic!("{tenants:?}") };
    let held = stuck(&database, &[first, second]);
    let mut waiting = JoinSet::new();
    for tenant in [first, second, third] {
        waiting.spawn(create(&process, tenant, "ann@example.com"));
    }
    // Reading needs none of them.
    assert_eq!(process.statistics(first).await.counts.users(), 0);
    let results = waiting.join_all().await;
    assert!(results.iter().filter(|result| result.is_err()).count() >= 2, "{results:?}");
    results.iter().filter(|result| result.is_err()).for_each(passes);
    drop(held);
    for tenant in [first, second, third] {
        create(&process, tenant, "ben@example.com").await.unwrap();
    }
    assert_exact(&process).await;
}

/// Servers' processes that are stopped, until this is dropped: as if their machine had gone without a
/// word.
struct Stopped(Vec<String>);

impl Stopped {
    fn all_of(database: &Database) -> Self {
        let ids = "SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let stopped = Self(database.run(ids).lines().map(str::to_owned).collect());
        stopped.signal("-STOP");
        stopped
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").arg(signal).args(&self.0).status().unwrap().success());
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

/// Whoever gives up leaves no connection to the next one on which an answer is still to come.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_an_answer_is_nobody_else_s() {
    let database = databases::migrated().await;
    let process = process(&database, EVER).await;
    let tenant = process.tenant("Acme").await;
    process.statistics(tenant).await;
    let stopped = Stopped::all_of(&database);
    let probe = CallerProbe::of_tenant(tenant);
    let read = process.store.statistics(&probe, tenant);
    assert!(tokio::time::timeout(SOON, read).await.is_err());
    let next = tokio::time::timeout(EVER, process.statistics(tenant)).await.unwrap();
    assert_eq!(next.counts.users(), 0);
    drop(stopped);
    assert_exact(&process).await;
}
