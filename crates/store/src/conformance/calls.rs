//! Counted calls: their months, what they say about life and time, and calls that are changes.

use std::sync::Arc;

use tenantry_domain::credential::{CredentialFilter, CredentialStatus};
use tenantry_domain::error::{Conflict, Error};
use tenantry_domain::id::TenantId;
use tenantry_domain::usage::{Call, CallCount, Tally};
use tenantry_domain::user::{UserPatch, UserStatus};

use super::builders::{all, calls, instant, own, super_admin, system};
use super::harness::Fixture;

/// The calls of this month and of the last one.
async fn months(f: &Fixture, tenant: TenantId) -> (u64, u64) {
    let statistics = f.statistics(tenant).await;
    (statistics.calls_this_month, statistics.calls_last_month)
}

/// Calls are added up, over batches and over tenants, and change nothing else.
pub async fn calls_add_up(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    let hour = 3_600_000;
    let batch = vec![
        calls(tenant, 3, f.now()),
        calls(other, 5, f.now()),
        calls(tenant, 4, f.in_millis(-hour)),
        calls(tenant, 1, f.in_millis(-2 * hour)),
    ];
    f.store.count_calls(batch.into_iter().collect()).await.unwrap();
    assert_eq!(months(f, tenant).await, (8, 0));
    assert_eq!(months(f, other).await, (5, 0));
    f.store.count_calls(Tally::from_iter([calls(tenant, 2, f.now())])).await.unwrap();
    f.store.count_calls(Tally::default()).await.unwrap();
    assert_eq!(months(f, tenant).await, (10, 0));
    assert_eq!(f.entries(tenant).await.len(), 1);
    assert_eq!(f.statistics(TenantId::PLATFORM).await.calls_this_month, 0);
}

/// A call counts in the month in which it was received, whenever it is counted.
pub async fn a_call_counts_in_the_month_of_its_receipt(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let last_of_july = instant("2025-07-31T23:59:59.999Z");
    let august = instant("2025-08-01T00:00:00.000Z");
    f.clock.set(last_of_july);
    f.store.count_calls(Tally::from_iter([calls(tenant, 3, last_of_july)])).await.unwrap();
    assert_eq!(months(f, tenant).await, (3, 0));
    f.clock.set(august);
    assert_eq!(months(f, tenant).await, (0, 3));
    f.store.count_calls(Tally::from_iter([calls(tenant, 2, last_of_july)])).await.unwrap();
    assert_eq!(months(f, tenant).await, (0, 5));
    f.store.count_calls(Tally::from_iter([calls(tenant, 1, august)])).await.unwrap();
    assert_eq!(months(f, tenant).await, (1, 5));
    f.clock.set(instant("2025-08-31T23:59:59.999Z"));
    assert_eq!(months(f, tenant).await, (1, 5));
    f.clock.set(instant("2025-09-01T00:00:00.000Z"));
    assert_eq!(months(f, tenant).await, (0, 1));
    f.clock.set(instant("2025-10-01T00:00:00.000Z"));
    assert_eq!(months(f, tenant).await, (0, 0));
}

/// December is the month before January.
pub async fn the_year_turns(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let december = instant("2025-12-31T23:00:00.000Z");
    f.store.count_calls(Tally::from_iter([calls(tenant, 7, december)])).await.unwrap();
    f.clock.set(instant("2026-01-15T00:00:00.000Z"));
    assert_eq!(months(f, tenant).await, (0, 7));
}

/// Only a call that is activity is the last activity, which never goes back.
pub async fn only_activity_is_activity(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let last = async || f.statistics(tenant).await.last_activity;
    assert_eq!(last().await, None);
    let quiet = |at| CallCount { tenant, calls: 1, last_call: at, last_activity: None };
    f.store.count_calls(Tally::from_iter([quiet(f.now())])).await.unwrap();
    assert_eq!(last().await, None);

    f.clock.advance(10);
    let alive = f.now();
    f.store.count_calls(Tally::from_iter([calls(tenant, 1, alive)])).await.unwrap();
    assert_eq!(last().await, Some(alive));
    f.clock.advance(10);
    let batch = vec![quiet(f.now()), calls(tenant, 1, alive.plus_millis(-5))];
    f.store.count_calls(batch.into_iter().collect()).await.unwrap();
    assert_eq!(last().await, Some(alive));
    let count = CallCount { last_activity: Some(alive.plus_millis(5)), ..quiet(f.now()) };
    f.store.count_calls(Tally::from_iter([count])).await.unwrap();
    assert_eq!(last().await, Some(alive.plus_millis(5)));
    assert_eq!(months(f, tenant).await, (5, 0));
}

