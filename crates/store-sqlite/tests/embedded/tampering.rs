//! What verification says of a database that somebody laid hands on, and how the rest goes on.

use std::sync::Arc;

use tenantry_domain::id::TenantId;
use tenantry_domain::usage::Tally;
use tenantry_store::Settled;
use tenantry_store::conformance::{Fixture, ManualClock, SeededEntropy};
use tenantry_store::verify::verify;
use tenantry_store_sqlite::SqliteStore;

struct Tampered {
    fixture: Fixture,
    directory: std::path::PathBuf,
}

impl Tampered {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let (clock, entropy) =
            (Arc::new(ManualClock::default()), Arc::new(SeededEntropy::default()));
        let store = SqliteStore::serve(
            directory.path(),
            Arc::clone(&clock) as _,
            Arc::clone(&entropy) as _,
        );
        let fixture = Fixture::new(Arc::new(store.unwrap()), clock, entropy, directory);
        Self { fixture, directory: path }
    }

    /// Runs SQL behind the store's back.
    fn tamper(&self, sql: &str) {
        self.tamper_with("tenantry.db", sql);
    }

    fn tamper_with(&self, file: &str, sql: &str) {
        let file = self.directory.join(file);
        rusqlite::Connection::open(file).unwrap().execute_batch(sql).unwrap();
    }

    async fn flaws(&self, tenant: TenantId) -> String {
        verify(&*self.fixture.store, tenant).await.unwrap().unwrap().flaws.join("; ")
    }
}

#[tokio::test]
async fn every_kind_of_tampering_is_named() {
    for (sql, named) in [
        ("UPDATE ledger SET seq = seq + 1 WHERE seq = 2", "an entry is missing"),
        ("DELETE FROM ledger WHERE seq = 1", "an entry is missing"),
        ("DELETE FROM ledger WHERE seq = 2", "its head says 2"),
        ("UPDATE ledger SET action = 'NONSENSE' WHERE seq = 2", "cannot be read after entry"),
        ("UPDATE ledger SET rows = 7 WHERE seq = 2", "its hash does not follow"),
        ("UPDATE ledger SET details = '{}' WHERE seq = 2", "its text is not the one"),
        ("UPDATE ledger_heads SET users_active = 9", "users.active: the books say 9"),
        ("DELETE FROM users", "users.active: the books say 1, counting says 0"),
        ("UPDATE expiries SET rows = 5", "expiries to come"),
        ("UPDATE usage_months SET calls = 5", "calls by month and by hour"),
    ] {
        let it = Tampered::new();
        let tenant = it.fixture.tenant("Acme").await;
        it.fixture.user(tenant, "ann@example.com").await;
        assert_eq!(it.flaws(tenant).await, "");
        if sql.contains("expiries") {
            it.fixture.credential(tenant, Some(it.fixture.in_millis(50))).await;
        }
        if sql.contains("usage_months") {
            let calls = tenantry_domain::usage::CallCount {
                tenant,
                calls: 2,
                last_call: it.fixture.now(),
                last_activity: None,
            };
            it.fixture.store.count_calls(Tally::from_iter([calls])).await.unwrap();
        }
        let file = if sql.contains("usage") { "tenantry.calls.db" } else { "tenantry.db" };
        it.tamper_with(file, sql);
        let flaws = it.flaws(tenant).await;
        assert!(flaws.contains(named), "{sql}: {flaws:?}");
    }
}

#[tokio::test]
async fn one_tenant_whose_books_do_not_fit_stops_the_time_of_no_other() {
    let it = Tampered::new();
    let f = &it.fixture;
    let (broken, sound) = (f.tenant("Broken").await, f.tenant("Sound").await);
    for tenant in [broken, sound] {
        f.credential(tenant, Some(f.in_millis(5))).await;
    }
    let later = f.in_millis(1_000);
    f.credential(sound, Some(later)).await;
    it.tamper(
        "UPDATE expiries SET rows = 9
         WHERE tenant_id = (SELECT tenant_id FROM tenants WHERE name = 'Broken')",
    );
    f.clock.advance(10);
    assert_eq!(f.store.settle(1).await.unwrap().entries, 1);
    // It is not tried again and again in vain.
    let settled = f.store.settle(1).await.unwrap();
    assert_eq!(settled, Settled { entries: 0, next_due: Some(later) });
    assert_eq!(it.flaws(sound).await, "");
    assert_ne!(it.flaws(broken).await, "");
}
