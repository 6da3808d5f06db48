//! The ledger, as the audit log.

use async_trait::async_trait;
use tenantry_domain::access::TenantAccess;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::Change;
use tenantry_domain::error::{Error, Missing};
use tenantry_domain::id::{EntryId, TenantId};
use tenantry_domain::ledger::{Action, ActorKind, Clear, Entry, Erasable};
use tenantry_store::posting::Deed;
use tenantry_store::{AuditLog, Entries, EntryFilter, Note};
use tokio_postgres::Row;

use crate::PostgresStore;
use crate::error::Result;
use crate::session::{Command, Session};
use crate::sql::{Columns as _, Fixed, Value, Word, count_columns, params};

/// In the order of [`read`].
macro_rules! columns {
    () => {
        concat!(
            "entry_id, tenant_id, seq, at, action, actor_kind, actor_id, actor_salt, actor_info, \
             actor_digest, resource_id, rows, details_salt, details, details_digest, hash, ",
            count_columns!()
        )
    };
}

#[async_trait]
impl AuditLog for PostgresStore {
    async fn list_entries(
        &self,
        access: &TenantAccess,
        filter: &EntryFilter,
        limit: u32,
        offset: u64,
    ) -> tenantry_domain::error::Result<Entries> {
        let tenant = access.tenant();
        self.retried(|| async {
            let mut opened = self.database.snapshot().await?;
            let session = &mut opened;
            let range = seq_range(session, tenant, filter).await?;
            let (conditions, mut values) = conditions(tenant, filter, range);
            let count = format!("SELECT count(*) FROM ledger WHERE {conditions}");
            let count = Command::new(count, values.clone());
            let place = values.len();
            values.extend(params![limit, i64::try_from(offset).unwrap_or(i64::MAX)]);
            let page = format!(
                "SELECT {} FROM ledger WHERE {conditions} ORDER BY seq DESC LIMIT ${} OFFSET ${}",
                columns!(),
                place + 1,
                place + 2
            );
            let page = Command::new(page, values);
            let (total, rows) = if filter.action.is_none() && filter.actor_id.is_none() {
                // The numbers have no gap.
                let [rows] = session.each([page]).await?;
                ((range.1 + 1).saturating_sub(range.0), rows)
            } else {
                let [count, rows] = session.each([count, page]).await?;
                (count.first().map_or(Ok(0), |row| row.number(0))?, rows)
            };
            Ok(Entries { items: rows.iter().map(read).collect::<Result<_>>()?, total })
        })
        .await
    }

    async fn record(
        &self,
        access: &TenantAccess,
        note: Note,
    ) -> tenantry_domain::error::Result<Entry> {
        change!(self, access, |books| {
            let Note { action, resource_id, details } = note.clone();
            books.post(access, Deed { action, change: Change::None, resource_id, details })
        })
    }
}

/// The numbers of the first and the last entry of the time asked for. Entries are in the order of
/// their instants, so a time is a range of numbers, and every index serves it.
async fn seq_range(
    session: &mut Session,
    tenant: TenantId,
    filter: &EntryFilter,
) -> Result<(u64, u64)> {
    let newest = "SELECT seq FROM ledger_heads WHERE tenant_id = $1 AND EXISTS (
         SELECT 1 FROM tenants WHERE tenant_id = $1 AND status <> 'deleted')";
    // How many entries there are before an instant.
    let before = |at: Option<Timestamp>| {
        let sql = "SELECT seq FROM ledger WHERE tenant_id = $1 AND at < $2
             ORDER BY at DESC, seq DESC LIMIT 1";
        Command::new(sql, params![tenant, at])
    };
    let asked = [Command::new(newest, params![tenant]), before(filter.from), before(filter.to)];
    let [newest, from, to] = session.each(asked).await?;
    let newest = newest.first().ok_or(Error::NotFound(Missing::Tenant))?.number(0)?;
    let seq = |rows: &[Row]| rows.first().map_or(Ok(0), |row| row.number(0));
    let last = if filter.to.is_some() { seq(&to)? } else { newest };
    Ok((seq(&from)? + 1, last))
}

fn conditions(
    tenant: TenantId,
    filter: &EntryFilter,
    (first, last): (u64, u64),
) -> (String, Vec<Value>) {
    let mut conditions = "tenant_id = $1 AND seq >= $2 AND seq <= $3".to_owned();
    let mut values = params![tenant, first, last];
    let filters =
        [("action", filter.action.map(Action::as_str)), ("actor_id", filter.actor_id.as_deref())];
    for (column, value) in filters {
        if let Some(value) = value {
            values.push(value.into());
            conditions = format!("{conditions} AND {column} = ${}", values.len());
        }
    }
    (conditions, values)
}

/// Asks for entries of a tenant in their order, after this number.
pub(crate) fn ask_after(tenant: TenantId, seq: u64, limit: u32) -> Command {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM ledger WHERE tenant_id = $1 AND seq > $2 ORDER BY seq LIMIT $3"
    );
    Command::new(sql, params![tenant, seq, limit])
}

pub(crate) fn read(row: &Row) -> Result<Entry> {
    Ok(Entry {
        id: EntryId::from_uuid(row.try_get(0)?),
        tenant: TenantId::from_uuid(row.try_get(1)?),
        seq: row.number(2)?,
        at: row.at(3)?,
        action: row.try_get::<_, Word<Action>>(4)?.0,
        actor_kind: row.try_get::<_, Word<ActorKind>>(5)?.0,
        actor_id: row.try_get(6)?,
        actor_info: erasable(row, 7)?,
        resource_id: row.try_get(10)?,
        rows: row.number(11)?,
        details: erasable(row, 12)?,
        hash: row.hash(15)?,
        counts: row.counts(16)?,
    })
}

/// Reads a salt, a text and their digest.
fn erasable(row: &Row, first: usize) -> Result<Erasable> {
    let salt: Option<Fixed<16>> = row.try_get(first)?;
    let json: Option<String> = row.try_get(first + 1)?;
    let clear = salt.zip(json).map(|(salt, json)| Clear { salt: salt.0, json });
    Ok(Erasable { clear, digest: row.hash(first + 2)? })
}
