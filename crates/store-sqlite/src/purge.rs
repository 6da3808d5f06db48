//! Removing what deleted tenants leave, a little at a time.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, params};
use tenantry_domain::id::TenantId;
use tenantry_store::{Purge, Purged};

use crate::SqliteStore;
use crate::call_book::{self, CallBook, purge_table};
use crate::error::Result;
use crate::sql::{self, Id, Number, tenant_id};
use crate::writer::{Durability, Outcome};

/// The tables whose rows go with their tenant, each with its key after `tenant_id`.
const TABLES: &[(&str, &str)] = &[
    ("users", "user_id"),
    ("api_keys", "key_id"),
    ("api_key_secrets", "secret_hash"),
    ("api_key_uses", "key_id, secret_hash, slot"),
    ("oauth_clients", "oauth_client_id"),
    ("revoked_tokens", "token_id"),
    ("sessions", "session_id"),
    ("refresh_tokens", "secret_hash"),
    ("sign_in_failures", "subject"),
    ("invitations", "user_id"),
    ("credentials", "credential_id"),
    ("expiries", "due_at, kind"),
    ("usage_months", "month, slot"),
    ("usage_hours", "hour, slot"),
    ("usage_heartbeats", "slot"),
    ("usage_events", "source, event_id"),
    ("storage_sources", "source"),
    ("storage_totals", "tenant_id"),
    ("idempotency_marks", "mark_id"),
];

#[async_trait]
impl Purge for SqliteStore {
    async fn purge(&self, limit: u32) -> tenantry_domain::error::Result<Purged> {
        // Read beside the writer, which sees deletions that may yet be undone with their group: their
        // calls are in another file, and would not come back. It also sees changes of their tenants
        // whose calls are counted when the group is complete, and would be left.
        let due = self.read(|connection| due(connection, limit))?;
        // Mostly there is nothing to do, and then the writer is left alone.
        if due.is_empty() {
            return Ok(Purged { rows: 0, more: false });
        }
        let calls = Arc::clone(&self.server()?.calls);
        let work = move |connection: &Connection| {
            purge(connection, &calls, &due, limit).map(Outcome::Done)
        };
        self.write(Durability::Flushed, work).await
    }
}

/// Notes that a tenant was deleted and that its rows are left.
pub(crate) fn schedule(connection: &Connection, tenant: TenantId) -> Result<()> {
    let sql = "INSERT INTO purges (tenant_id) VALUES (?1)";
    sql::execute(connection, sql, params![tenant_id(tenant)]).map(drop)
}

/// Whether there may be rows of a deleted tenant to purge.
pub(crate) fn is_due(connection: &Connection, tenant: TenantId) -> Result<bool> {
    let sql = "SELECT 1 FROM purges WHERE tenant_id = ?1";
    let due = sql::optional(connection, sql, params![tenant_id(tenant)], |_| Ok(()))?;
    Ok(due.is_some())
}

/// How many rows of whatever kind a tenant has.
pub(crate) fn remains(connection: &Connection, tenant: TenantId) -> Result<u64> {
    let tables = TABLES.iter().map(|(table, _)| format!("main.{table}"));
    tables.chain(call_book::tables()).try_fold(0, |sum, table| {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE tenant_id = ?1");
        let count =
            sql::one(connection, &sql, params![tenant_id(tenant)], |row| row.get::<_, Number>(0))?;
        Ok(sum + count.0)
    })
}

fn purge(
    connection: &Connection,
    calls: &CallBook,
    due: &[TenantId],
    limit: u32,
) -> Result<Purged> {
    let (tenants, limit) = (due.len() as u64, u64::from(limit));
    let mut rows = 0;
    for tenant in due {
        // In a file of their own, so committed before the rest: until that is, they are due again.
        rows += calls.hold().purge(*tenant, limit - rows)?;
        for (table, key) in TABLES {
            rows += purge_table(connection, table, key, *tenant, limit - rows)?;
            if rows >= limit {
                return Ok(Purged { rows, more: true });
            }
        }
        let sql = "DELETE FROM purges WHERE tenant_id = ?1";
        sql::execute(connection, sql, params![tenant_id(*tenant)])?;
    }
    Ok(Purged { rows, more: tenants == limit })
}

/// Tenants whose rows are to go, at most `limit` of them.
fn due(connection: &Connection, limit: u32) -> Result<Vec<TenantId>> {
    let sql = "SELECT tenant_id FROM purges LIMIT ?1";
    sql::all(connection, sql, params![limit], |row| Ok(TenantId::from_uuid(row.get::<_, Id>(0)?.0)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tenantry_store::conformance::{ManualClock, SeededEntropy};

    use super::*;

    /// A new table of a tenant's goes with its tenant, or is one that stays.
    #[test]
    fn every_table_of_a_tenant_is_purged_or_kept() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::default());
        let entropy = Arc::new(SeededEntropy::default());
        let store = SqliteStore::serve(directory.path(), clock, entropy).unwrap();
        let tables: BTreeSet<String> = store
            .read(|connection| {
                sql::all(
                    connection,
                    "SELECT t.name FROM sqlite_schema t, pragma_table_info(t.name) c
                     WHERE t.type = 'table' AND c.name = 'tenant_id'",
                    [],
                    |row| row.get(0),
                )
            })
            .unwrap()
            .into_iter()
            .collect();
        let kept = ["tenants", "ledger", "ledger_heads", "purges"];
        let known: BTreeSet<_> = TABLES.iter().map(|(table, _)| *table).chain(kept).collect();
        assert_eq!(tables.iter().map(String::as_str).collect::<BTreeSet<_>>(), known);
    }
}
