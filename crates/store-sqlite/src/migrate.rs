//! Numbered migrations, each applied once and in order, with a checksum that tells when history
//! was changed.

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};
use tenantry_domain::ledger::Hash;
use tenantry_domain::text::fold;
use tenantry_store::copying::UNFINISHED;

use crate::books::Context;
use crate::error::{Fault, OpenError, Result};
use crate::tenants;

struct Migration {
    version: u32,
    name: &'static str,
    sql: &'static str,
}

/// The migrations of one file.
pub(crate) struct History {
    migrations: &'static [Migration],
    /// What must be there once the file is at the newest version.
    finish: fn(&Connection, &Context) -> Result<()>,
}

/// The database's.
pub(crate) const DATABASE: History =
    History { migrations: MIGRATIONS, finish: tenants::create_platform };

/// Those of the book of calls.
pub(crate) const CALLS: History = History {
    migrations: &[
        Migration {
            version: 1,
            name: "calls",
            sql: include_str!("../migrations/calls/0001_initial.sql"),
        },
        Migration {
            version: 2,
            name: "calls_installation",
            sql: include_str!("../migrations/calls/0002_installation.sql"),
        },
        Migration {
            version: 3,
            name: "calls_api_key_uses",
            sql: include_str!("../migrations/calls/0003_api_key_uses.sql"),
        },
    ],
    finish: |_, _| Ok(()),
};

const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "initial", sql: include_str!("../migrations/0001_initial.sql") },
    Migration {
        version: 2,
        name: "api_key_rotation",
        sql: include_str!("../migrations/0002_api_key_rotation.sql"),
    },
    Migration {
        version: 3,
        name: "erasure_and_purge",
        sql: include_str!("../migrations/0003_erasure_and_purge.sql"),
    },
    Migration {
        version: 4,
        name: "idempotency",
        sql: include_str!("../migrations/0004_idempotency.sql"),
    },
    Migration {
        version: 5,
        name: "sort_keys",
        sql: include_str!("../migrations/0005_sort_keys.sql"),
    },
    Migration {
        version: 6,
        name: "marks_of_people",
        sql: include_str!("../migrations/0006_marks_of_people.sql"),
    },
    Migration {
        version: 7,
        name: "outside_changes",
        sql: include_str!("../migrations/0007_outside_changes.sql"),
    },
    Migration {
        version: 8,
        name: "outside_changes_are_announced",
        sql: include_str!("../migrations/0008_outside_changes_are_announced.sql"),
    },
    Migration {
        version: 9,
        name: "api_key_uses",
        sql: include_str!("../migrations/0009_api_key_uses.sql"),
    },
    Migration {
        version: 10,
        name: "revoked_tokens",
        sql: include_str!("../migrations/0010_revoked_tokens.sql"),
    },
    Migration { version: 11, name: "realms", sql: include_str!("../migrations/0011_realms.sql") },
    Migration {
        version: 12,
        name: "sessions",
        sql: include_str!("../migrations/0012_sessions.sql"),
    },
    Migration {
        version: 13,
        name: "signing_keys_rotate",
        sql: include_str!("../migrations/0013_signing_keys_rotate.sql"),
    },
    Migration {
        version: 14,
        name: "wrapped_keys",
        sql: include_str!("../migrations/0014_wrapped_keys.sql"),
    },
];

/// Marks a file as Tenantry's ("Tnry").
const APPLICATION_ID: i64 = 0x546e_7279;

impl Migration {
    fn checksum(&self) -> String {
        Hash(Sha256::digest(self.sql).into()).to_string()
    }
}

impl History {
    /// The newest version known here.
    fn newest(&self) -> u32 {
        self.migrations.last().map_or(0, |migration| migration.version)
    }
}

/// Brings a database to the newest version. Answers the names of the migrations it applied.
pub(crate) fn migrate(
    connection: &Connection,
    path: &str,
    context: &Context,
    history: &History,
) -> std::result::Result<Vec<String>, OpenError> {
    let before = check(connection, path, history)?;
    let unapplied = history.migrations.iter().filter(|migration| migration.version > before);
    let result: Result<Vec<_>> = (|| {
        add_folded(connection)?;
        let applied = unapplied.map(|migration| {
            apply(connection, migration, context)?;
            Ok(format!("{:04}_{}", migration.version, migration.name))
        });
        let applied = applied.collect::<Result<_>>()?;
        transaction(connection, || (history.finish)(connection, context))?;
        Ok(applied)
    })();
    result.map_err(|fault| fault.while_opening(path))
}

