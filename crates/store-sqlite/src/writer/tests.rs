//! What a group is: one commit, many answers, and nobody's failure but one's own.

use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};

use super::*;
use crate::outside::OutsideChanges;

fn connect(directory: &Path) -> Connection {
    let connection = Connection::open(directory.join("test.db")).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.busy_timeout(std::time::Duration::from_millis(20)).unwrap();
    connection
}

/// A writer over one empty table, and a connection that sees what is committed.
fn writer(directory: &Path) -> (Writer, Connection) {
    let connection = connect(directory);
    connection.execute_batch("CREATE TABLE rows (id INTEGER PRIMARY KEY) STRICT").unwrap();
    let outside = OutsideChanges::new(tempfile::tempfile().unwrap());
    let side = Side::Server(Arc::new(Projection::new(outside)));
    (Writer::start(connection, side, GROUP).unwrap(), connect(directory))
}

fn count(connection: &Connection) -> u32 {
    connection.query_row("SELECT count(*) FROM rows", [], |row| row.get(0)).unwrap()
}

fn insert(connection: &Connection) -> Result<()> {
    connection.execute("INSERT INTO rows DEFAULT VALUES", [])?;
    Ok(())
}

/// The writer, kept busy until this is dropped.
pub(super) struct Held {
    _release: mpsc::Sender<()>,
}

impl Held {
    /// Returns once the writer is busy: whatever comes next queues up for a group of its own.
    pub(super) async fn of<T>(owner: &Arc<T>, writer: fn(&T) -> &Writer) -> Self
    where
        T: Send + Sync + 'static,
    {
        let (begin, begun) = oneshot::channel();
        let (release, held) = mpsc::channel::<()>();
        let (owner, mut begin) = (Arc::clone(owner), Some(begin));
        tokio::spawn(async move {
            let work = move |_: &Connection| {
                let _ = begin.take().map(|begin| begin.send(()));
                let _ = held.recv();
                Ok(Outcome::Done(()))
            };
            writer(&owner).run(Durability::Flushed, work).await
        });
        begun.await.unwrap();
        Self { _release: release }
    }
}

#[tokio::test]
async fn what_queues_up_shares_one_commit() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, reader) = writer(directory.path());
    let (writer, reader) = (Arc::new(writer), Arc::new(Mutex::new(reader)));
    let held = Held::of(&writer, |writer| writer).await;
    let jobs: Vec<_> = (0..50)
        .map(|_| {
            let (writer, reader) = (Arc::clone(&writer), Arc::clone(&reader));
            tokio::spawn(async move {
                let work = move |connection: &Connection| {
                    insert(connection)?;
                    Ok(Outcome::Done(count(&reader.lock().unwrap())))
                };
                writer.run(Durability::Flushed, work).await.unwrap()
            })
        })
        .collect();
    tokio::task::yield_now().await;
    drop(held);
    for job in jobs {
        // Nothing of the group was committed while any of it ran.
        assert_eq!(job.await.unwrap(), 0);
    }
    // And every answer came after the commit.
    assert_eq!(count(&reader.lock().unwrap()), 50);
}

#[tokio::test]
async fn a_failure_undoes_itself_and_nothing_else_of_its_group() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, reader) = writer(directory.path());
    let writer = Arc::new(writer);
    let held = Held::of(&writer, |writer| writer).await;
    let good = |connection: &Connection| insert(connection).map(Outcome::Done);
    let bad = |connection: &Connection| -> Result<Outcome<()>> {
        insert(connection)?;
        Err(Fault(Error::invalid("field", "is wrong")))
    };
    let panics = |connection: &Connection| -> Result<Outcome<()>> {
        insert(connection)?;
        panic!("on purpose")
    };
    let (first, second, third, fourth, ()) = tokio::join!(
        writer.run(Durability::Flushed, good),
        writer.run(Durability::Flushed, bad),
        writer.run(Durability::Flushed, panics),
        writer.run(Durability::Flushed, good),
        async { drop(held) },
    );
    assert!(first.is_ok() && fourth.is_ok());
    assert_eq!(second.unwrap_err().0, Error::invalid("field", "is wrong"));
    assert!(matches!(third.unwrap_err().0, Error::Internal(_)));
    assert_eq!(count(&reader), 2);
}

#[tokio::test]
async fn work_that_goes_on_lets_others_in_between() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, reader) = writer(directory.path());
    let mut parts = 0;
    let long = move |connection: &Connection| {
        insert(connection)?;
        parts += 1;
        Ok(if parts == 3 { Outcome::Done(parts) } else { Outcome::Again })
    };
    let short = |connection: &Connection| insert(connection).map(Outcome::Done);
    let (long, short) =
        tokio::join!(writer.run(Durability::Flushed, long), writer.run(Durability::Handed, short));
    assert_eq!(long.unwrap(), 3);
    short.unwrap();
    assert_eq!(count(&reader), 4);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_its_work_done() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, reader) = writer(directory.path());
    let writer = Arc::new(writer);
    let held = Held::of(&writer, |writer| writer).await;
    {
        let work = |connection: &Connection| insert(connection).map(Outcome::Done);
        let queued = writer.run(Durability::Flushed, work);
        tokio::pin!(queued);
        tokio::select! {
            biased;
            _ = &mut queued => panic!("answered while the writer was held"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(held);
    let last = |connection: &Connection| insert(connection).map(Outcome::Done);
    writer.run(Durability::Flushed, last).await.unwrap();
    assert_eq!(count(&reader), 2);
}

#[tokio::test]
async fn a_commit_that_fails_fails_its_whole_group_and_the_next_one_works() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, reader) = writer(directory.path());
    // Another process that holds the lock longer than anybody waits.
    let other = connect(directory.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let work = |connection: &Connection| insert(connection).map(Outcome::Done);
    let (first, second) =
        tokio::join!(writer.run(Durability::Flushed, work), writer.run(Durability::Handed, work));
    assert!(matches!(first.unwrap_err().0, Error::Unavailable(_)));
    assert!(matches!(second.unwrap_err().0, Error::Unavailable(_)));
    other.execute_batch("ROLLBACK").unwrap();
    writer.run(Durability::Flushed, work).await.unwrap();
    assert_eq!(count(&reader), 1);
}
