//! What opening a database does and refuses, and what it says.

use std::sync::Arc;

use tenantry_domain::id::TenantId;
use tenantry_store::conformance::{ManualClock, SeededEntropy};
use tenantry_store::{Installation as _, Recounts as _};
use tenantry_store_postgres::{Limits, OpenError, Options, PostgresStore};
use tenantry_testkit_postgres::Database;
use tokio::task::JoinSet;

use crate::databases::{self, CLUSTER, options};

async fn migrate(options: &Options, seed: u64) -> Result<(PostgresStore, Vec<String>), OpenError> {
    let (clock, entropy) = (ManualClock::default(), SeededEntropy::new(seed));
    PostgresStore::migrate(options, Arc::new(clock), Arc::new(entropy)).await
}

async fn attach(database: &Database) -> Result<PostgresStore, OpenError> {
    let (clock, entropy) = (ManualClock::default(), SeededEntropy::default());
    PostgresStore::attach(&options(database), Arc::new(clock), Arc::new(entropy)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_start_at_once_one_migrates() {
    let database = CLUSTER.database();
    let mut processes = JoinSet::new();
    for seed in 0..10 {
        let options = options(&database);
        processes.spawn(async move { migrate(&options, seed).await.unwrap() });
    }
    let (stores, applied): (Vec<_>, Vec<_>) = processes.join_all().await.into_iter().unzip();
    // Each is applied by whoever comes first.
    let mut applied = applied.concat();
    applied.sort();
    let known = [
        "0001_initial",
        "0002_api_key_uses",
        "0003_revoked_tokens",
        "0004_realms",
        "0005_sessions",
        "0006_signing_keys_rotate",
        "0007_wrapped_keys",
    ];
    assert_eq!(applied, known);
    for store in &stores {
        store.ping().await.unwrap();
        assert_eq!(store.entries_after(TenantId::PLATFORM, 0, 10).await.unwrap().len(), 1);
    }
    assert!(migrate(&options(&database), 10).await.unwrap().1.is_empty());
}

#[tokio::test]
async fn the_command_line_needs_a_database_at_this_version() {
    let database = CLUSTER.database();
    assert!(matches!(attach(&database).await, Err(OpenError::Absent)));
    migrate(&options(&database), 0).await.unwrap();
    attach(&database).await.unwrap();
}

#[tokio::test]
async fn what_is_not_ours_or_not_as_we_know_it_is_refused() {
    let database = databases::migrated().await;
    database.run("UPDATE tenantry_migrations SET checksum = 'other'");
    let altered = migrate(&options(&database), 0).await.unwrap_err();
    assert!(matches!(altered, OpenError::Altered(1)), "{altered}");
    database.run("INSERT INTO tenantry_migrations VALUES (999, 'later', 'x', 0)");
    let newer = attach(&database).await.unwrap_err();
    assert!(matches!(newer, OpenError::Newer { found: 999, .. }), "{newer}");

    let foreign = CLUSTER.database();
    foreign.run("CREATE TABLE recipes (name text)");
    assert!(matches!(migrate(&options(&foreign), 0).await, Err(OpenError::Foreign)));
    assert_eq!(foreign.run("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "1");
}

/// The URL holds a password, and what is said goes to a log.
#[tokio::test]
async fn no_error_tells_the_url() {
    for url in [
        "postgres://ann:hunter2@127.0.0.1:1/nowhere",
        "postgres://ann:hunter2@127.0.0.1:port/nowhere",
        "postgres://ann:hunter2@127.0.0.1/nowhere?hunter2=1",
    ] {
        let error = match Options::new(url, None, Limits::default()) {
            Ok(options) => migrate(&options, 0).await.unwrap_err(),
            Err(error) => error,
        };
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        assert!(matches!(error, OpenError::Url(_) | OpenError::Unavailable(_)), "{error:?}");
    }
}