/// The statistics are never older than the newest counted call, and no change is either.
pub async fn nothing_is_older_than_the_newest_call(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let ahead = f.in_millis(400);
    f.credential(tenant, Some(ahead)).await;
    f.store.count_calls(Tally::from_iter([calls(tenant, 1, ahead)])).await.unwrap();
    let statistics = f.statistics(tenant).await;
    assert_eq!(statistics.generated_at, ahead);
    assert_eq!(statistics.counts.credentials_expired, 1);
    assert_eq!(statistics.last_activity, Some(ahead));
    let filter = CredentialFilter { status: Some(CredentialStatus::Expired), integration_id: None };
    let expired = f.store.list_credentials(&system(tenant), &filter, &all()).await.unwrap();
    assert_eq!((expired.items.len(), expired.total), (1, 1));
    f.store.count_calls(Tally::from_iter([calls(tenant, 1, f.now())])).await.unwrap();
    assert_eq!(f.statistics(tenant).await.generated_at, ahead);
    let user = f.user(tenant, "ann@example.com").await;
    assert_eq!(user.created_at, ahead);
    assert_eq!(f.newest_entry(tenant).await.at, ahead);
}

/// A change counts the call that makes it, once.
pub async fn a_change_counts_its_call(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    f.clock.advance(10);
    let call = f.call(tenant);
    let access = own(tenant, Some(&call));
    let user = f.store.create_user(&access, f.new_user("ann@example.com")).await.unwrap();
    assert!(call.is_counted());
    let statistics = f.statistics(tenant).await;
    assert_eq!((statistics.calls_this_month, statistics.calls_last_month), (1, 0));
    assert_eq!(statistics.last_activity, Some(f.now()));

    for received in ["2025-06-30T23:59:59.999Z", "2025-07-01T00:00:00.000Z"] {
        let call = Arc::new(Call::new(tenant, instant(received), true));
        let access = own(tenant, Some(&call));
        let credential = f.store.create_credential(&access, f.new_credential(None)).await.unwrap();
        assert!(call.is_counted());
        assert_eq!(credential.created_at, f.now());
    }
    assert_eq!(months(f, tenant).await, (2, 1));
    let call = f.call(tenant);
    f.store.delete_user(&own(tenant, Some(&call)), user.id).await.unwrap();
    assert!(call.is_counted());
    assert_eq!(months(f, tenant).await, (3, 1));
}

/// Reading counts nothing: the meter does.
pub async fn reading_counts_no_call(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = f.user(tenant, "ann@example.com").await;
    let call = f.call(tenant);
    let access = own(tenant, Some(&call));
    f.store.tenant(&access).await.unwrap();
    f.store.user(&access, user.id).await.unwrap();
    assert!(!call.is_counted());
    assert_eq!(months(f, tenant).await, (0, 0));
}

/// A call for another tenant is left to the meter: one transaction, one tenant.
pub async fn a_call_for_another_tenant_is_not_counted(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let call = f.call(TenantId::PLATFORM);
    let access = super_admin(tenant, Some(&call));
    f.store.create_user(&access, f.new_user("ann@example.com")).await.unwrap();
    assert!(!call.is_counted());
    assert_eq!(months(f, tenant).await, (0, 0));
    assert_eq!(months(f, TenantId::PLATFORM).await, (0, 0));
}

/// A refused change counts nothing: the meter counts what it answers.
pub async fn a_refused_change_counts_no_call(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = f.user(tenant, "ann@example.com").await;
    let before = f.statistics(tenant).await;
    let call = f.call(tenant);
    let access = own(tenant, Some(&call));
    let result = f.store.create_user(&access, f.new_user("ANN@example.com")).await;
    assert_fault!(result, Error::Conflict(Conflict::Email));
    assert!(!call.is_counted());
    assert_eq!(f.statistics(tenant).await, before);

    // One that changes nothing may count its call or leave it; its mark says which.
    let patch = UserPatch { status: Some(UserStatus::Active), ..UserPatch::default() };
    f.store.update_user(&access, user.id, patch).await.unwrap();
    assert_eq!(months(f, tenant).await, (u64::from(call.is_counted()), 0));
}

/// A change is the activity of the tenant whose principal makes it in its own tenant, and of no
/// other.
pub async fn a_change_is_activity_of_its_own_tenant(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let last = async |tenant| f.statistics(tenant).await.last_activity;
    f.clock.advance(10);
    for access in [super_admin(tenant, None), system(tenant)] {
        f.store.create_api_key(&access, f.new_api_key(None)).await.unwrap();
    }
    assert_eq!((last(tenant).await, last(TenantId::PLATFORM).await), (None, None));
    f.clock.advance(10);
    let mine = f.now();
    f.store.create_api_key(&own(tenant, None), f.new_api_key(None)).await.unwrap();
    assert_eq!(last(tenant).await, Some(mine));
    f.clock.advance(10);
    f.store.create_api_key(&super_admin(tenant, None), f.new_api_key(None)).await.unwrap();
    assert_eq!((last(tenant).await, last(TenantId::PLATFORM).await), (Some(mine), None));
    let platform = own(TenantId::PLATFORM, None);
    f.store.create_api_key(&platform, f.new_api_key(None)).await.unwrap();
    assert_eq!(last(TenantId::PLATFORM).await, Some(f.now()));
}
