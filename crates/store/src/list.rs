//! The statements for pages of rows, whatever table they are in and whichever order they are in: SQL
//! that every store's database reads.

use std::borrow::Cow;

use tenantry_domain::clock::Timestamp;
use tenantry_domain::id::TenantId;
use tenantry_domain::page::{Cursor, PageRequest, PageStart};
use tenantry_domain::sort::{Listed, Sort, SortField as _, SortKey};
use tenantry_domain::text::fold;
use uuid::Uuid;

mod kinds;

pub use kinds::{Keyed, api_keys, credentials, oauth_clients, realms, tenants, users};

/// What a `?` of a statement stands for.
#[derive(Debug, Clone)]
pub enum Value {
    /// Text.
    Text(String),
    /// A number, or an instant in milliseconds.
    Integer(i64),
    /// An id.
    Id(Uuid),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Self::Integer(at.as_millis())
    }
}

/// A statement. Each `?` in it stands for one of the values, in their order.
#[derive(Debug, Clone)]
pub struct Select {
    /// The text, which has nothing in it that a caller gave.
    pub sql: String,
    /// The values.
    pub values: Vec<Value>,
}

/// Where databases differ.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// The function that says where a text is in another.
    pub position: &'static str,
    /// What a column that is true or false needs to be a condition, as the indexes have it.
    pub is_true: &'static str,
}

/// Where a page's rows have the key that they are ordered by, and their id.
pub const SORT_KEY: &str = "sort_key";
/// See [`SORT_KEY`].
pub const ITEM_ID: &str = "item_id";

/// A list: its table, its columns, and the conditions its rows meet.
#[derive(Debug)]
pub struct List {
    table: &'static str,
    id: &'static str,
    columns: &'static str,
    /// What the `?`s in the columns stand for.
    column_values: Vec<Value>,
    conditions: Vec<Cow<'static, str>>,
    values: Vec<Value>,
}

impl List {
    /// All rows of a tenant.
    fn of_tenant(
        table: &'static str,
        id: &'static str,
        columns: &'static str,
        tenant: TenantId,
    ) -> Self {
        let mut list = Self::of_all(table, id, columns);
        list.and("tenant_id = ?", [Value::Id(tenant.as_uuid())]);
        list
    }

    /// All rows of a table.
    fn of_all(table: &'static str, id: &'static str, columns: &'static str) -> Self {
        Self {
            table,
            id,
            columns,
            column_values: Vec::new(),
            conditions: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Only rows that meet this condition too. Its text is ours alone; what callers give is in
    /// `values`, for each of which there is a `?`.
    fn and(
        &mut self,
        condition: impl Into<Cow<'static, str>>,
        values: impl IntoIterator<Item = Value>,
    ) {
        self.conditions.push(condition.into());
        self.values.extend(values);
    }

    /// Only rows of which one of these columns, which hold folded text, contains this, without
    /// regard to case.
    fn and_contains(&mut self, dialect: Dialect, columns: [&str; 2], text: &str) {
        let text = Value::Text(fold(text));
        let [one, other] = columns.map(|column| format!("{}({column}, ?) > 0", dialect.position));
        self.and(format!("({one} OR {other})"), [text.clone(), text]);
    }

    /// How many rows there are on all pages together.
    pub fn count(&self) -> Select {
        let sql = format!("SELECT count(*) FROM {}{}", self.table, self.where_clause());
        Select { sql, values: self.values.clone() }
    }

    /// One page and the first row of the next: rows that have, beside the list's columns, a
    /// [`SORT_KEY`] and an [`ITEM_ID`].
    pub fn page<T: Keyed>(mut self, request: &PageRequest<T>) -> Select {
        let Sort { field, descending } = request.from.sort();
        let key = T::column(field);
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
        let sql = format!(
            "SELECT {}, {key} AS {SORT_KEY}, {id} AS {ITEM_ID} FROM {}{}
             ORDER BY {key}{direction}{absent}, {id}{direction} LIMIT ? OFFSET ?",
            self.columns,
            self.table,
            self.where_clause(),
        );
        let values = self.column_values.into_iter().chain(self.values).collect();
        Select { sql, values }
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
        self.and(condition, value.into_iter().chain([Value::Id(cursor.id())]));
    }

    fn where_clause(&self) -> String {
        if self.conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", self.conditions.join(" AND "))
        }
    }
}
