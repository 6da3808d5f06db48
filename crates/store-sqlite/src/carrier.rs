//! Carries the log of the book of calls over into its file.
//!
//! That waits for the disk, for tens of milliseconds where there is much, so it is done beside the
//! counting and in two steps: what has been written so far, while calls go on being counted; and
//! what has come meanwhile, which is little, while the book is held. Then nothing is left in the
//! log, and the next batch begins it anew.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;

use crate::error::Result;

/// A thread that does it when it is told to.
#[derive(Debug)]
pub(crate) struct Carrier {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Carrier {
    /// Starts the thread. Its connection is to the file of `book`.
    pub(crate) fn start(
        connection: Connection,
        book: Arc<Mutex<Connection>>,
    ) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("tenantry-carrier".to_owned())
            .spawn(move || run(&connection, &book, &woken))?;
        Ok(Self { wake: Some(wake), thread: Some(thread) })
    }

    /// Says that there is much in the log.
    pub(crate) fn wake(&self) {
        if let Some(wake) = &self.wake {
            // It is full if the thread has been told already.
            let _ = wake.try_send(());
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

fn run(connection: &Connection, book: &Mutex<Connection>, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        let carried = carry_over(connection).and_then(|()| {
            let _held = book.lock().unwrap_or_else(PoisonError::into_inner);
            carry_over(connection)
        });
        if let Err(fault) = carried {
            // The calls are in the log, which is as good a place: it only grows.
            tracing::warn!(error = %fault.0, "the log of calls could not be carried over");
        }
    }
}

fn carry_over(connection: &Connection) -> Result<()> {
    connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |_| Ok(()))?;
    Ok(())
}
