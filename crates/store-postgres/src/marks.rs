//! Marks of requests that may be repeated.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::credential::Sealed;
use tenantry_domain::id::{TenantId, UserId};
use tenantry_domain::idempotency::{Idempotency, Mark, RETENTION_MS};
use tenantry_domain::ledger::Hash;
use tenantry_store::Marks;
use tenantry_store::repeats::{KeptMark, require_new};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::PostgresStore;
use crate::books::Context;
use crate::error::Result;
use crate::session::{Command, Session};
use crate::sql::{Columns as _, params};
use crate::tenants;

#[async_trait]
impl Marks for PostgresStore {
    async fn check_mark(&self, mark: &Mark) -> tenantry_domain::error::Result<()> {
        let now = self.context.clock.now();
        let asked = [tenants::ask_status(mark.tenant), ask(Some(*mark))];
        self.read(asked, |[tenant, found]| {
            let there = tenants::read_status(&tenant)?.is_some();
            let kept = if there { read(&found, now)? } else { None };
            Ok(require_new(mark, kept)?)
        })
        .await
    }

    async fn forget_marks(&self, limit: u32) -> tenantry_domain::error::Result<u32> {
        let now = self.context.clock.now();
        let forget = || async {
            let Some(mut session) = self.turn().await? else { return Ok(0) };
            forget(&mut session, now, limit).await
        };
        self.retried(forget).await
    }
}

/// Removes marks that have had their time, at most this many; answers how many there were. Those of
/// each tenant go in a transaction of their own, all in one round trip: nobody waits for the disk, since
/// marks that come back after a crash have had their time too.
async fn forget(session: &mut Session, now: Timestamp, limit: u32) -> Result<u32> {
    let sql = "SELECT tenant_id, mark_id FROM idempotency_marks WHERE expires_at <= $1
         ORDER BY expires_at LIMIT $2";
    let mut forgotten = 0;
    let mut marks = BTreeMap::<Uuid, BTreeSet<Vec<u8>>>::new();
    for row in session.all(sql, params![now, limit]).await? {
        marks.entry(row.try_get(0)?).or_default().insert(row.try_get(1)?);
        forgotten += 1;
    }
    session.then_commit();
    for (tenant, ids) in marks {
        session.begin("BEGIN");
        session.write("SET LOCAL synchronous_commit = off", Vec::new());
        for id in ids {
            // It can have been left anew since.
            let sql = "DELETE FROM idempotency_marks
                 WHERE tenant_id = $1 AND mark_id = $2 AND expires_at <= $3";
            session.write(sql, params![tenant, id, now]);
        }
        session.then_commit();
    }
    session.flush().await?;
    Ok(forgotten)
}

/// Asks for a mark, if there is one to ask for.
pub(crate) fn ask(mark: Option<Mark>) -> Command {
    Command::new(
        "SELECT request, answer, expires_at FROM idempotency_marks
         WHERE tenant_id = $1 AND mark_id = $2",
        params![mark.map(|it| it.tenant), mark.map(|it| it.id)],
    )
}

/// What was found of a mark, unless it has had its time.
pub(crate) fn read(found: &[Row], now: Timestamp) -> Result<Option<KeptMark>> {
    let Some(row) = found.first() else { return Ok(None) };
    let kept = KeptMark { request: row.hash(0)?, answer: Sealed(row.try_get(1)?) };
    Ok((row.at(2)? > now).then_some(kept))
}

/// A mark as a change has left it. One with the same name that has had its time is another one: it has
/// another end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    mark: Mark,
    expires_at: Timestamp,
}

impl Left {
    pub(crate) const fn tenant(&self) -> TenantId {
        self.mark.tenant
    }

    /// Asks whether it is there.
    pub(crate) fn ask(&self) -> Command {
        Command::new(
            "SELECT 1 FROM idempotency_marks
             WHERE tenant_id = $1 AND mark_id = $2 AND request = $3 AND expires_at = $4",
            params![self.mark.tenant, self.mark.id, self.mark.request, self.expires_at],
        )
    }
}

/// Keeps the mark of a change that has led to `value`, and whom its answer tells of, in place of one
/// that has had its time.
pub(crate) fn keep<T: 'static>(
    session: &mut Session,
    idempotency: &Idempotency,
    value: &T,
    person: Option<UserId>,
    now: Timestamp,
) -> Result<Left> {
    Ok(write(session, *idempotency.mark(), &idempotency.record(value)?, person, now))
}

/// Leaves a mark that nobody has asked for: by it alone a change that posts nothing can be told to
/// have been committed.
pub(crate) fn leave_trace(session: &mut Session, context: &Context, tenant: TenantId) -> Left {
    let (id, request) = (Hash(context.entropy.bytes()), Hash::default());
    let mark = Mark { tenant, id, request, before: None };
    write(session, mark, &Sealed(Vec::new()), None, context.clock.now())
}

fn write(
    session: &mut Session,
    mark: Mark,
    answer: &Sealed,
    person: Option<UserId>,
    now: Timestamp,
) -> Left {
    let expires_at = now.plus_millis(RETENTION_MS);
    session.write(
        "INSERT INTO idempotency_marks (tenant_id, mark_id, request, answer, expires_at, user_id)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (tenant_id, mark_id) DO UPDATE SET request = excluded.request,
             answer = excluded.answer, expires_at = excluded.expires_at, user_id = excluded.user_id",
        params![
            mark.tenant,
            mark.id,
            mark.request,
            answer.0.clone(),
            expires_at,
            person
        ],
    );
    Left { mark, expires_at }
}

/// Empties every answer that tells of a person. The marks stay: what took effect once does not take
/// effect again.
pub(crate) fn erase_answers(session: &mut Session, tenant: TenantId, user: UserId) {
    session.write(
        "UPDATE idempotency_marks SET answer = '' WHERE tenant_id = $1 AND user_id = $2",
        params![tenant, user],
    );
}
