//! A tenant's books, opened for one change: its ledger's head under the tenant's lock, caught up with
//! the clock, and what is posted to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use tenantry_domain::access::{CallerState, TenantAccess};
use tenantry_domain::clock::{Clock, MonotonicClock, Timestamp};
use tenantry_domain::counts::Expiry;
use tenantry_domain::entropy::Entropy;
use tenantry_domain::error::{Error, Missing};
use tenantry_domain::id::{TenantId, UserId};
use tenantry_domain::ledger::{Entry, Erasable, Event, Head};
use tenantry_domain::stats::{Heartbeat, effective_now};
use tenantry_store::posting::{Deed, Due, Settlement, kind_from, kind_name};
use tenantry_store::repeats::KeptMark;
use tokio_postgres::Row;

use crate::error::Result;
use crate::session::{Command, Session};
use crate::sql::{Columns as _, Value, count_columns, params};
use crate::{locks, marks, statistician};

/// What a store is made with.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl Context {
    /// What was read at an instant must stay read when the clock steps back, also by a read that
    /// left no trace.
    pub(crate) fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock: Arc::new(MonotonicClock::new(clock)), entropy }
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Context")
    }
}

/// In the order of [`read_head`].
macro_rules! head_columns {
    () => {
        concat!("seq, hash, at, last_activity_at, ", $crate::sql::count_columns!())
    };
}
pub(crate) use head_columns;

/// A tenant's books, open for a change.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) session: Session,
    pub(crate) tenant: TenantId,
    /// The instant of the change: not before anything that has happened to the tenant.
    pub(crate) at: Timestamp,
    /// Whom the answer to the change tells of, if it tells of a person.
    pub(crate) person: Option<UserId>,
    context: Context,
    head: Head,
    /// How many entries there were when the books were opened.
    opened_at: u64,
    next_due: Option<Timestamp>,
    /// What whoever changes something is worth, and what their mark says.
    caller: CallerState,
    mark: Option<KeptMark>,
}

impl Books {
    /// Opens the books of a tenant that exists, for the bearer of `access` if there is one.
    pub(crate) async fn open(
        mut session: Session,
        context: &Context,
        tenant: TenantId,
        access: Option<&TenantAccess>,
    ) -> Result<Self> {
        let lock = concat!(
            "SELECT ",
            head_columns!(),
            " FROM ledger_heads WHERE tenant_id = $1 FOR UPDATE"
        );
        // Each sees what was committed before it began, and only the first waits.
        let state = "SELECT (SELECT max(last_call_at) FROM usage_heartbeats WHERE tenant_id = $1),
                (SELECT min(due_at) FROM expiries WHERE tenant_id = $1)
             FROM tenants WHERE tenant_id = $1 AND status <> 'deleted'";
        let idempotency = access.and_then(TenantAccess::idempotency);
        let probe = access.and_then(TenantAccess::probe);
        let [head, state, caller, mark] = session
            .each([
                Command::new(lock, params![tenant]),
                Command::new(state, params![tenant]),
                statistician::ask_caller(probe.as_ref()),
                marks::ask(idempotency.map(|it| *it.mark())),
            ])
            .await?;
        let (Some(head), Some(state)) = (head.first(), state.first()) else {
            return Err(Error::NotFound(Missing::Tenant).into());
        };
        let head = read_head(head)?;
        // The clock is read here, under the lock, so that entries are in the order of their instants
        // and nothing can expire unseen between the reading and the commit.
        let now = context.clock.now();
        let heartbeat = Heartbeat { last_call: state.at_if_any(0)?, last_activity: None };
        Ok(Self {
            session,
            tenant,
            at: effective_now(now, &head, heartbeat),
            person: None,
            context: context.clone(),
            opened_at: head.seq,
            head,
            next_due: state.at_if_any(1)?,
            caller: statistician::read_caller(probe.as_ref(), &caller, now)?,
            mark: marks::read(&mark, now)?,
        })
    }

    /// Opens the books of a tenant that is being made.
    pub(crate) fn begin(session: Session, context: &Context, tenant: TenantId) -> Self {
        Self {
            session,
            tenant,
            at: context.clock.now(),
            person: None,
            context: context.clone(),
            head: Head::EMPTY,
            opened_at: 0,
            next_due: None,
            caller: statistician::NOBODY,
            mark: None,
        }
    }

    /// Refuses a change whose bearer may no longer make it: what they were told they may do can have
    /// been taken back while they waited.
    pub(crate) fn confirm(&self, access: &TenantAccess) -> Result<()> {
        Ok(access.confirm(&self.caller)?)
    }

    /// The mark of the change that was found when the books were opened.
    pub(crate) fn take_mark(&mut self) -> Option<KeptMark> {
        self.mark.take()
    }

    /// Posts an entry for each kind and instant of what has expired by now, for at most `limit`
    /// instants. An instant is settled as a whole: what stays on the schedule is later than the head.
    pub(crate) async fn settle(&mut self, limit: usize) -> Result<Settlement> {
        if self.next_due.is_none_or(|due| due > self.at) || limit == 0 {
            return Ok(Settlement::default());
        }
        let sql = "SELECT due_at, kind, rows FROM expiries
             WHERE tenant_id = $1 AND due_at <= (SELECT max(due_at) FROM (
                 SELECT DISTINCT due_at FROM expiries WHERE tenant_id = $1 AND due_at <= $2
                 ORDER BY due_at LIMIT $3) AS first)
             ORDER BY due_at, kind";
        let rows = self.session.all(sql, params![self.tenant, self.at, limit as u64]).await?;
        let mut instants = BTreeSet::new();
        for row in &rows {
            let due =
                Due { at: row.at(0)?, kind: kind_from(row.try_get(1)?)?, rows: row.number(2)? };
            instants.insert(due.at);
            self.append(due.event(self.tenant, &self.head))?;
        }
        if let Some(last) = instants.last() {
            let sql = "DELETE FROM expiries WHERE tenant_id = $1 AND due_at <= $2";
            self.session.write(sql, params![self.tenant, *last]);
        }
        Ok(Settlement { instants: instants.len(), entries: rows.len() as u64 })
    }

