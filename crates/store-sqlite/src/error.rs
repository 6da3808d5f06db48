//! What SQLite's errors mean to the use cases, and why a database cannot be opened.

use rusqlite::ErrorCode;
use tenantry_domain::counts::Drift;
use tenantry_domain::error::Error;

/// A failure inside the store, before it is the domain's: so that `?` takes both.
#[derive(Debug)]
pub(crate) struct Fault(pub(crate) Error);

pub(crate) type Result<T> = std::result::Result<T, Fault>;

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<Drift> for Fault {
    fn from(drift: Drift) -> Self {
        Self(Error::internal(drift))
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        // These pass when the disk has room again, the file is writable again, or whoever else
        // writes is done: the caller may try again.
        let passing = matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::CannotOpen
                    | ErrorCode::ReadOnly
                    | ErrorCode::OutOfMemory
            )
        );
        let text = format!("sqlite: {error}");
        Self(if passing { Error::Unavailable(text) } else { Error::Internal(text) })
    }
}

impl Fault {
    /// Why a database cannot be opened, if this happens on the way.
    pub(crate) fn while_opening(self, path: &str) -> OpenError {
        let path = path.to_owned();
        match self.0 {
            Error::Unavailable(cause) => OpenError::Unavailable { path, cause },
            error => OpenError::Corrupt { path, cause: error.to_string() },
        }
    }
}

/// Why a database cannot be opened: one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server has it.
    #[error("another server is using {0}: stop it first, or give this one its own --data-dir")]
    InUse(String),
    /// The directory or the file cannot be written.
    #[error("cannot write to {path} ({cause}): make it writable, or give another --data-dir")]
    NotWritable {
        /// What could not be written.
        path: String,
        /// What the system says.
        cause: String,
    },
    /// A newer Tenantry has migrated it.
    #[error(
        "{path} is at version {found} and this Tenantry knows versions up to {known}: run the \
         newer Tenantry that made it"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// A migration that was applied is not the one that is known here.
    #[error(
        "migration {version} of {path} is not the one this Tenantry knows: run the Tenantry that \
         made it, or restore a backup"
    )]
    Altered {
        /// The file.
        path: String,
        /// The migration.
        version: u32,
    },
    /// The file is damaged, or something else.
    #[error("{path} is not a readable Tenantry database ({cause}): restore a backup")]
    Corrupt {
        /// The file.
        path: String,
        /// What SQLite says.
        cause: String,
    },
    /// It can be read, but not now.
    #[error(
        "cannot use {path} now ({cause}): see that its directory has room and can be written, or \
         wait for its other user"
    )]
    Unavailable {
        /// The file.
        path: String,
        /// What SQLite says.
        cause: String,
    },
    /// There is no database yet.
    #[error("there is no database in {0}: start `tenantry serve` or `tenantry migrate` first")]
    Absent(String),
    /// An installation is being copied into it, or was.
    #[error(
        "an installation is being copied into {0}, or that was cut off: wait for it, or remove the \
         directory and copy again"
    )]
    Unfinished(String),
    /// There is a database already.
    #[error("{0} has a database already: copy into a directory that is empty")]
    NotEmpty(String),
    /// The database has not been brought to this version yet.
    #[error("{path} is at version {found}: run `tenantry migrate` to bring it to {known}")]
    Older {
        /// The file.
        path: String,
        /// Its version.
        found: u32,
        /// The version needed here.
        known: u32,
    },
}
