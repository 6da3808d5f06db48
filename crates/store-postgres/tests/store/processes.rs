//! Several processes on one database: whatever one of them has answered, every other one's next read
//! has, and none of them counts in another one's rows.

use std::sync::Arc;

use tenantry_domain::usage::Tally;
use tenantry_store::conformance::builders::calls;
use tenantry_store::conformance::{Fixture, ManualClock, SeededEntropy, assert_exact};
use tenantry_store_postgres::PostgresStore;
use tenantry_testkit_postgres::Database;

use crate::databases;

/// Another process on this database, under a clock that shows the same.
async fn process(database: &Database, seed: u64) -> Fixture {
    let clock = Arc::new(ManualClock::default());
    let entropy = Arc::new(SeededEntropy::new(seed));
    let store =
        PostgresStore::serve(&databases::options(database), clock.clone(), entropy.clone()).await;
    Fixture::new(Arc::new(store.unwrap()), clock, entropy, ())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_read_has_what_any_process_answered() {
    let database = databases::migrated().await;
    let (one, two) = (process(&database, 1).await, process(&database, 2).await);
    let tenant = one.tenant("Acme").await;
    for number in 1..=20 {
        one.user(tenant, &format!("one-{number}@example.com")).await;
        assert_eq!(two.statistics(tenant).await.counts.users(), 2 * number - 1);
        two.user(tenant, &format!("two-{number}@example.com")).await;
        assert_eq!(one.statistics(tenant).await.counts.users(), 2 * number);
        one.store.count_calls(Tally::from_iter([calls(tenant, 1, one.now())])).await.unwrap();
        assert_eq!(two.statistics(tenant).await.calls_this_month, 3 * number - 2);
        two.store.count_calls(Tally::from_iter([calls(tenant, 2, one.now())])).await.unwrap();
        assert_eq!(one.statistics(tenant).await.calls_this_month, 3 * number);
        assert_eq!(one.statistics(tenant).await, two.statistics(tenant).await);
    }
    assert_eq!(database.run("SELECT count(DISTINCT slot) FROM usage_months"), "2");
    assert_exact(&two).await;
}

/// Whoever comes after a process that is gone goes on in its rows.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_taken_over() {
    let database = databases::migrated().await;
    let one = process(&database, 1).await;
    let tenant = one.tenant("Acme").await;
    one.store.count_calls(Tally::from_iter([calls(tenant, 3, one.now())])).await.unwrap();
    drop(one);
    let held = "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
        WHERE locktype = 'advisory' AND datname = current_database()";
    while database.run(held) != "0" {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let two = process(&database, 2).await;
    two.store.count_calls(Tally::from_iter([calls(tenant, 4, two.now())])).await.unwrap();
    assert_eq!(two.statistics(tenant).await.calls_this_month, 7);
    assert_eq!(database.run("SELECT slot, calls FROM usage_months"), "2|7");
    assert_exact(&two).await;
}

/// A connection that is cut costs no call, and none is counted twice.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_off_goes_on() {
    let database = databases::migrated().await;
    let one = process(&database, 1).await;
    let tenant = one.tenant("Acme").await;
    for number in 1..=10 {
        one.store.count_calls(Tally::from_iter([calls(tenant, 1, one.now())])).await.unwrap();
        database.run(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
        one.store.count_calls(Tally::from_iter([calls(tenant, 1, one.now())])).await.unwrap();
        one.user(tenant, &format!("user-{number}@example.com")).await;
        let statistics = one.statistics(tenant).await;
        assert_eq!((statistics.calls_this_month, statistics.counts.users()), (2 * number, number));
    }
    assert_exact(&one).await;
}
