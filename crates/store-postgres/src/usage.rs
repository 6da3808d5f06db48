//! Calls and storage.

use async_trait::async_trait;
use tenantry_domain::access::TenantAccess;
use tenantry_domain::clock::{Hour, Month, Timestamp};
use tenantry_domain::usage::{
    Bytes, Call, CallCount, MAX_REPORTED, Tally, UsageEvent, UsageOutcome, UsageReport,
};
use tenantry_store::Usage;

use crate::PostgresStore;
use crate::books::Books;
use crate::counted;
use crate::error::{Fault, Result};
use crate::session::{Command, Session};
use crate::sql::{Columns as _, params};

/// The rows of what other services report.
const REPORTED: i64 = 0;
/// The rows of the calls that are changes.
const CHANGES: i64 = 1;
/// From here on each slot is one process's own.
pub(crate) const FIRST_METERED: i64 = 2;

#[async_trait]
impl Usage for PostgresStore {
    async fn count_calls(&self, calls: Tally) -> tenantry_domain::error::Result<()> {
        let counted = self.meter.count(&self.database, &self.context, &calls).await;
        counted.map_err(Fault::into_error)
    }

    async fn report_usage(
        &self,
        access: &TenantAccess,
        events: Vec<UsageEvent>,
    ) -> tenantry_domain::error::Result<Vec<UsageOutcome>> {
        let attempt = || async {
            let tenant = access.tenant();
            let session = self.database.change_of(tenant).await?;
            let mut books = Books::open(session, &self.context, tenant, Some(access)).await?;
            books.confirm(access)?;
            let now = self.context.clock.now();
            let mut outcomes = Vec::with_capacity(events.len());
            for event in &events {
                outcomes.push(report(&mut books, event, now).await?);
            }
            if let Some(call) = access.call() {
                count_change(&mut books.session, call);
            }
            self.close(books, None).await?;
            Ok(outcomes)
        };
        let outcomes = self.retried(attempt).await?;
        if let Some(call) = access.call() {
            call.mark_counted();
        }
        Ok(outcomes)
    }
}

/// Counts a call that is a change, in its transaction, and notes which API key it was made with.
pub(crate) fn count_change(session: &mut Session, call: &Call) {
    let calls = CallCount::of(call);
    counted::write_uses(session, CHANGES, Some(calls.tenant), Tally::of(call).uses());
    add(session, calls.tenant, CHANGES, calls.last_call, calls.calls);
    session.write(
        "INSERT INTO usage_heartbeats (tenant_id, slot, last_call_at, last_activity_at)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, slot) DO UPDATE SET
             last_call_at = greatest(usage_heartbeats.last_call_at, excluded.last_call_at),
             last_activity_at =
                 greatest(usage_heartbeats.last_activity_at, excluded.last_activity_at)",
        params![calls.tenant, CHANGES, calls.last_call, calls.last_activity],
    );
}

/// Adds calls to the month and the hour of an instant.
fn add(
    session: &mut Session,
    tenant: tenantry_domain::id::TenantId,
    slot: i64,
    at: Timestamp,
    calls: u64,
) {
    session.write(
        "INSERT INTO usage_months (tenant_id, month, slot, calls) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, month, slot)
         DO UPDATE SET calls = usage_months.calls + excluded.calls",
        params![tenant, Month::of(at).index(), slot, calls],
    );
    session.write(
        "INSERT INTO usage_hours (tenant_id, hour, slot, calls) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, hour, slot)
         DO UPDATE SET calls = usage_hours.calls + excluded.calls",
        params![tenant, Hour::of(at).index(), slot, calls],
    );
}

/// Reads what is there in one round trip, in which what the event before has written is sent too.
async fn report(books: &mut Books, event: &UsageEvent, now: Timestamp) -> Result<UsageOutcome> {
    let tenant = books.tenant;
    let month = Month::of(event.time).index();
    let [marked, calls, source, total] = books
        .session
        .each([
            Command::new(
                "SELECT 1 FROM usage_events
                 WHERE tenant_id = $1 AND source = $2 AND event_id = $3",
                params![tenant, &event.source, &event.id],
            ),
            Command::new(
                "SELECT coalesce(sum(calls), 0)::bigint FROM usage_months
                 WHERE tenant_id = $1 AND month = $2",
                params![tenant, month],
            ),
            Command::new(
                "SELECT bytes, reported_at FROM storage_sources
                 WHERE tenant_id = $1 AND source = $2",
                params![tenant, &event.source],
            ),
            Command::new("SELECT bytes FROM storage_totals WHERE tenant_id = $1", params![tenant]),
        ])
        .await?;
    if !marked.is_empty() {
        return Ok(UsageOutcome::Duplicate);
    }
    let number = |rows: &[tokio_postgres::Row]| rows.first().map_or(Ok(0), |row| row.number(0));
    let fits = match event.report {
        UsageReport::Calls(more) => {
            let fits = number(&calls)?.saturating_add(more) <= MAX_REPORTED;
            if fits {
                add(&mut books.session, tenant, REPORTED, event.time, more);
            }
            fits
        }
        UsageReport::Storage(bytes) => {
            let before = match source.first() {
                Some(row) => Some((row.number(0)?, row.at(1)?)),
                None => None,
            };
            report_storage(books, event, bytes, before, number(&total)?)
        }
    };
    if !fits {
        return Ok(UsageOutcome::TooMuch);
    }
    books.session.write(
        "INSERT INTO usage_events (tenant_id, source, event_id, received_at)
         VALUES ($1, $2, $3, $4)",
        params![tenant, &event.source, &event.id, now],
    );
    Ok(UsageOutcome::Counted)
}

/// Notes what a source holds now, unless it has said something later already, and moves the
/// tenant's total by the difference, unless that would be more than can be kept.
fn report_storage(
    books: &mut Books,
    event: &UsageEvent,
    bytes: Bytes,
    before: Option<(u64, Timestamp)>,
    total: u64,
) -> bool {
    if before.is_some_and(|(_, reported_at)| reported_at > event.time) {
        return true;
    }
    let others = total.saturating_sub(before.map_or(0, |(bytes, _)| bytes));
    let total = others.saturating_add(bytes.get());
    if total > MAX_REPORTED {
        return false;
    }
    let tenant = books.tenant;
    books.session.write(
        "INSERT INTO storage_sources (tenant_id, source, bytes, reported_at)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, source)
         DO UPDATE SET bytes = excluded.bytes, reported_at = excluded.reported_at",
        params![tenant, &event.source, bytes.get(), event.time],
    );
    books.session.write(
        "INSERT INTO storage_totals (tenant_id, bytes) VALUES ($1, $2)
         ON CONFLICT (tenant_id) DO UPDATE SET bytes = excluded.bytes",
        params![tenant, total],
    );
    true
}
