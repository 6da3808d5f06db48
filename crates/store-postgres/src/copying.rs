//! A database as where an installation is copied from, or into.

use std::error::Error as StdError;
use std::pin::{Pin, pin};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::BytesMut;
use deadpool_postgres::ClientWrapper;
use futures_util::StreamExt as _;
use tenantry_domain::clock::Clock;
use tenantry_domain::entropy::Entropy;
use tenantry_domain::error::{Error, Result};
use tenantry_store::Store;
use tenantry_store::copying::{BATCH, Row, Source, Table, Target, UNFINISHED, Value};
use tokio_postgres::RowStream;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::PostgresStore;
use crate::books::Context;
use crate::connect::Database;
use crate::error::{self, Fault, OpenError};
use crate::meter::Meter;
use crate::migrate::{self, MIGRATED};
use crate::options::Options;

/// What is about the processes that run, not of the installation.
const OF_PROCESSES: &str = "usage_slots";

/// An installation to copy, which no server may use and nobody can change meanwhile.
pub struct CopySource {
    connection: ClientWrapper,
    rows: Option<Pin<Box<RowStream>>>,
}

impl CopySource {
    /// Takes the database for itself.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(options: &Options) -> std::result::Result<Self, OpenError> {
        let database = Database::at(options)?;
        migrate::require_newest(&database).await?;
        let connection = database.alone().await.map_err(Fault::while_opening)?;
        // Ours that came before are closed.
        drop(database);
        require_alone(&connection).await?;
        hold(&connection).await.map_err(Fault::while_opening)?;
        Ok(Self { connection, rows: None })
    }

    /// The id of the master key that the installation is bound to, if it is.
    pub async fn master_key_id(&self) -> Result<Option<String>> {
        let sql = "SELECT max(master_key_id) FROM installation";
        let row = self.connection.query_one(sql, &[]).await;
        error(row.and_then(|row| row.try_get(0)))
    }
}

/// Reads one snapshot, which is the newest until the end: whoever changes something waits, and gives
/// up.
async fn hold(connection: &ClientWrapper) -> error::Result<()> {
    let names: Vec<_> = tables(connection).await?.iter().map(|it| quoted(&it.name)).collect();
    let names = names.join(", ");
    connection
        .batch_execute(&format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE {names} IN SHARE MODE"
        ))
        .await?;
    Ok(connection.batch_execute(PATIENCE).await?)
}

/// It takes as long as it takes.
const PATIENCE: &str =
    "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0";

/// Fails if others are connected to the database: servers are, as long as they run.
async fn require_alone(connection: &ClientWrapper) -> std::result::Result<(), OpenError> {
    // Connections that were closed are gone a moment later. Who may not see what a connection is for
    // sees nothing there.
    let sql = "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()
             AND coalesce(backend_type, 'client backend') = 'client backend'";
    let mut others = 0;
    for _ in 0..LOOKS {
        let row = connection.query_one(sql, &[]).await.and_then(|row| row.try_get::<_, i64>(0));
        others = row.map_err(|error| Fault::from(error).while_opening())?;
        if others == 0 {
            return Ok(());
        }
        tokio::time::sleep(crate::LOOK_AGAIN).await;
    }
    Err(OpenError::Unusable(format!(
        "{others} others are connected to it: stop every server of it first, and whoever else uses it"
    )))
}

/// How often it is looked whether others are gone.
const LOOKS: u32 = 20;

#[async_trait]
impl Source for CopySource {
    async fn tables(&mut self) -> Result<Vec<Table>> {
        error(tables(&self.connection).await)
    }

    async fn open(&mut self, table: &Table) -> Result<u64> {
        let total = error(count(&self.connection, table).await)?;
        let nothing: [&(dyn ToSql + Sync); 0] = [];
        let rows = self.connection.query_raw(&select(table), nothing).await;
        self.rows = Some(Box::pin(error(rows)?));
        Ok(total)
    }

    async fn next(&mut self) -> Result<Vec<Row>> {
        let mut batch = Vec::new();
        while let Some(rows) = &mut self.rows {
            let Some(row) = rows.next().await else {
                // It must not be asked again.
                self.rows = None;
                break;
            };
            let row = error(row)?;
            let values = (0..row.len()).map(|column| Ok(row.try_get::<_, Cell>(column)?.0));
            batch.push(error::<Row, tokio_postgres::Error>(values.collect())?);
            if batch.len() == BATCH {
                break;
            }
        }
        Ok(batch)
    }
}

/// A new database to copy into.
pub struct CopyTarget {
    database: Option<Database>,
    context: Context,
    connection: ClientWrapper,
}

