//! What fails in the midst of a group of changes, or at its commit: the store goes back to what is on
//! disk, with what it remembers, and goes on.

use std::sync::Arc;

use tenantry_domain::error::Conflict;
use tenantry_domain::id::TenantId;
use tenantry_domain::tenant::Governance;
use tenantry_domain::usage::{Call, Tally};
use tenantry_store::conformance::builders::{calls, own, system};
use tenantry_store::conformance::{Fixture, ManualClock, SeededEntropy, assert_exact};

use tenantry_store::{Purge as _, Tenants as _, Users as _};

use super::tests::Held;
use super::*;
use crate::SqliteStore;

/// What is done to the writer between changes of a group.
type Blow = fn(&Connection) -> Result<()>;

/// A server's store, and the command line's beside it, which remembers nothing.
struct Site {
    store: Arc<SqliteStore>,
    server: Fixture,
    beside: Fixture,
    tenant: TenantId,
}

impl Site {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let (clock, entropy) =
            (Arc::new(ManualClock::default()), Arc::new(SeededEntropy::default()));
        let parts = || (Arc::clone(&clock) as _, Arc::clone(&entropy) as _);
        let (its_clock, its_entropy) = parts();
        let store = Arc::new(SqliteStore::serve(&path, its_clock, its_entropy).unwrap());
        let (its_clock, its_entropy) = parts();
        let beside = Arc::new(SqliteStore::attach(&path, its_clock, its_entropy).unwrap());
        let fixture = |store: Arc<SqliteStore>, keep: Option<tempfile::TempDir>| {
            Fixture::new(store, Arc::clone(&clock), Arc::clone(&entropy), keep)
        };
        let beside = fixture(beside, None);
        let server = fixture(Arc::clone(&store), Some(directory));
        let tenant = server.tenant("Acme").await;
        Self { store, server, beside, tenant }
    }

    /// Runs something on the writer's connection, as a change of its own.
    async fn on_writer(&self, work: Blow) {
        let work = move |connection: &Connection| work(connection).map(Outcome::Done);
        self.store.write(Durability::Flushed, work).await.unwrap();
    }

    /// Makes users, each with its call, in one group with a blow in its middle. What came of each,
    /// and how many of the calls were counted.
    async fn group(&self, addresses: &[&str], blow: Blow) -> (Vec<Option<Error>>, usize) {
        let held = Held::of(&self.store, |store| &store.writer).await;
        let made: Vec<Arc<Call>> =
            addresses.iter().map(|_| self.server.call(self.tenant)).collect();
        let mut jobs = Vec::new();
        for (place, (address, call)) in addresses.iter().zip(&made).enumerate() {
            if place == addresses.len() / 2 {
                let store = Arc::clone(&self.store);
                let blow = move |connection: &Connection| blow(connection).map(Outcome::Done);
                jobs.push(tokio::spawn(
                    async move { store.write(Durability::Flushed, blow).await },
                ));
            }
            let (store, new) = (Arc::clone(&self.store), self.server.new_user(address));
            let access = own(self.tenant, Some(call));
            jobs.push(tokio::spawn(async move { store.create_user(&access, new).await.map(drop) }));
        }
        // They run in their order, on the one thread of the test, until each waits for its answer.
        tokio::task::yield_now().await;
        drop(held);
        let mut outcomes = Vec::new();
        for job in jobs {
            outcomes.push(job.await.unwrap().err());
        }
        (outcomes, made.iter().filter(|call| call.is_counted()).count())
    }

    /// What the server tells is what is on disk, and that it recounts. Answers users and calls.
    async fn numbers(&self) -> (u64, u64) {
        let statistics = self.server.statistics(self.tenant).await;
        assert_eq!(statistics, self.beside.statistics(self.tenant).await);
        assert_exact(&self.server).await;
        (statistics.counts.users(), statistics.calls_this_month)
    }
}

const NOTHING: Blow = |_| Ok(());

/// What this constraint forbids is found out by the commit alone.
const FORBID_ORPHANS: Blow = |connection| {
    connection.execute_batch(
        "CREATE TEMP TABLE parents (id INTEGER PRIMARY KEY);
         CREATE TEMP TABLE children (
             parent INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED)",
    )?;
    Ok(())
};

const ORPHAN: Blow = |connection| {
    connection.execute("INSERT INTO temp.children VALUES (1)", [])?;
    Ok(())
};

#[tokio::test]
async fn in_a_group_one_fails_for_its_own_reason_alone() {
    let site = Site::new().await;
    let (outcomes, counted) = site.group(&["a@a.aa", "b@a.aa", "A@a.aa", "c@a.aa"], NOTHING).await;
    let conflict = Some(Error::Conflict(Conflict::Email));
    assert_eq!(outcomes, [None, None, None, conflict, None]);
    assert_eq!((counted, site.numbers().await), (3, (3, 3)));
}

/// The commit of the group fails after everything of it went well.
#[tokio::test]
async fn a_commit_that_fails_leaves_nothing() {
    let site = Site::new().await;
    site.server.user(site.tenant, "first@a.aa").await;
    site.server
        .store
        .count_calls(Tally::from_iter([calls(site.tenant, 5, site.server.now())]))
        .await
        .unwrap();
    site.on_writer(FORBID_ORPHANS).await;
    assert_eq!(site.numbers().await, (1, 5));
    for _ in 0..2 {
        let (outcomes, counted) = site.group(&["a@a.aa", "b@a.aa", "A@a.aa"], ORPHAN).await;
        for outcome in outcomes {
            assert!(matches!(outcome, Some(Error::Internal(_))), "{outcome:?}");
        }
        assert_eq!((counted, site.numbers().await), (0, (1, 5)));
    }
    let (outcomes, counted) = site.group(&["a@a.aa", "b@a.aa"], NOTHING).await;
    assert_eq!(outcomes, [None, None, None]);
    assert_eq!((counted, site.numbers().await), (2, (3, 7)));
}

