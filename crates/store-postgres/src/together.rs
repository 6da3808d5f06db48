//! Reads that share a round trip. Whoever finds a free connection asks at once. Those who find none
//! wait together, and the next connection asks for several of them in one go: a server that is busy
//! answers many statements of one connection with less ado than the same ones of many connections.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tenantry_domain::error::Error;
use tokio::sync::oneshot;
use tokio_postgres::Row;

use crate::connect::Readers;
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
    reads: Vec<Read>,
    /// Whether somebody waits for a connection on behalf of all.
    attended: bool,
}

#[derive(Debug)]
struct Read {
    commands: Vec<Command>,
    reader: oneshot::Sender<Result<Answer>>,
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
        let was_attended = {
            let mut queue = lock(&self.queue);
            queue.reads.push(Read { commands, reader });
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
    loop {
        let session = readers.get().await;
        // Where there is none in all that time, nobody waits for as long again.
        let at_once = if session.is_ok() { AT_ONCE } else { usize::MAX };
        let (reads, more) = {
            let mut queue = lock(&queue);
            queue.reads.retain(|read| !read.reader.is_closed());
            let many = queue.reads.len().min(at_once);
            let reads: Vec<_> = queue.reads.drain(..many).collect();
            queue.attended = !queue.reads.is_empty();
            (reads, queue.attended)
        };
        tokio::spawn(serve(session, reads));
        if !more {
            return;
        }
    }
}

/// Asks for all of these, each of which has an answer of its own.
async fn serve(session: Result<Session>, reads: Vec<Read>) {
    let (mut lengths, mut readers, mut commands) = (Vec::new(), Vec::new(), Vec::new());
    for read in reads {
        lengths.push(read.commands.len());
        readers.push(read.reader);
        commands.extend(read.commands);
    }
    let answers = match session {
        Ok(mut session) => session.apart(commands).await,
        Err(fault) => Err(fault),
    };
    let mut answers = answers.map(Vec::into_iter);
    for (length, reader) in lengths.into_iter().zip(readers) {
        let answer = match &mut answers {
            Ok(answers) => answers.take(length).collect(),
            Err(fault) => Err(fault.clone()),
        };
        // Nobody listens if whoever asked has gone away.
        let _ = reader.send(answer);
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    // What the lock guards is whole between any two statements.
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
