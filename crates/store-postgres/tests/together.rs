//! Reads that share a round trip: each has its own answer, whoever goes away.

mod databases;

use std::sync::Arc;

use tenantry_domain::access::CallerProbe;
use tenantry_store::conformance::builders::system;
use tenantry_store::conformance::{Fixture, ManualClock, SeededEntropy, assert_exact};
use tenantry_store_postgres::{Limits, Options, PostgresStore};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn each_read_has_its_own_answer() {
    let database = databases::migrated().await;
    let (clock, entropy) = (Arc::new(ManualClock::default()), Arc::new(SeededEntropy::default()));
    let limits = Limits { pool_size: 1, ..Limits::default() };
    let options = Options::new(&database.url(), None, limits).unwrap();
    let store = PostgresStore::serve(&options, clock.clone(), entropy.clone()).await.unwrap();
    let process = Fixture::new(Arc::new(store), clock, entropy, ());
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
