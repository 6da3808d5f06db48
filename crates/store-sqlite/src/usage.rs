//! Calls and storage.

use async_trait::async_trait;
use rusqlite::{Connection, params};
use tenantry_domain::access::TenantAccess;
use tenantry_domain::api_key::KeyUse;
use tenantry_domain::clock::{Hour, Month, Timestamp};
use tenantry_domain::id::TenantId;
use tenantry_domain::stats::Heartbeat;
use tenantry_domain::usage::{
    Bytes, CallCount, MAX_REPORTED, Tally, UsageEvent, UsageOutcome, UsageReport,
};
use tenantry_store::Usage;

use crate::SqliteStore;
use crate::error::Result;
use crate::sql::{self, At, Id, Number, tenant_id};
use crate::statistician::confirm;
use crate::tenants::require;
use crate::writer::Outcome;

/// The rows of what other services report.
const REPORTED: i64 = 0;
/// The rows of the one server: of its changes in the database, of other calls in their own file.
pub(crate) const METERED: i64 = 1;

#[async_trait]
impl Usage for SqliteStore {
    async fn count_calls(&self, calls: Tally) -> tenantry_domain::error::Result<()> {
        // On the caller's own thread: it takes microseconds, and a hop would take more.
        let book = &self.server()?.calls;
        book.count(calls, |tenant| self.exists(tenant)).map_err(|fault| fault.0)
    }

    async fn report_usage(
        &self,
        access: &TenantAccess,
        events: Vec<UsageEvent>,
    ) -> tenantry_domain::error::Result<Vec<UsageOutcome>> {
        let (context, bearer) = (self.context.clone(), access.clone());
        let work = move |connection: &Connection| {
            let tenant = bearer.tenant();
            require(connection, tenant)?;
            confirm(connection, &context, &bearer)?;
            context.begin_change(tenant);
            let now = context.clock.now();
            let outcomes: Result<_> =
                events.iter().map(|event| report(connection, tenant, event, now)).collect();
            Ok(Outcome::Done(outcomes?))
        };
        self.write_counted(access, work).await
    }
}

/// Counts calls, and notes the uses of API keys.
pub(crate) fn count(connection: &Connection, calls: &Tally) -> Result<()> {
    calls.counts().try_for_each(|calls| count_hour(connection, calls))?;
    calls.uses().try_for_each(|key| note_use(connection, key))
}

/// Notes a use of an API key, unless a later one is there.
fn note_use(connection: &Connection, key: &KeyUse) -> Result<()> {
    sql::execute(
        connection,
        "INSERT INTO api_key_uses (tenant_id, key_id, secret_hash, slot, used_at, used_from)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (tenant_id, key_id, secret_hash, slot) DO UPDATE SET
             used_at = excluded.used_at, used_from = excluded.used_from
             WHERE excluded.used_at > api_key_uses.used_at",
        params![
            tenant_id(key.tenant),
            Id(key.key.as_uuid()),
            key.secret.0,
            METERED,
            At(key.last.at),
            key.last.from.map(|address| address.to_string()),
        ],
    )?;
    Ok(())
}

/// Counts calls of one tenant that fall into one hour.
fn count_hour(connection: &Connection, calls: &CallCount) -> Result<()> {
    add(connection, calls.tenant, METERED, calls.last_call, calls.calls)?;
    // SQLite's max() of two values is NULL if either is.
    sql::execute(
        connection,
        "INSERT INTO usage_heartbeats (tenant_id, slot, last_call_at, last_activity_at)
         VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (tenant_id, slot) DO UPDATE SET
             last_call_at = max(usage_heartbeats.last_call_at, excluded.last_call_at),
             last_activity_at = coalesce(
                 max(usage_heartbeats.last_activity_at, excluded.last_activity_at),
                 excluded.last_activity_at, usage_heartbeats.last_activity_at)",
        params![tenant_id(calls.tenant), METERED, At(calls.last_call), calls.last_activity.map(At)],
    )?;
    Ok(())
}

/// Adds calls to the month and the hour of an instant.
fn add(
    connection: &Connection,
    tenant: TenantId,
    slot: i64,
    at: Timestamp,
    calls: u64,
) -> Result<()> {
    sql::execute(
        connection,
        "INSERT INTO usage_months (tenant_id, month, slot, calls) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (tenant_id, month, slot)
         DO UPDATE SET calls = usage_months.calls + excluded.calls",
        params![tenant_id(tenant), Month::of(at).index(), slot, Number(calls)],
    )?;
    sql::execute(
        connection,
        "INSERT INTO usage_hours (tenant_id, hour, slot, calls) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (tenant_id, hour, slot)
         DO UPDATE SET calls = usage_hours.calls + excluded.calls",
        params![tenant_id(tenant), Hour::of(at).index(), slot, Number(calls)],
    )?;
    Ok(())
}

fn report(
    connection: &Connection,
    tenant: TenantId,
    event: &UsageEvent,
    now: Timestamp,
) -> Result<UsageOutcome> {
    let marked = sql::optional(
        connection,
        "SELECT 1 FROM usage_events WHERE tenant_id = ?1 AND source = ?2 AND event_id = ?3",
        params![tenant_id(tenant), event.source, event.id],
        |_| Ok(()),
    )?;
    if marked.is_some() {
        return Ok(UsageOutcome::Duplicate);
    }
    let fits = match event.report {
        UsageReport::Calls(calls) => report_calls(connection, tenant, event.time, calls)?,
        UsageReport::Storage(bytes) => {
            report_storage(connection, tenant, &event.source, bytes, event.time)?
        }
    };
    if !fits {
        return Ok(UsageOutcome::TooMuch);
    }
    sql::execute(
        connection,
        "INSERT INTO usage_events (tenant_id, source, event_id, received_at)
         VALUES (?1, ?2, ?3, ?4)",
        params![tenant_id(tenant), event.source, event.id, At(now)],
    )?;
    Ok(UsageOutcome::Counted)
}

