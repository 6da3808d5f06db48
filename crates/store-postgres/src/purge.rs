//! Removing what deleted tenants leave, a little at a time.

use async_trait::async_trait;
use tenantry_domain::id::TenantId;
use tenantry_store::{Purge, Purged};

use crate::PostgresStore;
use crate::error::Result;
use crate::locks::Lock;
use crate::session::{Command, Session};
use crate::sql::params;

/// The tables whose rows go with their tenant, each with its key after `tenant_id`.
const TABLES: &[(&str, &str)] = &[
    ("users", "user_id"),
    ("api_keys", "key_id"),
    ("api_key_secrets", "secret_hash"),
    ("oauth_clients", "oauth_client_id"),
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
impl Purge for PostgresStore {
    async fn purge(&self, limit: u32) -> tenantry_domain::error::Result<Purged> {
        let none = Purged { rows: 0, more: false };
        // Mostly there is nothing to do.
        let due = Command::new(FIRST_DUE, Vec::new());
        if self.read([due], |[rows]| Ok(rows.is_empty())).await? {
            return Ok(none);
        }
        let purge = || async {
            let Some(mut session) = self.turn().await? else { return Ok(none) };
            let purged = purge(&mut session, u64::from(limit)).await?;
            session.commit().await?;
            Ok(purged)
        };
        self.retried(purge).await
    }
}

const FIRST_DUE: &str = "SELECT tenant_id FROM purges LIMIT 1";

/// Asks how many rows of whatever kind a tenant has.
pub(crate) fn ask_remains(tenant: TenantId) -> Command {
    let counts: Vec<_> = TABLES
        .iter()
        .map(|(table, _)| format!("(SELECT count(*) FROM {table} WHERE tenant_id = $1)"))
        .collect();
    Command::new(format!("SELECT {}", counts.join(" + ")), params![tenant])
}

async fn purge(session: &mut Session, limit: u64) -> Result<Purged> {
    let mut rows = 0;
    // Whoever counts calls and saw the tenant alive is waited for, so that nothing comes afterwards.
    Lock::Counting.take_here(session);
    while let Some(row) = session.optional(FIRST_DUE, Vec::new()).await? {
        let tenant = TenantId::from_uuid(row.try_get(0)?);
        for (table, key) in TABLES {
            let sql = format!(
                "DELETE FROM {table} WHERE tenant_id = $1 AND ({key}) IN
                     (SELECT {key} FROM {table} WHERE tenant_id = $1 LIMIT $2)"
            );
            rows += session.execute(sql, params![tenant, limit - rows]).await?;
            if rows >= limit {
                return Ok(Purged { rows, more: true });
            }
        }
        session.execute("DELETE FROM purges WHERE tenant_id = $1", params![tenant]).await?;
    }
    Ok(Purged { rows, more: false })
}