/// Refuses a database that is not at the newest version.
pub(crate) fn require_newest(
    connection: &Connection,
    path: &str,
    history: &History,
) -> std::result::Result<(), OpenError> {
    let found = check(connection, path, history)?;
    let known = history.newest();
    if found == known {
        Ok(())
    } else {
        Err(OpenError::Older { path: path.to_owned(), found, known })
    }
}

/// Refuses a database into which an installation is being copied, or was when that was cut off.
pub(crate) fn require_whole(
    connection: &Connection,
    path: &str,
) -> std::result::Result<(), OpenError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1)";
    let unfinished = connection.query_row(sql, [UNFINISHED], |row| row.get(0));
    if unfinished.map_err(|error| Fault::from(error).while_opening(path))? {
        return Err(OpenError::Unfinished(path.to_owned()));
    }
    Ok(())
}

/// Reads a database's version and refuses one that this Tenantry cannot use.
fn check(
    connection: &Connection,
    path: &str,
    history: &History,
) -> std::result::Result<u32, OpenError> {
    let applied = applied(connection, history).map_err(|fault| fault.while_opening(path))?;
    for (version, checksum) in &applied {
        let known = history.migrations.iter().find(|migration| migration.version == *version);
        match known {
            None => {
                return Err(OpenError::Newer {
                    path: path.to_owned(),
                    found: *version,
                    known: history.newest(),
                });
            }
            Some(migration) if migration.checksum() != *checksum => {
                return Err(OpenError::Altered { path: path.to_owned(), version: *version });
            }
            Some(_) => {}
        }
    }
    Ok(applied.last().map_or(0, |(version, _)| *version))
}

fn applied(connection: &Connection, history: &History) -> Result<Vec<(u32, String)>> {
    let tables = "SELECT COUNT(*) FROM sqlite_schema WHERE name <> ?1";
    let tables: i64 = connection.query_row(tables, [UNFINISHED], |row| row.get(0))?;
    let application: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(Vec::new());
    }
    if application != APPLICATION_ID {
        let cause = "it belongs to another program".to_owned();
        return Err(Fault(tenantry_domain::error::Error::Internal(cause)));
    }
    let mut statement = connection
        .prepare("SELECT version, checksum FROM schema_migrations ORDER BY version DESC LIMIT 1")?;
    // The newest first: a database from a newer version is told by its version, even if older
    // migrations were squashed there.
    let newest = statement
        .query_row([], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    if newest.as_ref().is_some_and(|(version, _)| *version > history.newest()) {
        return Ok(newest.into_iter().collect());
    }
    let mut statement =
        connection.prepare("SELECT version, checksum FROM schema_migrations ORDER BY version")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn apply(connection: &Connection, migration: &Migration, context: &Context) -> Result<()> {
    transaction(connection, || {
        if migration.version == 1 {
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
            connection.execute_batch(
                "CREATE TABLE schema_migrations (
                     version INTEGER PRIMARY KEY, name TEXT NOT NULL,
                     checksum TEXT NOT NULL, applied_at INTEGER NOT NULL
                 ) STRICT",
            )?;
        }
        connection.execute_batch(migration.sql)?;
        connection.execute(
            "INSERT INTO schema_migrations VALUES (?1, ?2, ?3, ?4)",
            params![
                migration.version,
                migration.name,
                migration.checksum(),
                context.clock.now().as_millis()
            ],
        )?;
        Ok(())
    })
}

/// Does something as a whole or not at all.
fn transaction(connection: &Connection, work: impl FnOnce() -> Result<()>) -> Result<()> {
    connection.execute_batch("PRAGMA synchronous = FULL; BEGIN IMMEDIATE")?;
    let result = work().and_then(|()| Ok(connection.execute_batch("COMMIT")?));
    if result.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    result
}

/// [`fold`] for migrations.
fn add_folded(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("folded", 1, flags, |context| {
        let text: Option<String> = context.get(0)?;
        Ok(text.as_deref().map(fold))
    })
}
