//! A log does not grow for ever, and whoever writes is not held up by it.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use rusqlite::OpenFlags;
use tempfile::TempDir;

use super::*;

/// As many pages of a log as are carried over at once in these tests.
const FEW: u32 = 64;
/// Far more commits than the thread can need to have a turn.
const PATIENCE: u32 = 1_000_000;

/// A file with one table, and who writes it. Dropped in this order.
struct Site {
    writing: Connection,
    directory: TempDir,
}

impl Site {
    /// A file whose log is carried over by a connection that is opened like this.
    fn new(carrying: OpenFlags) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut writing = Connection::open(directory.path().join("test.db")).unwrap();
        writing.pragma_update(None, "journal_mode", "WAL").unwrap();
        writing.pragma_update(None, "synchronous", "NORMAL").unwrap();
        writing.execute_batch("CREATE TABLE rows (page BLOB) STRICT").unwrap();
        let carrying =
            Connection::open_with_flags(directory.path().join("test.db"), carrying).unwrap();
        carry_every(FEW, &mut writing, carrying).unwrap();
        Self { writing, directory }
    }

    /// One commit of about so many pages.
    fn write(&self, pages: u32) {
        let sql = "WITH RECURSIVE page (number) AS
                 (VALUES (1) UNION ALL SELECT number + 1 FROM page WHERE number < ?1)
             INSERT INTO rows SELECT zeroblob(4000) FROM page";
        self.writing.execute(sql, [pages]).unwrap();
    }

    /// How often the log was begun anew: its header tells (the WAL format, section 4.1).
    fn begun(&self) -> u32 {
        let file = File::open(self.directory.path().join("test.db-wal")).unwrap();
        let mut bytes = [0; 4];
        file.read_exact_at(&mut bytes, 12).unwrap();
        u32::from_be_bytes(bytes)
    }

    /// Goes on with small commits until the log has been begun anew so many times more.
    fn is_begun_anew(&self, times: u32) {
        let before = self.begun();
        for _ in 0..PATIENCE {
            if self.begun() >= before + times {
                return;
            }
            self.write(1);
            std::thread::yield_now();
        }
        panic!("the log only grows");
    }
}

#[test]
fn a_log_is_begun_anew_again_and_again() {
    let site = Site::new(OpenFlags::default());
    site.is_begun_anew(3);
    // Also by the thread alone: long before whoever writes would do it.
    site.write(4 * FEW);
    let before = site.begun();
    let anew = (0..FEW).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        site.write(1);
        site.begun() > before
    });
    assert!(anew);
}

/// What is written while somebody reads an older state stays in the log, and goes when they have.
#[test]
fn a_reader_holds_it_up_only_while_it_reads() {
    let site = Site::new(OpenFlags::default());
    let reader = Connection::open(site.directory.path().join("test.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM rows").unwrap();
    // The log may be begun anew once: if nothing of it is what the reader reads.
    let before = site.begun();
    for _ in 0..2 * MUCH * FEW {
        site.write(1);
    }
    assert!(site.begun() <= before + 1);
    drop(reader);
    site.is_begun_anew(2);
}

/// The thread fails each time. Commits do not, and whoever writes carries it over in the end.
#[test]
fn a_thread_that_fails_is_done_without() {
    let site = Site::new(OpenFlags::SQLITE_OPEN_READ_ONLY);
    site.is_begun_anew(2);
}

#[test]
fn whoever_writes_carries_over_only_what_is_little() {
    let turn = |length, carried| whose_turn(PAGES, length, carried);
    assert_eq!(turn(PAGES - 1, None), Turn::Nobodys);
    assert_eq!(turn(PAGES, None), Turn::Threads);
    // What came while the thread was at it.
    assert_eq!(turn(PAGES + 10, Some(PAGES)), Turn::Writers);
    assert_eq!(turn(10, Some(0)), Turn::Writers);
    // One transaction, or what a reader has held up.
    assert_eq!(turn(3 * PAGES, Some(PAGES)), Turn::Threads);
    assert_eq!(turn(3 * PAGES, Some(0)), Turn::Threads);
    assert_eq!(turn(PAGES / 2, Some(0)), Turn::Nobodys);
    // Faster than the disk.
    assert_eq!(turn(MUCH * PAGES, Some(PAGES)), Turn::Threads);
    assert_eq!(turn(MUCH * PAGES + 1, None), Turn::Writers);
}
