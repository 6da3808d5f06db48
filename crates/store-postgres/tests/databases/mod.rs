//! The databases of a test process: each a copy of one that was migrated once.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::sync::{Arc, LazyLock};

use tenantry_store::conformance::{ManualClock, SeededEntropy};
use tenantry_store_postgres::{Limits, Options, PostgresStore};
use tenantry_testkit_postgres::{Cluster, Database};
use tokio::sync::OnceCell;

/// The cluster of this process.
pub(crate) static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

/// How a database is reached.
pub(crate) fn options(database: &Database) -> Options {
    Options::new(&database.url(), None, Limits::default()).unwrap()
}

static TEMPLATE: OnceCell<Database> = OnceCell::const_new();

/// A database at the newest version, with nothing in it but the platform's own tenant.
pub(crate) async fn migrated() -> Database {
    let template = TEMPLATE.get_or_init(async || {
        let database = CLUSTER.database();
        let (clock, entropy) = (ManualClock::default(), SeededEntropy::new(1));
        let options = options(&database);
        let store = PostgresStore::serve(&options, Arc::new(clock), Arc::new(entropy));
        drop(store.await.unwrap());
        // A template can be copied while nobody is connected to it.
        let others = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        while database.run(others) != "0" {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        database
    });
    CLUSTER.copy_of(template.await)
}
