//! What PostgreSQL's errors mean to the use cases, and why a database cannot be opened.

use tenantry_domain::counts::Drift;
use tenantry_domain::error::Error;
use tokio_postgres::error::SqlState;

/// A failure inside the store, before it is the domain's.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// What the caller is told.
    Error(Error),
    /// Two transactions were in each other's way and this one was undone: it may be tried again.
    Undone(String),
    /// The connection is gone, or the server cannot serve: another connection may. Whatever was not committed is undone;
    /// what was being committed may be there.
    Lost(String),
    /// The server does not let us in. Trying again at once would not help, and nothing was done.
    Refused(String),
}

pub(crate) type Result<T> = std::result::Result<T, Fault>;

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Drift> for Fault {
    fn from(drift: Drift) -> Self {
        Self::Error(Error::internal(drift))
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(answer) = error.as_db_error() else {
            // What is no answer of the server is a connection that failed, or a value that is not
            // of the type that was expected.
            let broken = error.is_closed() || has_io_error(&error);
            let text = format!("postgres: {}", chain(&error));
            return if broken { Self::Lost(text) } else { Self::Error(Error::Internal(text)) };
        };
        // Never the detail, which can hold values.
        let text = format!("postgres: {} ({})", answer.message(), answer.code().code());
        match kind(answer.code()) {
            Kind::Undone => Self::Undone(text),
            Kind::Passing => Self::Lost(text),
            Kind::Refused => Self::Refused(text),
            Kind::Late => Self::Error(Error::Unavailable(text)),
            Kind::Unexpected => Self::Error(Error::Internal(text)),
        }
    }
}

enum Kind {
    Undone,
    Passing,
    Refused,
    Late,
    Unexpected,
}

fn kind(state: &SqlState) -> Kind {
    // A serialization failure, a deadlock.
    if [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(state) {
        return Kind::Undone;
    }
    // A statement, or a lock, that was waited for as long as was told.
    if [SqlState::LOCK_NOT_AVAILABLE, SqlState::QUERY_CANCELED].contains(state) {
        return Kind::Late;
    }
    let class = state.code().get(..2).unwrap_or_default();
    // A password that is not the one any more.
    if class == "28" {
        return Kind::Refused;
    }
    // These pass when the server is up again, has room again, or has found its new primary: lost
    // connections (one that did nothing for too long among them), resources that are short, a
    // shutdown, a server that only reads, a disk that fails.
    let passing = ["08", "53", "57", "58"].contains(&class)
        || [SqlState::READ_ONLY_SQL_TRANSACTION, SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT]
            .contains(state);
    if passing { Kind::Passing } else { Kind::Unexpected }
}

fn has_io_error(error: &tokio_postgres::Error) -> bool {
    let source = std::error::Error::source(error);
    source.is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}

fn chain(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

impl Fault {
    /// What keeps a transaction from beginning: one that may write does not on a standby, which calls
    /// that a feature that it does not have.
    pub(crate) fn while_beginning(error: tokio_postgres::Error) -> Self {
        let is_standby = error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED);
        match error.into() {
            Self::Error(Error::Internal(text)) if is_standby => Self::Lost(text),
            fault => fault,
        }
    }

    /// What there is no connection for yet. Whatever is no answer of the server can pass, and what it
    /// answers is about us and not about what was to be done.
    pub(crate) fn while_connecting(error: tokio_postgres::Error) -> Self {
        if error.as_db_error().is_none() {
            return Self::Lost(format!("postgres: {}", chain(&error)));
        }
        match error.into() {
            Self::Error(Error::Internal(text)) => Self::Refused(text),
            fault => fault,
        }
    }

    /// What the use cases are told.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Error(error) => error,
            Self::Undone(text) | Self::Lost(text) | Self::Refused(text) => Error::Unavailable(text),
        }
    }

    /// Why a database cannot be opened, if this happens on the way.
    pub(crate) fn while_opening(self) -> OpenError {
        match self {
            Self::Refused(cause) => OpenError::Unusable(cause),
            fault => match fault.into_error() {
                Error::Unavailable(cause) => OpenError::Unavailable(cause),
                error => OpenError::Unusable(error.to_string()),
            },
        }
    }
}

/// Why a database cannot be opened: one sentence that says what to do. It never tells the connection
/// string, which can hold a password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The connection string cannot be read.
    #[error(
        "the database's URL cannot be read ({0}): give one such as \
         postgres://user:password@host:5432/database"
    )]
    Url(String),
    /// The server does not answer, or not now.
    #[error("cannot use the database now ({0}): start its server, or give another --database")]
    Unavailable(String),
    /// The database keeps text in another encoding.
    #[error("the database's encoding is {0}: make one with the encoding UTF8")]
    Encoding(String),
    /// A newer Tenantry has migrated it.
    #[error(
        "the database is at version {found} and this Tenantry knows versions up to {known}: run \
         the newer Tenantry that made it"
    )]
    Newer {
        /// Its version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// A migration that was applied is not the one that is known here.
    #[error(
        "migration {0} of the database is not the one this Tenantry knows: run the Tenantry that \
         made it, or restore a backup"
    )]
    Altered(u32),
    /// It is another program's.
    #[error("the database holds the tables of another program: give Tenantry one of its own")]
    Foreign,
    /// Something is not as it must be.
    #[error("cannot use the database ({0})")]
    Unusable(String),
    /// There is nothing of Tenantry's in it yet.
    #[error(
        "there is nothing in the database yet: start `tenantry serve` or `tenantry migrate` first"
    )]
    Absent,
    /// It has not been brought to this version yet.
    #[error("the database is at version {found}: run `tenantry migrate` to bring it to {known}")]
    Older {
        /// Its version.
        found: u32,
        /// The version needed here.
        known: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        let is = |code: &str| match kind(&SqlState::from_code(code)) {
            Kind::Undone => "undone",
            Kind::Passing => "passing",
            Kind::Refused => "refused",
            Kind::Late => "late",
            Kind::Unexpected => "unexpected",
        };
        assert_eq!(["40001", "40P01"].map(is), ["undone"; 2]);
        let passing = [
            "08006", "25006", "25P03", "53100", "53200", "53300", "57P01", "57P02", "57P03",
            "57P05", "58030",
        ];
        assert_eq!(passing.map(is), ["passing"; 11]);
        assert_eq!(["28000", "28P01"].map(is), ["refused"; 2]);
        assert_eq!(["55P03", "57014"].map(is), ["late"; 2]);
        assert_eq!(["23505", "42P01", "22003", "0A000"].map(is), ["unexpected"; 4]);
    }
}
