//! Numbered migrations, each applied once and in order, with a checksum that tells when history was
//! changed. Of many processes that start at once one applies them and the others wait.

use std::collections::HashSet;

use sha2::{Digest as _, Sha256};
use tenantry_domain::ledger::Hash;
use tenantry_store::copying::UNFINISHED;

use crate::books::Context;
use crate::connect::Database;
use crate::error::{Fault, OpenError, Result};
use crate::locks::Lock;
use crate::session::Session;
use crate::sql::params;
use crate::tenants;

struct Migration {
    version: u32,
    name: &'static str,
    sql: &'static str,
    /// The tables that it makes which are spread by `tenant_id` where tables are spread, parents
    /// first, and those of which every machine has a copy.
    spread: &'static [&'static str],
    copied: &'static [&'static str],
}

/// Has what is done to spread tables be done on one connection to each machine, as it must where a
/// transaction does more than one such thing.
const ONE_BY_ONE: &str = "SET LOCAL citus.multi_shard_modify_mode TO 'sequential'";

/// The table by which those of tenants are together.
const TENANTS: &str = "tenants";

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "initial",
        sql: include_str!("../migrations/0001_initial.sql"),
        spread: &[
            TENANTS,
            "ledger_heads",
            "ledger",
            "expiries",
            "users",
            "api_keys",
            "api_key_secrets",
            "oauth_clients",
            "credentials",
            "usage_months",
            "usage_hours",
            "usage_heartbeats",
            "usage_events",
            "storage_sources",
            "storage_totals",
            "purges",
            "idempotency_marks",
        ],
        copied: &["installation", "signing_keys", "usage_slots"],
    },
    Migration {
        version: 2,
        name: "api_key_uses",
        sql: include_str!("../migrations/0002_api_key_uses.sql"),
        spread: &["api_key_uses"],
        copied: &[],
    },
    Migration {
        version: 3,
        name: "revoked_tokens",
        sql: include_str!("../migrations/0003_revoked_tokens.sql"),
        spread: &["revoked_tokens"],
        copied: &[],
    },
    Migration {
        version: 4,
        name: "realms",
        sql: include_str!("../migrations/0004_realms.sql"),
        spread: &[],
        copied: &["realms"],
    },
    Migration {
        version: 5,
        name: "sessions",
        sql: include_str!("../migrations/0005_sessions.sql"),
        spread: &["sessions", "refresh_tokens", "sign_in_failures", "invitations"],
        copied: &[],
    },
    Migration {
        version: 6,
        name: "signing_keys_rotate",
        sql: include_str!("../migrations/0006_signing_keys_rotate.sql"),
        spread: &[],
        copied: &[],
    },
    Migration {
        version: 7,
        name: "wrapped_keys",
        sql: include_str!("../migrations/0007_wrapped_keys.sql"),
        spread: &[],
        copied: &["wrapped_keys"],
    },
];

impl Migration {
    fn checksum(&self) -> String {
        Hash(Sha256::digest(self.sql).into()).to_string()
    }

    fn number_and_name(&self) -> String {
        format!("{:04}_{}", self.version, self.name)
    }

    /// Its tables that have no place on the machines yet.
    fn unplaced(&self, placed: &HashSet<String>) -> Places {
        let unplaced = |tables: &'static [&'static str]| {
            tables.iter().copied().filter(|table| !placed.contains(*table)).collect()
        };
        Places { spread: unplaced(self.spread), copied: unplaced(self.copied) }
    }
}

/// Where tables are to be, on a server with the Citus extension.
#[derive(Debug, Default)]
struct Places {
    /// Spread by `tenant_id`, parents first.
    spread: Vec<&'static str>,
    /// On every machine.
    copied: Vec<&'static str>,
}

impl Places {
    /// Puts them there. Those of tenants are together, so that whatever is about one tenant stays on
    /// one machine. Says what it did.
    async fn take(&self, session: &mut Session) -> Result<String> {
        for table in &self.spread {
            let beside = if *table == TENANTS { "default" } else { TENANTS };
            let sql = format!(
                "SELECT create_distributed_table('{table}', 'tenant_id', colocate_with => '{beside}')"
            );
            session.run(&sql).await?;
        }
        for table in &self.copied {
            session.run(&format!("SELECT create_reference_table('{table}')")).await?;
        }
        let (spread, copied) = (self.spread.len(), self.copied.len());
        Ok(format!("Citus: {spread} tables spread by tenant_id, {copied} copied to every node"))
    }
}

/// The newest version known here.
fn newest() -> u32 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

/// The table that tells which migrations were applied.
pub(crate) const MIGRATED: &str = "tenantry_migrations";

