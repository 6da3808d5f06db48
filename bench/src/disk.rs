//! What the disk can do: how often a second it takes a small write for good.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

const TIME: Duration = Duration::from_secs(1);
/// A page of the database.
const PAGE: [u8; 4_096] = [7; 4_096];
/// As many as the write-ahead log has before it is written over from its beginning.
const PAGES: u64 = 1_000;

/// Flushes a second of a file in this directory, each after one page that was written over.
pub(crate) fn flushes(directory: &Path) -> Result<f64> {
    let path = directory.join("flushes");
    let mut file = File::create(&path)?;
    for _ in 0..PAGES {
        file.write_all(&PAGE)?;
    }
    file.sync_all()?;
    let (started, mut flushes) = (Instant::now(), 0_u32);
    while started.elapsed() < TIME {
        let page = u64::from(flushes) % PAGES;
        file.seek(SeekFrom::Start(page * PAGE.len() as u64))?;
        file.write_all(&PAGE)?;
        file.sync_all()?;
        flushes += 1;
    }
    let rate = f64::from(flushes) / started.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}
