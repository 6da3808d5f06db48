//! Credentials that expire at one instant, and a settler that does not come by.

use std::time::Duration;

use anyhow::{Result, ensure};
use rusqlite::{Connection, params};
use tenantry_domain::clock::{Clock as _, SystemClock, Timestamp};

use crate::installation::Installation;

/// The book-keeping of an installation, held: reads and calls go on, and no change comes in, so
/// what expires has no entry in the ledger yet. It is what a reader may see in the milliseconds until
/// the settler comes by.
#[derive(Debug)]
pub(crate) struct Unsettled {
    database: Connection,
}

/// Moves the instant at which everything expires that does, and its place in the schedule.
pub(crate) fn expire_at(installation: &Installation, at: Timestamp) -> Result<()> {
    let mut database = open(installation)?;
    let moved = database.transaction()?;
    let at = params![at.as_millis()];
    moved.execute("UPDATE credentials SET expires_at = ?1 WHERE expires_at IS NOT NULL", at)?;
    moved.execute("UPDATE expiries SET due_at = ?1", at)?;
    Ok(moved.commit()?)
}

/// So many seconds from now.
pub(crate) fn in_seconds(seconds: i64) -> Timestamp {
    SystemClock.now().plus_millis(seconds * 1_000)
}

impl Unsettled {
    /// Keeps a running server from settling what expires at `at`, and returns once it has expired.
    pub(crate) fn from(installation: &Installation, at: Timestamp) -> Result<Self> {
        let database = open(installation)?;
        database.execute_batch("BEGIN IMMEDIATE")?;
        ensure!(SystemClock.now() < at, "the server took too long to start: it has settled before");
        wait_until(at);
        Ok(Self { database })
    }

    /// How many things have expired and have no entry yet.
    pub(crate) fn rows(&self) -> Result<u32> {
        let now = SystemClock.now().as_millis();
        let sql = "SELECT coalesce(sum(rows), 0) FROM expiries WHERE due_at <= ?1";
        Ok(self.database.query_row(sql, params![now], |row| row.get(0))?)
    }
}

/// Returns once an instant is over.
pub(crate) fn wait_until(at: Timestamp) {
    while SystemClock.now() <= at {
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn open(installation: &Installation) -> Result<Connection> {
    let database = Connection::open(installation.path().join("tenantry.db"))?;
    database.busy_timeout(Duration::from_secs(5))?;
    Ok(database)
}
