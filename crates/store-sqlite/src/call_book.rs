//! The book of calls: the file of metered calls, and whoever writes it.
//!
//! It is apart from the database, so that counting a call never waits for a change that is being
//! flushed, nor for a large one, and so that the database's readers keep their caches while calls
//! are counted. A commit is handed to the operating system and not flushed: a counted call survives
//! the process, and only a power cut can lose the last ones.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, params};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::id::TenantId;
use tenantry_domain::usage::Tally;

use crate::carrier;
use crate::error::{Fault, Result};
use crate::installation;
use crate::projection::Projection;
use crate::snapshot::Calls;
use crate::sql::{self, Number, tenant_id};
use crate::usage::{self, Schema};

/// The tables of the file, each with its key after `tenant_id`.
const TABLES: &[(&str, &str)] = &[
    ("usage_months", "month, slot"),
    ("usage_hours", "hour, slot"),
    ("usage_heartbeats", "slot"),
    ("api_key_uses", "key_id, secret_hash, slot"),
];

/// How long a batch waits for another program that has locked the file. Nothing of Tenantry does so,
/// and callers wait meanwhile, and a thread.
const BUSY: Duration = Duration::from_secs(1);

/// The one writer of the metered calls, in the server's process.
#[derive(Debug)]
pub(crate) struct CallBook {
    connection: Mutex<Connection>,
    projection: Arc<Projection>,
}

/// The book in somebody's hand: meanwhile no call is counted.
#[derive(Debug)]
pub(crate) struct HeldCallBook<'a> {
    connection: MutexGuard<'a, Connection>,
    book: &'a CallBook,
}

impl CallBook {
    /// Both connections are to its file: one counts, the other carries over.
    pub(crate) fn new(
        mut counting: Connection,
        carrying: Connection,
        projection: Arc<Projection>,
    ) -> Result<Self> {
        counting.busy_timeout(BUSY)?;
        counting.pragma_update(None, "synchronous", "NORMAL")?;
        carrier::carry_for(&mut counting, carrying)?;
        Ok(Self { connection: Mutex::new(counting), projection })
    }

    /// Waits for calls that are just being counted, and keeps others from it.
    pub(crate) fn hold(&self) -> HeldCallBook<'_> {
        // A transaction that was left open is found by the next one that is begun.
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        HeldCallBook { connection, book: self }
    }

    /// Whether calls can be counted now.
    pub(crate) fn ping(&self, now: Timestamp) -> Result<()> {
        self.hold().transact(|connection| installation::ping(connection, now))
    }

    /// Counts calls, of tenants that exist: one may be gone since, and then so are its numbers, and
    /// nothing is to come back. When it returns, every read has them.
    pub(crate) fn count(
        &self,
        mut calls: Tally,
        exists: impl Fn(TenantId) -> Result<bool>,
    ) -> Result<()> {
        let book = self.hold();
        // Asked while the book is held: whoever purges a tenant comes after what is written here.
        let mut asked = Ok(());
        calls.retain(|tenant| {
            exists(tenant).unwrap_or_else(|fault| {
                asked = Err(fault);
                false
            })
        });
        asked?;
        let written = book.transact(|connection| usage::count(connection, &calls));
        if let Err(Fault(error)) = &written {
            tracing::error!(%error, "a batch of calls was not counted");
        }
        for calls in calls.counts() {
            match &written {
                Ok(()) => self.projection.add_metered(calls),
                // A failed commit may have happened all the same.
                Err(_) => self.projection.forget_metered(calls.tenant),
            }
        }
        written
    }
}

impl HeldCallBook<'_> {
    /// The metered calls of a tenant, remembered from now on.
    pub(crate) fn calls(&self, tenant: TenantId, clock: Timestamp) -> Result<Calls> {
        if let Some(calls) = self.book.projection.metered(tenant) {
            return Ok(calls);
        }
        let calls = Calls::load(&self.connection, Schema::Main, tenant, clock)?;
        self.book.projection.remember_metered(tenant, calls.clone());
        Ok(calls)
    }

    /// Removes at most this many rows of a tenant that is gone; answers how many there were.
    pub(crate) fn purge(&self, tenant: TenantId, limit: u64) -> Result<u64> {
        let rows = self.transact(|connection| {
            let mut rows = 0;
            for (table, key) in TABLES {
                rows += purge_table(connection, table, key, tenant, limit - rows)?;
            }
            Ok(rows)
        });
        self.book.projection.forget_metered(tenant);
        rows
    }

    fn transact<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let connection = &*self.connection;
        if !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK")?;
        }
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let result = work(connection).and_then(|value| {
            connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(value)
        });
        if result.is_err() && !connection.is_autocommit() {
            // If this fails too, the next one tries again.
            let _ = connection.execute_batch("ROLLBACK");
        }
        result
    }
}

/// The tables of the book, where it is joined to the database.
pub(crate) fn tables() -> impl Iterator<Item = String> {
    TABLES.iter().map(|(table, _)| format!("metered.{table}"))
}

/// Removes at most this many rows of a tenant from a table.
pub(crate) fn purge_table(
    connection: &Connection,
    table: &str,
    key: &str,
    tenant: TenantId,
    limit: u64,
) -> Result<u64> {
    let sql = format!(
        "DELETE FROM {table} WHERE tenant_id = ?1 AND ({key}) IN
             (SELECT {key} FROM {table} WHERE tenant_id = ?1 LIMIT ?2)"
    );
    let rows = sql::execute(connection, &sql, params![tenant_id(tenant), Number(limit)])?;
    Ok(rows as u64)
}
