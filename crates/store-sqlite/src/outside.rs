//! How the server learns of changes by other programs: of the command line, beside it.
//!
//! Such a program says so before it commits, while it alone can write the database, by making a
//! file one byte longer. The server looks at the length before each read that would use what it
//! remembers, which costs less than asking the database would. If the length is another one, it
//! uses nothing that it remembers until it has had the database for itself for a moment: whatever
//! was announced before is over then, committed or not, and its memory begins anew.

use std::fs::{File, Metadata};
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What another program tells the server with.
#[derive(Debug)]
pub(crate) struct Announcer(File);

impl Announcer {
    pub(crate) fn new(file: File) -> Self {
        Self(file)
    }

    /// Says that the transaction under way is about to be committed.
    pub(crate) fn announce(&self) -> io::Result<()> {
        (&self.0).write_all(b".")
    }
}

/// What the server knows of it.
#[derive(Debug)]
pub(crate) struct OutsideChanges {
    file: File,
    /// How many were announced when the server last had the database for itself.
    settled: AtomicU64,
    /// Whether it has been asked to have it again.
    asked: AtomicBool,
}

impl OutsideChanges {
    pub(crate) fn new(file: File) -> Self {
        Self { file, settled: AtomicU64::new(u64::MAX), asked: AtomicBool::new(false) }
    }

    /// Whether everything that other programs have changed so far was known when the server last
    /// had the database for itself.
    pub(crate) fn are_settled(&self) -> io::Result<bool> {
        let file = self.file.metadata()?;
        Ok(file.len() == self.settled.load(Ordering::Acquire) && is_there(&file))
    }

    /// Asks for [`OutsideChanges::settle`]; answers whether nobody was asked before.
    pub(crate) fn ask(&self) -> bool {
        !self.asked.swap(true, Ordering::Relaxed)
    }

    /// To be called when the server has the database for itself; forgets, if there was a change.
    pub(crate) fn settle(&self, forget: impl FnOnce()) -> io::Result<()> {
        let announced = self.announced()?;
        if announced != self.settled.load(Ordering::Relaxed) {
            forget();
            // Only now: whoever finds the new number must not find what is older than it.
            self.settled.store(announced, Ordering::Release);
        }
        Ok(())
    }

    /// Notes that whoever was asked has done what it could.
    pub(crate) fn answer(&self) {
        self.asked.store(false, Ordering::Relaxed);
    }

    fn announced(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

/// Whether others would find the file, too: one that somebody has removed announces nothing.
fn is_there(file: &Metadata) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::nlink(file) > 0;
    #[cfg(not(unix))]
    return file.is_file();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_announced_is_in_doubt_until_it_is_settled() {
        let directory = tempfile::tempdir().unwrap();
        let open = || {
            File::options().create(true).append(true).open(directory.path().join("lock")).unwrap()
        };
        let (changes, announcer) = (OutsideChanges::new(open()), Announcer::new(open()));
        let settle = || {
            let mut forgotten = false;
            changes.settle(|| forgotten = true).unwrap();
            changes.answer();
            forgotten
        };
        // Nobody knows what was under way when the server started.
        assert!(!changes.are_settled().unwrap());
        assert!(settle());
        assert!(changes.are_settled().unwrap() && !settle());

        // Whether it is committed or not: whoever announces it may be killed first.
        announcer.announce().unwrap();
        assert!(!changes.are_settled().unwrap());
        assert!(changes.ask() && !changes.ask());
        assert!(settle());
        assert!(changes.are_settled().unwrap() && changes.ask());

        // Others would announce in another file.
        std::fs::remove_file(directory.path().join("lock")).unwrap();
        assert!(!changes.are_settled().unwrap());
    }
}
