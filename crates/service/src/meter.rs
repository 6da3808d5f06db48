//! The meter: an answered call is a counted call.
//!
//! Each call is added to the batch that is filling; one task writes batch after batch, so that
//! whatever arrives while a batch is being committed is the next one. A caller waits for the batch
//! that holds its call. If it goes away meanwhile, the call stays in the batch: nothing that a
//! caller does or fails to do can hold up the others.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tenantry_domain::error::{Error, Result};
use tenantry_domain::usage::{Call, Tally};
use tenantry_store::Store;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// Callers that may wait at once; beyond it the store is not keeping up, and they are turned away.
const WAITING: usize = 65_536;

/// Counts calls in groups.
#[derive(Debug)]
pub struct Meter {
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    batch: Mutex<Batch>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Batch {
    calls: Tally,
    callers: Vec<oneshot::Sender<Result<()>>>,
    closed: bool,
}

impl Meter {
    /// Starts the task that writes the batches.
    pub(crate) fn start(store: Arc<dyn Store>) -> Self {
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(run(Arc::clone(&shared), store));
        Self { shared, task: Mutex::new(Some(task)) }
    }

    /// Counts a call that no change has counted yet; returns once it is counted.
    ///
    /// # Errors
    /// What the store failed with: then the call is not counted, and must not be answered.
    pub async fn count(&self, call: &Call) -> Result<()> {
        if call.is_counted() {
            return Ok(());
        }
        let (caller, counted) = oneshot::channel();
        {
            let mut batch = lock(&self.shared.batch);
            if batch.closed {
                return Err(stopped());
            }
            if batch.callers.len() >= WAITING {
                return Err(Error::Unavailable("too many calls wait to be counted".to_owned()));
            }
            batch.calls.add(call);
            batch.callers.push(caller);
        }
        self.shared.filled.notify_one();
        counted.await.map_err(|_| stopped())??;
        call.mark_counted();
        Ok(())
    }

    /// Fails if calls are not taken any more.
    pub(crate) fn check_open(&self) -> Result<()> {
        if lock(&self.shared.batch).closed { Err(stopped()) } else { Ok(()) }
    }

    /// Takes no more calls, and returns once those it took are written.
    pub async fn close(&self) {
        lock(&self.shared.batch).closed = true;
        self.shared.filled.notify_one();
        let task = lock(&self.task).take();
        if let Some(task) = task {
            // A task that panicked has nothing left to write.
            let _ = task.await;
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        lock(&self.shared.batch).closed = true;
        self.shared.filled.notify_one();
    }
}

/// Closes the meter however its task ends, so that nobody waits for a task that is gone.
struct CloseAtEnd(Arc<Shared>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        let mut batch = lock(&self.0.batch);
        batch.closed = true;
        batch.callers.clear();
    }
}

async fn run(shared: Arc<Shared>, store: Arc<dyn Store>) {
    let _close = CloseAtEnd(Arc::clone(&shared));
    loop {
        let (calls, callers, closed) = {
            let mut batch = lock(&shared.batch);
            let calls = std::mem::take(&mut batch.calls);
            (calls, std::mem::take(&mut batch.callers), batch.closed)
        };
        if callers.is_empty() {
            if closed {
                return;
            }
            shared.filled.notified().await;
            // Whoever is about to be counted joins in: one commit for all who are ready.
            tokio::task::yield_now().await;
            continue;
        }
        let counted = store.count_calls(calls).await;
        for caller in callers {
            // Nobody listens if the caller has gone away; its call is counted all the same.
            let _ = caller.send(counted.clone());
        }
    }
}

fn stopped() -> Error {
    Error::Unavailable("the meter has stopped".to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the lock guards is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
