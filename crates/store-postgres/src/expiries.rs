//! Time as a writer.

use async_trait::async_trait;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::{Error, Missing};
use tenantry_domain::id::TenantId;
use tenantry_store::posting::Settlement;
use tenantry_store::{Expiries, Settled};

use crate::PostgresStore;
use crate::books::Books;
use crate::error::{Fault, Result};
use crate::locks::Lock;
use crate::session::{Command, Session};
use crate::sql::{Columns as _, params};

/// Tenants that are settled at once, at most.
const TENANTS: u64 = 10_000;

/// Before anything that expires.
const EVER: Timestamp = Timestamp::from_millis(i64::MIN);

#[async_trait]
impl Expiries for PostgresStore {
    async fn settle(&self, limit: usize) -> tenantry_domain::error::Result<Settled> {
        let now = self.context.clock.now();
        let next = self.next_due(EVER).await?;
        if next.is_none_or(|due| due > now) {
            return Ok(Settled { entries: 0, next_due: next });
        }
        let look = || async {
            let Some(mut turn) = self.turn().await? else { return Ok(None) };
            let due = tenants_due(&mut turn, now).await?;
            Ok(Some((turn, due)))
        };
        let Some((mut turn, due)) = self.retried(look).await? else {
            // Another process does it: there is no instant to wait for.
            return Ok(Settled { entries: 0, next_due: None });
        };
        let entries = self.settle_all(&due, limit).await;
        turn.commit().await.map_err(Fault::into_error)?;
        // Where nothing came of it, coming again at once would not help.
        let after = if entries > 0 { EVER } else { now };
        Ok(Settled { entries, next_due: self.next_due(after).await? })
    }
}

impl PostgresStore {
    /// The transaction of what one process does at a time; `None` while another one does so.
    pub(crate) async fn turn(&self) -> Result<Option<Session>> {
        let mut session = self.database.transaction().await?;
        Ok(Lock::Settler.try_take_here(&mut session).await?.then_some(session))
    }

    /// Settles tenant after tenant, each in a transaction of its own: one whose books do not fit must
    /// not stop the time of the others. Each has its share of the limit, so that none of which very
    /// much has expired keeps the others waiting.
    async fn settle_all(&self, due: &[TenantId], limit: usize) -> u64 {
        let (mut left, mut entries) = (limit, 0);
        for (tenant, waiting) in due.iter().zip((1..=due.len()).rev()) {
            let share = left.div_ceil(waiting);
            match self.retried(|| self.settle_one(*tenant, share)).await {
                Ok(settled) => {
                    entries += settled.entries;
                    left = left.saturating_sub(settled.instants);
                }
                // It was deleted meanwhile.
                Err(Error::NotFound(Missing::Tenant)) => {}
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

    /// When something expires next, anywhere, after an instant.
    async fn next_due(&self, after: Timestamp) -> std::result::Result<Option<Timestamp>, Error> {
        let sql = "SELECT min(due_at) FROM expiries WHERE due_at > $1";
        let query = Command::new(sql, params![after]);
        self.read([query], |[rows]| rows.first().map_or(Ok(None), |row| row.at_if_any(0))).await
    }
}

/// Tenants of which something has expired and has no entry yet, those that wait longest first.
async fn tenants_due(session: &mut Session, now: Timestamp) -> Result<Vec<TenantId>> {
    let sql = "SELECT tenant_id FROM expiries WHERE due_at <= $1
         GROUP BY tenant_id ORDER BY min(due_at) LIMIT $2";
    let due = session.all(sql, params![now, TENANTS]).await?;
    due.iter().map(|row| Ok(TenantId::from_uuid(row.try_get(0)?))).collect()
}
