//! A data directory as where an installation is copied from, or into.
//!
//! The calls that the server meters are in a file of their own, in tables that the database has too.
//! To whoever copies they are rows of one table: those of the book of calls have slots from
//! [`BOOK`] on.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};
use tenantry_domain::clock::Clock;
use tenantry_domain::entropy::Entropy;
use tenantry_domain::error::{Error, Result};
use tenantry_store::Store;
use tenantry_store::copying::{BATCH, Row, Source, Table, Target, UNFINISHED, Value};

use crate::SqliteStore;
use crate::books::Context;
use crate::call_book;
use crate::connect::Database;
use crate::error::{self, OpenError};
use crate::migrate::{self, CALLS, DATABASE};
use crate::sql::{self, Value as Column};
use crate::writer::GROUP;

/// The slot that the book's first one is to whoever copies: in the database, 0 and 1 are others'.
const BOOK: i64 = crate::usage::METERED + 1;
/// What is added to the slots of the book.
const SHIFT: i64 = BOOK - crate::usage::METERED;
/// The column that tells the rows of the book.
const SLOT: &str = "slot";

/// An installation to copy, which no server may have and nobody can change meanwhile.
pub struct CopySource {
    connection: Connection,
    parts: Vec<Part>,
    _lock: File,
}

/// What is left to read of a table in one of the files.
struct Part {
    from: String,
    columns: Vec<String>,
    key: Vec<String>,
    /// The key of the row that was read last.
    after: Vec<Column>,
    shift: i64,
}

impl CopySource {
    /// Takes the data directory as its server would.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(directory: &Path) -> std::result::Result<Self, OpenError> {
        let database = Database::find(directory)?;
        let lock = database.lock()?;
        let connection = database.open_writer()?;
        migrate::require_whole(&connection, &database.name())?;
        migrate::require_newest(&connection, &database.name(), &DATABASE)?;
        let calls = database.open_calls()?;
        migrate::require_newest(&calls, &database.calls_name(), &CALLS)?;
        drop(calls);
        let hold = || {
            database.join_calls(&connection)?;
            // The command line needs no lock; it waits, and gives up.
            Ok(connection.execute_batch("BEGIN IMMEDIATE")?)
        };
        hold().map_err(|fault: error::Fault| fault.while_opening(&database.name()))?;
        Ok(Self { connection, parts: Vec::new(), _lock: lock })
    }

    /// The id of the master key that the installation is bound to, if it is.
    pub fn master_key_id(&self) -> Result<Option<String>> {
        crate::seals::bound_key(&self.connection).map_err(|fault| fault.0)
    }
}

#[async_trait]
impl Source for CopySource {
    async fn tables(&mut self) -> Result<Vec<Table>> {
        tables(&self.connection).map_err(|fault| fault.0)
    }

    async fn open(&mut self, table: &Table) -> Result<u64> {
        let mut open = || {
            let key = key(&self.connection, &table.name)?;
            let mut rows = 0;
            self.parts.clear();
            for (schema, shift) in files(table) {
                let from = format!("{schema}.{}", quoted(&table.name));
                rows += count(&self.connection, &from)?;
                let (columns, key) = (table.columns.clone(), key.clone());
                self.parts.push(Part { from, columns, key, after: Vec::new(), shift });
            }
            Ok(rows)
        };
        error(open())
    }

    async fn next(&mut self) -> Result<Vec<Row>> {
        while let Some(part) = self.parts.first_mut() {
            let rows = error(part.next(&self.connection))?;
            if !rows.is_empty() {
                return Ok(rows);
            }
            self.parts.remove(0);
        }
        Ok(Vec::new())
    }
}

impl Part {
    fn next(&mut self, connection: &Connection) -> error::Result<Vec<Row>> {
        let key = list(&self.key);
        let columns = list(&self.columns);
        let places = vec!["?"; self.key.len()].join(", ");
        let after = if self.after.is_empty() {
            String::new()
        } else {
            format!("WHERE ({key}) > ({places})")
        };
        let sql = format!(
            "SELECT {key}, {columns} FROM {} {after} ORDER BY {key} LIMIT {BATCH}",
            self.from
        );
        let slot = self.columns.iter().position(|column| column == SLOT);
        let (width, keys) = (self.columns.len(), self.key.len());
        let mut last = Vec::new();
        let rows = sql::all(connection, &sql, params_from_iter(&self.after), |row| {
            last = (0..keys).map(|column| row.get(column)).collect::<rusqlite::Result<_>>()?;
            let values = (keys..keys + width).map(|column| Ok(value(row.get_ref(column)?)));
            values.collect::<rusqlite::Result<Row>>()
        })?;
        self.after = last;
        Ok(rows.into_iter().map(|row| shifted(row, slot, self.shift)).collect())
    }
}

/// A new data directory to copy into.
pub struct CopyTarget {
    database: Database,
    connection: Connection,
    calls: Connection,
    context: Context,
    _lock: File,
}

impl CopyTarget {
    /// Makes a database in a directory that has none.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn create(
        directory: &Path,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> std::result::Result<Self, OpenError> {
        if Database::find(directory).is_ok() {
            return Err(OpenError::NotEmpty(directory.display().to_string()));
        }
        let database = Database::prepare(directory)?;
        let lock = database.lock()?;
        let (connection, calls) = (database.open_writer()?, database.open_calls()?);
        let context = Context::new(clock, entropy);
        let opening = |error| error::Fault::from(error).while_opening(&database.name());
        // Before anything else, so that it never looks whole.
        connection
            .execute_batch(&format!("CREATE TABLE {UNFINISHED} (only_row INTEGER) STRICT"))
            .map_err(opening)?;
        migrate::migrate(&connection, &database.name(), &context, &DATABASE)?;
        migrate::migrate(&calls, &database.calls_name(), &context, &CALLS)?;
        for connection in [&connection, &calls] {
            // It is on disk in the end; what is cut off is not used.
            connection.execute_batch("PRAGMA synchronous = NORMAL").map_err(opening)?;
        }
        Ok(Self { database, connection, calls, context, _lock: lock })
    }
}

