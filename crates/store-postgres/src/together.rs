//! Reads that share a round trip. Whoever finds a free connection asks at once. Those who find none
//! wait together, and the next connection asks for several of them in one go: a server that is busy
//! answers many statements of one connection with less ado than the same ones of many connections.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tenantry_domain::error::Error;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_postgres::Row;

use crate::connect::{BUSY, Readers, queued};
use crate::error::Result;
use crate::session::{Command, Session};

/// Reads that share a round trip, at most: whoever is last waits for the others' answers.
const AT_ONCE: usize = 8;

/// The rows of each statement of a read.
type Answer = Vec<Vec<Row>>;

/// Those who read by few small statements.
#[derive(Debug)]
pub(crate) struct Together {
    readers: Readers,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    /// In the order in which they came, which is that of the ends of their patience.
    reads: VecDeque<Read>,
    /// Whether somebody waits for a connection on behalf of all.
    attended: bool,
}

#[derive(Debug)]
struct Read {
    commands: Vec<Command>,
    /// How long it waits for a connection.
    until: Instant,
    reader: oneshot::Sender<Result<Answer>>,
}

impl Read {
    fn is_late(&self) -> bool {
        self.until <= Instant::now()
    }

    /// Nobody listens if whoever asked has gone away.
    fn answer(self, answer: Result<Answer>) {
        let _ = self.reader.send(answer);
    }
}

impl Together {
    pub(crate) fn of(readers: Readers) -> Self {
        Self { readers, queue: Arc::default() }
    }

    /// Asks in one round trip.
    pub(crate) async fn ask(&self, commands: Vec<Command>) -> Result<Answer> {
        if let Some(mut session) = self.readers.free().await? {
            return session.several(commands).await;
        }
        let (reader, answer) = oneshot::channel();
        let until = self.readers.patience();
        let was_attended = {
            let mut queue = lock(&self.queue);
            queue.reads.push_back(Read { commands, until, reader });
            std::mem::replace(&mut queue.attended, true)
        };
        if !was_attended {
            tokio::spawn(attend(self.readers.clone(), Arc::clone(&self.queue)));
        }
        answer.await.map_err(|_| Error::internal("a read was left alone"))?
    }
}

/// Gives those who wait to one connection after the other, until nobody waits.
async fn attend(readers: Readers, queue: Arc<Mutex<Queue>>) {
    while let Some(until) = next(&queue) {
        match readers.until(until).await {
            Ok(Some(session)) => {
                tokio::spawn(serve(session, take(&queue, AT_ONCE)));
            }
            // Whoever has waited long enough is told so before the next one is attended to.
            Ok(None) => {}
            // What there is no connection for now concerns them all.
            Err(fault) => {
                for read in take(&queue, usize::MAX) {
                    read.answer(Err(fault.clone()));
                }
            }
        }
    }
}

/// Until when the first one waits, after those who have waited long enough are told so; `None` if
/// nobody waits, and then nobody attends to them any more.
fn next(queue: &Mutex<Queue>) -> Option<Instant> {
    let mut queue = lock(queue);
    while let Some(read) = queue.reads.pop_front_if(|it| it.is_late() || it.reader.is_closed()) {
        read.answer(Err(queued(BUSY)));
    }
    let until = queue.reads.front().map(|it| it.until);
    queue.attended = until.is_some();
    until
}

/// The first of those who wait.
fn take(queue: &Mutex<Queue>, at_once: usize) -> Vec<Read> {
    let mut queue = lock(queue);
    queue.reads.retain(|read| !read.reader.is_closed());
    let many = queue.reads.len().min(at_once);
    queue.reads.drain(..many).collect()
}

/// Asks for all of these, each of which has an answer of its own.
async fn serve(mut session: Session, mut reads: Vec<Read>) {
    let mut lengths = Vec::with_capacity(reads.len());
    let mut commands = Vec::new();
    for read in &mut reads {
        lengths.push(read.commands.len());
        commands.append(&mut read.commands);
    }
    let mut answers = session.apart(commands).await.map(Vec::into_iter);
    for (length, read) in lengths.into_iter().zip(reads) {
        read.answer(match &mut answers {
            Ok(answers) => answers.take(length).collect(),
            Err(fault) => Err(fault.clone()),
        });
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    // What the lock guards is whole between any two statements.
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
