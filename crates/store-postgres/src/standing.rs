//! How a tenant stands: everything that the statistics tell, read as one snapshot by one statement.

use tenantry_domain::clock::{Month, Timestamp};
use tenantry_domain::counts::{Change, Counts, ExpiringKind};
use tenantry_domain::error::{Error, Missing};
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::Head;
use tenantry_domain::stats::{Heartbeat, Statistics, effective_now, last_activity, months};
use tenantry_domain::text::Name;
use tenantry_domain::usage::Bytes;
use tokio_postgres::Row;

use crate::books::read_head;
use crate::error::Result;
use crate::session::{Command, Session};
use crate::sql::{Columns as _, count_columns, params};

/// What the database says of a tenant now.
#[derive(Debug)]
pub(crate) struct Standing {
    tenant: TenantId,
    name: Name,
    storage_used: Bytes,
    storage_quota: Option<Bytes>,
    head: Head,
    heartbeat: Heartbeat,
    /// The calls of each slot in each month that the statistics can tell.
    calls: Vec<(Month, u64)>,
    /// At its effective now.
    pub(crate) counts: Counts,
    /// Its effective now.
    pub(crate) at: Timestamp,
}

impl Standing {
    /// Asks for it, as it is when the clock shows this.
    pub(crate) fn ask(tenant: TenantId, clock: Timestamp) -> Command {
        // The effective now is not before the clock, so neither is the earlier of its two months.
        let (_, since) = months(clock);
        let sql = concat!(
            "SELECT h.seq, h.hash, h.at, h.last_activity_at, ",
            count_columns!(),
            ", t.name, t.storage_quota, b.last_call_at, b.last_activity_at,
                (SELECT bytes FROM storage_totals WHERE tenant_id = $1),
                ARRAY(SELECT month FROM usage_months WHERE tenant_id = $1 AND month >= $3
                      ORDER BY month, slot),
                ARRAY(SELECT calls FROM usage_months WHERE tenant_id = $1 AND month >= $3
                      ORDER BY month, slot),
                (SELECT sum(rows)::bigint FROM expiries
                    WHERE tenant_id = $1 AND due_at <= greatest($2, h.at, b.last_call_at)
                        AND kind = 'credential'),
                (SELECT sum(rows)::bigint FROM expiries
                    WHERE tenant_id = $1 AND due_at <= greatest($2, h.at, b.last_call_at)
                        AND kind = 'api_key')
             FROM tenants t, ledger_heads h,
                (SELECT max(last_call_at) AS last_call_at, max(last_activity_at) AS last_activity_at
                 FROM usage_heartbeats WHERE tenant_id = $1) b
             WHERE t.tenant_id = $1 AND h.tenant_id = $1 AND t.status <> 'deleted'"
        );
        Command::new(sql, params![tenant, clock, since.index()])
    }

    /// Reads what was found; `None` if there is no such tenant (any more).
    pub(crate) fn read(tenant: TenantId, clock: Timestamp, found: &[Row]) -> Result<Option<Self>> {
        const REST: usize = 4 + Counts::LEN;
        let Some(row) = found.first() else { return Ok(None) };
        let head = read_head(row)?;
        let heartbeat = Heartbeat {
            last_call: row.at_if_any(REST + 2)?,
            last_activity: row.at_if_any(REST + 3)?,
        };
        let at = effective_now(clock, &head, heartbeat);
        let mut counts = head.counts;
        for (kind, column) in [(ExpiringKind::Credential, 7), (ExpiringKind::ApiKey, 8)] {
            let rows = row.number_if_any(REST + column)?.unwrap_or_default();
            counts = counts.after(&Change::Expired { kind, rows }, at)?;
        }
        let (months, calls): (Vec<i64>, Vec<i64>) =
            (row.try_get(REST + 5)?, row.try_get(REST + 6)?);
        let calls = months.into_iter().zip(calls).map(|(month, calls)| {
            let month = i32::try_from(month).map_err(Error::internal)?;
            Ok((Month::from_index(month), u64::try_from(calls).map_err(Error::internal)?))
        });
        Ok(Some(Self {
            tenant,
            name: Name::from_stored(row.try_get(REST)?),
            storage_used: Bytes::new(row.number_if_any(REST + 4)?.unwrap_or_default()),
            storage_quota: row.number_if_any(REST + 1)?.map(Bytes::new),
            head,
            heartbeat,
            calls: calls.collect::<Result<_>>()?,
            counts,
            at,
        }))
    }

    /// Asks and reads; fails if there is no such tenant (any more).
    pub(crate) async fn of(
        session: &mut Session,
        tenant: TenantId,
        clock: Timestamp,
    ) -> Result<Self> {
        let [found] = session.each([Self::ask(tenant, clock)]).await?;
        Self::read(tenant, clock, &found)?.ok_or_else(|| Error::NotFound(Missing::Tenant).into())
    }

    /// The statistics.
    pub(crate) fn statistics(self) -> Statistics {
        let (this_month, last_month) = months(self.at);
        let in_month =
            |month| self.calls.iter().filter(|(it, _)| *it == month).map(|(_, calls)| calls).sum();
        Statistics {
            tenant: self.tenant,
            calls_this_month: in_month(this_month),
            calls_last_month: in_month(last_month),
            last_activity: last_activity(&self.head, self.heartbeat),
            tenant_name: self.name,
            counts: self.counts,
            storage_used: self.storage_used,
            storage_quota: self.storage_quota,
            ledger_seq: self.head.seq,
            generated_at: self.at,
        }
    }
}
