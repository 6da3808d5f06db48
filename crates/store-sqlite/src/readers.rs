//! Connections that read, each with its own prepared statements.

use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use crate::connect::Database;
use crate::error::Result;

/// Idle connections kept; more are opened when more reads run at once.
const IDLE: usize = 16;

/// A pool of reading connections.
#[derive(Debug)]
pub(crate) struct Readers {
    database: Database,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(database: Database) -> Self {
        Self { database, idle: Mutex::new(Vec::with_capacity(IDLE)) }
    }

    /// Runs `read` on one snapshot.
    pub(crate) fn snapshot<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let connection = match self.lock().pop() {
            Some(connection) => connection,
            None => self.database.connect_reader()?,
        };
        connection.prepare_cached("BEGIN")?.execute([])?;
        let result = read(&connection);
        // A connection whose transaction cannot be ended is dropped, which ends it.
        if connection.prepare_cached("COMMIT")?.execute([]).is_ok() {
            let mut idle = self.lock();
            if idle.len() < IDLE {
                idle.push(connection);
            }
        }
        result
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // The pool is a plain list: whoever panicked while holding it left it whole.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
