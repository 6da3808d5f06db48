//! The databases of a test process: each a copy of one that was migrated once.

use std::sync::{Arc, LazyLock};

use tenantry_store::conformance::{ManualClock, SeededEntropy};
use tenantry_store_postgres::{Limits, Options, PostgresStore};
use tenantry_testkit_postgres::{Cluster, Database};

/// The cluster of this process.
pub(crate) static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

/// How a database is reached.
pub(crate) fn options(database: &Database) -> Options {
    Options::new(&database.url(), None, Limits::default()).unwrap()
}

/// A database at the newest version, with nothing in it but the platform's own tenant.
pub(crate) async fn migrated() -> Database {
    let migrate = async |database: &Database| {
        let (clock, entropy) = (ManualClock::default(), SeededEntropy::new(1));
        let options = options(database);
        let store = PostgresStore::serve(&options, Arc::new(clock), Arc::new(entropy));
        drop(store.await.unwrap());
    };
    CLUSTER.prepared(migrate).await
}
