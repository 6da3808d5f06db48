//! The one writer: a thread that commits whatever has queued up as one group.
//!
//! A change is answered only after the commit that holds it is on disk, so that one flush serves
//! many changes. What nobody needs after a power cut, such as the row by which readiness tries the
//! file, is committed in groups of its own that do not wait for the disk.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tenantry_domain::error::Error;
use tenantry_domain::usage::Tally;
use tokio::sync::oneshot;

use crate::error::{Fault, Result};
use crate::outside::Announcer;
use crate::projection::Projection;
use crate::usage;

/// Jobs that may wait; beyond it callers are turned away rather than kept.
const QUEUE: usize = 8_192;
/// Jobs that share one commit at most, so that nobody waits for an endless group.
pub(crate) const GROUP: NonZeroUsize = NonZeroUsize::MIN.saturating_add(511);

/// What a caller is told whose group had no transaction any more.
const LOST: &str = "sqlite: the transaction was ended by a failing disk";

/// What a group's commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// On disk before it is answered: administrative changes.
    Flushed,
    /// In the hands of the operating system: what only shows that writing works.
    Handed,
}

/// In which process the writer is.
#[derive(Debug)]
pub(crate) enum Side {
    /// In the server, which remembers what is committed.
    Server(Arc<Projection>),
    /// In another process, which tells the server that something was changed.
    Outside(Announcer),
}

/// What running a job's work led to.
pub(crate) enum Outcome<T> {
    /// The answer, once the group is committed.
    Done(T),
    /// A bounded part is done; the rest goes on in a later group.
    Again,
}

/// A queued piece of work, whatever its answer's type.
trait Job: Send {
    fn durability(&self) -> Durability;
    /// Runs it, or its next part, in a savepoint of its own. Answers whether it is done.
    fn run(&mut self, connection: &Connection) -> bool;
    /// The call to count, if it is done and has come to something.
    fn call(&mut self) -> Option<Tally>;
    /// Tells the caller what came of it, now that its group is committed or is not.
    fn answer(self: Box<Self>, committed: std::result::Result<(), Error>);
}

struct Task<T, F> {
    durability: Durability,
    /// What asked for it, unless that is counted by somebody else.
    call: Option<Tally>,
    work: F,
    result: Option<Result<T>>,
    caller: oneshot::Sender<Result<T>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnMut(&Connection) -> Result<Outcome<T>> + Send,
{
    fn durability(&self) -> Durability {
        self.durability
    }

    fn run(&mut self, connection: &Connection) -> bool {
        self.result = match in_savepoint(connection, || (self.work)(connection)) {
            Ok(Outcome::Again) => None,
            Ok(Outcome::Done(value)) => Some(Ok(value)),
            Err(fault) => Some(Err(fault)),
        };
        self.result.is_some()
    }

    fn call(&mut self) -> Option<Tally> {
        self.call.take().filter(|_| matches!(self.result, Some(Ok(_))))
    }

    fn answer(self: Box<Self>, committed: std::result::Result<(), Error>) {
        let result = match (committed, self.result) {
            // Also for one that failed by itself: what it was judged by may not have happened.
            (Err(error), _) => Err(Fault(error)),
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(Fault(Error::internal("a job was answered before it was done"))),
        };
        // Nobody listens if the caller has gone away; the work is done all the same.
        let _ = self.caller.send(result);
    }
}

/// Runs work so that a failure undoes what it did and nothing else of its group.
pub(crate) fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    connection.prepare_cached("SAVEPOINT job")?.execute([])?;
    let result = catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Fault(Error::internal("a write panicked"))));
    let ended = end_savepoint(connection, result.is_ok());
    if ended.is_err() && !connection.is_autocommit() {
        // Half of the work could be left: rather nothing of the whole group than that.
        connection.execute_batch("ROLLBACK")?;
    }
    result.and_then(|value| ended.map(|()| value))
}

fn end_savepoint(connection: &Connection, keep: bool) -> Result<()> {
    // A failing disk can have ended the transaction, and the savepoint with it.
    if connection.is_autocommit() {
        return Ok(());
    }
    if !keep {
        connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
    }
    connection.prepare_cached("RELEASE job")?.execute([])?;
    Ok(())
}

