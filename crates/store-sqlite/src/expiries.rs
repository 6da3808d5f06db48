//! Time as a writer.

use async_trait::async_trait;
use rusqlite::{Connection, params};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::{Error, Missing};
use tenantry_domain::id::TenantId;
use tenantry_store::{Expiries, Settled};

use crate::SqliteStore;
use crate::books::{Books, Context};
use crate::error::{Fault, Result};
use crate::sql::{self, At, Id};
use crate::writer::{Durability, Outcome, in_savepoint};

/// Tenants that are settled at once, at most.
const TENANTS: u32 = 10_000;

/// Before anything that expires.
const EVER: Timestamp = Timestamp::from_millis(i64::MIN);

#[async_trait]
impl Expiries for SqliteStore {
    async fn settle(&self, limit: usize) -> tenantry_domain::error::Result<Settled> {
        let now = self.context.clock.now();
        let next = self.read(|connection| next_due(connection, EVER))?;
        if next.is_none_or(|due| due > now) {
            return Ok(Settled { entries: 0, next_due: next });
        }
        // The one writer is not kept from others for the look, which takes long if very much is due.
        let due = self.read(|connection| tenants_due(connection, now))?;
        let context = self.context.clone();
        let work = move |connection: &Connection| {
            let entries = settle_all(connection, &context, &due, limit);
            // Where nothing came of it, coming again at once would not help.
            let after = if entries > 0 { EVER } else { now };
            Ok(Outcome::Done(Settled { entries, next_due: next_due(connection, after)? }))
        };
        self.write(Durability::Flushed, work).await
    }
}

/// Settles tenant after tenant, each in a savepoint of its own: one whose books do not fit must not
/// stop the time of the others. Each has its share of the limit, so that none of which very much has
/// expired keeps the others waiting.
fn settle_all(connection: &Connection, context: &Context, due: &[TenantId], limit: usize) -> u64 {
    let (mut left, mut entries) = (limit, 0);
    for (tenant, waiting) in due.iter().zip((1..=due.len()).rev()) {
        let share = left.div_ceil(waiting);
        let settled = in_savepoint(connection, || {
            let mut books = Books::open(connection, context, *tenant)?;
            let settled = books.settle(share)?;
            books.close()?;
            Ok(settled)
        });
        match settled {
            Ok(settled) => {
                entries += settled.entries;
                left = left.saturating_sub(settled.instants);
            }
            // It was deleted meanwhile.
            Err(Fault(Error::NotFound(Missing::Tenant))) => {}
            Err(Fault(error)) => {
                tracing::error!(%tenant, %error, "what has expired could not be settled");
            }
        }
        if left == 0 {
            break;
        }
    }
    entries
}

/// Tenants of which something has expired and has no entry yet, those that wait longest first.
fn tenants_due(connection: &Connection, now: Timestamp) -> Result<Vec<TenantId>> {
    sql::all(
        connection,
        // Else all that is to come would be read too, in the order of tenants.
        "SELECT tenant_id FROM expiries INDEXED BY expiries_by_time WHERE due_at <= ?1
         GROUP BY tenant_id ORDER BY min(due_at) LIMIT ?2",
        params![At(now), TENANTS],
        |row| Ok(TenantId::from_uuid(row.get::<_, Id>(0)?.0)),
    )
}

/// When something expires next, anywhere, after an instant.
fn next_due(connection: &Connection, after: Timestamp) -> Result<Option<Timestamp>> {
    sql::one(
        connection,
        "SELECT min(due_at) FROM expiries WHERE due_at > ?1",
        params![At(after)],
        |row| Ok(row.get::<_, Option<At>>(0)?.map(|at| at.0)),
    )
}
