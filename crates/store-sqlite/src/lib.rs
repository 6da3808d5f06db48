//! The embedded store: SQLite in WAL mode, one writer with group commit, readers beside it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use tenantry_domain::access::TenantAccess;
use tenantry_domain::clock::Clock;
use tenantry_domain::entropy::Entropy;
use tenantry_domain::error::Result;

use crate::books::{Books, Context, SETTLE_AT_ONCE};
use crate::connect::Database;
use crate::readers::Readers;
use crate::writer::{Durability, Outcome, Writer};

mod api_keys;
mod audit;
mod books;
mod connect;
mod credentials;
mod erasure;
mod error;
mod expiries;
mod imports;
mod installation;
mod list;
mod marks;
mod migrate;
mod oauth_clients;
mod purge;
mod readers;
mod recounts;
mod sql;
mod statistician;
mod tenants;
mod usage;
mod users;
mod writer;

pub use crate::error::OpenError;

/// A store in a data directory.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    readers: Arc<Readers>,
    context: Context,
    /// Held by a server as long as it runs.
    _lock: Option<File>,
}

impl SqliteStore {
    /// Opens a data directory as its one server: makes it and its database if need be, and brings
    /// the database to this version.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn serve(
        directory: &Path,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> std::result::Result<Self, OpenError> {
        let (store, _) = Self::migrate(directory, clock, entropy)?;
        Ok(store)
    }

    /// As [`SqliteStore::serve`]; answers also the names of the migrations that were applied.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn migrate(
        directory: &Path,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> std::result::Result<(Self, Vec<String>), OpenError> {
        let database = Database::prepare(directory)?;
        let lock = database.lock()?;
        let connection = database.open_writer()?;
        let context = Context::new(clock, entropy);
        let applied = migrate::migrate(&connection, &database.name(), &context)?;
        Ok((Self::start(database, connection, context, Some(lock))?, applied))
    }

    /// Opens the database of a data directory beside its server, if one runs: for the command
    /// line. The database must be there and at this version.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn attach(
        directory: &Path,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> std::result::Result<Self, OpenError> {
        let database = Database::find(directory)?;
        let connection = database.open_writer()?;
        migrate::require_newest(&connection, &database.name())?;
        Self::start(database, connection, Context::new(clock, entropy), None)
    }

    fn start(
        database: Database,
        connection: Connection,
        context: Context,
        lock: Option<File>,
    ) -> std::result::Result<Self, OpenError> {
        let writer = Writer::start(connection).map_err(|cause| OpenError::NotWritable {
            path: database.name(),
            cause: cause.to_string(),
        })?;
        let readers = Arc::new(Readers::new(database));
        Ok(Self { writer, readers, context, _lock: lock })
    }

    /// A short read, on the caller's own thread: it takes microseconds, and a hop would take more.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> error::Result<T>) -> Result<T> {
        self.readers.snapshot(read).map_err(|fault| fault.0)
    }

    /// A read that may take longer, away from the threads that answer others.
    async fn read_long<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> error::Result<T> + Send + 'static,
    ) -> Result<T> {
        self.readers.long(read).await.map_err(|fault| fault.0)
    }

    /// A change of one tenant by the bearer of `access`: its books are opened and caught up with
    /// the clock, `change` posts to them, the bearer's mark is left and its call is counted, all in
    /// one transaction. `change` may run again, in a later transaction, if there was much to
    /// settle.
    async fn change<T, F>(&self, access: &TenantAccess, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Books<'_>, &TenantAccess) -> error::Result<T> + Send + 'static,
    {
        let change = move |books: &mut Books<'_>, access: &TenantAccess| {
            change(books, access).map(Outcome::Done)
        };
        self.change_in_parts(access, change).await
    }

    /// As [`SqliteStore::change`], for a change that is made in several transactions.
    async fn change_in_parts<T, F>(&self, access: &TenantAccess, mut change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Books<'_>, &TenantAccess) -> error::Result<Outcome<T>> + Send + 'static,
    {
        let (context, bearer) = (self.context.clone(), access.clone());
        let work = move |connection: &Connection| {
            let mut books = Books::open(connection, &context, bearer.tenant())?;
            if books.settle(SETTLE_AT_ONCE)?.instants == SETTLE_AT_ONCE {
                books.close()?;
                return Ok(Outcome::Again);
            }
            // What the bearer was told it may do can have been taken back while it waited.
            statistician::confirm(connection, &bearer)?;
            let outcome = marks::once(connection, &context, bearer.idempotency(), || {
                let outcome = change(&mut books, &bearer)?;
                Ok((outcome, books.person))
            })?;
            books.close()?;
            if let (Outcome::Done(_), Some(call)) = (&outcome, bearer.call()) {
                usage::count(connection, &usage::single(call))?;
            }
            Ok(outcome)
        };
        let value = self.write(Durability::Flushed, work).await?;
        if let Some(call) = access.call() {
            call.mark_counted();
        }
        Ok(value)
    }

    async fn write<T, F>(&self, durability: Durability, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> error::Result<Outcome<T>> + Send + 'static,
    {
        self.writer.run(durability, work).await.map_err(|fault| fault.0)
    }
}
