//! The embedded store: SQLite in WAL mode, one writer with group commit, readers beside it.

use std::fs::File;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use tenantry_domain::access::TenantAccess;
use tenantry_domain::clock::Clock;
use tenantry_domain::entropy::Entropy;
use tenantry_domain::error::{Error, Result};
use tenantry_domain::usage::Tally;
use tenantry_store::posting::SETTLE_AT_ONCE;

use crate::books::{Books, Context};
use crate::call_book::CallBook;
use crate::connect::Database;
use crate::outside::{Announcer, OutsideChanges};
use crate::projection::Projection;
use crate::readers::Readers;
use crate::writer::{Durability, GROUP, Outcome, Side, Writer};

mod api_keys;
mod audit;
mod books;
mod call_book;
mod carrier;
mod connect;
mod copying;
mod credentials;
mod erasure;
mod error;
mod expiries;
mod imports;
mod installation;
mod marks;
mod migrate;
mod oauth_clients;
mod outside;
mod pages;
mod projection;
mod purge;
mod readers;
mod realms;
mod recounts;
mod seals;
mod sessions;
mod sign_ins;
mod snapshot;
mod sql;
mod statistician;
mod tenants;
mod tokens;
mod usage;
mod users;
mod writer;

use crate::error::Fault;
use crate::migrate::{CALLS, DATABASE};

pub use crate::copying::{CopySource, CopyTarget};
pub use crate::error::OpenError;

/// A store in a data directory.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    readers: Arc<Readers>,
    context: Context,
    /// What a server has beside that, as long as it runs.
    server: Option<Server>,
}

/// What the one server of a data directory has.
#[derive(Debug)]
struct Server {
    projection: Arc<Projection>,
    calls: Arc<CallBook>,
    _lock: File,
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
        Self::serve_in_groups(directory, clock, entropy, GROUP)
    }

    /// As [`SqliteStore::serve`], with at most `group` changes to a commit: what sharing a commit is
    /// worth can only be measured against not sharing it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn serve_in_groups(
        directory: &Path,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        group: NonZeroUsize,
    ) -> std::result::Result<Self, OpenError> {
        let (store, _) = Self::open(directory, clock, entropy, group)?;
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
        Self::open(directory, clock, entropy, GROUP)
    }

    fn open(
        directory: &Path,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        group: NonZeroUsize,
    ) -> std::result::Result<(Self, Vec<String>), OpenError> {
        let database = Database::prepare(directory)?;
        let lock = database.lock()?;
        let mut connection = database.open_writer()?;
        let calls = database.open_calls()?;
        migrate::require_whole(&connection, &database.name())?;
        let context = Context::new(clock, entropy);
        let mut applied = migrate::migrate(&connection, &database.name(), &context, &DATABASE)?;
        applied.extend(migrate::migrate(&calls, &database.calls_name(), &context, &CALLS)?);
        let server = |fault: Fault| fault.while_opening(&database.name());
        carrier::carry_for(&mut connection, database.open_writer()?).map_err(server)?;
        let outside = OutsideChanges::new(database.lock_file()?);
        let projection = Arc::new(Projection::new(outside));
        let book = CallBook::new(calls, database.open_calls()?, Arc::clone(&projection));
        let calls = Arc::new(book.map_err(server)?);
        let context = context.with_projection(Arc::clone(&projection));
        let server = Server { projection, calls, _lock: lock };
        Ok((Self::start(database, connection, context, Some(server), group)?, applied))
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
        migrate::require_whole(&connection, &database.name())?;
        migrate::require_newest(&connection, &database.name(), &DATABASE)?;
        Self::start(database, connection, Context::new(clock, entropy), None, GROUP)
    }

    fn start(
        database: Database,
        connection: Connection,
        context: Context,
        server: Option<Server>,
        group: NonZeroUsize,
    ) -> std::result::Result<Self, OpenError> {
        database.join_calls(&connection).map_err(|fault| fault.while_opening(&database.name()))?;
        let side = match &server {
            Some(server) => Side::Server(Arc::clone(&server.projection)),
            None => Side::Outside(Announcer::new(database.lock_file()?)),
        };
        let writer = Writer::start(connection, side, group).map_err(|cause| {
            OpenError::NotWritable { path: database.name(), cause: cause.to_string() }
        })?;
        let readers = Arc::new(Readers::new(database));
        Ok(Self { writer, readers, context, server })
    }

    /// What only the server can do.
    fn server(&self) -> Result<&Server> {
        self.server.as_ref().ok_or_else(|| Error::internal("only the server counts calls"))
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
            statistician::confirm(connection, &context, &bearer)?;
            let outcome = marks::once(connection, &context, bearer.idempotency(), || {
                let outcome = change(&mut books, &bearer)?;
                Ok((outcome, books.person))
            })?;
            books.close()?;
            Ok(outcome)
        };
        self.write_counted(access, work).await
    }

    /// Does work that, once it is done, counts the call it was asked for by.
    async fn write_counted<T, F>(&self, access: &TenantAccess, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> error::Result<Outcome<T>> + Send + 'static,
    {
        let Some(call) = access.call() else { return self.write(Durability::Flushed, work).await };
        let counted = self.writer.run_counted(Tally::of(call), work).await;
        let value = counted.map_err(|fault| fault.0)?;
        call.mark_counted();
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
