//! Carries the log of a file over into the file, beside whoever writes it.
//!
//! That waits for the disk, for tens of milliseconds where there is much, so a thread does it with a
//! connection of its own, while the log goes on being written. What comes meanwhile is mostly little,
//! and whoever writes carries that over itself, between two of its transactions: then nothing is left
//! in the log, and the next transaction begins it anew. It is left to the thread again where it is
//! much: after a large transaction, or while somebody reads from an old state of the file, which
//! holds back what has been written since.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, ErrorCode};
use tenantry_domain::error::Error;

use crate::error::Result;

/// Pages of a log with which it is carried over: 32 MiB. Each page is carried over but once, however
/// often it was changed, so it is better done seldom.
pub(crate) const PAGES: u32 = 8_192;
/// The part of that which whoever writes carries over itself, at most ...
const LITTLE: u32 = 8;
/// ... unless the log has become so many times as long: then it writes faster than the disk takes it.
const MUCH: u32 = 16;

/// Carries over for a connection that writes, until that is closed, by another to the same file.
/// Begins with what is in the log already: a server that was killed has left it.
pub(crate) fn carry_for(writing: &mut Connection, carrying: Connection) -> Result<()> {
    carry_every(PAGES, writing, carrying)
}

fn carry_every(pages: u32, writing: &mut Connection, carrying: Connection) -> Result<()> {
    let carrier = Carrier::start(carrying)?;
    // In place of what SQLite does by itself, which is all of it in the commit that is one too many.
    writing.wal_hook(Some(move |wal: &mut rusqlite::hooks::Wal, length: c_int| {
        let length = u32::try_from(length).unwrap_or_default();
        match whose_turn(pages, length, carrier.shared.carried()) {
            Turn::Writers => carrier.shared.report(wal.checkpoint()),
            // Without its thread it goes on as without this.
            Turn::Threads if !carrier.wake() => carrier.shared.report(wal.checkpoint()),
            Turn::Threads | Turn::Nobodys => {}
        }
        // The commit has succeeded, whatever becomes of the log.
        Ok(())
    }))?;
    Ok(())
}

/// Who is to carry a log over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Nobodys,
    Threads,
    Writers,
}

/// Whose turn it is after a commit. `carried` is how many pages the thread has carried over, if it
/// has since the last commit.
fn whose_turn(pages: u32, length: u32, carried: Option<u32>) -> Turn {
    if length > pages.saturating_mul(MUCH) {
        return Turn::Writers;
    }
    match carried {
        Some(carried) if length.saturating_sub(carried) <= pages / LITTLE => Turn::Writers,
        _ if length >= pages => Turn::Threads,
        _ => Turn::Nobodys,
    }
}

/// What the thread and whoever writes tell each other.
#[derive(Debug)]
struct Shared {
    /// How many pages of the log the thread has carried over, or [`Shared::NOTHING`].
    carried: AtomicU32,
    /// Whether it went wrong the last time.
    failing: AtomicBool,
}

impl Shared {
    const NOTHING: u32 = u32::MAX;

    /// What the thread has carried over, told once.
    fn carried(&self) -> Option<u32> {
        let carried = self.carried.swap(Self::NOTHING, Ordering::AcqRel);
        (carried != Self::NOTHING).then_some(carried)
    }

    /// Tells the log of what went wrong, once until it goes well again.
    fn report(&self, carried: rusqlite::Result<()>) {
        match carried {
            Ok(()) => self.failing.store(false, Ordering::Relaxed),
            // Another program does it.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {}
            // Whatever was written is in the log, which is as good a place: it only grows.
            Err(error) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "a log could not be carried over into its file");
                }
            }
        }
    }
}

/// The thread that does most of it, when it is told to.
#[derive(Debug)]
struct Carrier {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

impl Carrier {
    fn start(connection: Connection) -> Result<Self> {
        // Holds nothing: what is sent while the thread is at work is not meant for later.
        let (wake, woken) = sync_channel(0);
        let carried = AtomicU32::new(Shared::NOTHING);
        let shared = Arc::new(Shared { carried, failing: AtomicBool::default() });
        let its_shared = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("tenantry-carrier".to_owned())
            .spawn(move || run(&connection, &its_shared, &woken))
            .map_err(|error| Error::Unavailable(error.to_string()))?;
        Ok(Self { wake: Some(wake), thread: Some(thread), shared })
    }

    /// Says that there is much in the log; whether the thread is there.
    fn wake(&self) -> bool {
        let told = self.wake.as_ref().map(|wake| wake.try_send(()));
        // It is at work, or not yet ready to be.
        matches!(told, Some(Ok(()) | Err(TrySendError::Full(()))))
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked is gone as well.
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, shared: &Shared, woken: &Receiver<()>) {
    loop {
        // Twice: the second time there is only what came during the first.
        let carried = carry_over(connection).and_then(|_| carry_over(connection));
        if let Ok(Some(carried)) = carried {
            shared.carried.store(carried, Ordering::Release);
        }
        shared.report(carried.map(drop));
        if woken.recv().is_err() {
            return;
        }
    }
}

/// Carries over what can be; answers how many pages of the log, as it is now, are in the file. `None`
/// if somebody else is at it.
fn carry_over(connection: &Connection) -> rusqlite::Result<Option<u32>> {
    let mut statement = connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?;
    statement.query_row([], |row| {
        let (busy, length, carried): (bool, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        // A log of which everything is in the file is begun anew by whoever writes next.
        let carried = if carried == length { 0 } else { carried };
        Ok(u32::try_from(carried).ok().filter(|_| !busy))
    })
}

#[cfg(test)]
mod tests;