impl CopyTarget {
    /// Makes the tables in a database that has none.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn create(
        options: &Options,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> std::result::Result<Self, OpenError> {
        let database = Database::at(options)?;
        let context = Context::new(clock, entropy);
        migrate::migrate_to_copy(&database, &context).await?;
        let connection = database.alone().await.map_err(Fault::while_opening)?;
        let begin = format!("{PATIENCE}; BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
        let begun = connection.batch_execute(&begin).await;
        begun.map_err(|error| Fault::from(error).while_opening())?;
        Ok(Self { database: Some(database), context, connection })
    }

    async fn put_all(&self, table: &Table, rows: Vec<Row>) -> error::Result<()> {
        let types = self.connection.prepare_cached(&select(table)).await?;
        let types: Vec<Type> = types.columns().iter().map(|it| it.type_().clone()).collect();
        let (name, columns) = (quoted(&table.name), list(table));
        let sql = format!("COPY {name} ({columns}) FROM STDIN (FORMAT binary)");
        let sink = self.connection.copy_in(&sql).await?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
        for row in rows {
            let cells: Vec<Cell> = row.into_iter().map(Cell).collect();
            let cells: Vec<_> = cells.iter().map(|it| it as &(dyn ToSql + Sync)).collect();
            writer.as_mut().write(&cells).await?;
        }
        writer.finish().await?;
        Ok(())
    }
}

#[async_trait]
impl Target for CopyTarget {
    async fn tables(&mut self) -> Result<Vec<Table>> {
        error(tables(&self.connection).await)
    }

    async fn clear(&mut self, table: &Table) -> Result<()> {
        let sql = format!("DELETE FROM {}", quoted(&table.name));
        error(self.connection.batch_execute(&sql).await)
    }

    async fn put(&mut self, table: &Table, rows: Vec<Row>) -> Result<()> {
        error(self.put_all(table, rows).await)
    }

    async fn count(&mut self, table: &Table) -> Result<u64> {
        error(count(&self.connection, table).await)
    }

    async fn keep(&mut self) -> Result<Arc<dyn Store>> {
        error(self.connection.batch_execute("COMMIT; ANALYZE").await)?;
        let database = self.database.take();
        let database = database.ok_or_else(|| Error::internal("a copy was kept already"))?;
        let context = self.context.clone();
        Ok(Arc::new(PostgresStore { database, context, meter: Meter::default() }))
    }

    async fn complete(&mut self) -> Result<()> {
        error(self.connection.batch_execute(&format!("DROP TABLE {UNFINISHED}")).await)
    }
}

/// What belongs to the installation: all but what is about the database and its processes.
async fn tables(connection: &ClientWrapper) -> error::Result<Vec<Table>> {
    let sql = "SELECT c.relname::text, array_agg(a.attname::text ORDER BY a.attname COLLATE \"C\")
         FROM pg_class c
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace
             AND c.relname <> ALL ($1::text[])
             AND NOT EXISTS (SELECT 1 FROM pg_depend d
                             WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                                 AND d.deptype = 'e')
         GROUP BY c.relname ORDER BY c.relname COLLATE \"C\"";
    let others = vec![MIGRATED, UNFINISHED, OF_PROCESSES];
    let rows = connection.query(sql, &[&others]).await?;
    let tables =
        rows.iter().map(|row| Ok(Table { name: row.try_get(0)?, columns: row.try_get(1)? }));
    tables.collect()
}

async fn count(connection: &ClientWrapper, table: &Table) -> error::Result<u64> {
    let sql = format!("SELECT count(*) FROM {}", quoted(&table.name));
    let rows: i64 = connection.query_one(&sql, &[]).await?.try_get(0)?;
    Ok(u64::try_from(rows).map_err(Error::internal)?)
}

fn select(table: &Table) -> String {
    format!("SELECT {} FROM {}", list(table), quoted(&table.name))
}

fn list(table: &Table) -> String {
    let columns: Vec<_> = table.columns.iter().map(|column| quoted(column)).collect();
    columns.join(", ")
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn error<T, E: Into<Fault>>(result: std::result::Result<T, E>) -> Result<T> {
    result.map_err(|error| error.into().into_error())
}

/// A value as one of the types that our tables have.
#[derive(Clone)]
struct Cell(Value);

impl std::fmt::Debug for Cell {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Cell")
    }
}

type Problem = Box<dyn StdError + Sync + Send>;

impl<'a> FromSql<'a> for Cell {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> std::result::Result<Self, Problem> {
        Ok(Self(match *ty {
            Type::INT8 => Value::Integer(i64::from_sql(ty, raw)?),
            Type::BOOL => Value::Integer(i64::from(bool::from_sql(ty, raw)?)),
            Type::TEXT => Value::Text(String::from_sql(ty, raw)?),
            Type::BYTEA | Type::UUID => Value::Bytes(raw.to_vec()),
            _ => return Err(format!("a column of the type {ty}").into()),
        }))
    }

    fn from_sql_null(_: &Type) -> std::result::Result<Self, Problem> {
        Ok(Self(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Cell {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> std::result::Result<IsNull, Problem> {
        match (&self.0, ty) {
            (Value::Null, _) => Ok(IsNull::Yes),
            (Value::Integer(it), &Type::INT8) => it.to_sql(ty, out),
            (Value::Integer(it), &Type::BOOL) => (*it != 0).to_sql(ty, out),
            (Value::Text(it), &Type::TEXT) => it.to_sql(ty, out),
            (Value::Bytes(it), &Type::BYTEA | &Type::UUID) => it.to_sql(&Type::BYTEA, out),
            _ => Err(format!("a column of the type {ty}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
