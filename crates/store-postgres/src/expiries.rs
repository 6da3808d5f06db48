//! Time as a writer.

use std::collections::HashSet;

use async_trait::async_trait;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::Error;
use tenantry_domain::id::TenantId;
use tenantry_store::posting::Settlement;
use tenantry_store::{Expiries, Settled};

use crate::books::Books;
use crate::error::Result;
use crate::locks::Lock;
use crate::session::{Command, Session};
use crate::sql::{Columns as _, params};
use crate::{PostgresStore, reading};

/// Instants looked at to find the tenants that are due.
const LOOK_AT: u64 = 10_000;

#[async_trait]
impl Expiries for PostgresStore {
    async fn settle(&self, limit: usize) -> tenantry_domain::error::Result<Settled> {
        let now = self.context.clock.now();
        let next = self.next_due().await?;
        if next.is_none_or(|due| due > now) {
            return Ok(Settled { entries: 0, next_due: next });
        }
        let Some(mut turn) = reading(self.turn()).await? else {
            // Another process does it: there is no instant to wait for.
            return Ok(Settled { entries: 0, next_due: None });
        };
        let due = reading(tenants_due(&mut turn, now)).await?;
        let entries = self.settle_all(&due, limit).await;
        reading(turn.commit()).await?;
        Ok(Settled { entries, next_due: self.next_due().await? })
    }
}

impl PostgresStore {
    /// The transaction of what one process does at a time; `None` while another one does so.
    pub(crate) async fn turn(&self) -> Result<Option<Session>> {
        let mut session = self.database.transaction().await?;
        Ok(Lock::Settler.try_take_here(&mut session).await?.then_some(session))
    }

    /// Settles tenant after tenant, each in a transaction of its own: one whose books do not fit must
    /// not stop the time of the others.
    async fn settle_all(&self, due: &[TenantId], limit: usize) -> u64 {
        let (mut left, mut entries) = (limit, 0);
        for tenant in due {
            match self.retried(|| self.settle_one(*tenant, left)).await {
                Ok(settled) => {
                    entries += settled.entries;
                    left = left.saturating_sub(settled.instants);
                }
                Err(error) => {
                    tracing::error!(%tenant, %error, "what has expired could not be settled");
                }
            }
            if left == 0 {
                break;
            }
        }
        entries
    }

    async fn settle_one(&self, tenant: TenantId, limit: usize) -> Result<Settlement> {
        let session = self.database.change_of(tenant).await?;
        let mut books = Books::open(session, &self.context, tenant, None).await?;
        let settled = books.settle(limit).await?;
        // Another one can have been quicker.
        if settled.entries > 0 {
            self.close(books, None).await?;
        }
        Ok(settled)
    }

    /// When something expires next, anywhere.
    async fn next_due(&self) -> std::result::Result<Option<Timestamp>, Error> {
        let query = Command::new("SELECT min(due_at) FROM expiries", Vec::new());
        self.read([query], |[rows]| rows.first().map_or(Ok(None), |row| row.at_if_any(0))).await
    }
}

/// Tenants of which something has expired and has no entry yet, those that wait longest first. It
/// looks at no more than [`LOOK_AT`] instants, in the order of the index.
async fn tenants_due(session: &mut Session, now: Timestamp) -> Result<Vec<TenantId>> {
    let sql = "SELECT tenant_id FROM expiries WHERE due_at <= $1 ORDER BY due_at LIMIT $2";
    let mut seen = HashSet::new();
    let mut due = Vec::new();
    for row in session.all(sql, params![now, LOOK_AT]).await? {
        let tenant = TenantId::from_uuid(row.try_get(0)?);
        if seen.insert(tenant) {
            due.push(tenant);
        }
    }
    Ok(due)
}
