//! Pages of rows in the order in which they were made, whatever table they are in.

use std::borrow::Cow;

use rusqlite::{Connection, Row, params_from_iter};
use tenantry_domain::id::TenantId;
use tenantry_domain::page::{Cursor, Page, PageRequest, PageStart};
use tenantry_domain::text::fold;

use crate::error::Result;
use crate::sql::{self, Number, Value, blob};

/// A list: its table, its columns, and the conditions its rows meet.
pub(crate) struct List {
    table: &'static str,
    id: &'static str,
    columns: &'static str,
    conditions: Vec<Cow<'static, str>>,
    values: Vec<Value>,
}

impl List {
    /// All rows of a tenant. The text that `conditions` add is ours alone; what callers give is
    /// in `values`.
    pub(crate) fn of_tenant(
        table: &'static str,
        id: &'static str,
        columns: &'static str,
        tenant: TenantId,
    ) -> Self {
        let mut list = Self::of_all(table, id, columns);
        list.and("tenant_id = ?", [blob(tenant.as_uuid())]);
        list
    }

    /// All rows of a table.
    pub(crate) fn of_all(table: &'static str, id: &'static str, columns: &'static str) -> Self {
        Self { table, id, columns, conditions: Vec::new(), values: Vec::new() }
    }

    /// Only rows that meet this condition too.
    pub(crate) fn and(
        &mut self,
        condition: impl Into<Cow<'static, str>>,
        values: impl IntoIterator<Item = Value>,
    ) {
        self.conditions.push(condition.into());
        self.values.extend(values);
    }

    /// Only rows whose search key contains this, without regard to case.
    pub(crate) fn and_contains(&mut self, text: &str) {
        self.and("instr(search_key, ?) > 0", [Value::Text(search_key([text]))]);
    }

    /// How many rows there are on all pages together.
    pub(crate) fn count(&self, connection: &Connection) -> Result<u64> {
        let sql = format!("SELECT COUNT(*) FROM {}{}", self.table, where_clause(&self.conditions));
        sql::one(connection, &sql, params_from_iter(&self.values), |row| row.get(0))
            .map(|Number(count)| count)
    }

    /// One page. `total` is counted unless it is known.
    pub(crate) fn page<T>(
        mut self,
        connection: &Connection,
        request: PageRequest,
        total: Option<u64>,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
        place: impl Fn(&T) -> Cursor,
    ) -> Result<Page<T>> {
        let total = total.map_or_else(|| self.count(connection), Ok)?;
        let offset = match request.from {
            PageStart::Offset(offset) => i64::try_from(offset).unwrap_or(i64::MAX),
            PageStart::After(cursor) => {
                let values = [Value::Integer(cursor.created_at.as_millis()), blob(cursor.id)];
                self.and(format!("(created_at, {}) > (?, ?)", self.id), values);
                0
            }
        };
        // One more than asked for tells whether there is a next page.
        self.values.push(Value::Integer(i64::from(request.limit) + 1));
        self.values.push(Value::Integer(offset));
        let sql = format!(
            "SELECT {} FROM {}{} ORDER BY created_at, {} LIMIT ? OFFSET ?",
            self.columns,
            self.table,
            where_clause(&self.conditions),
            self.id
        );
        let items = sql::all(connection, &sql, params_from_iter(&self.values), read)?;
        Ok(Page::new(items, total, request.limit, place))
    }
}

fn where_clause(conditions: &[Cow<'_, str>]) -> String {
    if conditions.is_empty() {
        String::new()
    } else {
        format!(" WHERE {}", conditions.join(" AND "))
    }
}

/// What is searched without regard to case. A line each, so that no match spans two of them.
pub(crate) fn search_key<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let parts: Vec<_> = parts.into_iter().map(fold).collect();
    parts.join("\n")
}
