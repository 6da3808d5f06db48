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
impl Purge for PostgresStore {
    async fn purge(&self, limit: u32) -> tenantry_domain::error::Result<Purged> {
        let none = Purged { rows: 0, more: false };
        // A transaction is of one tenant; a second one tells that there is more to do.
        let due = Command::new("SELECT tenant_id FROM purges LIMIT 2", Vec::new());
        let due: Vec<_> = self
            .read([due], |[rows]| {
                rows.iter().map(|row| Ok(TenantId::from_uuid(row.try_get(0)?))).collect()
            })
            .await?;
        // Mostly there is nothing to do.
        let [tenant, others @ ..] = due.as_slice() else { return Ok(none) };
        let purge = || async {
            let Some(mut session) = self.turn().await? else { return Ok(none) };
            self.wait_for_those_who_count().await?;
            let rows = purge(&mut session, *tenant, u64::from(limit)).await?;
            session.commit().await?;
            Ok(Purged { rows, more: rows == u64::from(limit) || !others.is_empty() })
        };
        self.retried(purge).await
    }
}

/// How long everybody who counts calls may have to wait for one of them.
const BRIEFLY: &str = "SET LOCAL lock_timeout = '200ms'";

impl PostgresStore {
    /// Returns once nobody counts calls any more who may have seen a tenant alive that is deleted by
    /// now, so that nothing comes afterwards. In one round trip, so that a process that is held up
    /// holds up nobody who counts.
    async fn wait_for_those_who_count(&self) -> Result<()> {
        let mut session = self.database.transaction().await?;
        session.write(BRIEFLY, Vec::new());
        Lock::Counting.take_here(&mut session);
        session.then_commit();
        session.flush().await
    }
}

/// Asks how many rows of whatever kind a tenant has.
pub(crate) fn ask_remains(tenant: TenantId) -> Command {
    let counts: Vec<_> = TABLES
        .iter()
        .map(|(table, _)| format!("(SELECT count(*) FROM {table} WHERE tenant_id = $1)"))
        .collect();
    Command::new(format!("SELECT {}", counts.join(" + ")), params![tenant])
}

/// Removes so many rows of a tenant; answers how many there were.
async fn purge(session: &mut Session, tenant: TenantId, limit: u64) -> Result<u64> {
    let mut rows = 0;
    for (table, key) in TABLES {
        let sql = format!(
            "DELETE FROM {table} WHERE tenant_id = $1 AND ({key}) IN
                 (SELECT {key} FROM {table} WHERE tenant_id = $1 LIMIT $2)"
        );
        rows += session.execute(sql, params![tenant, limit - rows]).await?;
        if rows >= limit {
            return Ok(rows);
        }
    }
    session.execute("DELETE FROM purges WHERE tenant_id = $1", params![tenant]).await?;
    Ok(rows)
}
