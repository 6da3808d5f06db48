//! Pages of rows.

use rusqlite::{Connection, Row, params_from_iter};
use tenantry_domain::error::Error;
use tenantry_domain::page::{Cursor, Page, PageRequest};
use tenantry_domain::sort::{KeyKind, SortField as _, SortKey};
use tenantry_store::list::{self, Dialect, ITEM_ID, Keyed, List, SORT_KEY};

use crate::error::Result;
use crate::sql::{self, At, Id, Number, Value, blob};

/// What is this database's own.
pub(crate) const DIALECT: Dialect = Dialect { position: "instr", is_true: " = 1" };

/// One page of a list. `total` is counted unless it is known.
pub(crate) fn page_of<T: Keyed>(
    connection: &Connection,
    request: &PageRequest<T>,
    list: List,
    total: Option<u64>,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Page<T>> {
    let total = total.map_or_else(|| count(connection, &list), Ok)?;
    let sort = request.from.sort();
    let kind = sort.field.kind();
    let page = list.page(request);
    let rows = sql::all(connection, &page.sql, params_from_iter(bind(page.values)), |row| {
        Ok((read(row)?, sort_key(row, kind)?, row.get::<_, Id>(ITEM_ID)?.0))
    })?;
    let placed = rows.into_iter().map(|(item, key, id)| {
        let place = Cursor::new(sort, key, id).map_err(Error::internal)?;
        Ok((item, place))
    });
    Ok(Page::new(placed.collect::<Result<_>>()?, total, request.limit))
}

/// How many rows there are on all pages together.
fn count(connection: &Connection, list: &List) -> Result<u64> {
    let count = list.count();
    sql::one(connection, &count.sql, params_from_iter(bind(count.values)), |row| row.get(0))
        .map(|Number(count)| count)
}

/// The key of a row, as the database has it: the order is the database's.
fn sort_key(row: &Row<'_>, kind: KeyKind) -> rusqlite::Result<SortKey> {
    Ok(match kind {
        KeyKind::Text | KeyKind::OptionalText => {
            row.get::<_, Option<String>>(SORT_KEY)?.map_or(SortKey::Absent, SortKey::Text)
        }
        KeyKind::Instant | KeyKind::OptionalInstant => {
            row.get::<_, Option<At>>(SORT_KEY)?.map_or(SortKey::Absent, |at| SortKey::Instant(at.0))
        }
    })
}

fn bind(values: Vec<list::Value>) -> impl Iterator<Item = Value> {
    values.into_iter().map(|value| match value {
        list::Value::Text(text) => Value::Text(text),
        list::Value::Integer(number) => Value::Integer(number),
        list::Value::Id(id) => blob(id),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tenantry_domain::clock::Timestamp;
    use tenantry_domain::id::TenantId;
    use tenantry_domain::page::PageStart;
    use tenantry_domain::sort::Sort;
    use tenantry_domain::user::{User, UserField, UserFilter, UserRole};
    use tenantry_store::conformance::{ManualClock, SeededEntropy};

    use super::*;
    use crate::books::Context;
    use crate::migrate::{DATABASE, migrate};

    /// How SQLite reads the page after a place in an order of a tenant's users.
    fn plan(
        connection: &Connection,
        field: UserField,
        key: &SortKey,
        filter: &UserFilter,
    ) -> String {
        [false, true]
            .map(|descending| {
                let cursor =
                    Cursor::new(Sort { field, descending }, key.clone(), uuid::Uuid::max());
                let from = PageStart::After(cursor.unwrap());
                let request = PageRequest::<User> { limit: 50, from };
                let list = list::users("name", TenantId::PLATFORM, filter, DIALECT);
                let page = list.page(&request);
                let sql = format!("EXPLAIN QUERY PLAN {}", page.sql);
                let values = params_from_iter(bind(page.values));
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
        let (all, admins) = (UserFilter::default(), Some(UserRole::TenantAdmin));
        let admins = UserFilter { role: admins, ..UserFilter::default() };
        for (field, key, filter, index) in [
            (UserField::CreatedAt, &instant, &all, "users_by_creation"),
            (UserField::CreatedAt, &instant, &admins, "users_by_admin"),
            (UserField::Email, &text, &all, "users_by_email"),
        ] {
            let plan = plan(&connection, field, key, filter);
            assert_eq!(plan.matches(&format!("{index} (tenant_id=? AND (")).count(), 2, "{plan}");
            assert!(!plan.contains("TEMP B-TREE") && !plan.contains("SCAN"), "{plan}");
        }
        let plan = plan(&connection, UserField::UpdatedAt, &instant, &all);
        assert_eq!(plan.matches("TEMP B-TREE").count(), 2, "{plan}");
    }
}
