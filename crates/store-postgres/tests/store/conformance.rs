//! The behaviour that every store has.

use std::sync::Arc;

use async_trait::async_trait;
use tenantry_store::conformance::{Factory, Fixture, ManualClock, SeededEntropy};
use tenantry_store_postgres::PostgresStore;

use crate::databases;

struct Postgres;

#[async_trait]
impl Factory for Postgres {
    async fn fixture(&self) -> Fixture {
        let database = databases::migrated().await;
        let clock = Arc::new(ManualClock::default());
        let entropy = Arc::new(SeededEntropy::default());
        let store = PostgresStore::serve(
            &databases::options(&database),
            Arc::clone(&clock) as _,
            Arc::clone(&entropy) as _,
        )
        .await
        .unwrap();
        Fixture::new(Arc::new(store), clock, entropy, database)
    }

    fn sequences(&self) -> u32 {
        24
    }
}

tenantry_store::conformance_suite!(Postgres);
