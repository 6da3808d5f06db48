//! Time as a writer.

use async_trait::async_trait;
use rusqlite::{Connection, params};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::id::TenantId;
use tenantry_store::{Expiries, Settled};

use crate::SqliteStore;
use crate::books::{Books, Context};
use crate::error::Result;
use crate::sql::{self, At, Id, Number};
use crate::writer::{Durability, Outcome};

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

fn settle_all(connection: &Connection, context: &Context, limit: usize) -> Result<u64> {
    let mut entries = 0;
    for tenant in tenants_due(connection, context.clock.now(), limit)? {
        let mut books = Books::open(connection, context, tenant)?;
        entries += books.settle(limit.saturating_sub(entries))?;
        books.close()?;
        if entries >= limit {
            break;
        }
    }
    Ok(entries as u64)
}

/// Tenants of which something has expired and has no entry yet.
fn tenants_due(connection: &Connection, now: Timestamp, limit: usize) -> Result<Vec<TenantId>> {
    sql::all(
        connection,
        "SELECT DISTINCT tenant_id FROM expiries WHERE due_at <= ?1 LIMIT ?2",
        params![At(now), Number(limit as u64)],
        |row| Ok(TenantId::from_uuid(row.get::<_, Id>(0)?.0)),
    )
}

fn next_due(connection: &Connection) -> Result<Option<Timestamp>> {
    sql::one(connection, "SELECT min(due_at) FROM expiries", [], |row| {
        Ok(row.get::<_, Option<At>>(0)?.map(|at| at.0))
    })
}
