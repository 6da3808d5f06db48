//! Time as a writer where somebody has laid hands on a tenant's books.

use std::sync::Arc;

use tenantry_store::Settled;
use tenantry_store::conformance::{Fixture, ManualClock, SeededEntropy};
use tenantry_store::verify::verify;
use tenantry_store_postgres::PostgresStore;

use crate::databases;

#[tokio::test]
async fn one_tenant_whose_books_do_not_fit_stops_the_time_of_no_other() {
    let database = databases::migrated().await;
    let (clock, entropy) = (Arc::new(ManualClock::default()), Arc::new(SeededEntropy::default()));
    let options = databases::options(&database);
    let store = PostgresStore::serve(&options, clock.clone(), entropy.clone()).await.unwrap();
    let f = Fixture::new(Arc::new(store), clock, entropy, ());
    let (broken, sound) = (f.tenant("Broken").await, f.tenant("Sound").await);
    for tenant in [broken, sound] {
        f.credential(tenant, Some(f.in_millis(5))).await;
    }
    let later = f.in_millis(1_000);
    f.credential(sound, Some(later)).await;
    database.run(&format!("UPDATE expiries SET rows = 9 WHERE tenant_id = '{broken}'"));
    f.clock.advance(10);
    assert_eq!(f.store.settle(1).await.unwrap().entries, 1);
    // It is not tried again and again in vain.
    let settled = f.store.settle(1).await.unwrap();
    assert_eq!(settled, Settled { entries: 0, next_due: Some(later) });
    let flaws = async |tenant| verify(&*f.store, tenant).await.unwrap().unwrap().flaws;
    assert!(flaws(sound).await.is_empty());
    assert!(!flaws(broken).await.is_empty());
}