/// SQLite ends the transaction by itself in the middle of the group, as it does when the disk fails.
#[tokio::test]
async fn a_transaction_that_is_ended_between_two_changes_leaves_nothing() {
    let site = Site::new().await;
    site.server.user(site.tenant, "first@a.aa").await;
    let ended: Blow = |connection| {
        connection.execute_batch("ROLLBACK")?;
        Err(Fault(Error::Unavailable("the disk fails".to_owned())))
    };
    for _ in 0..2 {
        let (outcomes, counted) = site.group(&["a@a.aa", "b@a.aa", "A@a.aa"], ended).await;
        for outcome in outcomes {
            assert!(matches!(outcome, Some(Error::Unavailable(_))), "{outcome:?}");
        }
        assert_eq!((counted, site.numbers().await), (0, (1, 0)));
    }
    let (outcomes, counted) = site.group(&["a@a.aa", "b@a.aa"], NOTHING).await;
    assert_eq!(outcomes, [None, None, None]);
    assert_eq!((counted, site.numbers().await), (2, (3, 2)));
}

/// There is no page left for one change: those that need none are made.
#[tokio::test]
async fn a_change_that_finds_no_room_is_undone_alone() {
    let site = Site::new().await;
    site.server.user(site.tenant, "first@a.aa").await;
    let full: Blow = |connection| {
        // No more pages than there are; and what comes next takes many.
        connection.execute_batch("PRAGMA max_page_count = 1")?;
        connection.execute("UPDATE tenants SET settings = hex(randomblob(100000))", [])?;
        Ok(())
    };
    let mut users = 1;
    for addresses in [["a@a.aa", "b@a.aa"], ["c@a.aa", "d@a.aa"]] {
        let (outcomes, counted) = site.group(&addresses, full).await;
        assert!(matches!(outcomes.get(1), Some(Some(Error::Unavailable(_)))), "{outcomes:?}");
        let made = outcomes.iter().filter(|outcome| outcome.is_none()).count();
        assert_eq!(counted, made, "{outcomes:?}");
        users += made as u64;
        assert_eq!(site.numbers().await, (users, users - 1));
    }
    site.on_writer(
        |connection| Ok(connection.execute_batch("PRAGMA max_page_count = 4294967294")?),
    )
    .await;
    let (outcomes, _) = site.group(&["e@a.aa", "f@a.aa"], NOTHING).await;
    assert_eq!(outcomes, [None, None, None]);
    assert_eq!(site.numbers().await, (users + 2, users + 1));
}

/// A user is made, with a call, its tenant is deleted, and rows of deleted tenants are purged, in one
/// group, while another tenant's are due. What came of each.
async fn a_tenant_ends(site: &Site, blow: Blow) -> [std::result::Result<(), Error>; 4] {
    let other = site.server.tenant("Gone before").await;
    site.server.user(other, "x@a.aa").await;
    site.store.govern_tenant(&system(other), Governance::Delete).await.unwrap();
    let held = Held::of(&site.store, |store| &store.writer).await;
    let store = || Arc::clone(&site.store);
    let access = own(site.tenant, Some(&site.server.call(site.tenant)));
    let (its_store, new) = (store(), site.server.new_user("a@a.aa"));
    let made = tokio::spawn(async move { its_store.create_user(&access, new).await.map(drop) });
    let (its_store, access) = (store(), system(site.tenant));
    let delete =
        async move { its_store.govern_tenant(&access, Governance::Delete).await.map(drop) };
    let deleted = tokio::spawn(delete);
    let its_store = store();
    let purged = tokio::spawn(async move { its_store.purge(500).await.map(drop) });
    let its_store = store();
    let blow = move |connection: &Connection| blow(connection).map(Outcome::Done);
    let blown = tokio::spawn(async move { its_store.write(Durability::Flushed, blow).await });
    tokio::task::yield_now().await;
    drop(held);
    [made.await.unwrap(), deleted.await.unwrap(), purged.await.unwrap(), blown.await.unwrap()]
}

/// The calls that a group counts are written when the group is complete: not for a tenant whose rows
/// are gone by then.
#[tokio::test]
async fn nothing_comes_back_of_a_tenant_that_was_changed_deleted_and_purged_at_once() {
    let site = Site::new().await;
    let ended = a_tenant_ends(&site, NOTHING).await;
    assert_eq!(ended, [Ok(()), Ok(()), Ok(()), Ok(())]);
    site.store.purge(500).await.unwrap();
    assert_exact(&site.server).await;
}

/// Calls are in another file, which knows nothing of the group.
#[tokio::test]
async fn a_deletion_that_is_undone_costs_no_calls() {
    let site = Site::new().await;
    site.server
        .store
        .count_calls(Tally::from_iter([calls(site.tenant, 7, site.server.now())]))
        .await
        .unwrap();
    site.on_writer(FORBID_ORPHANS).await;
    for outcome in a_tenant_ends(&site, ORPHAN).await {
        outcome.unwrap_err();
    }
    assert_eq!(site.numbers().await, (0, 7));
}