/// Adds calls to the month of an instant, unless there would be more than can be kept.
fn report_calls(
    connection: &Connection,
    tenant: TenantId,
    at: Timestamp,
    more: u64,
) -> Result<bool> {
    let fits = calls(connection, tenant, Month::of(at))?.saturating_add(more) <= MAX_REPORTED;
    if fits {
        add(connection, tenant, REPORTED, at, more)?;
    }
    Ok(fits)
}

/// Notes what a source holds now, unless it has said something later already, and moves the
/// tenant's total by the difference, unless that would be more than can be kept.
fn report_storage(
    connection: &Connection,
    tenant: TenantId,
    source: &str,
    bytes: Bytes,
    at: Timestamp,
) -> Result<bool> {
    let before = sql::optional(
        connection,
        "SELECT bytes, reported_at FROM storage_sources WHERE tenant_id = ?1 AND source = ?2",
        params![tenant_id(tenant), source],
        |row| Ok((row.get::<_, Number>(0)?.0, row.get::<_, At>(1)?.0)),
    )?;
    if before.is_some_and(|(_, reported_at)| reported_at > at) {
        return Ok(true);
    }
    let others =
        storage(connection, tenant)?.get().saturating_sub(before.map_or(0, |(bytes, _)| bytes));
    let total = others.saturating_add(bytes.get());
    if total > MAX_REPORTED {
        return Ok(false);
    }
    sql::execute(
        connection,
        "INSERT INTO storage_sources (tenant_id, source, bytes, reported_at)
         VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (tenant_id, source)
         DO UPDATE SET bytes = excluded.bytes, reported_at = excluded.reported_at",
        params![tenant_id(tenant), source, Number(bytes.get()), At(at)],
    )?;
    sql::execute(
        connection,
        "INSERT INTO storage_totals (tenant_id, bytes) VALUES (?1, ?2)
         ON CONFLICT (tenant_id) DO UPDATE SET bytes = excluded.bytes",
        params![tenant_id(tenant), Number(total)],
    )?;
    Ok(true)
}

/// Where a connection finds calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Schema {
    /// In the file that it is a connection to.
    Main,
    /// In the book of calls that is joined to the database.
    Metered,
    /// In both.
    All,
}

/// The newest counted call of a tenant, and the newest that is activity, in both files.
pub(crate) fn heartbeat(connection: &Connection, tenant: TenantId) -> Result<Heartbeat> {
    heartbeat_in(connection, Schema::All, tenant)
}

/// The same, in the file that is asked for.
pub(crate) fn heartbeat_in(
    connection: &Connection,
    schema: Schema,
    tenant: TenantId,
) -> Result<Heartbeat> {
    macro_rules! newest {
        ($table:literal) => {
            concat!(
                "SELECT max(last_call_at), max(last_activity_at) FROM ",
                $table,
                " WHERE tenant_id = ?1"
            )
        };
    }
    let sql = match schema {
        Schema::Main => newest!("main.usage_heartbeats"),
        Schema::Metered => newest!("metered.usage_heartbeats"),
        Schema::All => newest!("all_usage_heartbeats"),
    };
    sql::one(connection, sql, params![tenant_id(tenant)], |row| {
        let instant =
            |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<At>>(column)?.map(|at| at.0));
        Ok(Heartbeat { last_call: instant(0)?, last_activity: instant(1)? })
    })
}

/// The calls of each month from this one on, in the file that is asked for.
pub(crate) fn months_since(
    connection: &Connection,
    schema: Schema,
    tenant: TenantId,
    since: Month,
) -> Result<Vec<(Month, u64)>> {
    macro_rules! months {
        ($table:literal) => {
            concat!(
                "SELECT month, sum(calls) FROM ",
                $table,
                " WHERE tenant_id = ?1 AND month >= ?2 GROUP BY month"
            )
        };
    }
    let sql = match schema {
        Schema::Main => months!("main.usage_months"),
        Schema::Metered => months!("metered.usage_months"),
        Schema::All => months!("all_usage_months"),
    };
    sql::all(connection, sql, params![tenant_id(tenant), since.index()], |row| {
        Ok((Month::from_index(row.get(0)?), row.get::<_, Number>(1)?.0))
    })
}

/// The calls of a month, in both files.
fn calls(connection: &Connection, tenant: TenantId, month: Month) -> Result<u64> {
    sql::one(
        connection,
        "SELECT coalesce(sum(calls), 0) FROM all_usage_months WHERE tenant_id = ?1 AND month = ?2",
        params![tenant_id(tenant), month.index()],
        |row| Ok(row.get::<_, Number>(0)?.0),
    )
}

/// What a tenant stores, over all sources.
pub(crate) fn storage(connection: &Connection, tenant: TenantId) -> Result<Bytes> {
    let bytes = sql::optional(
        connection,
        "SELECT bytes FROM storage_totals WHERE tenant_id = ?1",
        params![tenant_id(tenant)],
        |row| Ok(row.get::<_, Number>(0)?.0),
    )?;
    Ok(Bytes::new(bytes.unwrap_or_default()))
}
