//! Pages of rows, whatever table they are in and whichever order they are in.

use std::borrow::Cow;

use tenantry_domain::error::Error;
use tenantry_domain::id::TenantId;
use tenantry_domain::page::{Cursor, Page, PageRequest, PageStart};
use tenantry_domain::sort::{KeyKind, Listed, Sort, SortField as _, SortKey};
use tenantry_domain::text::fold;
use tokio_postgres::Row;

use crate::error::Result;
use crate::session::{Command, Session};
use crate::sql::{At, Columns as _, Value};

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
    /// in `values`. Each `?` in it stands for one of them.
    pub(crate) fn of_tenant(
        table: &'static str,
        id: &'static str,
        columns: &'static str,
        tenant: TenantId,
    ) -> Self {
        let mut list = Self::of_all(table, id, columns);
        list.and("tenant_id = ?", [tenant.into()]);
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

    /// Only rows of which one of these columns, which hold folded text, contains this, without
    /// regard to case.
    pub(crate) fn and_contains(&mut self, columns: [&str; 2], text: &str) {
        let text = Value::Text(fold(text));
        let [one, other] = columns.map(|column| format!("strpos({column}, ?) > 0"));
        self.and(format!("({one} OR {other})"), [text.clone(), text]);
    }

    /// One page. `column` says where the keys of a field are; `total` is counted unless it is
    /// known.
    pub(crate) async fn page<T: Listed>(
        mut self,
        session: &mut Session,
        request: &PageRequest<T>,
        column: impl FnOnce(T::Field) -> &'static str,
        total: Option<u64>,
        read: impl Fn(&Row) -> Result<T>,
    ) -> Result<Page<T>> {
        let count =
            format!("SELECT count(*) FROM {}{}", self.table, where_clause(&self.conditions));
        let count = Command::new(numbered(&count), self.values.clone());
        let sort = request.from.sort();
        let kind = sort.field.kind();
        let sql = numbered(&self.select(request, column(sort.field)));
        let page = Command::new(sql, self.values);
        let (total, rows) = if let Some(total) = total {
            let [rows] = session.each([page]).await?;
            (total, rows)
        } else {
            let [count, rows] = session.each([count, page]).await?;
            (count.first().map_or(Ok(0), |row| row.number(0))?, rows)
        };
        let placed = rows.iter().map(|row| {
            let id = row.try_get("item_id")?;
            let place = Cursor::new(sort, sort_key(row, kind)?, id).map_err(Error::internal)?;
            Ok((read(row)?, place))
        });
        Ok(Page::new(placed.collect::<Result<_>>()?, total, request.limit))
    }

    /// The statement for a page, from its conditions; their values get those of the page too.
    fn select<T: Listed>(&mut self, request: &PageRequest<T>, key: &str) -> String {
        let Sort { field, descending } = request.from.sort();
        let offset = match &request.from {
            PageStart::Offset { offset, .. } => i64::try_from(*offset).unwrap_or(i64::MAX),
            PageStart::After(cursor) => {
                self.and_after(key, cursor);
                0
            }
        };
        // One more than asked for tells whether there is a next page.
        self.values.push(Value::Integer(i64::from(request.limit) + 1));
        self.values.push(Value::Integer(offset));
        let (id, direction) = (self.id, if descending { " DESC" } else { "" });
        // Databases differ in where they put what has no key, unless they are told.
        let absent = match (field.kind().is_optional(), descending) {
            (false, _) => "",
            (true, false) => " NULLS LAST",
            (true, true) => " NULLS FIRST",
        };
        format!(
            "SELECT {}, {key} AS sort_key, {id} AS item_id FROM {}{}
             ORDER BY {key}{direction}{absent}, {id}{direction} LIMIT ? OFFSET ?",
            self.columns,
            self.table,
            where_clause(&self.conditions),
        )
    }

    /// Only rows after a place. A comparison with an absent key is never true, so where keys can be
    /// absent, which is after all others, it is said what becomes of those rows.
    fn and_after<T: Listed>(&mut self, key: &str, cursor: &Cursor<T>) {
        let Sort { field, descending } = cursor.sort();
        let (id, beyond) = (self.id, if descending { '<' } else { '>' });
        let value = match cursor.key() {
            SortKey::Text(text) => Some(Value::Text(text.clone())),
            SortKey::Instant(at) => Some(Value::from(*at)),
            SortKey::Absent => None,
        };
        let condition = match (&value, descending) {
            (Some(_), false) if field.kind().is_optional() => {
                format!("(({key}, {id}) > (?, ?) OR {key} IS NULL)")
            }
            (Some(_), _) => format!("({key}, {id}) {beyond} (?, ?)"),
            (None, false) => format!("{key} IS NULL AND {id} > ?"),
            (None, true) => format!("({key} IS NOT NULL OR {id} < ?)"),
        };
        self.and(condition, value.into_iter().chain([cursor.id().into()]));
    }
}

/// The key of a row, as the database has it: the order is the database's.
fn sort_key(row: &Row, kind: KeyKind) -> Result<SortKey> {
    const COLUMN: &str = "sort_key";
    Ok(match kind {
        KeyKind::Text | KeyKind::OptionalText => {
            row.try_get::<_, Option<String>>(COLUMN)?.map_or(SortKey::Absent, SortKey::Text)
        }
        KeyKind::Instant | KeyKind::OptionalInstant => row
            .try_get::<_, Option<At>>(COLUMN)?
            .map_or(SortKey::Absent, |at| SortKey::Instant(at.0)),
    })
}

fn where_clause(conditions: &[Cow<'_, str>]) -> String {
    if conditions.is_empty() {
        String::new()
    } else {
        format!(" WHERE {}", conditions.join(" AND "))
    }
}

/// The statement with `$1`, `$2` and so on for each `?`.
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.zip(1..).fold(first, |sql, (part, number)| format!("{sql}${number}{part}"))
}
