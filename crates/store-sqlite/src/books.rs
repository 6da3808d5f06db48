//! A tenant's books, opened for one change: its ledger's head under the writer's lock, caught up
//! with the clock, and what is posted to it.

use std::sync::Arc;

use rusqlite::{Connection, params, params_from_iter};
use tenantry_domain::access::TenantAccess;
use tenantry_domain::clock::{Clock, MonotonicClock, Timestamp};
use tenantry_domain::counts::{Change, Counts, Expiry};
use tenantry_domain::entropy::Entropy;
use tenantry_domain::error::{Error, Missing};
use tenantry_domain::id::{TenantId, UserId};
use tenantry_domain::ledger::{Entry, Erasable, Event, Hash, Head};
use tenantry_domain::stats::effective_now;
use tenantry_store::posting::{Deed, Due, Settlement, kind_from, kind_name};

use crate::error::Result;
use crate::projection::Projection;
use crate::sql::{
    self, At, Fixed, Number, Value, blob, count_columns, instant, number, tenant_id, text,
};
use crate::usage;

/// What a store is made with.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// What the server remembers; the command line remembers nothing.
    projection: Option<Arc<Projection>>,
}

impl Context {
    /// What was read at an instant must stay read when the clock steps back, also by a read that
    /// left no trace.
    pub(crate) fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock: Arc::new(MonotonicClock::new(clock)), entropy, projection: None }
    }

    /// The same, in a process that remembers.
    pub(crate) fn with_projection(self, projection: Arc<Projection>) -> Self {
        Self { projection: Some(projection), ..self }
    }

    /// Notes that the transaction under way changes a tenant.
    pub(crate) fn begin_change(&self, tenant: TenantId) {
        if let Some(projection) = &self.projection {
            projection.begin_change(tenant);
        }
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Context")
    }
}

/// A tenant's books, open for a change.
pub(crate) struct Books<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) tenant: TenantId,
    /// The instant of the change: not before anything that has happened to the tenant.
    pub(crate) at: Timestamp,
    /// Whom the answer to the change tells of, if it tells of a person.
    pub(crate) person: Option<UserId>,
    context: &'a Context,
    head: Head,
}

impl<'a> Books<'a> {
    /// Opens the books of a tenant that exists, as they are.
    pub(crate) fn open(
        connection: &'a Connection,
        context: &'a Context,
        tenant: TenantId,
    ) -> Result<Self> {
        let head = head(connection, tenant)?.ok_or(Error::NotFound(Missing::Tenant))?;
        // The clock is read here, under the lock, so that entries are in the order of their
        // instants and nothing can expire unseen between the reading and the commit.
        let heartbeat = usage::heartbeat(connection, tenant)?;
        let at = effective_now(context.clock.now(), &head, heartbeat);
        context.begin_change(tenant);
        Ok(Self { connection, tenant, at, person: None, context, head })
    }

    /// Opens the books of a tenant that is being made.
    pub(crate) fn begin(
        connection: &'a Connection,
        context: &'a Context,
        tenant: TenantId,
    ) -> Result<Self> {
        let at = context.clock.now();
        context.begin_change(tenant);
        let books = Self { connection, tenant, at, person: None, context, head: Head::EMPTY };
        let sql = concat!(
            "INSERT INTO ledger_heads (tenant_id, seq, hash, at, last_activity_at, ",
            count_columns!(),
            ") VALUES (?1, 0, x'', 0, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)"
        );
        sql::execute(connection, sql, params![tenant_id(tenant)])?;
        Ok(books)
    }

    /// Posts an entry for each kind and instant of what has expired by now, for at most `limit`
    /// instants. An instant is settled as a whole: what stays on the schedule is later than the head.
    pub(crate) fn settle(&mut self, limit: usize) -> Result<Settlement> {
        let instants = sql::all(
            self.connection,
            "SELECT DISTINCT due_at FROM expiries WHERE tenant_id = ?1 AND due_at <= ?2
             ORDER BY due_at LIMIT ?3",
            params![tenant_id(self.tenant), At(self.at), Number(limit as u64)],
            |row| Ok(row.get::<_, At>(0)?.0),
        )?;
        let Some(last) = instants.last() else { return Ok(Settlement::default()) };
        let due = sql::all(
            self.connection,
            "SELECT due_at, kind, rows FROM expiries WHERE tenant_id = ?1 AND due_at <= ?2
             ORDER BY due_at, kind",
            params![tenant_id(self.tenant), At(*last)],
            |row| {
                Ok((row.get::<_, At>(0)?.0, row.get::<_, String>(1)?, row.get::<_, Number>(2)?.0))
            },
        )?;
        for (at, kind, rows) in &due {
            let due = Due { at: *at, kind: kind_from(kind)?, rows: *rows };
            self.append(due.event(self.tenant, &self.head))?;
            sql::execute(
                self.connection,
                "DELETE FROM expiries WHERE tenant_id = ?1 AND due_at = ?2 AND kind = ?3",
                params![tenant_id(self.tenant), At(*at), kind],
            )?;
        }
        Ok(Settlement { instants: instants.len(), entries: due.len() as u64 })
    }

