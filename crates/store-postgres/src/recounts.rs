//! Everything counted anew.

use async_trait::async_trait;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::Error;
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::Entry;
use tenantry_store::{Pair, Recount, Recounts};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::books::{head_columns, read_head};
use crate::error::Result;
use crate::session::{Command, Session};
use crate::sql::{Columns as _, params};
use crate::{PostgresStore, audit, purge};

#[async_trait]
impl Recounts for PostgresStore {
    async fn tenant_ids(
        &self,
        after: Option<TenantId>,
        limit: u32,
    ) -> tenantry_domain::error::Result<Vec<TenantId>> {
        let query = match after {
            Some(after) => Command::new(
                "SELECT tenant_id FROM tenants WHERE tenant_id > $1 ORDER BY tenant_id LIMIT $2",
                params![after, limit],
            ),
            None => Command::new(
                "SELECT tenant_id FROM tenants ORDER BY tenant_id LIMIT $1",
                params![limit],
            ),
        };
        let id = |row: &Row| Ok(TenantId::from_uuid(row.try_get::<_, Uuid>(0)?));
        self.read([query], |[rows]| rows.iter().map(id).collect()).await
    }

    async fn recount(&self, tenant: TenantId) -> tenantry_domain::error::Result<Option<Recount>> {
        self.retried(|| async {
            let mut session = self.database.snapshot().await?;
            session.take_time();
            recount(&mut session, tenant).await
        })
        .await
    }

    async fn entries_after(
        &self,
        tenant: TenantId,
        seq: u64,
        limit: u32,
    ) -> tenantry_domain::error::Result<Vec<Entry>> {
        self.read([audit::ask_after(tenant, seq, limit)], |[rows]| {
            rows.iter().map(audit::read).collect()
        })
        .await
    }
}

async fn recount(session: &mut Session, tenant: TenantId) -> Result<Option<Recount>> {
    let head = concat!("SELECT ", head_columns!(), " FROM ledger_heads WHERE tenant_id = $1");
    let known = "SELECT status = 'deleted',
            EXISTS (SELECT 1 FROM purges WHERE tenant_id = $1)
         FROM tenants WHERE tenant_id = $1";
    let asked = [Command::new(head, params![tenant]), Command::new(known, params![tenant])];
    let [head, known] = session.each(asked).await?;
    let Some(known) = known.first() else { return Ok(None) };
    let head = head.first().ok_or_else(|| Error::internal("a ledger has no head"))?;
    let head = read_head(head)?;
    let (deleted, purge_due) = (known.try_get(0)?, known.try_get(1)?);
    let [rows, sums, schedule, remains] = session
        .each([
            ask_rows(tenant, head.at),
            ask_sums(tenant),
            ask_schedule(tenant, head.at),
            purge::ask_remains(tenant),
        ])
        .await?;
    let first = |rows: Vec<Row>| {
        let row = rows.into_iter().next();
        row.ok_or_else(|| Error::internal("a count has no row"))
    };
    let (rows, sums, schedule) = (first(rows)?, first(sums)?, first(schedule)?);
    Ok(Some(Recount {
        deleted,
        purge_due,
        remains: if deleted { first(remains)?.number(0)? } else { 0 },
        head,
        rows: rows.counts(0)?,
        expiries: Pair { books: sums.number(0)?, counted: schedule.number(0)? },
        expiry_mismatches: schedule.number(1)?,
        calls: Pair { books: sums.number(1)?, counted: sums.number(2)? },
        storage: Pair { books: sums.number(3)?, counted: sums.number(4)? },
    }))
}

/// Asks for the sums of what is kept, and of what they are made of.
fn ask_sums(tenant: TenantId) -> Command {
    Command::new(
        "SELECT
            (SELECT coalesce(sum(rows), 0)::bigint FROM expiries WHERE tenant_id = $1),
            (SELECT coalesce(sum(calls), 0)::bigint FROM usage_months WHERE tenant_id = $1),
            (SELECT coalesce(sum(calls), 0)::bigint FROM usage_hours WHERE tenant_id = $1),
            (SELECT coalesce(sum(bytes), 0)::bigint FROM storage_totals WHERE tenant_id = $1),
            (SELECT coalesce(sum(bytes), 0)::bigint FROM storage_sources WHERE tenant_id = $1)",
        params![tenant],
    )
}

/// Asks for the counts, from the rows, in the order of `Counts::to_array`.
fn ask_rows(tenant: TenantId, at: Timestamp) -> Command {
    Command::new(
        "SELECT
            (SELECT count(*) FROM users WHERE tenant_id = $1 AND status = 'active'),
            (SELECT count(*) FROM users WHERE tenant_id = $1 AND status <> 'active'),
            (SELECT count(*) FROM users WHERE tenant_id = $1 AND tenant_admin),
            (SELECT count(*) FROM credentials
                WHERE tenant_id = $1 AND (expires_at IS NULL OR expires_at > $2)),
            (SELECT count(*) FROM credentials WHERE tenant_id = $1 AND expires_at <= $2),
            (SELECT count(*) FROM api_keys WHERE tenant_id = $1 AND revoked_at IS NULL
                AND (expires_at IS NULL OR expires_at > $2)),
            (SELECT count(*) FROM api_keys
                WHERE tenant_id = $1 AND revoked_at IS NULL AND expires_at <= $2),
            (SELECT count(*) FROM api_keys WHERE tenant_id = $1 AND revoked_at IS NOT NULL),
            (SELECT count(*) FROM oauth_clients WHERE tenant_id = $1 AND status = 'active'),
            (SELECT count(*) FROM oauth_clients WHERE tenant_id = $1 AND status <> 'active')",
        params![tenant, at],
    )
}

/// Asks for how much will expire after `at`, from the rows, and for the instants at which the
/// schedule says something else.
fn ask_schedule(tenant: TenantId, at: Timestamp) -> Command {
    Command::new(
        "WITH counted AS (
            SELECT due_at, kind, count(*) AS rows FROM (
                SELECT expires_at AS due_at, 'credential' AS kind FROM credentials
                    WHERE tenant_id = $1 AND expires_at > $2
                UNION ALL
                SELECT expires_at, 'api_key' FROM api_keys
                    WHERE tenant_id = $1 AND expires_at > $2 AND revoked_at IS NULL
            ) AS due GROUP BY due_at, kind),
         booked AS (SELECT due_at, kind, rows FROM expiries WHERE tenant_id = $1)
         SELECT (SELECT coalesce(sum(rows), 0)::bigint FROM counted),
            (SELECT count(*) FROM (
                (SELECT * FROM counted EXCEPT SELECT * FROM booked)
                UNION (SELECT * FROM booked EXCEPT SELECT * FROM counted)) AS differing)",
        params![tenant, at],
    )
}
