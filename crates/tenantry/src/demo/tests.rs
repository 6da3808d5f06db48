//! The sample is true on any day.

use std::sync::Arc;

use tenantry_domain::access::{CallerProbe, TenantAccess};
use tenantry_domain::ledger::ActorKind;
use tenantry_domain::realm_rules::Reach;
use tenantry_domain::stats::Statistics;
use tenantry_security::master_key::MasterKey;
use tenantry_service::Wiring;
use tenantry_store::verify::verify;
use tenantry_store_sqlite::SqliteStore;
use tenantry_testkit::SeededEntropy;

use super::*;

/// Loads the sample at this instant and compares every tenant with its plan, then and there.
async fn assert_true_at(now: &str) {
    let now: Timestamp = now.parse().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(DemoClock::before(now));
    let entropy = Arc::new(SeededEntropy::default());
    let store =
        SqliteStore::serve(directory.path(), Arc::clone(&clock) as _, Arc::clone(&entropy) as _);
    let wiring = Wiring {
        store: Arc::new(store.unwrap()),
        clock: Arc::clone(&clock) as _,
        master_key: MasterKey::generate(&*entropy),
        entropy,
        issuer: "tenantry".to_owned(),
        reach: Reach::default(),
    };
    let service = Service::start(wiring).await.unwrap();
    let (mut steps, mut before) = (0, clock.now());
    let step = || {
        steps += 1;
        let at = clock.now();
        assert!(before <= at && at <= now, "after {before} comes {at}, before {now}");
        before = at;
    };
    load(&service, &clock, now, step).await.unwrap();
    assert_eq!(steps, STEPS);

    // The platform is no older than its tenants.
    let platform = TenantAccess::local(TenantId::PLATFORM, ActorKind::System, "test");
    let platform = service.tenant(&platform).await.unwrap();
    assert_eq!(platform.created_at, Era::before(now).start);

    clock.set(now);
    for plan in sample::plans() {
        assert_as_planned(&statistics(&service, plan.id).await, &plan, now);
        let report = verify(&**service.store(), plan.id).await.unwrap().unwrap();
        assert!(report.flaws.is_empty(), "{}: {:#?}", plan.name, report.flaws);
    }
}

async fn statistics(service: &Service, tenant: TenantId) -> Statistics {
    let access = TenantAccess::local(tenant, ActorKind::System, "test");
    let probe = CallerProbe::of_tenant(TenantId::PLATFORM);
    let (_, statistics) = service.store().statistics(&probe, tenant).await.unwrap();
    statistics.open(&access).unwrap().unwrap()
}

fn assert_as_planned(statistics: &Statistics, plan: &Plan, now: Timestamp) {
    let counts = &statistics.counts;
    let at = format!("{} at {now}: {statistics:#?}", plan.name);
    assert_eq!(counts.users_active, plan.users.active, "{at}");
    assert_eq!(counts.users_inactive, plan.users.inactive, "{at}");
    assert_eq!(counts.admins, plan.users.admins, "{at}");
    assert_eq!(counts.credentials_active, plan.credentials.active, "{at}");
    assert_eq!(counts.credentials_expired, plan.credentials.expired, "{at}");
    assert_eq!(counts.api_keys_active, plan.api_keys.active, "{at}");
    assert_eq!(counts.api_keys_expired, plan.api_keys.expired, "{at}");
    assert_eq!(counts.api_keys_revoked, plan.api_keys.revoked, "{at}");
    assert_eq!(counts.oauth_clients_active, plan.oauth_clients.active, "{at}");
    assert_eq!(counts.oauth_clients_disabled, plan.oauth_clients.disabled, "{at}");
    assert_eq!(statistics.calls_this_month, plan.calls_this_month, "{at}");
    assert_eq!(statistics.calls_last_month, plan.calls_last_month, "{at}");
    assert_eq!(statistics.storage_used, plan.storage, "{at}");
    assert_eq!(statistics.storage_quota, plan.storage_quota, "{at}");
    assert_eq!(statistics.generated_at, now, "{at}");
    let ten_minutes_ago = now.plus_millis(-600_000);
    assert_eq!(statistics.last_activity, plan.active.then_some(ten_minutes_ago), "{at}");
}

#[tokio::test]
async fn on_an_ordinary_day() {
    assert_true_at("2025-07-10T14:40:00.000Z").await;
}

#[tokio::test]
async fn in_the_first_millisecond_of_a_month() {
    assert_true_at("2025-11-01T00:00:00.000Z").await;
}

#[tokio::test]
async fn five_minutes_into_a_month() {
    assert_true_at("2026-05-01T00:05:00.000Z").await;
}

#[tokio::test]
async fn in_the_last_millisecond_of_a_month() {
    assert_true_at("2026-01-31T23:59:59.999Z").await;
}

#[tokio::test]
async fn on_new_year_s_day() {
    assert_true_at("2027-01-01T00:07:30.250Z").await;
}

#[tokio::test]
async fn on_the_first_of_march_of_a_leap_year() {
    assert_true_at("2028-03-01T00:00:00.001Z").await;
}