/// Hands work to the writer's thread.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Option<SyncSender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread, which owns the connection until the writer is dropped, and has at most
    /// `group` jobs share a commit.
    pub(crate) fn start(
        connection: Connection,
        side: Side,
        group: NonZeroUsize,
    ) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("tenantry-writer".to_owned())
            .spawn(move || Thread { connection, side, group, durability: None }.serve(&jobs))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Runs `work` in a group's transaction; answers after the commit. Whatever `work` did is
    /// undone if it fails. Once queued, it runs even if the caller goes away.
    pub(crate) async fn run<T, F>(&self, durability: Durability, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<Outcome<T>> + Send + 'static,
    {
        self.enqueue(durability, None, work)?.await.map_err(|_| stopped())?
    }

    /// The same for a change; unless it fails, the call is counted in its transaction.
    pub(crate) async fn run_counted<T, F>(&self, call: Tally, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<Outcome<T>> + Send + 'static,
    {
        self.enqueue(Durability::Flushed, Some(call), work)?.await.map_err(|_| stopped())?
    }

    /// Queues nothing to do: for the sake of the group that it is done in.
    pub(crate) fn nudge(&self) -> Result<()> {
        self.enqueue(Durability::Handed, None, |_: &Connection| Ok(Outcome::Done(()))).map(drop)
    }

    fn enqueue<T, F>(
        &self,
        durability: Durability,
        call: Option<Tally>,
        work: F,
    ) -> Result<oneshot::Receiver<Result<T>>>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<Outcome<T>> + Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        let job = Box::new(Task { durability, call, work, result: None, caller });
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => {
                Fault(Error::Unavailable("too many changes are waiting".to_owned()))
            }
            TrySendError::Disconnected(_) => stopped(),
        })?;
        Ok(answer)
    }
}

impl Drop for Writer {
    /// Lets the thread finish what is queued, so that nothing acknowledged is in flight.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn stopped() -> Fault {
    Fault(Error::Unavailable("the writer has stopped".to_owned()))
}

struct Thread {
    connection: Connection,
    side: Side,
    group: NonZeroUsize,
    /// What the connection is set to now.
    durability: Option<Durability>,
}

impl Thread {
    fn serve(mut self, jobs: &Receiver<Box<dyn Job>>) {
        while let Ok(first) = jobs.recv() {
            let mut waiting = vec![first];
            while !waiting.is_empty() {
                waiting
                    .extend(jobs.try_iter().take(self.group.get().saturating_sub(waiting.len())));
                let (handed, changes): (Vec<_>, Vec<_>) =
                    waiting.into_iter().partition(|job| job.durability() == Durability::Handed);
                waiting = self.group(Durability::Handed, handed);
                waiting.extend(self.group(Durability::Flushed, changes));
            }
        }
    }

    /// Runs one group; answers the jobs that have more to do.
    fn group(&mut self, durability: Durability, jobs: Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        if jobs.is_empty() {
            return jobs;
        }
        let (mut ran, mut again) = (Vec::with_capacity(jobs.len()), Vec::new());
        let mut jobs = jobs.into_iter();
        let committed = self.transact(durability, |connection| {
            let mut calls = Tally::default();
            for mut job in jobs.by_ref() {
                let done = job.run(connection);
                if done {
                    job.call().into_iter().for_each(|call| calls.merge(call));
                    ran.push(job);
                } else {
                    again.push(job);
                }
                // A failing disk can end the transaction; what came next would not be in one.
                if connection.is_autocommit() {
                    return Err(Fault(Error::Unavailable(LOST.to_owned())));
                }
            }
            // The changes of a tenant change the same rows of its calls: once for all of them.
            usage::count(connection, &calls)
        });
        if let Err(error) = &committed {
            tracing::error!(%error, "a group of writes failed and was undone");
            ran.append(&mut again);
        }
        for job in ran.into_iter().chain(jobs) {
            job.answer(committed.clone());
        }
        again
    }

    fn transact(
        &mut self,
        durability: Durability,
        run: impl FnOnce(&Connection) -> Result<()>,
    ) -> std::result::Result<(), Error> {
        let result: Result<()> = (|| {
            self.set(durability)?;
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            if let Side::Server(projection) = &self.side {
                projection.settle()?;
            }
            run(&self.connection)?;
            if let Side::Outside(announcer) = &self.side {
                announcer.announce().map_err(|error| Error::Unavailable(error.to_string()))?;
            }
            self.connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(())
        })();
        if result.is_err() && !self.connection.is_autocommit() {
            // If this fails too, the next BEGIN will say so.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        if let Side::Server(projection) = &self.side {
            projection.end_changes();
        }
        result.map_err(|Fault(error)| error)
    }

    fn set(&mut self, durability: Durability) -> Result<()> {
        if self.durability != Some(durability) {
            self.connection.execute_batch(match durability {
                Durability::Flushed => "PRAGMA synchronous = FULL",
                Durability::Handed => "PRAGMA synchronous = NORMAL",
            })?;
            self.durability = Some(durability);
        }
        Ok(())
    }
}

#[cfg(test)]
mod faults;
#[cfg(test)]
mod tests;
