//! What leaves nothing in the ledger and whose commit is cut off, as reports of other services: it is
//! looked for by its mark, and takes effect once. And reads that are cut off, which are asked anew.

use std::sync::Arc;
use std::time::Duration;

use tenantry_domain::access::Authority as _;
use tenantry_domain::api_key::ApiKeyFilter;
use tenantry_domain::credential::{CredentialFilter, Sealed};
use tenantry_domain::error::Error;
use tenantry_domain::idempotency::{Idempotency, Mark, RETENTION_MS};
use tenantry_domain::ledger::Hash;
use tenantry_domain::oauth_client::OauthClientFilter;
use tenantry_domain::tenant::TenantFilter;
use tenantry_domain::text::Email;
use tenantry_domain::usage::{UsageEvent, UsageOutcome, UsageReport};
use tenantry_domain::user::{Identity, User, UserFilter, UserPatch, Warned};
use tenantry_store::EntryFilter;
use tenantry_store::conformance::builders::{all, own, platform, system};
use tenantry_store::conformance::{Fixture, ManualClock, SeededEntropy, assert_exact};
use tenantry_store_postgres::{Limits, Options, PostgresStore};
use tenantry_testkit_postgres::{Database, Fault, Proxy};

use crate::databases;

/// A process that reaches the database by way of a proxy.
async fn process(database: &Database) -> (Proxy, Fixture) {
    let proxy = Proxy::to(database);
    let clock = Arc::new(ManualClock::default());
    let entropy = Arc::new(SeededEntropy::default());
    let options = Options::new(proxy.url(), None, Limits::default()).unwrap();
    let store = PostgresStore::serve(&options, clock.clone(), entropy.clone()).await.unwrap();
    (proxy, Fixture::new(Arc::new(store), clock, entropy, ()))
}

const FAULTS: [Fault; 3] =
    [Fault::CutBefore, Fault::CutAfter, Fault::Late(Duration::from_millis(200))];

/// Waits until one more fault has struck than these.
async fn struck_after(proxy: &Proxy, struck: u64) {
    let has_struck = async {
        while proxy.struck() == struck {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), has_struck).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_commit_is_cut_off_is_counted_once() {
    let database = databases::migrated().await;
    let (proxy, process) = process(&database).await;
    let tenant = process.tenant("Acme").await;
    for (number, fault) in (1..).zip(FAULTS) {
        let event = UsageEvent {
            source: "gateway".to_owned(),
            id: format!("event-{number}"),
            time: process.now(),
            report: UsageReport::Calls(7),
        };
        let report = async || {
            let call = process.call(tenant);
            process.store.report_usage(&own(tenant, Some(&call)), vec![event.clone()]).await
        };
        let struck = proxy.struck();
        proxy.strike(fault, "INSERT INTO usage_events", "COMMIT");
        assert_eq!(report().await.unwrap(), [UsageOutcome::Counted]);
        struck_after(&proxy, struck).await;
        assert_eq!(report().await.unwrap(), [UsageOutcome::Duplicate]);
        // Both reports are calls too.
        assert_eq!(process.statistics(tenant).await.calls_this_month, number * (7 + 2));
    }
    assert_exact(&process).await;
}

/// A mark that has had its time does not stand for the change that was to leave it anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_posts_nothing_is_told_by_its_own_mark() {
    let database = databases::migrated().await;
    let (proxy, process) = process(&database).await;
    let tenant = process.tenant("Acme").await;
    let user = process.user(tenant, "ann@example.com").await.id;
    let mark = Mark { tenant, id: Hash([1; 32]), request: Hash([1; 32]), before: None };
    let change = async || {
        let call = process.call(tenant);
        let answer = |_: &Warned<User>| Ok(Sealed(b"done".to_vec()));
        let access = own(tenant, Some(&call)).with_idempotency(Idempotency::new(mark, answer));
        process.store.update_user(&access, user, UserPatch::default()).await
    };
    change().await.unwrap();
    let entries = process.entries(tenant).await;
    for (number, fault) in (1..).zip(FAULTS) {
        process.clock.advance(RETENTION_MS);
        let struck = proxy.struck();
        proxy.strike(fault, "INSERT INTO idempotency_marks", "COMMIT");
        change().await.unwrap();
        struck_after(&proxy, struck).await;
        let repeated = Error::Repeated(Sealed(b"done".to_vec()));
        assert_eq!(change().await.unwrap_err(), repeated, "{fault:?}");
        assert_eq!(process.statistics(tenant).await.calls_this_month, 1 + number, "{fault:?}");
    }
    assert_eq!(process.entries(tenant).await, entries);
    assert_exact(&process).await;
}

/// A read is asked anew, since that changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_whose_line_is_cut_is_answered() {
    const LIST: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    let database = databases::migrated().await;
    let (proxy, process) = process(&database).await;
    let tenant = process.tenant("Acme").await;
    process.user(tenant, "ann@example.com").await;
    let (access, store) = (&system(tenant), &process.store);
    let identity =
        Identity { email: Some(Email::parse("ann@example.com").unwrap()), external_id: None };
    macro_rules! answered {
        ($fault:expr, $at:expr, $($read:expr),+ $(,)?) => {$({
            let struck = proxy.struck();
            proxy.strike($fault, "", $at);
            assert!($read.await.is_ok(), "{:?}: {}", $fault, stringify!($read));
            struck_after(&proxy, struck).await;
        })+};
    }
    for fault in FAULTS {
        answered!(
            fault,
            LIST,
            store.list_tenants(&platform(), &TenantFilter::default(), &all()),
            store.list_users(access, &UserFilter::default(), &all()),
            store.list_api_keys(access, ApiKeyFilter::default(), &all()),
            store.list_oauth_clients(access, OauthClientFilter::default(), &all()),
            store.list_credentials(access, &CredentialFilter::default(), &all()),
            store.list_entries(access, &EntryFilter::default(), 10, 0),
            store.counts_at(access, process.now()),
            store.taken(access, vec![identity.clone()]),
            store.recount(tenant),
        );
        answered!(fault, "SELECT", store.tenant(access));
    }
    assert_exact(&process).await;
}
