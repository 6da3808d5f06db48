//! Time as a writer.

use std::collections::HashSet;

use async_trait::async_trait;
use rusqlite::{Connection, params};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::id::TenantId;
use tenantry_store::{Expiries, Settled};

use crate::SqliteStore;
use crate::books::{Books, Context};
use crate::error::{Fault, Result};
use crate::sql::{self, At, Id};
use crate::writer::{Durability, Outcome, in_savepoint};

/// Instants looked at to find the tenants that are due.
const LOOK_AT: u32 = 10_000;

#[async_trait]
impl Expiries for SqliteStore {
    async fn settle(&self, limit: usize) -> tenantry_domain::error::Result<Settled> {
        let now = self.context.clock.now();
        let next = self.read(next_due)?;
        if next.is_none_or(|due| due > now) {
            return Ok(Settled { entries: 0, next_due: next });
        }
        let context = self.context.clone();
        let work = move |connection: &Connection| {
            let entries = settle_all(connection, &context, limit)?;
            Ok(Outcome::Done(Settled { entries, next_due: next_due(connection)? }))
        };
        self.write(Durability::Flushed, work).await
    }
}

/// Settles tenant after tenant, each in a savepoint of its own: one whose books do not fit must not
/// stop the time of the others.
fn settle_all(connection: &Connection, context: &Context, limit: usize) -> Result<u64> {
    let mut left = limit;
    let mut entries = 0;
    for tenant in tenants_due(connection, context.clock.now())? {
        let settled = in_savepoint(connection, || {
            let mut books = Books::open(connection, context, tenant)?;
            let settled = books.settle(left)?;
            books.close()?;
            Ok(settled)
        });
        match settled {
            Ok(settled) => {
                entries += settled.entries;
                left = left.saturating_sub(settled.instants);
            }
            Err(Fault(error)) => {
                tracing::error!(%tenant, %error, "what has expired could not be settled");
            }
        }
        if left == 0 {
            break;
        }
    }
    Ok(entries)
}

/// Tenants of which something has expired and has no entry yet, those that wait longest first. It
/// looks at no more than [`LOOK_AT`] instants, in the order of the index.
fn tenants_due(connection: &Connection, now: Timestamp) -> Result<Vec<TenantId>> {
    let due = sql::all(
        connection,
        "SELECT tenant_id FROM expiries WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2",
        params![At(now), LOOK_AT],
        |row| Ok(TenantId::from_uuid(row.get::<_, Id>(0)?.0)),
    )?;
    let mut seen = HashSet::new();
    Ok(due.into_iter().filter(|tenant| seen.insert(*tenant)).collect())
}

fn next_due(connection: &Connection) -> Result<Option<Timestamp>> {
    sql::one(connection, "SELECT min(due_at) FROM expiries", [], |row| {
        Ok(row.get::<_, Option<At>>(0)?.map(|at| at.0))
    })
}
