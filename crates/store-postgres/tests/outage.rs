//! A database that is gone for a while, or that nobody can get at: what is asked of it fails in time,
//! with what passes, and goes on by itself afterwards.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod databases;

use std::sync::Arc;
use std::time::Duration;

use tenantry_domain::error::{Error, Result};
use tenantry_domain::id::TenantId;
use tenantry_domain::user::User;
use tenantry_store::conformance::builders::{calls, own, probe};
use tenantry_store::conformance::{Fixture, ManualClock, SeededEntropy, assert_exact};
use tenantry_store_postgres::{Limits, Options, PostgresStore};
use tenantry_testkit_postgres::{Cluster, Database, Held};
use tokio::task::JoinSet;

/// A process that has few connections and little patience.
async fn process(database: &Database) -> Fixture {
    let clock = Arc::new(ManualClock::default());
    let entropy = Arc::new(SeededEntropy::default());
    let limits =
        Limits { pool_size: 2, queue_timeout: Duration::from_millis(300), ..Limits::default() };
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
    let process = process(&database).await;
    let tenant = process.tenant("Acme").await;
    for round in 0..2 {
        create(&process, tenant, &format!("before-{round}@example.com")).await.unwrap();
        let counted = calls(tenant, 1, process.now());
        process.store.count_calls(vec![counted]).await.unwrap();
        cluster.stop();
        passes(&process.store.ping().await);
        passes(&process.store.statistics(&probe(tenant), tenant).await);
        passes(&create(&process, tenant, "meanwhile@example.com").await);
        passes(&process.store.count_calls(vec![counted]).await);
        cluster.start_again();
        process.store.ping().await.unwrap();
        let statistics = process.statistics(tenant).await;
        let (users, calls) = (statistics.counts.users(), statistics.calls_this_month);
        assert_eq!((users, calls), (round + 1, 2 * round + 1));
        process.store.count_calls(vec![counted]).await.unwrap();
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
    let process = process(&database).await;
    let (hot, other) = (process.tenant("Hot").await, process.tenant("Other").await);
    let held = stuck(&database, &[hot]);
    let mut waiting = JoinSet::new();
    for number in 0..20 {
        waiting.spawn(create(&process, hot, &format!("user-{number}@example.com")));
    }
    // One connection of two waits for the lock; every change of another tenant has the other.
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    while database.run(waits) != "1" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for number in 0..5 {
        create(&process, other, &format!("user-{number}@example.com")).await.unwrap();
    }
    for result in waiting.join_all().await {
        passes(&result);
    }
    assert_eq!(process.statistics(hot).await.counts.users(), 0);
    drop(held);
    create(&process, hot, "afterwards@example.com").await.unwrap();
    assert_exact(&process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_finds_no_connection_waits_a_while_and_is_told() {
    let database = databases::migrated().await;
    let process = process(&database).await;
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

/// Whoever does not wait for the answer to a read leaves a connection that answers somebody else's.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_was_given_up_holds_nobody_up() {
    let database = databases::migrated().await;
    let process = process(&database).await;
    let tenant = process.tenant("Acme").await;
    let held = database.hold("LOCK TABLE ledger_heads IN ACCESS EXCLUSIVE MODE");
    let probe = probe(tenant);
    for _ in 0..4 {
        let read = process.store.statistics(&probe, tenant);
        assert!(tokio::time::timeout(Duration::from_millis(50), read).await.is_err());
    }
    drop(held);
    assert_eq!(process.statistics(tenant).await.counts.users(), 0);
    assert_exact(&process).await;
}