/// What a database is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// To be used, as a whole one.
    Whole,
    /// To be copied into.
    Copy,
}

/// Gives tables a place that have none, where the Citus extension was made after them. Says what it did,
/// if there was something to do.
pub(crate) async fn spread(database: &Database) -> std::result::Result<Option<String>, OpenError> {
    let spread = async {
        let mut session = database.patient().await?;
        Lock::Migration.take_here(&mut session);
        let Some(placed) = placed(&mut session).await? else { return Ok(None) };
        let mut unplaced = Places::default();
        for migration in MIGRATIONS {
            let Places { spread, copied } = migration.unplaced(&placed);
            unplaced.spread.extend(spread);
            unplaced.copied.extend(copied);
        }
        if unplaced.spread.is_empty() && unplaced.copied.is_empty() {
            return Ok(None);
        }
        session.run(ONE_BY_ONE).await?;
        let done = unplaced.take(&mut session).await?;
        session.commit().await?;
        Ok(Some(done))
    };
    spread.await.map_err(Fault::while_opening)
}

/// Brings a database to the newest version. Answers the names of the migrations it applied, and
/// where tables are spread, how many.
pub(crate) async fn migrate(
    database: &Database,
    context: &Context,
) -> std::result::Result<Vec<String>, OpenError> {
    migrate_for(Use::Whole, database, context).await
}

/// The same, for an empty database that an installation is to be copied into. Until somebody says
/// that this is done, nobody else can open it.
pub(crate) async fn migrate_to_copy(
    database: &Database,
    context: &Context,
) -> std::result::Result<(), OpenError> {
    let opening = Fault::while_opening;
    let mut session = database.patient().await.map_err(opening)?;
    Lock::Migration.take_here(&mut session);
    session.flush().await.map_err(opening)?;
    let found = applied(&mut session).await.map_err(opening)?;
    if found.is_none_or(|applied| !applied.is_empty()) || is_unfinished(&mut session).await? {
        return Err(OpenError::Unusable(
            "it has tables already: copy into a database that is empty".to_owned(),
        ));
    }
    // Before anything else, so that it never looks whole.
    session.run(&format!("CREATE TABLE {UNFINISHED} ()")).await.map_err(opening)?;
    session.commit().await.map_err(opening)?;
    migrate_for(Use::Copy, database, context).await.map(drop)
}

async fn migrate_for(
    purpose: Use,
    database: &Database,
    context: &Context,
) -> std::result::Result<Vec<String>, OpenError> {
    let mut names = Vec::new();
    while let Some(name) = next(purpose, database, context).await? {
        names.push(name);
    }
    Ok(names)
}

/// Applies the next migration, in one transaction; what must be there after the last of them is made
/// in one of its own. `None` if nothing was left to do.
async fn next(
    purpose: Use,
    database: &Database,
    context: &Context,
) -> std::result::Result<Option<String>, OpenError> {
    let opening = Fault::while_opening;
    let mut session = database.patient().await.map_err(opening)?;
    require_utf8(&mut session).await?;
    Lock::Migration.take_here(&mut session);
    session.flush().await.map_err(opening)?;
    if purpose == Use::Whole {
        require_whole(&mut session).await?;
    }
    let version = check(&mut session).await?;
    let Some(migration) = MIGRATIONS.iter().find(|migration| migration.version > version) else {
        tenants::create_platform(session, context).await.map_err(opening)?;
        return Ok(None);
    };
    let done = apply(&mut session, migration, context).await.map_err(opening)?;
    session.commit().await.map_err(opening)?;
    Ok(Some(done))
}

/// Refuses a database that is not at the newest version.
pub(crate) async fn require_newest(database: &Database) -> std::result::Result<(), OpenError> {
    let mut session = database.snapshot().await.map_err(Fault::while_opening)?;
    require_utf8(&mut session).await?;
    require_whole(&mut session).await?;
    let (found, known) = (check(&mut session).await?, newest());
    match found {
        0 => Err(OpenError::Absent),
        found if found == known => Ok(()),
        found => Err(OpenError::Older { found, known }),
    }
}

/// Refuses a database into which an installation is being copied, or was when that was cut off.
async fn require_whole(session: &mut Session) -> std::result::Result<(), OpenError> {
    if is_unfinished(session).await? {
        return Err(OpenError::Unusable(
            "an installation is being copied into it, or that was cut off: wait for it, or make \
             the database anew and copy again"
                .to_owned(),
        ));
    }
    Ok(())
}

