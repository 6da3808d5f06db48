//! What expires costs a read and a change the same, however much of it there is.

use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::StatementStatus;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use tenantry_domain::ledger::Action;
use tenantry_store::conformance::builders::system;
use tenantry_store::conformance::{Fixture, ManualClock, SeededEntropy, assert_exact};

use super::*;
use crate::SqliteStore;
use crate::connect::Database;
use crate::projection::Projection;
use crate::writer::{Durability, GROUP, Outcome, Side, Writer};

/// Steps of SQLite's machine, of all statements.
#[derive(Debug, Default, Clone)]
struct Steps(Arc<AtomicI64>);

impl Steps {
    /// Counts the steps of a connection's statements.
    fn count(&self, connection: &mut Connection) {
        let steps = Arc::clone(&self.0);
        let count = move |event: TraceEvent<'_>| {
            if let TraceEvent::Profile(statement, _) = event {
                let of_it = statement.get_status(StatementStatus::VmStep);
                steps.fetch_add(i64::from(of_it), Ordering::SeqCst);
            }
        };
        connection.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(count)).unwrap();
    }

    /// Those since this was asked last.
    fn take(&self) -> i64 {
        self.0.swap(0, Ordering::SeqCst)
    }
}

/// A server's store whose one writer and one reader count their steps.
fn store(directory: &std::path::Path, steps: &Steps) -> (Arc<SqliteStore>, Fixture) {
    let (clock, entropy) = (Arc::new(ManualClock::default()), Arc::new(SeededEntropy::default()));
    let mut store =
        SqliteStore::serve(directory, Arc::clone(&clock) as _, Arc::clone(&entropy) as _).unwrap();
    let database = Database::prepare(directory).unwrap();
    let mut writing = database.open_writer().unwrap();
    database.join_calls(&writing).unwrap();
    steps.count(&mut writing);
    let projection: &Arc<Projection> = store.context.projection.as_ref().unwrap();
    store.writer = Writer::start(writing, Side::Server(Arc::clone(projection)), GROUP).unwrap();
    let mut reading = database.connect_reader().unwrap();
    steps.count(&mut reading);
    store.readers.give_back(reading);
    let store = Arc::new(store);
    (Arc::clone(&store), Fixture::new(store, clock, entropy, ()))
}

/// Makes one credential of a tenant that many: the rows, the schedule and the books, with an entry.
fn multiply(connection: &Connection, context: &Context, tenant: TenantId, many: u64) -> Result<()> {
    let mut books = Books::open(connection, context, tenant)?;
    let columns = sql::all(
        connection,
        "SELECT name FROM pragma_table_info('credentials') WHERE name <> 'credential_id'",
        [],
        |row| row.get::<_, String>(0),
    )?
    .join(", ");
    sql::execute(
        connection,
        &format!(
            "WITH RECURSIVE more (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM more WHERE n < ?1)
             INSERT INTO credentials (credential_id, {columns})
             SELECT randomblob(16), {columns} FROM more, credentials"
        ),
        params![Number(many)],
    )?;
    sql::execute(connection, "UPDATE expiries SET rows = ?1", params![Number(many)])?;
    books.head.counts.credentials_active = many;
    let deed = Deed {
        action: Action::UsersImported,
        change: Change::None,
        resource_id: String::new(),
        details: serde_json::json!({}),
    };
    books.post(&system(tenant), deed)?;
    books.close()
}

/// The steps of the first read after so many credentials have expired, and of the first change.
async fn cost(many: u64) -> [i64; 2] {
    let directory = tempfile::tempdir().unwrap();
    let steps = Steps::default();
    let (store, f) = store(directory.path(), &steps);
    let tenant = f.tenant("Acme").await;
    let due = f.in_millis(1_000);
    f.credential(tenant, Some(due)).await;
    let context = store.context.clone();
    let work = move |connection: &Connection| {
        multiply(connection, &context, tenant, many).map(Outcome::Done)
    };
    store.write(Durability::Flushed, work).await.unwrap();
    f.user(tenant, "before@example.com").await;
    let counts = |active, expired| Counts {
        credentials_active: active,
        credentials_expired: expired,
        users_active: 1,
        ..Counts::default()
    };
    assert_eq!(f.counts(tenant).await, counts(many, 0));

    f.clock.set(due);
    steps.take();
    assert_eq!(f.counts(tenant).await, counts(0, many));
    let read = steps.take();
    let user = f.new_user("after@example.com");
    let before = f.entries(tenant).await.len();
    steps.take();
    f.store.create_user(&system(tenant), user).await.unwrap();
    let changed = steps.take();
    // One entry for all that has expired, and one for the change.
    let entries = f.entries(tenant).await;
    assert_eq!(entries.len(), before + 2);
    let expiry = entries.get(before).unwrap();
    assert_eq!((expiry.action, expiry.rows, expiry.at), (Action::CredentialExpired, many, due));
    assert_exact(&f).await;
    [read, changed]
}

#[tokio::test]
async fn half_a_million_that_expire_at_once_cost_what_five_hundred_do() {
    let few = cost(500).await;
    assert!(few.iter().all(|steps| *steps > 0), "{few:?}");
    assert_eq!(cost(500_000).await, few);
}
