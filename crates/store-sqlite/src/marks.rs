//! Marks of requests that may be repeated.

use async_trait::async_trait;
use rusqlite::{Connection, params};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::credential::Sealed;
use tenantry_domain::id::{TenantId, UserId};
use tenantry_domain::idempotency::{Idempotency, Mark, RETENTION_MS};
use tenantry_domain::ledger::Hash;
use tenantry_store::Marks;
use tenantry_store::repeats::{self, KeptMark};

use crate::SqliteStore;
use crate::books::Context;
use crate::error::Result;
use crate::sql::{self, At, Fixed, Id, tenant_id};
use crate::tenants::status;
use crate::writer::{Durability, Outcome};

#[async_trait]
impl Marks for SqliteStore {
    async fn check_mark(&self, mark: &Mark) -> tenantry_domain::error::Result<()> {
        let now = self.context.clock.now();
        self.read(|connection| match status(connection, mark.tenant)? {
            Some(_) => require_new(connection, mark, now),
            None => Ok(()),
        })
    }

    async fn forget_marks(&self, limit: u32) -> tenantry_domain::error::Result<u32> {
        let now = self.context.clock.now();
        if !self.read(|connection| any_expired(connection, now))? {
            return Ok(0);
        }
        let work = move |connection: &Connection| {
            let forgotten = sql::execute(
                connection,
                "DELETE FROM idempotency_marks WHERE rowid IN (
                     SELECT rowid FROM idempotency_marks WHERE expires_at <= ?1 LIMIT ?2)",
                params![At(now), limit],
            )?;
            Ok(Outcome::Done(u32::try_from(forgotten).unwrap_or(limit)))
        };
        self.write(Durability::Flushed, work).await
    }
}

/// Makes a change, or the next part of it, unless it was made before; once it is made, leaves its
/// mark if it has one. Beside what came of it `change` answers whom that tells of, if it is a person.
pub(crate) fn once<T: 'static>(
    connection: &Connection,
    context: &Context,
    idempotency: Option<&Idempotency>,
    change: impl FnOnce() -> Result<(Outcome<T>, Option<UserId>)>,
) -> Result<Outcome<T>> {
    let Some(idempotency) = idempotency else { return change().map(|(outcome, _)| outcome) };
    let (mark, now) = (idempotency.mark(), context.clock.now());
    require_new(connection, mark, now)?;
    let (outcome, person) = change()?;
    if let Outcome::Done(value) = &outcome {
        keep(connection, mark, &idempotency.record(value)?, person, now)?;
    }
    Ok(outcome)
}

/// Empties every answer that tells of a person. The marks stay: what took effect once does not take
/// effect again.
pub(crate) fn erase_answers(connection: &Connection, tenant: TenantId, user: UserId) -> Result<()> {
    sql::execute(
        connection,
        "UPDATE idempotency_marks SET answer = x'' WHERE tenant_id = ?1 AND user_id = ?2",
        params![tenant_id(tenant), Id(user.as_uuid())],
    )
    .map(drop)
}

fn require_new(connection: &Connection, mark: &Mark, now: Timestamp) -> Result<()> {
    let found = sql::optional(
        connection,
        "SELECT request, answer FROM idempotency_marks
         WHERE tenant_id = ?1 AND mark_id = ?2 AND expires_at > ?3",
        params![tenant_id(mark.tenant), mark.id.0, At(now)],
        |row| {
            let request = Hash(row.get::<_, Fixed<32>>(0)?.0);
            Ok(KeptMark { request, answer: Sealed(row.get(1)?) })
        },
    )?;
    Ok(repeats::require_new(mark, found)?)
}

/// Keeps a mark, in place of one that has had its time.
fn keep(
    connection: &Connection,
    mark: &Mark,
    answer: &Sealed,
    person: Option<UserId>,
    now: Timestamp,
) -> Result<()> {
    sql::execute(
        connection,
        "INSERT OR REPLACE INTO idempotency_marks (tenant_id, mark_id, request, answer, expires_at,
             user_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            tenant_id(mark.tenant),
            mark.id.0,
            mark.request.0,
            answer.0,
            At(now.plus_millis(RETENTION_MS)),
            person.map(|user| Id(user.as_uuid()))
        ],
    )?;
    Ok(())
}

fn any_expired(connection: &Connection, now: Timestamp) -> Result<bool> {
    sql::one(
        connection,
        "SELECT EXISTS (SELECT 1 FROM idempotency_marks WHERE expires_at <= ?1)",
        params![At(now)],
        |row| row.get(0),
    )
}
