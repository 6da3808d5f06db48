//! The database's file, its lock and its connections.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::carrier;
use crate::error::{Fault, OpenError, Result};

/// The database's name in the data directory.
const FILE: &str = "tenantry.db";
/// The name of the book of calls there.
const CALLS: &str = "tenantry.calls.db";
/// The server's lock in the data directory.
const LOCK: &str = "tenantry.lock";
/// How long a write waits for another process, such as the command line, to be done.
const BUSY: Duration = Duration::from_secs(5);
/// Prepared statements kept by each connection: all that the source spells out, and the lists that
/// are asked for most.
const STATEMENTS: usize = 128;
/// Pages kept by each connection, in KiB (negative: KiB rather than pages).
const CACHE_KIB: i32 = -8_192;

/// Where a database is.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    file: PathBuf,
}

impl Database {
    /// The database of a data directory, which is made if need be.
    pub(crate) fn prepare(directory: &Path) -> std::result::Result<Self, OpenError> {
        make_private(directory).map_err(|cause| not_writable(directory, &cause))?;
        Ok(Self { file: directory.join(FILE) })
    }

    /// The database that a data directory holds already.
    pub(crate) fn find(directory: &Path) -> std::result::Result<Self, OpenError> {
        let file = directory.join(FILE);
        if file.is_file() {
            Ok(Self { file })
        } else {
            Err(OpenError::Absent(directory.display().to_string()))
        }
    }

    /// Its file, for messages.
    pub(crate) fn name(&self) -> String {
        self.file.display().to_string()
    }

    /// The file of the book of calls, for messages.
    pub(crate) fn calls_name(&self) -> String {
        self.calls().display().to_string()
    }

    fn calls(&self) -> PathBuf {
        self.file.with_file_name(CALLS)
    }

    /// Takes the lock that one server holds as long as it runs. The system gives it back when the
    /// process ends, however it ends.
    pub(crate) fn lock(&self) -> std::result::Result<File, OpenError> {
        let file = self.lock_file()?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(self.name())),
            Err(TryLockError::Error(cause)) => {
                Err(not_writable(&self.file.with_file_name(LOCK), &cause))
            }
        }
    }

    /// The file of the lock, which other programs make longer to tell the server of their changes.
    pub(crate) fn lock_file(&self) -> std::result::Result<File, OpenError> {
        let path = self.file.with_file_name(LOCK);
        private_file().open(&path).map_err(|cause| not_writable(&path, &cause))
    }

    /// A connection that writes. Its file is made if need be.
    pub(crate) fn open_writer(&self) -> std::result::Result<Connection, OpenError> {
        let connection = open_for_writing(&self.file)?;
        let set_up = || -> Result<()> {
            connection.pragma_update(None, "wal_autocheckpoint", carrier::PAGES)?;
            // What is deleted or erased is overwritten, rather than left in unused parts of the file.
            connection.pragma_update(None, "secure_delete", true)?;
            Ok(())
        };
        set_up().map_err(|fault| fault.while_opening(&self.name()))?;
        Ok(connection)
    }

    /// The connection that writes the book of calls. Its file is made if need be.
    pub(crate) fn open_calls(&self) -> std::result::Result<Connection, OpenError> {
        open_for_writing(&self.calls())
    }

    /// A connection that cannot write.
    pub(crate) fn connect_reader(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(&self.file, flags)?;
        set_up(&connection)?;
        self.join_calls(&connection)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }

    /// Has a connection read the calls of both files: those of the changes and reports in the
    /// database, and the metered ones in the book of calls, which it can only read.
    pub(crate) fn join_calls(&self, connection: &Connection) -> Result<()> {
        let file = format!("file:{}?mode=ro", uri_path(&self.calls()));
        connection.execute("ATTACH DATABASE ?1 AS metered", [file])?;
        for (view, table) in [
            ("all_usage_months", "usage_months"),
            ("all_usage_hours", "usage_hours"),
            ("all_usage_heartbeats", "usage_heartbeats"),
            ("all_api_key_uses", "api_key_uses"),
        ] {
            connection.execute_batch(&format!(
                "CREATE TEMP VIEW {view} AS
                 SELECT * FROM main.{table} UNION ALL SELECT * FROM metered.{table}"
            ))?;
        }
        Ok(())
    }
}

/// A connection to a file in WAL mode, which is made if need be.
fn open_for_writing(file: &Path) -> std::result::Result<Connection, OpenError> {
    // SQLite makes a file that others can read. One that is there already is left to SQLite alone:
    // closing it once gives back the locks that this process has on it by other connections.
    match private_file().create_new(true).open(file) {
        Err(cause) if cause.kind() != ErrorKind::AlreadyExists => {
            return Err(not_writable(file, &cause));
        }
        _ => {}
    }
    let name = || file.display().to_string();
    let connection =
        Connection::open(file).map_err(|error| Fault::from(error).while_opening(&name()))?;
    // SQLite reports a file that cannot be written only when it is written.
    if connection.is_readonly("main").is_ok_and(|readonly| readonly) {
        return Err(not_writable(file, &ErrorKind::PermissionDenied.into()));
    }
    let set_up = || -> Result<()> {
        self::set_up(&connection)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        Ok(())
    };
    set_up().map_err(|fault| fault.while_opening(&name()))?;
    Ok(connection)
}

/// A path as SQLite takes it in a URI.
fn uri_path(path: &Path) -> String {
    let escape = |character: char| match character {
        '%' => "%25".to_owned(),
        '?' => "%3f".to_owned(),
        '#' => "%23".to_owned(),
        other => other.to_string(),
    };
    path.display().to_string().chars().map(escape).collect()
}

fn set_up(connection: &Connection) -> Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Plans look at no parameter's value. Else SQLite prepares what it has prepared anew whenever the
    // value of one such as a `LIMIT` is bound, which took a third of the writer's time.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "cache_size", CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}

/// Makes a directory that only its owner can read.
fn make_private(directory: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Opens a file for writing, or makes one that only its owner can read.
fn private_file() -> std::fs::OpenOptions {
    let mut options = File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn not_writable(path: &Path, cause: &std::io::Error) -> OpenError {
    OpenError::NotWritable { path: path.display().to_string(), cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn what_is_prepared_stays_prepared() {
        let connection = Connection::open_in_memory().unwrap();
        set_up(&connection).unwrap();
        connection.execute_batch("CREATE TABLE rows (id INTEGER PRIMARY KEY) STRICT").unwrap();
        let sql = "SELECT id FROM rows WHERE id > ?1 ORDER BY id LIMIT ?2";
        let mut statement = connection.prepare(sql).unwrap();
        for limit in 1..4 {
            assert!(!statement.exists([0, limit]).unwrap());
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
