//! Everything counted anew.

use async_trait::async_trait;
use rusqlite::{Connection, params};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::Counts;
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::Entry;
use tenantry_store::{Pair, Recount, Recounts};

use crate::SqliteStore;
use crate::audit;
use crate::books::{head_columns, read_head};
use crate::error::Result;
use crate::purge;
use crate::sql::{self, At, Id, Number, blob, count_columns, tenant_id};

#[async_trait]
impl Recounts for SqliteStore {
    async fn tenant_ids(
        &self,
        after: Option<TenantId>,
        limit: u32,
    ) -> tenantry_domain::error::Result<Vec<TenantId>> {
        self.read_long(move |connection| {
            // A blob of no bytes comes before every id.
            let after = after.map_or(sql::Value::Blob(Vec::new()), |id| blob(id.as_uuid()));
            sql::all(
                connection,
                "SELECT tenant_id FROM tenants WHERE tenant_id > ?1 ORDER BY tenant_id LIMIT ?2",
                params![after, limit],
                |row| Ok(TenantId::from_uuid(row.get::<_, Id>(0)?.0)),
            )
        })
        .await
    }

    async fn recount(&self, tenant: TenantId) -> tenantry_domain::error::Result<Option<Recount>> {
        self.read_long(move |connection| recount(connection, tenant)).await
    }

    async fn entries_after(
        &self,
        tenant: TenantId,
        seq: u64,
        limit: u32,
    ) -> tenantry_domain::error::Result<Vec<Entry>> {
        self.read_long(move |connection| audit::entries_after(connection, tenant, seq, limit)).await
    }
}

fn recount(connection: &Connection, tenant: TenantId) -> Result<Option<Recount>> {
    let deleted = sql::optional(
        connection,
        "SELECT status = 'deleted' FROM tenants WHERE tenant_id = ?1",
        params![tenant_id(tenant)],
        |row| row.get(0),
    )?;
    let Some(deleted) = deleted else { return Ok(None) };
    let sql = concat!("SELECT ", head_columns!(), " FROM ledger_heads WHERE tenant_id = ?1");
    let head = sql::one(connection, sql, params![tenant_id(tenant)], read_head)?;
    let sum = |sql| sum(connection, sql, tenant);
    Ok(Some(Recount {
        deleted,
        purge_due: purge::is_due(connection, tenant)?,
        remains: if deleted { purge::remains(connection, tenant)? } else { 0 },
        head,
        rows: rows(connection, tenant, head.at)?,
        expiries: Pair {
            books: sum("SELECT coalesce(sum(rows), 0) FROM expiries WHERE tenant_id = ?1")?,
            counted: scheduled(connection, tenant, head.at)?,
        },
        expiry_mismatches: mismatches(connection, tenant, head.at)?,
        calls: Pair {
            books: sum(
                "SELECT coalesce(sum(calls), 0) FROM all_usage_months WHERE tenant_id = ?1",
            )?,
            counted: sum(
                "SELECT coalesce(sum(calls), 0) FROM all_usage_hours WHERE tenant_id = ?1",
            )?,
        },
        storage: Pair {
            books: sum("SELECT coalesce(sum(bytes), 0) FROM storage_totals WHERE tenant_id = ?1")?,
            counted: sum(
                "SELECT coalesce(sum(bytes), 0) FROM storage_sources WHERE tenant_id = ?1",
            )?,
        },
    }))
}

fn sum(connection: &Connection, sql: &str, tenant: TenantId) -> Result<u64> {
    sql::one(connection, sql, params![tenant_id(tenant)], |row| Ok(row.get::<_, Number>(0)?.0))
}

/// The counts, from the rows, in the order of [`Counts::to_array`].
fn rows(connection: &Connection, tenant: TenantId, at: Timestamp) -> Result<Counts> {
    sql::one(
        connection,
        "SELECT
            (SELECT count(*) FROM users WHERE tenant_id = ?1 AND status = 'active'),
            (SELECT count(*) FROM users WHERE tenant_id = ?1 AND status <> 'active'),
            (SELECT count(*) FROM users WHERE tenant_id = ?1 AND tenant_admin = 1),
            (SELECT count(*) FROM credentials
                WHERE tenant_id = ?1 AND (expires_at IS NULL OR expires_at > ?2)),
            (SELECT count(*) FROM credentials WHERE tenant_id = ?1 AND expires_at <= ?2),
            (SELECT count(*) FROM api_keys WHERE tenant_id = ?1 AND revoked_at IS NULL
                AND (expires_at IS NULL OR expires_at > ?2)),
            (SELECT count(*) FROM api_keys
                WHERE tenant_id = ?1 AND revoked_at IS NULL AND expires_at <= ?2),
            (SELECT count(*) FROM api_keys WHERE tenant_id = ?1 AND revoked_at IS NOT NULL),
            (SELECT count(*) FROM oauth_clients WHERE tenant_id = ?1 AND status = 'active'),
            (SELECT count(*) FROM oauth_clients WHERE tenant_id = ?1 AND status <> 'active')",
        params![tenant_id(tenant), At(at)],
        |row| sql::counts(row, 0),
    )
}

/// What will expire after `at`, from the rows: what the schedule must hold.
macro_rules! to_expire {
    () => {
        "SELECT expires_at AS due_at, 'credential' AS kind FROM credentials
             WHERE tenant_id = ?1 AND expires_at > ?2
         UNION ALL
         SELECT expires_at, 'api_key' FROM api_keys
             WHERE tenant_id = ?1 AND expires_at > ?2 AND revoked_at IS NULL"
    };
}

fn scheduled(connection: &Connection, tenant: TenantId, at: Timestamp) -> Result<u64> {
    let sql = concat!("SELECT count(*) FROM (", to_expire!(), ")");
    sql::one(connection, sql, params![tenant_id(tenant), At(at)], |row| {
        Ok(row.get::<_, Number>(0)?.0)
    })
}

fn mismatches(connection: &Connection, tenant: TenantId, at: Timestamp) -> Result<u64> {
    let sql = concat!(
        "WITH counted AS (SELECT due_at, kind, count(*) AS rows FROM (",
        to_expire!(),
        ") GROUP BY due_at, kind),
        booked AS (SELECT due_at, kind, rows FROM expiries WHERE tenant_id = ?1)
        SELECT count(*) FROM (
            SELECT * FROM (SELECT * FROM counted EXCEPT SELECT * FROM booked)
            UNION SELECT * FROM (SELECT * FROM booked EXCEPT SELECT * FROM counted))"
    );
    sql::one(connection, sql, params![tenant_id(tenant), At(at)], |row| {
        Ok(row.get::<_, Number>(0)?.0)
    })
}
