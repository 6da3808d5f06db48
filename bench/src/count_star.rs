//! The statistics as the store reads them, against the statistics that `SELECT count(*)` makes of the
//! same rows: in one process, without HTTP, from one file that the system has in memory.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Error, Result, ensure};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};
use serde::Serialize;
use tenantry_domain::access::{CallerProbe, TenantAccess};
use tenantry_domain::clock::{Clock as _, Month, SystemClock};
use tenantry_domain::counts::Counts;
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::ActorKind;
use tenantry_security::entropy::SystemEntropy;
use tenantry_store::Statistician as _;
use tenantry_store_sqlite::SqliteStore;
use tokio::runtime::Runtime;

use crate::fill::tenant;
use crate::median::median;
use crate::templates::Templates;

const ROUNDS: usize = 7;
const TIME: Duration = Duration::from_secs(1);
const USERS: [u64; 3] = [150, 10_000, 1_000_000];
/// Enough for every index it reads, in KiB (negative: KiB rather than pages).
const CACHE_KIB: i32 = -262_144;

/// What whoever counts would have: the narrowest index for each number.
const INDEXES: &str = "
    CREATE INDEX counted_users ON users (tenant_id, status);
    CREATE INDEX counted_admins ON users (tenant_id) WHERE tenant_admin = 1;
    CREATE INDEX counted_credentials ON credentials (tenant_id, expires_at);
    CREATE INDEX counted_api_keys ON api_keys (tenant_id, revoked_at, expires_at);
    CREATE INDEX counted_oauth_clients ON oauth_clients (tenant_id, status);
    ANALYZE;";

/// All of the statistics; the counts first, in the order of [`Counts::to_array`].
const COUNT: &str = "
    SELECT
        (SELECT count(*) FROM users WHERE tenant_id = ?1 AND status = 'active'),
        (SELECT count(*) FROM users
            WHERE tenant_id = ?1 AND status IN ('disabled', 'locked', 'invited')),
        (SELECT count(*) FROM users WHERE tenant_id = ?1 AND tenant_admin = 1),
        (SELECT count(*) FROM credentials WHERE tenant_id = ?1 AND expires_at IS NULL)
            + (SELECT count(*) FROM credentials WHERE tenant_id = ?1 AND expires_at > ?2),
        (SELECT count(*) FROM credentials WHERE tenant_id = ?1 AND expires_at <= ?2),
        (SELECT count(*) FROM api_keys
            WHERE tenant_id = ?1 AND revoked_at IS NULL AND expires_at IS NULL)
            + (SELECT count(*) FROM api_keys
                WHERE tenant_id = ?1 AND revoked_at IS NULL AND expires_at > ?2),
        (SELECT count(*) FROM api_keys
            WHERE tenant_id = ?1 AND revoked_at IS NULL AND expires_at <= ?2),
        (SELECT count(*) FROM api_keys WHERE tenant_id = ?1 AND revoked_at > 0),
        (SELECT count(*) FROM oauth_clients WHERE tenant_id = ?1 AND status = 'active'),
        (SELECT count(*) FROM oauth_clients WHERE tenant_id = ?1 AND status = 'disabled'),
        (SELECT coalesce(sum(calls), 0) FROM usage_months WHERE tenant_id = ?1 AND month = ?3),
        (SELECT coalesce(sum(calls), 0) FROM usage_months WHERE tenant_id = ?1 AND month = ?3 - 1),
        (SELECT bytes FROM storage_totals WHERE tenant_id = ?1),
        (SELECT max(last_activity_at) FROM usage_heartbeats WHERE tenant_id = ?1),
        name, storage_quota
    FROM tenants WHERE tenant_id = ?1";

/// What the rounds showed, for each number of users.
#[derive(Debug, Serialize)]
pub(crate) struct CountStar(Vec<Sides>);

/// Statistics per second, by all threads together.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sides {
    users: u64,
    threads: usize,
    store: Vec<f64>,
    count_star: Vec<f64>,
}

/// Measures the sides in turn.
pub(crate) fn run(templates: &mut Templates) -> Result<CountStar> {
    USERS.into_iter().map(|users| sides(templates, users)).collect::<Result<_>>().map(CountStar)
}

