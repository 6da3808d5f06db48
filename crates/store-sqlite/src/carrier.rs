//! Carries the log of a file over into the file, beside whoever writes it.
//!
//! That waits for the disk, for tens of milliseconds where there is much, so a thread does it with a
//! connection of its own, while the log goes on being written. What comes meanwhile is little, and
//! whoever writes carries that over itself, between two of its transactions: then nothing is left in
//! the log, and the next transaction begins it anew.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, ErrorCode};
use tenantry_domain::error::Error;

use crate::error::Result;

/// Pages of a log with which it is carried over: 32 MiB. Each page is carried over but once, however
/// often it was changed, so it is better done seldom.
pub(crate) const PAGES: u32 = 8_192;

/// Carries over for a connection that writes, until that is closed, by another to the same file.
/// Begins with what is in the log already: a server that was killed has left it.
pub(crate) fn carry_for(writing: &mut Connection, carrying: Connection) -> Result<()> {
    let carrier = Carrier::start(carrying)?;
    // In place of what SQLite does by itself, which is all of it in the commit that is one too many.
    writing.wal_hook(Some(move |wal: &mut rusqlite::hooks::Wal, pages: c_int| {
        if carrier.rest.swap(false, Ordering::AcqRel) {
            report(wal.checkpoint());
        } else if u32::try_from(pages).is_ok_and(|pages| pages >= PAGES) {
            carrier.wake();
        }
        // The commit has succeeded, whatever becomes of the log.
        Ok(())
    }))?;
    Ok(())
}

/// The thread that does most of it, when it is told to.
#[derive(Debug)]
struct Carrier {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Whether it has done its part.
    rest: Arc<AtomicBool>,
}

impl Carrier {
    fn start(connection: Connection) -> Result<Self> {
        // Holds nothing: what is sent while the thread is at work is not meant for later.
        let (wake, woken) = sync_channel(0);
        let rest = Arc::<AtomicBool>::default();
        let done = Arc::clone(&rest);
        let thread = std::thread::Builder::new()
            .name("tenantry-carrier".to_owned())
            .spawn(move || run(&connection, &done, &woken))
            .map_err(|error| Error::Unavailable(error.to_string()))?;
        Ok(Self { wake: Some(wake), thread: Some(thread), rest })
    }

    /// Says that there is much in the log.
    fn wake(&self) {
        if let Some(wake) = &self.wake {
            match wake.try_send(()) {
                // It is at work, or not yet ready to be.
                Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
            }
        }
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

fn run(connection: &Connection, rest: &AtomicBool, woken: &Receiver<()>) {
    loop {
        // Twice: the second time there is only what came during the first.
        let carried = carry_over(connection).and_then(|()| carry_over(connection));
        rest.store(carried.is_ok(), Ordering::Release);
        report(carried);
        if woken.recv().is_err() {
            return;
        }
    }
}

fn carry_over(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |_| Ok(()))
}

fn report(carried: rusqlite::Result<()>) {
    match carried {
        // Another program does it.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {}
        // Whatever was written is in the log, which is as good a place: it only grows.
        Err(error) => tracing::warn!(%error, "a log could not be carried over into its file"),
        Ok(()) => {}
    }
}