    /// Posts one entry for something the bearer of `access` does.
    pub(crate) fn post(&mut self, access: &TenantAccess, deed: Deed) -> Result<Entry> {
        let (lost, gained) = deed.change.schedule(self.at);
        self.reschedule(lost, gained)?;
        self.append(deed.by(access, self.at))
    }

    /// Writes the head, after everything is posted.
    pub(crate) fn close(self) -> Result<()> {
        let mut values: Vec<Value> = vec![
            blob(self.tenant.as_uuid()),
            number(self.head.seq)?,
            Value::Blob(self.head.hash.0.to_vec()),
            Value::Integer(self.head.at.as_millis()),
            instant(self.head.last_activity),
        ];
        for count in self.head.counts.to_array() {
            values.push(number(count)?);
        }
        let sql = concat!(
            "UPDATE ledger_heads SET (seq, hash, at, last_activity_at, ",
            count_columns!(),
            ") = (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
             WHERE tenant_id = ?1"
        );
        sql::execute(self.connection, sql, params_from_iter(values))?;
        Ok(())
    }

    fn reschedule(&self, lost: Option<Expiry>, gained: Option<Expiry>) -> Result<()> {
        if lost == gained {
            return Ok(());
        }
        let tenant = self.tenant;
        if let Some(expiry) = lost {
            let params = params![tenant_id(tenant), At(expiry.at), kind_name(expiry.kind)];
            let scheduled = sql::execute(
                self.connection,
                "UPDATE expiries SET rows = rows - 1
                 WHERE tenant_id = ?1 AND due_at = ?2 AND kind = ?3",
                params,
            )?;
            if scheduled != 1 {
                return Err(Error::internal("an expiry is missing from the schedule").into());
            }
            sql::execute(
                self.connection,
                "DELETE FROM expiries
                 WHERE tenant_id = ?1 AND due_at = ?2 AND kind = ?3 AND rows = 0",
                params,
            )?;
        }
        if let Some(expiry) = gained {
            sql::execute(
                self.connection,
                "INSERT INTO expiries (tenant_id, due_at, kind, rows) VALUES (?1, ?2, ?3, 1)
                 ON CONFLICT (tenant_id, due_at, kind) DO UPDATE SET rows = expiries.rows + 1",
                params![tenant_id(tenant), At(expiry.at), kind_name(expiry.kind)],
            )?;
        }
        Ok(())
    }

    fn append(&mut self, event: Event) -> Result<Entry> {
        let (entry, head) = self.head.append(event, &*self.context.entropy)?;
        let salt = |part: &Erasable| {
            part.clear.as_ref().map_or(Value::Null, |clear| Value::Blob(clear.salt.to_vec()))
        };
        let json = |part: &Erasable| text(part.clear.as_ref().map(|clear| clear.json.as_str()));
        let mut values: Vec<Value> = vec![
            blob(entry.tenant.as_uuid()),
            number(entry.seq)?,
            blob(entry.id.as_uuid()),
            Value::Integer(entry.at.as_millis()),
            Value::Text(entry.action.as_str().to_owned()),
            Value::Text(entry.actor_kind.as_str().to_owned()),
            Value::Text(entry.actor_id.clone()),
            salt(&entry.actor_info),
            json(&entry.actor_info),
            Value::Blob(entry.actor_info.digest.0.to_vec()),
            Value::Text(entry.resource_id.clone()),
            number(entry.rows)?,
            salt(&entry.details),
            json(&entry.details),
            Value::Blob(entry.details.digest.0.to_vec()),
            Value::Blob(entry.hash.0.to_vec()),
        ];
        for count in entry.counts.to_array() {
            values.push(number(count)?);
        }
        let sql = concat!(
            "INSERT INTO ledger (tenant_id, seq, entry_id, at, action, actor_kind, actor_id,
                 actor_salt, actor_info, actor_digest, resource_id, rows, details_salt, details,
                 details_digest, hash, ",
            count_columns!(),
            ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,
                 ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26)"
        );
        sql::execute(self.connection, sql, params_from_iter(values))?;
        self.head = head;
        Ok(entry)
    }
}

