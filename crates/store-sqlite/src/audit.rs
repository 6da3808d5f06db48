//! The ledger, as the audit log.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params, params_from_iter};
use tenantry_domain::access::TenantAccess;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::Change;
use tenantry_domain::error::{Error, Missing};
use tenantry_domain::id::{EntryId, TenantId};
use tenantry_domain::ledger::{Action, ActorKind, Clear, Entry, Erasable, Hash};
use tenantry_store::posting::Deed;
use tenantry_store::{AuditLog, Entries, EntryFilter, Note};

use crate::SqliteStore;
use crate::books::head;
use crate::error::Result;
use crate::sql::{
    self, At, Fixed, Id, Number, Value, Word, blob, count_columns, number, tenant_id, text,
};

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
impl AuditLog for SqliteStore {
    async fn list_entries(
        &self,
        access: &TenantAccess,
        filter: &EntryFilter,
        limit: u32,
        offset: u64,
    ) -> tenantry_domain::error::Result<Entries> {
        let (tenant, filter) = (access.tenant(), filter.clone());
        self.read_long(move |connection| {
            let head = head(connection, tenant)?.ok_or(Error::NotFound(Missing::Tenant))?;
            let range = seq_range(connection, tenant, &filter, head.seq)?;
            let (conditions, mut values) = conditions(tenant, &filter, range)?;
            let total = if filter.action.is_none() && filter.actor_id.is_none() {
                // The numbers have no gap.
                (range.1 + 1).saturating_sub(range.0)
            } else {
                let count = format!("SELECT COUNT(*) FROM ledger WHERE {conditions}");
                sql::one(connection, &count, params_from_iter(&values), |row| {
                    Ok(row.get::<_, Number>(0)?.0)
                })?
            };
            values.push(Value::Integer(i64::from(limit)));
            values.push(Value::Integer(i64::try_from(offset).unwrap_or(i64::MAX)));
            let page = format!(
                "SELECT {} FROM ledger WHERE {conditions} ORDER BY seq DESC LIMIT ? OFFSET ?",
                columns!()
            );
            let items = sql::all(connection, &page, params_from_iter(&values), read)?;
            Ok(Entries { items, total })
        })
        .await
    }

    async fn record(
        &self,
        access: &TenantAccess,
        note: Note,
    ) -> tenantry_domain::error::Result<Entry> {
        self.change(access, move |books, access| {
            let Note { action, resource_id, details } = note.clone();
            books.post(access, Deed { action, change: Change::None, resource_id, details })
        })
        .await
    }
}

/// The numbers of the first and the last entry of the time asked for. Entries are in the order of
/// their instants, so a time is a range of numbers, and every index serves it.
fn seq_range(
    connection: &Connection,
    tenant: TenantId,
    filter: &EntryFilter,
    newest: u64,
) -> Result<(u64, u64)> {
    // How many entries there are before an instant.
    let before = |at: Timestamp| -> Result<u64> {
        let seq = sql::optional(
            connection,
            "SELECT seq FROM ledger WHERE tenant_id = ?1 AND at < ?2
             ORDER BY at DESC, seq DESC LIMIT 1",
            params![tenant_id(tenant), At(at)],
            |row| Ok(row.get::<_, Number>(0)?.0),
        )?;
        Ok(seq.unwrap_or_default())
    };
    let first = filter.from.map_or(Ok(0), before)? + 1;
    let last = filter.to.map_or(Ok(newest), before)?;
    Ok((first, last))
}

fn conditions(
    tenant: TenantId,
    filter: &EntryFilter,
    (first, last): (u64, u64),
) -> Result<(String, Vec<Value>)> {
    let mut conditions = vec!["tenant_id = ?", "seq >= ?", "seq <= ?"];
    let mut values = vec![blob(tenant.as_uuid()), number(first)?, number(last)?];
    let filters = [
        ("action = ?", filter.action.map(|action| text(Some(action.as_str())))),
        ("actor_id = ?", filter.actor_id.as_deref().map(|id| text(Some(id)))),
    ];
    for (condition, value) in filters {
        if let Some(value) = value {
            conditions.push(condition);
            values.push(value);
        }
    }
    Ok((conditions.join(" AND "), values))
}

/// Entries of a tenant in their order, after this number.
pub(crate) fn entries_after(
    connection: &Connection,
    tenant: TenantId,
    seq: u64,
    limit: u32,
) -> Result<Vec<Entry>> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM ledger WHERE tenant_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3"
    );
    sql::all(connection, sql, params![tenant_id(tenant), number(seq)?, limit], read)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        id: EntryId::from_uuid(row.get::<_, Id>(0)?.0),
        tenant: TenantId::from_uuid(row.get::<_, Id>(1)?.0),
        seq: row.get::<_, Number>(2)?.0,
        at: row.get::<_, At>(3)?.0,
        action: row.get::<_, Word<Action>>(4)?.0,
        actor_kind: row.get::<_, Word<ActorKind>>(5)?.0,
        actor_id: row.get(6)?,
        actor_info: erasable(row, 7)?,
        resource_id: row.get(10)?,
        rows: row.get::<_, Number>(11)?.0,
        details: erasable(row, 12)?,
        hash: Hash(row.get::<_, Fixed<32>>(15)?.0),
        counts: sql::counts(row, 16)?,
    })
}

/// Reads a salt, a text and their digest.
fn erasable(row: &Row<'_>, first: usize) -> rusqlite::Result<Erasable> {
    let salt: Option<Fixed<16>> = row.get(first)?;
    let json: Option<String> = row.get(first + 1)?;
    let digest: Fixed<32> = row.get(first + 2)?;
    let clear = salt.zip(json).map(|(salt, json)| Clear { salt: salt.0, json });
    Ok(Erasable { clear, digest: Hash(digest.0) })
}