#[async_trait]
impl Target for CopyTarget {
    async fn tables(&mut self) -> Result<Vec<Table>> {
        error(tables(&self.connection))
    }

    async fn clear(&mut self, table: &Table) -> Result<()> {
        let sql = format!("DELETE FROM {}", quoted(&table.name));
        error(sql::execute(&self.connection, &sql, []).map(drop))
    }

    async fn put(&mut self, table: &Table, rows: Vec<Row>) -> Result<()> {
        let slot = table.columns.iter().position(|column| column == SLOT);
        let is_book = |row: &Row| {
            let slot = slot.and_then(|slot| row.get(slot));
            matches!(slot, Some(Value::Integer(slot)) if *slot >= BOOK)
        };
        let (book, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_book);
        let book = book.into_iter().map(|row| shifted(row, slot, -SHIFT)).collect();
        error(insert(&self.connection, table, rows))?;
        error(insert(&self.calls, table, book))
    }

    async fn count(&mut self, table: &Table) -> Result<u64> {
        let name = quoted(&table.name);
        let rows = error(count(&self.connection, &name))?;
        let has_book = files(table).count() > 1;
        Ok(rows + if has_book { error(count(&self.calls, &name))? } else { 0 })
    }

    async fn keep(&mut self) -> Result<Arc<dyn Store>> {
        let open = || {
            let connection = self.database.open_writer()?;
            let context = self.context.clone();
            SqliteStore::start(self.database.clone(), connection, context, None, GROUP)
        };
        Ok(Arc::new(open().map_err(Error::internal)?))
    }

    async fn complete(&mut self) -> Result<()> {
        for connection in [&self.calls, &self.connection] {
            let sql = "PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE)";
            error(connection.execute_batch(sql).map_err(Into::into))?;
        }
        error(
            self.connection.execute_batch(&format!("DROP TABLE {UNFINISHED}")).map_err(Into::into),
        )
    }
}

/// The files that have a table, each with what is added to its slots.
fn files(table: &Table) -> impl Iterator<Item = (&'static str, i64)> {
    let metered = call_book::tables().any(|it| it == format!("metered.{}", table.name));
    [("main", 0)].into_iter().chain(metered.then_some(("metered", SHIFT)))
}

/// What belongs to the installation: all but what is about the file.
fn tables(connection: &Connection) -> error::Result<Vec<Table>> {
    let sql = "SELECT name FROM main.sqlite_schema
         WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
             AND name NOT IN ('schema_migrations', ?1)
         ORDER BY name";
    let names: Vec<String> = sql::all(connection, sql, [UNFINISHED], |row| row.get(0))?;
    let table = |name: String| {
        let sql = "SELECT name FROM pragma_table_info(?1, 'main') ORDER BY name";
        let columns = sql::all(connection, sql, [&name], |row| row.get(0))?;
        Ok(Table { name, columns })
    };
    names.into_iter().map(table).collect()
}

/// The columns of a table's primary key, in their order.
fn key(connection: &Connection, table: &str) -> error::Result<Vec<String>> {
    let sql = "SELECT name FROM pragma_table_info(?1, 'main') WHERE pk > 0 ORDER BY pk";
    sql::all(connection, sql, [table], |row| row.get(0))
}

fn count(connection: &Connection, table: &str) -> error::Result<u64> {
    let sql = format!("SELECT count(*) FROM {table}");
    sql::one(connection, &sql, [], |row| Ok(row.get::<_, sql::Number>(0)?.0))
}

fn insert(connection: &Connection, table: &Table, rows: Vec<Row>) -> error::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let places = vec!["?"; table.columns.len()].join(", ");
    let (name, columns) = (quoted(&table.name), list(&table.columns));
    let sql = format!("INSERT INTO {name} ({columns}) VALUES ({places})");
    let transaction = connection.unchecked_transaction()?;
    for row in rows {
        sql::execute(&transaction, &sql, params_from_iter(row.into_iter().map(column)))?;
    }
    Ok(transaction.commit()?)
}

/// A row as the other side numbers its slot.
fn shifted(mut row: Row, slot: Option<usize>, shift: i64) -> Row {
    if let Some(Value::Integer(slot)) = slot.and_then(|slot| row.get_mut(slot)) {
        *slot += shift;
    }
    row
}

fn value(column: ValueRef<'_>) -> Value {
    match column {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(it) => Value::Integer(it),
        // A strict table has no numbers but whole ones.
        ValueRef::Real(it) => Value::Text(it.to_string()),
        ValueRef::Text(it) => Value::Text(String::from_utf8_lossy(it).into_owned()),
        ValueRef::Blob(it) => Value::Bytes(it.to_vec()),
    }
}

fn column(value: Value) -> Column {
    match value {
        Value::Null => Column::Null,
        Value::Integer(it) => Column::Integer(it),
        Value::Text(it) => Column::Text(it),
        Value::Bytes(it) => Column::Blob(it),
    }
}

fn list(columns: &[String]) -> String {
    let columns: Vec<_> = columns.iter().map(|column| quoted(column)).collect();
    columns.join(", ")
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn error<T>(result: error::Result<T>) -> Result<T> {
    result.map_err(|fault| fault.0)
}
