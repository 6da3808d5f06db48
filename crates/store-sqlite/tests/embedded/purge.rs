//! What is left to purge of deleted tenants is known after a restart, and after an upgrade.

use std::path::Path;
use std::sync::Arc;

use tenantry_domain::id::TenantId;
use tenantry_domain::tenant::Governance;
use tenantry_store::conformance::builders::system;
use tenantry_store::conformance::{Fixture, ManualClock, SeededEntropy, assert_exact};
use tenantry_store::{Purge as _, Recounts as _};
use tenantry_store_sqlite::SqliteStore;

fn serve(directory: &Path) -> SqliteStore {
    let (clock, entropy) = (ManualClock::default(), SeededEntropy::default());
    SqliteStore::serve(directory, Arc::new(clock), Arc::new(entropy)).unwrap()
}

/// Makes a tenant with five users and deletes it.
async fn deleted_tenant(directory: &Path) -> TenantId {
    let (clock, entropy) = (Arc::new(ManualClock::default()), Arc::new(SeededEntropy::default()));
    let f = Fixture::new(Arc::new(serve(directory)), clock, entropy, ());
    let tenant = f.tenant("Acme").await;
    for number in 0..5 {
        f.user(tenant, &format!("user-{number}@example.com")).await;
    }
    f.store.govern_tenant(&system(tenant), Governance::Delete).await.unwrap();
    assert_exact(&f).await;
    tenant
}

async fn remains(store: &SqliteStore, tenant: TenantId) -> u64 {
    store.recount(tenant).await.unwrap().unwrap().remains
}

#[tokio::test]
async fn a_restart_forgets_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let tenant = deleted_tenant(directory.path()).await;
    for left in [3, 1] {
        let store = serve(directory.path());
        assert!(store.purge(2).await.unwrap().more);
        assert_eq!(remains(&store, tenant).await, left);
    }
    let store = serve(directory.path());
    assert!(!store.purge(2).await.unwrap().more);
    assert_eq!(remains(&store, tenant).await, 0);
}

#[test]
fn tenants_deleted_before_the_upgrade_are_purged_too() {
    let database = rusqlite::Connection::open_in_memory().unwrap();
    database.execute_batch(include_str!("../../migrations/0001_initial.sql")).unwrap();
    database
        .execute_batch(
            "INSERT INTO tenants (tenant_id, name, search_key, status, settings, created_at,
                 updated_at)
             VALUES (x'01', 'here', '', 'active', '{}', 0, 0),
                 (x'02', 'gone', '', 'deleted', '{}', 0, 0)",
        )
        .unwrap();
    database.execute_batch(include_str!("../../migrations/0003_erasure_and_purge.sql")).unwrap();
    let due: Vec<u8> =
        database.query_row("SELECT tenant_id FROM purges", [], |row| row.get(0)).unwrap();
    assert_eq!(due, [2]);
}

#[tokio::test]
async fn rows_that_nothing_will_purge_are_a_flaw() {
    let directory = tempfile::tempdir().unwrap();
    let tenant = deleted_tenant(directory.path()).await;
    rusqlite::Connection::open(directory.path().join("tenantry.db"))
        .unwrap()
        .execute_batch("DELETE FROM purges")
        .unwrap();
    let store = serve(directory.path());
    let report = tenantry_store::verify::verify(&store, tenant).await.unwrap().unwrap();
    assert_eq!(report.flaws, ["5 rows are left that nothing will purge"]);
}