/// In the order of [`read_head`].
macro_rules! head_columns {
    () => {
        concat!("seq, hash, at, last_activity_at, ", count_columns!())
    };
}
pub(crate) use head_columns;

/// The newest state of a tenant's ledger; `None` if the tenant does not exist (any more).
pub(crate) fn head(connection: &Connection, tenant: TenantId) -> Result<Option<Head>> {
    let sql = concat!(
        "SELECT ",
        head_columns!(),
        " FROM ledger_heads WHERE tenant_id = ?1 AND EXISTS (
              SELECT 1 FROM tenants WHERE tenant_id = ?1 AND status <> 'deleted')"
    );
    sql::optional(connection, sql, params![tenant_id(tenant)], read_head)
}

/// Reads [`head_columns`].
pub(crate) fn read_head(row: &rusqlite::Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head {
        seq: row.get::<_, Number>(0)?.0,
        hash: Hash(row.get::<_, Fixed<32>>(1)?.0),
        at: row.get::<_, At>(2)?.0,
        last_activity: row.get::<_, Option<At>>(3)?.map(|at| at.0),
        counts: sql::counts(row, 4)?,
    })
}

/// A tenant's counts at its effective now, and that instant.
pub(crate) fn counts(
    connection: &Connection,
    tenant: TenantId,
    clock: Timestamp,
) -> Result<(Counts, Timestamp)> {
    let standing = standing(connection, tenant, clock)?;
    let (head, at) = standing.ok_or(Error::NotFound(Missing::Tenant))?;
    Ok((corrected(connection, tenant, head.counts, at)?, at))
}

/// The effective now of a tenant; `None` if there is no such tenant (any more).
pub(crate) fn now(
    connection: &Connection,
    tenant: TenantId,
    clock: Timestamp,
) -> Result<Option<Timestamp>> {
    Ok(standing(connection, tenant, clock)?.map(|(_, at)| at))
}

/// A tenant's newest entry, and its effective now.
fn standing(
    connection: &Connection,
    tenant: TenantId,
    clock: Timestamp,
) -> Result<Option<(Head, Timestamp)>> {
    let Some(head) = head(connection, tenant)? else { return Ok(None) };
    let at = effective_now(clock, &head, usage::heartbeat(connection, tenant)?);
    Ok(Some((head, at)))
}

/// Counts of the newest entry, corrected by what has expired since and has no entry yet.
pub(crate) fn corrected(
    connection: &Connection,
    tenant: TenantId,
    counts: Counts,
    at: Timestamp,
) -> Result<Counts> {
    due(connection, tenant, at)?
        .iter()
        .try_fold(counts, |counts, change| Ok(counts.after(change, at)?))
}

/// When the next thing expires after `at`.
pub(crate) fn next_due(
    connection: &Connection,
    tenant: TenantId,
    at: Timestamp,
) -> Result<Option<Timestamp>> {
    sql::one(
        connection,
        "SELECT min(due_at) FROM expiries WHERE tenant_id = ?1 AND due_at > ?2",
        params![tenant_id(tenant), At(at)],
        |row| Ok(row.get::<_, Option<At>>(0)?.map(|at| at.0)),
    )
}

/// What has expired by `at` and has no entry yet: how many of each kind.
fn due(connection: &Connection, tenant: TenantId, at: Timestamp) -> Result<Vec<Change>> {
    let rows = sql::all(
        connection,
        "SELECT kind, SUM(rows) FROM expiries WHERE tenant_id = ?1 AND due_at <= ?2 GROUP BY kind",
        params![tenant_id(tenant), At(at)],
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, Number>(1)?.0)),
    )?;
    rows.into_iter()
        .map(|(kind, rows)| Ok(Change::Expired { kind: kind_from(&kind)?, rows }))
        .collect()
}

#[cfg(test)]
mod tests;
