//! Copying a whole installation from one store into an empty other one, row by row.
//!
//! The stores tell their tables and columns from their own schemas, so there is no list of them to
//! keep: both have the same ones, and a copy between two that have not is refused.

use std::sync::Arc;

use async_trait::async_trait;
use tenantry_domain::error::{Error, Result};

use crate::Store;

/// The table that is in a store as long as an installation is being copied into it: a store that has
/// it is not whole, and nobody else may open it.
pub const UNFINISHED: &str = "unfinished_copy";

/// Rows at a time.
pub const BATCH: usize = 1_000;

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// The names of its columns, in the order of the alphabet.
    pub columns: Vec<String>,
}

/// What is in a column, in whichever way the store keeps it.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A number, an instant, or whether something is so.
    Integer(i64),
    /// Text.
    Text(String),
    /// Bytes, or an id.
    Bytes(Vec<u8>),
}

/// A row: the values of its table's columns, in their order.
pub type Row = Vec<Value>;

/// The store that is copied. Nobody can change it meanwhile.
#[async_trait]
pub trait Source: Send {
    /// Its tables, in the order of their names.
    async fn tables(&mut self) -> Result<Vec<Table>>;

    /// Begins to read a table; answers how many rows it has.
    async fn open(&mut self, table: &Table) -> Result<u64>;

    /// The next rows of the table that was opened, [`BATCH`] at most; none once there are no more.
    async fn next(&mut self) -> Result<Vec<Row>>;
}

/// The store that is copied into. Until it is completed, nobody else can open it.
#[async_trait]
pub trait Target: Send {
    /// Its tables, in the order of their names.
    async fn tables(&mut self) -> Result<Vec<Table>>;

    /// Empties a table of what every new store has.
    async fn clear(&mut self, table: &Table) -> Result<()>;

    /// Adds rows to a table.
    async fn put(&mut self, table: &Table, rows: Vec<Row>) -> Result<()>;

    /// How many rows a table has.
    async fn count(&mut self, table: &Table) -> Result<u64>;

    /// Keeps what was put. The answered store reads it, to see whether it is right.
    async fn keep(&mut self) -> Result<Arc<dyn Store>>;

    /// Says that the store is whole.
    async fn complete(&mut self) -> Result<()>;
}

/// Copies every row of every table. `progress` is told the table, how many rows of it there are, and
/// how many are copied so far: at the beginning, after each batch, and at the end.
pub async fn copy_rows(
    source: &mut dyn Source,
    target: &mut dyn Target,
    mut progress: impl FnMut(&str, u64, u64) + Send,
) -> Result<()> {
    let tables = source.tables().await?;
    let into = target.tables().await?;
    if let Some(other) = difference(&tables, &into) {
        return Err(Error::internal(format!("the stores do not have the same tables: {other}")));
    }
    for table in &tables {
        let total = source.open(table).await?;
        target.clear(table).await?;
        let mut copied = 0;
        progress(&table.name, total, copied);
        loop {
            let rows = source.next().await?;
            if rows.is_empty() {
                break;
            }
            copied += rows.len() as u64;
            target.put(table, rows).await?;
            progress(&table.name, total, copied);
        }
        let found = target.count(table).await?;
        if (found, copied) != (total, total) {
            let text =
                format!("of {total} rows of {}, {copied} were copied, {found} came", table.name);
            return Err(Error::internal(text));
        }
    }
    Ok(())
}

/// The name of a table that is not in both, or not the same.
fn difference<'a>(one: &'a [Table], other: &'a [Table]) -> Option<&'a str> {
    let missing = |these: &'a [Table], those: &[Table]| {
        these.iter().find(|table| !those.contains(table)).map(|table| table.name.as_str())
    };
    missing(one, other).or_else(|| missing(other, one))
}
