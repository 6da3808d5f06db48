//! Reads that share a round trip: each has its own answer, whoever goes away, and waits its own time.

use std::sync::Arc;
use std::time::Duration;

use tenantry_domain::access::CallerProbe;
use tenantry_domain::error::{Error, Result};
use tenantry_domain::id::TenantId;
use tenantry_store::conformance::builders::system;
use tenantry_store::conformance::{Fixture, ManualClock, SeededEntropy, assert_exact};
use tenantry_store_postgres::{Limits, Options, PostgresStore};
use tenantry_testkit_postgres::Database;
use tokio::task::JoinSet;

use crate::databases;

/// A process that has one connection to read.
async fn process(database: &Database, limits: Limits) -> Fixture {
    let (clock, entropy) = (Arc::new(ManualClock::default()), Arc::new(SeededEntropy::default()));
    let limits = Limits { pool_size: 1, ..limits };
    let options = Options::new(&database.url(), None, limits).unwrap();
    let store = PostgresStore::serve(&options, clock.clone(), entropy.clone()).await.unwrap();
    Fixture::new(Arc::new(store), clock, entropy, ())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_read_has_its_own_answer() {
    let database = databases::migrated().await;
    let process = process(&database, Limits::default()).await;
    let mut tenants = Vec::new();
    for number in 0..10 {
        let tenant = process.tenant(&format!("Tenant {number}")).await;
        for user in 0..number {
            process.user(tenant, &format!("user-{user}@example.com")).await;
        }
        tenants.push(tenant);
    }
    let mut reads = JoinSet::new();
    for round in 0..50 {
        for (number, tenant) in (0..).zip(&tenants) {
            let (store, tenant) = (Arc::clone(&process.store), *tenant);
            let read = reads.spawn(async move {
                let (caller, statistics) =
                    store.statistics(&CallerProbe::of_tenant(tenant), tenant).await.unwrap();
                let statistics = statistics.open(&system(tenant)).unwrap().unwrap();
                assert_eq!((statistics.tenant, statistics.counts.users()), (tenant, number));
                assert!(caller.tenant.is_some());
            });
            if round % 3 == 0 {
                read.abort();
            }
        }
        tokio::task::yield_now().await;
    }
    let mut answered = 0;
    while let Some(read) = reads.join_next().await {
        match read {
            Ok(()) => answered += 1,
            Err(failed) => assert!(failed.is_cancelled(), "{failed}"),
        }
    }
    assert!(answered >= 330, "{answered}");
    assert_exact(&process).await;
}

/// Has each statement that looks at tenants take so much longer, of which a read has two.
fn slow_down(database: &Database, seconds: f64) {
    database.run(&format!(
        "ALTER TABLE tenants RENAME TO quick_tenants;
         CREATE VIEW tenants AS SELECT t.* FROM quick_tenants t, pg_sleep({seconds})"
    ));
}

fn speed_up(database: &Database) {
    database.run("DROP VIEW tenants; ALTER TABLE quick_tenants RENAME TO tenants");
}

/// Asks so often at once.
async fn read(process: &Fixture, tenant: TenantId, times: usize) -> Vec<Result<()>> {
    let mut reads = JoinSet::new();
    for _ in 0..times {
        let store = Arc::clone(&process.store);
        let probe = CallerProbe::of_tenant(tenant);
        reads.spawn(async move { store.statistics(&probe, tenant).await.map(drop) });
    }
    reads.join_all().await
}

/// All together they take longer than any one of them may.
#[tokio::test(flavor = "multi_thread")]
async fn reads_that_are_being_answered_are_not_given_up() {
    let database = databases::migrated().await;
    let (connect_timeout, statement_timeout) = (Duration::from_secs(2), Duration::from_secs(3));
    let limits = Limits { connect_timeout, statement_timeout, ..Limits::default() };
    let process = process(&database, limits).await;
    let tenant = process.tenant("Acme").await;
    slow_down(&database, 0.4);
    for answer in read(&process, tenant, 9).await {
        answer.unwrap();
    }
    speed_up(&database);
    assert_exact(&process).await;
}

/// However soon the next ones of those before it are answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_waits_its_own_time_and_is_told() {
    let database = databases::migrated().await;
    let limits = Limits { queue_timeout: Duration::from_secs(2), ..Limits::default() };
    let process = process(&database, limits).await;
    let tenant = process.tenant("Acme").await;
    slow_down(&database, 0.05);
    let (answered, refused): (Vec<_>, Vec<_>) =
        read(&process, tenant, 80).await.into_iter().partition(Result::is_ok);
    assert!(!answered.is_empty() && !refused.is_empty(), "{} answered", answered.len());
    for refusal in refused {
        assert!(matches!(refusal, Err(Error::Unavailable(_))), "{refusal:?}");
    }
    speed_up(&database);
    assert_exact(&process).await;
}
