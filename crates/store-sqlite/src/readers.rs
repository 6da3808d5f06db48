//! Connections that read, each with its own prepared statements.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tenantry_domain::error::Error;
use tokio::sync::Semaphore;

use crate::connect::Database;
use crate::error::{Fault, Result};

/// Idle connections kept; more are opened when more reads run at once.
const IDLE: usize = 16;
/// Long reads that run at once; others wait their turn, so that many of them take neither all the
/// memory nor all the processors.
const LONG: usize = 8;

/// A pool of reading connections.
#[derive(Debug)]
pub(crate) struct Readers {
    database: Database,
    idle: Mutex<Vec<Connection>>,
    long: Semaphore,
}

impl Readers {
    pub(crate) fn new(database: Database) -> Self {
        Self { database, idle: Mutex::new(Vec::with_capacity(IDLE)), long: Semaphore::new(LONG) }
    }

    /// Runs `read` on one snapshot.
    pub(crate) fn snapshot<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let connection = self.take()?;
        connection.prepare_cached("BEGIN")?.execute([])?;
        let result = read(&connection);
        // A connection whose transaction cannot be ended is dropped, which ends it.
        if connection.prepare_cached("COMMIT")?.execute([]).is_ok() {
            self.give_back(connection);
        }
        result
    }

    fn take(&self) -> Result<Connection> {
        let idle = self.lock().pop();
        idle.map_or_else(|| self.database.connect_reader(), Ok)
    }

    /// Keeps a connection for the next read.
    pub(crate) fn give_back(&self, connection: Connection) {
        let mut idle = self.lock();
        if idle.len() < IDLE {
            idle.push(connection);
        }
    }

    /// Runs a read that may take long on one snapshot, away from the threads that answer others.
    pub(crate) async fn long<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let _turn = self.long.acquire().await.map_err(|error| Fault(Error::internal(error)))?;
        let readers = Arc::clone(self);
        tokio::task::spawn_blocking(move || readers.snapshot(read))
            .await
            .map_err(|error| Fault(Error::internal(error)))?
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // The pool is a plain list: whoever panicked while holding it left it whole.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
