//! The behaviour that every store has.

use std::sync::Arc;

use async_trait::async_trait;
use tenantry_store::conformance::{Factory, Fixture, ManualClock, SeededEntropy};
use tenantry_store_sqlite::SqliteStore;

struct Sqlite;

#[async_trait]
impl Factory for Sqlite {
    async fn fixture(&self) -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::default());
        let entropy = Arc::new(SeededEntropy::default());
        let store = SqliteStore::serve(
            directory.path(),
            Arc::clone(&clock) as _,
            Arc::clone(&entropy) as _,
        )
        .unwrap();
        Fixture::new(Arc::new(store), clock, entropy, directory)
    }
}

tenantry_store::conformance_suite!(Sqlite);