async fn is_unfinished(session: &mut Session) -> std::result::Result<bool, OpenError> {
    let found = async {
        let row = session.one("SELECT to_regclass($1::text) IS NOT NULL", params![UNFINISHED]);
        Ok(row.await?.try_get::<_, bool>(0)?)
    };
    found.await.map_err(Fault::while_opening)
}

async fn require_utf8(session: &mut Session) -> std::result::Result<(), OpenError> {
    let encoding = async {
        let row = session.one("SELECT current_setting('server_encoding')", Vec::new()).await?;
        Ok(row.try_get::<_, String>(0)?)
    };
    let encoding = encoding.await.map_err(Fault::while_opening)?;
    if encoding == "UTF8" { Ok(()) } else { Err(OpenError::Encoding(encoding)) }
}

/// Reads a database's version and refuses one that this Tenantry cannot use.
async fn check(session: &mut Session) -> std::result::Result<u32, OpenError> {
    let applied = applied(session).await.map_err(Fault::while_opening)?;
    let Some(applied) = applied else { return Err(OpenError::Foreign) };
    // The newest first: a database from a newer version is told by its version, even if older
    // migrations were squashed there.
    if let Some((found, _)) = applied.iter().max().filter(|(version, _)| *version > newest()) {
        return Err(OpenError::Newer { found: *found, known: newest() });
    }
    for (version, checksum) in &applied {
        let known = MIGRATIONS.iter().find(|migration| migration.version == *version);
        if known.is_none_or(|migration| migration.checksum() != *checksum) {
            return Err(OpenError::Altered(*version));
        }
    }
    Ok(applied.last().map_or(0, |(version, _)| *version))
}

/// The migrations that were applied, in their order; `None` if the schema is another program's.
async fn applied(session: &mut Session) -> Result<Option<Vec<(u32, String)>>> {
    let tables = "SELECT count(*) FILTER (WHERE relname = 'tenantry_migrations'), count(*)
         FROM pg_class c
         WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace
             AND relname <> $1
             AND NOT EXISTS (SELECT 1 FROM pg_depend d
                             WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                                 AND d.deptype = 'e')";
    let tables = session.one(tables, params![UNFINISHED]).await?;
    let (ours, all): (i64, i64) = (tables.try_get(0)?, tables.try_get(1)?);
    if ours == 0 {
        return Ok((all == 0).then(Vec::new));
    }
    let sql = "SELECT version, checksum FROM tenantry_migrations ORDER BY version";
    let rows = session.all(sql, Vec::new()).await?;
    let applied = rows.iter().map(|row| {
        let version: i64 = row.try_get(0)?;
        let version = u32::try_from(version).map_err(tenantry_domain::error::Error::internal)?;
        Ok((version, row.try_get(1)?))
    });
    applied.collect::<Result<_>>().map(Some)
}

/// Whether tables are spread over machines, as they are on a server with the Citus extension.
pub(crate) async fn are_tables_spread(session: &mut Session) -> Result<bool> {
    let citus = "SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'citus')";
    Ok(session.one(citus, Vec::new()).await?.try_get(0)?)
}

/// The tables that have a place on the machines; `None` where tables are not spread.
async fn placed(session: &mut Session) -> Result<Option<HashSet<String>>> {
    if !are_tables_spread(session).await? {
        return Ok(None);
    }
    let placed = "SELECT table_name::text FROM citus_tables
         WHERE citus_table_type IN ('distributed', 'reference')";
    let placed = session.all(placed, Vec::new()).await?;
    placed.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<_>>().map(Some)
}

/// Applies a migration; answers its name, and what it did beside it.
async fn apply(session: &mut Session, migration: &Migration, context: &Context) -> Result<String> {
    let is_first = migration.version == 1;
    // Where those before it have no place yet, there is none beside them.
    let placed = placed(session).await?.filter(|placed| is_first || placed.contains(TENANTS));
    if is_first {
        session
            .run(
                "CREATE TABLE tenantry_migrations (
                     version bigint PRIMARY KEY, name text NOT NULL,
                     checksum text NOT NULL, applied_at bigint NOT NULL)",
            )
            .await?;
    }
    if placed.is_some() {
        session.run(ONE_BY_ONE).await?;
    }
    session.run(migration.sql).await?;
    let places = match placed {
        Some(placed) => Some(migration.unplaced(&placed).take(session).await?),
        None => None,
    };
    let sql = "INSERT INTO tenantry_migrations VALUES ($1, $2, $3, $4)";
    let (now, checksum) = (context.clock.now(), migration.checksum());
    session
        .execute(sql, params![i64::from(migration.version), migration.name, checksum, now])
        .await?;
    let name = migration.number_and_name();
    Ok(match places {
        Some(places) => format!("{name} ({places})"),
        None => name,
    })
}
