//! Pages of rows, whatever table they are in and whichever order they are in.

use std::borrow::Cow;

use rusqlite::{Connection, Row, params_from_iter};
use tenantry_domain::error::Error;
use tenantry_domain::id::TenantId;
use tenantry_domain::page::{Cursor, Page, PageRequest, PageStart};
use tenantry_domain::sort::{KeyKind, Listed, Sort, SortField as _, SortKey};
use tenantry_domain::text::fold;

use crate::error::Result;
use crate::sql::{self, At, Id, Number, Value, blob};

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

    /// Only rows of which one of these columns, which hold folded text, contains this, without
    /// regard to case.
    pub(crate) fn and_contains(&mut self, columns: [&str; 2], text: &str) {
        let text = Value::Text(fold(text));
        let [one, other] = columns.map(|column| format!("instr({column}, ?) > 0"));
        self.and(format!("({one} OR {other})"), [text.clone(), text]);
    }

    /// How many rows there are on all pages together.
    pub(crate) fn count(&self, connection: &Connection) -> Result<u64> {
        let sql = format!("SELECT COUNT(*) FROM {}{}", self.table, where_clause(&self.conditions));
        sql::one(connection, &sql, params_from_iter(&self.values), |row| row.get(0))
            .map(|Number(count)| count)
    }

    /// One page. `column` says where the keys of a field are; `total` is counted unless it is
    /// known.
    pub(crate) fn page<T: Listed>(
        mut self,
        connection: &Connection,
        request: &PageRequest<T>,
        column: impl FnOnce(T::Field) -> &'static str,
        total: Option<u64>,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Page<T>> {
        let total = total.map_or_else(|| self.count(connection), Ok)?;
        let sort = request.from.sort();
        let kind = sort.field.kind();
        let sql = self.select(request, column(sort.field));
        let rows = sql::all(connection, &sql, params_from_iter(&self.values), |row| {
            Ok((read(row)?, sort_key(row, kind)?, row.get::<_, Id>("item_id")?.0))
        })?;
        let placed = rows.into_iter().map(|(item, key, id)| {
            let place = Cursor::new(sort, key, id).map_err(Error::internal)?;
            Ok((item, place))
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
        let absent_last = if field.kind().is_optional() {
            format!("{key} IS NULL{direction}, ")
        } else {
            String::new()
        };
        format!(
            "SELECT {}, {key} AS sort_key, {id} AS item_id FROM {}{}
             ORDER BY {absent_last}{key}{direction}, {id}{direction} LIMIT ? OFFSET ?",
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
            SortKey::Instant(at) => Some(Value::Integer(at.as_millis())),
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
        self.and(condition, value.into_iter().chain([blob(cursor.id())]));
    }
}

/// The key of a row, as the database has it: the order is the database's.
fn sort_key(row: &Row<'_>, kind: KeyKind) -> rusqlite::Result<SortKey> {
    const COLUMN: &str = "sort_key";
    Ok(match kind {
        KeyKind::Text | KeyKind::OptionalText => {
            row.get::<_, Option<String>>(COLUMN)?.map_or(SortKey::Absent, SortKey::Text)
        }
        KeyKind::Instant | KeyKind::OptionalInstant => {
            row.get::<_, Option<At>>(COLUMN)?.map_or(SortKey::Absent, |at| SortKey::Instant(at.0))
        }
    })
}

fn where_clause(conditions: &[Cow<'_, str>]) -> String {
    if conditions.is_empty() {
        String::new()
    } else {
        format!(" WHERE {}", conditions.join(" AND "))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tenantry_domain::clock::Timestamp;
    use tenantry_domain::user::{User, UserField};
    use tenantry_store::conformance::{ManualClock, SeededEntropy};

    use super::*;
    use crate::books::Context;
    use crate::migrate::{DATABASE, migrate};

    /// How SQLite reads the page after a place in an order of a tenant's users.
    fn plan(connection: &Connection, field: UserField, key: &SortKey, column: &str) -> String {
        [false, true]
            .map(|descending| {
                let cursor =
                    Cursor::new(Sort { field, descending }, key.clone(), uuid::Uuid::max());
                let from = PageStart::After(cursor.unwrap());
                let request = PageRequest::<User> { limit: 50, from };
                let mut list = List::of_tenant("users", "user_id", "name", TenantId::PLATFORM);
                let sql = format!("EXPLAIN QUERY PLAN {}", list.select(&request, column));
                let values = params_from_iter(&list.values);
                let steps = sql::all(connection, &sql, values, |row| row.get::<_, String>(3));
                steps.unwrap().join("; ")
            })
            .join("; ")
    }

    /// Where an index serves an order, the page is found and read, and nothing else is.
    #[test]
    fn a_place_is_found_in_an_index_where_there_is_one() {
        let connection = Connection::open_in_memory().unwrap();
        let clock = Arc::new(ManualClock::default());
        let context = Context::new(clock, Arc::new(SeededEntropy::default()));
        migrate(&connection, "memory", &context, &DATABASE).unwrap();
        let instant = SortKey::Instant(Timestamp::MIN);
        let text = SortKey::Text("ann".to_owned());
        for (field, key, column, index) in [
            (UserField::CreatedAt, &instant, "created_at", "users_by_creation"),
            (UserField::Email, &text, "email_key", "users_by_email"),
        ] {
            let plan = plan(&connection, field, key, column);
            assert_eq!(plan.matches(&format!("{index} (tenant_id=? AND (")).count(), 2, "{plan}");
            assert!(!plan.contains("TEMP B-TREE") && !plan.contains("SCAN"), "{plan}");
        }
        let plan = plan(&connection, UserField::UpdatedAt, &instant, "updated_at");
        assert_eq!(plan.matches("TEMP B-TREE").count(), 2, "{plan}");
    }
}
