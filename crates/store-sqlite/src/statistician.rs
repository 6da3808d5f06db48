//! Who calls, and the numbers.

use async_trait::async_trait;
use rusqlite::{Connection, params};
use tenantry_domain::access::{CallerProbe, CallerState, CallerUser, TenantAccess};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::Counts;
use tenantry_domain::guarded::Guarded;
use tenantry_domain::id::TenantId;
use tenantry_domain::stats::{Statistics, effective_now, last_activity, months};
use tenantry_domain::text::Name;
use tenantry_domain::usage::Bytes;
use tenantry_store::Statistician;

use crate::SqliteStore;
use crate::books::{corrected, head};
use crate::error::Result;
use crate::sql::{self, At, Number, count_columns, tenant_id};
use crate::{tenants, usage, users};

#[async_trait]
impl Statistician for SqliteStore {
    async fn caller_state(
        &self,
        probe: &CallerProbe,
    ) -> tenantry_domain::error::Result<CallerState> {
        self.read(|connection| caller_state(connection, probe))
    }

    async fn statistics(
        &self,
        probe: &CallerProbe,
        tenant: TenantId,
    ) -> tenantry_domain::error::Result<(CallerState, Guarded<Option<Statistics>>)> {
        // The clock is read before the snapshot is taken: the answer then holds everything that
        // was done before its instant.
        let clock = self.context.clock.now();
        self.read(|connection| {
            let caller = caller_state(connection, probe)?;
            let statistics = statistics(connection, tenant, clock)?;
            Ok((caller, Guarded::new(tenant, statistics)))
        })
    }

    async fn counts_at(
        &self,
        access: &TenantAccess,
        at: Timestamp,
    ) -> tenantry_domain::error::Result<Option<Counts>> {
        self.read(|connection| {
            tenants::require(connection, access.tenant())?;
            counts_at(connection, access.tenant(), at)
        })
    }
}

/// Refuses a change whose bearer may no longer make it.
pub(crate) fn confirm(connection: &Connection, access: &TenantAccess) -> Result<()> {
    match access.probe() {
        None => Ok(()),
        Some(probe) => Ok(access.confirm(&caller_state(connection, &probe)?)?),
    }
}

fn caller_state(connection: &Connection, probe: &CallerProbe) -> Result<CallerState> {
    let tenant = tenants::status(connection, probe.tenant)?;
    let user = match probe.user {
        Some(user) => users::find(connection, probe.tenant, user)?,
        None => None,
    };
    let user = user.map(|user| CallerUser {
        status: user.status,
        roles: user.roles,
        email: user.email.to_string(),
        name: user.name.map(|name| name.to_string()),
    });
    Ok(CallerState { tenant, user })
}

fn statistics(
    connection: &Connection,
    tenant: TenantId,
    clock: Timestamp,
) -> Result<Option<Statistics>> {
    let Some(head) = head(connection, tenant)? else { return Ok(None) };
    let heartbeat = usage::heartbeat(connection, tenant)?;
    let at = effective_now(clock, &head, heartbeat);
    let (name, quota) = sql::one(
        connection,
        "SELECT name, storage_quota FROM tenants WHERE tenant_id = ?1",
        params![tenant_id(tenant)],
        |row| {
            let quota = row.get::<_, Option<Number>>(1)?.map(|quota| Bytes::new(quota.0));
            Ok((Name::from_stored(row.get(0)?), quota))
        },
    )?;
    let (this_month, last_month) = months(at);
    Ok(Some(Statistics {
        tenant,
        tenant_name: name,
        counts: corrected(connection, tenant, head.counts, at)?,
        calls_this_month: usage::calls(connection, tenant, this_month)?,
        calls_last_month: usage::calls(connection, tenant, last_month)?,
        storage_used: usage::storage(connection, tenant)?,
        storage_quota: quota,
        last_activity: last_activity(&head, heartbeat),
        ledger_seq: head.seq,
        generated_at: at,
    }))
}

/// The counts after the last entry not later than `at`, corrected by what expired between the
/// two. Only after the newest entry can anything have expired without an entry of its own.
fn counts_at(connection: &Connection, tenant: TenantId, at: Timestamp) -> Result<Option<Counts>> {
    let sql = concat!(
        "SELECT ",
        count_columns!(),
        " FROM ledger WHERE tenant_id = ?1 AND at <= ?2 ORDER BY at DESC, seq DESC LIMIT 1"
    );
    let counts = sql::optional(connection, sql, params![tenant_id(tenant), At(at)], |row| {
        sql::counts(row, 0)
    })?;
    counts.map(|counts| corrected(connection, tenant, counts, at)).transpose()
}
