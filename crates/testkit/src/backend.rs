//! The store that tests run on: SQLite, or PostgreSQL if `TENANTRY_TEST_STORE` says so.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use tempfile::TempDir;
use tenantry_domain::clock::Clock;
use tenantry_domain::entropy::Entropy;
use tenantry_store::Store;
use tenantry_store::conformance::{ManualClock, SeededEntropy};
use tenantry_store_postgres::{Limits, Options, PostgresStore};
use tenantry_store_sqlite::SqliteStore;
use tenantry_testkit_postgres::{Cluster, Database};

use crate::app::tamper;

/// Names the store that tests run on.
const CHOICE: &str = "TENANTRY_TEST_STORE";

static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

/// Where a test's data is, as long as the test runs.
#[derive(Debug)]
pub(crate) enum Backend {
    Sqlite(TempDir),
    Postgres(Database),
}

impl Backend {
    /// A new one, of the store that was chosen.
    pub(crate) async fn new() -> Self {
        match std::env::var(CHOICE).as_deref() {
            Err(_) | Ok("sqlite") => Self::Sqlite(tempfile::tempdir().unwrap()),
            Ok("postgres") => Self::Postgres(Box::pin(CLUSTER.prepared(migrate)).await),
            Ok(other) => panic!("{CHOICE} is {other}, and must be sqlite or postgres"),
        }
    }

    /// Opens it as a server.
    pub(crate) async fn serve(
        &self,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(directory) => {
                Arc::new(SqliteStore::serve(directory.path(), clock, entropy).unwrap())
            }
            Self::Postgres(database) => {
                let options = options(database);
                // Boxed, as above: it is too deep to be part of the futures of the tests.
                let store = Box::pin(PostgresStore::serve(&options, clock, entropy)).await;
                Arc::new(store.unwrap())
            }
        }
    }

    /// The directory with the files that it writes.
    pub(crate) fn directory(&self) -> PathBuf {
        match self {
            Self::Sqlite(directory) => directory.path().to_owned(),
            Self::Postgres(database) => database.directory(),
        }
    }

    /// Runs SQL on it, behind the back of whoever uses it.
    pub(crate) fn tamper(&self, sql: &str) {
        match self {
            Self::Sqlite(directory) => tamper(directory.path(), sql),
            Self::Postgres(database) => drop(database.run(sql)),
        }
    }
}

async fn migrate(database: &Database) {
    let (clock, entropy) = (ManualClock::default(), SeededEntropy::new(1));
    let options = options(database);
    drop(PostgresStore::serve(&options, Arc::new(clock), Arc::new(entropy)).await.unwrap());
}

fn options(database: &Database) -> Options {
    Options::new(&database.url(), None, Limits::default()).unwrap()
}
