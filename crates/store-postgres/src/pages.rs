//! Pages of rows.

use tenantry_domain::error::Error;
use tenantry_domain::page::{Cursor, Page, PageRequest};
use tenantry_domain::sort::{KeyKind, SortField as _, SortKey};
use tenantry_store::list::{self, Dialect, ITEM_ID, Keyed, List, SORT_KEY, Select};
use tokio_postgres::Row;

use crate::error::Result;
use crate::session::{Command, Session};
use crate::sql::{At, Columns as _, Value};

/// What is this database's own.
pub(crate) const DIALECT: Dialect = Dialect { position: "strpos", is_true: "" };

/// One page of a list. `total` is counted unless it is known.
pub(crate) async fn page_of<T: Keyed>(
    session: &mut Session,
    request: &PageRequest<T>,
    list: List,
    total: Option<u64>,
    read: impl Fn(&Row) -> Result<T>,
) -> Result<Page<T>> {
    let sort = request.from.sort();
    let kind = sort.field.kind();
    let (total, rows) = if let Some(total) = total {
        let [rows] = session.each([command(list.page(request))]).await?;
        (total, rows)
    } else {
        let asked = [command(list.count()), command(list.page(request))];
        let [count, rows] = session.each(asked).await?;
        (count.first().map_or(Ok(0), |row| row.number(0))?, rows)
    };
    let placed = rows.iter().map(|row| {
        let id = row.try_get(ITEM_ID)?;
        let place = Cursor::new(sort, sort_key(row, kind)?, id).map_err(Error::internal)?;
        Ok((read(row)?, place))
    });
    Ok(Page::new(placed.collect::<Result<_>>()?, total, request.limit))
}

/// The key of a row, as the database has it: the order is the database's.
fn sort_key(row: &Row, kind: KeyKind) -> Result<SortKey> {
    Ok(match kind {
        KeyKind::Text | KeyKind::OptionalText => {
            row.try_get::<_, Option<String>>(SORT_KEY)?.map_or(SortKey::Absent, SortKey::Text)
        }
        KeyKind::Instant | KeyKind::OptionalInstant => row
            .try_get::<_, Option<At>>(SORT_KEY)?
            .map_or(SortKey::Absent, |at| SortKey::Instant(at.0)),
    })
}

/// The statement with `$1`, `$2` and so on for each `?`.
fn command(Select { sql, values }: Select) -> Command {
    let mut parts = sql.split('?');
    let first = parts.next().unwrap_or_default().to_owned();
    let sql = parts.zip(1..).fold(first, |sql, (part, number)| format!("{sql}${number}{part}"));
    let values = values.into_iter().map(|value| match value {
        list::Value::Text(text) => Value::Text(text),
        list::Value::Integer(number) => Value::Integer(number),
        list::Value::Id(id) => Value::Id(id),
    });
    Command::new(sql, values.collect())
}