    /// Posts one entry for something the bearer of `access` does.
    pub(crate) fn post(&mut self, access: &TenantAccess, deed: Deed) -> Result<Entry> {
        let (lost, gained) = deed.change.schedule(self.at);
        self.reschedule(lost, gained);
        self.append(deed.by(access, self.at))
    }

    fn reschedule(&mut self, lost: Option<Expiry>, gained: Option<Expiry>) {
        if lost == gained {
            return;
        }
        if let Some(expiry) = lost {
            let params = || params![self.tenant, expiry.at, kind_name(expiry.kind)];
            let fewer = "UPDATE expiries SET rows = rows - 1
                 WHERE tenant_id = $1 AND due_at = $2 AND kind = $3";
            let none = "DELETE FROM expiries
                 WHERE tenant_id = $1 AND due_at = $2 AND kind = $3 AND rows = 0";
            let (first, second) = (params(), params());
            self.session.write_one(fewer, first);
            self.session.write(none, second);
        }
        if let Some(expiry) = gained {
            let sql = "INSERT INTO expiries (tenant_id, due_at, kind, rows) VALUES ($1, $2, $3, 1)
                 ON CONFLICT (tenant_id, due_at, kind) DO UPDATE SET rows = expiries.rows + 1";
            self.session.write(sql, params![self.tenant, expiry.at, kind_name(expiry.kind)]);
        }
    }

    fn append(&mut self, event: Event) -> Result<Entry> {
        let (entry, head) = self.head.append(event, &*self.context.entropy)?;
        let salt = |part: &Erasable| part.clear.as_ref().map(|clear| clear.salt.to_vec());
        let json = |part: &Erasable| part.clear.as_ref().map(|clear| clear.json.clone());
        let mut values = params![
            entry.tenant,
            entry.seq,
            entry.id,
            entry.at,
            entry.action.as_str(),
            entry.actor_kind.as_str(),
            &entry.actor_id,
            salt(&entry.actor_info),
            json(&entry.actor_info),
            entry.actor_info.digest,
            &entry.resource_id,
            entry.rows,
            salt(&entry.details),
            json(&entry.details),
            entry.details.digest,
            entry.hash,
        ];
        values.extend(entry.counts.to_array().map(Value::from));
        let sql = concat!(
            "INSERT INTO ledger (tenant_id, seq, entry_id, at, action, actor_kind, actor_id,
                 actor_salt, actor_info, actor_digest, resource_id, rows, details_salt, details,
                 details_digest, hash, ",
            count_columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
                 $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)"
        );
        self.session.write(sql, values);
        self.head = head;
        Ok(entry)
    }

    /// Writes the head, after everything is posted. Answers by what it can be told afterwards whether
    /// all of it was committed.
    pub(crate) fn finish(mut self, mark: Option<marks::Left>) -> (Session, Trace) {
        let tenant = self.tenant;
        if self.head.seq == self.opened_at {
            // Nothing was posted, and something may have been written all the same: a counted call.
            let mark = mark
                .unwrap_or_else(|| marks::leave_trace(&mut self.session, &self.context, tenant));
            return (self.session, Trace::Mark(mark));
        }
        let Head { seq, hash, at, last_activity, counts } = self.head;
        let mut values = params![tenant, seq, hash, at, last_activity];
        values.extend(counts.to_array().map(Value::from));
        let sql = if self.opened_at == 0 {
            concat!(
                "INSERT INTO ledger_heads (tenant_id, ",
                head_columns!(),
                ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
            )
        } else {
            concat!(
                "UPDATE ledger_heads SET (",
                head_columns!(),
                ") = ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
                 WHERE tenant_id = $1"
            )
        };
        self.session.write_one(sql, values);
        (self.session, Trace::Entry { tenant, seq, hash })
    }
}

/// What a transaction leaves if it is committed, and nothing else does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trace {
    /// The newest of its entries.
    Entry { tenant: TenantId, seq: u64, hash: tenantry_domain::ledger::Hash },
    /// Its mark.
    Mark(marks::Left),
}

impl Trace {
    /// Whether it is there, once whoever has the tenant's lock is done.
    pub(crate) async fn is_there(self, mut session: Session) -> Result<bool> {
        let (tenant, found) = match self {
            Self::Entry { tenant, seq, hash } => {
                let sql = "SELECT 1 FROM ledger WHERE tenant_id = $1 AND seq = $2 AND hash = $3";
                (tenant, Command::new(sql, params![tenant, seq, hash]))
            }
            Self::Mark(mark) => (mark.tenant(), mark.ask()),
        };
        let lock = "SELECT 1 FROM ledger_heads WHERE tenant_id = $1 FOR UPDATE";
        let lock = Command::new(lock, params![tenant]);
        let [_, _, found] = session.each([locks::making(tenant), lock, found]).await?;
        Ok(!found.is_empty())
    }
}

/// Reads [`head_columns`].
pub(crate) fn read_head(row: &Row) -> Result<Head> {
    Ok(Head {
        seq: row.number(0)?,
        hash: row.hash(1)?,
        at: row.at(2)?,
        last_activity: row.at_if_any(3)?,
        counts: row.counts(4)?,
    })
}