fn sides(templates: &mut Templates, users: u64) -> Result<Sides> {
    let installation = templates.users(users)?;
    let file = installation.path().join("tenantry.db");
    Connection::open(&file)?.execute_batch(INDEXES)?;
    let tenant: TenantId = tenant(0).parse().map_err(Error::msg)?;
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let store = Arc::new(SqliteStore::serve(installation.path(), clock, entropy)?);

    let threads = std::thread::available_parallelism()?.get();
    let mut reading =
        (0..threads).map(|_| Reading::of(&store, tenant)).collect::<Result<Vec<_>>>()?;
    let mut counting =
        (0..threads).map(|_| Counting::of(&file, tenant)).collect::<Result<Vec<_>>>()?;
    for (reading, counting) in reading.iter().zip(&counting) {
        ensure!(reading.counts()? == counting.counts()?, "the two sides differ");
    }
    let mut sides = Sides { users, threads, store: Vec::new(), count_star: Vec::new() };
    for _ in 0..ROUNDS {
        sides.store.push(rate(&mut reading, Reading::counts)?);
        sides.count_star.push(rate(&mut counting, Counting::counts)?);
    }
    Ok(sides)
}

/// How often a second something is done by all who do it, each on a thread of its own.
fn rate<T: Send>(all: &mut [T], what: fn(&T) -> Result<Counts>) -> Result<f64> {
    let run = |it: &T| -> Result<f64> {
        let (started, mut times) = (Instant::now(), 0.0);
        while started.elapsed() < TIME {
            std::hint::black_box(what(it)?);
            times += 1.0;
        }
        Ok(times / started.elapsed().as_secs_f64())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = all.iter_mut().map(|it| scope.spawn(move || run(it))).collect();
        threads.into_iter().map(|it| it.join().map_err(|_| Error::msg("a thread panicked"))?).sum()
    })
}

/// Whoever reads through the port.
struct Reading {
    runtime: Runtime,
    store: Arc<SqliteStore>,
    tenant: TenantId,
    access: TenantAccess,
}

impl Reading {
    fn of(store: &Arc<SqliteStore>, tenant: TenantId) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let access = TenantAccess::local(tenant, ActorKind::System, "benchmark");
        Ok(Self { runtime, store: Arc::clone(store), tenant, access })
    }

    fn counts(&self) -> Result<Counts> {
        let probe = CallerProbe::of_tenant(self.tenant);
        let read = self.store.statistics(&probe, self.tenant);
        let (_, statistics) = self.runtime.block_on(read)?;
        Ok(statistics.open(&self.access)?.context("there is no such tenant")?.counts)
    }
}

/// Whoever counts, on a connection of its own.
struct Counting {
    connection: Connection,
    tenant: [u8; 16],
}

impl Counting {
    fn of(file: &Path, tenant: TenantId) -> Result<Self> {
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.pragma_update(None, "cache_size", CACHE_KIB)?;
        // Else it would prepare the statement anew each time.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(Self { connection, tenant: tenant.as_uuid().into_bytes() })
    }

    fn counts(&self) -> Result<Counts> {
        let now = SystemClock.now();
        let parameters = params![self.tenant, now.as_millis(), Month::of(now).index()];
        let mut statement = self.connection.prepare_cached(COUNT)?;
        let counts = statement.query_row(parameters, |row| {
            let mut numbers = [0; Counts::LEN];
            for (column, number) in numbers.iter_mut().enumerate() {
                *number = u64::from(row.get::<_, u32>(column)?);
            }
            Ok(Counts::from_array(numbers))
        });
        Ok(counts?)
    }
}

impl CountStar {
    /// The medians, as a table in Markdown.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "| users | the store, statistics/s | `count(*)`, statistics/s | times as many |\n\
             |---|---|---|---|\n",
        );
        for Sides { users, store, count_star, .. } in &self.0 {
            let (store, counted) = (median(store, |it| *it), median(count_star, |it| *it));
            let ratio = store / counted;
            // Writing to a `String` cannot fail.
            let _ = writeln!(table, "| {users} | {store:.0} | {counted:.0} | {ratio:.1} |");
        }
        table
    }
}
