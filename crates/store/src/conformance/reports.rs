//! Usage that other services report: repeats, months, storage.

use tenantry_domain::clock::Timestamp;
use tenantry_domain::id::TenantId;
use tenantry_domain::tenant::Governance;
use tenantry_domain::usage::UsageOutcome::{Counted, Duplicate, TooMuch};
use tenantry_domain::usage::{Bytes, MAX_REPORTED, UsageEvent, UsageOutcome, UsageReport};

use super::builders::{instant, own, system};
use super::harness::Fixture;

fn event(source: &str, id: &str, time: Timestamp, report: UsageReport) -> UsageEvent {
    UsageEvent { source: source.to_owned(), id: id.to_owned(), time, report }
}

fn served(calls: u64) -> UsageReport {
    UsageReport::Calls(calls)
}

fn stored(bytes: u64) -> UsageReport {
    UsageReport::Storage(Bytes::new(bytes))
}

async fn report(f: &Fixture, tenant: TenantId, events: Vec<UsageEvent>) -> Vec<UsageOutcome> {
    f.store.report_usage(&system(tenant), events).await.unwrap()
}

/// A repeat is counted once, in the same batch and in another one, whatever it says.
pub async fn a_repeat_is_counted_once(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    let now = f.now();
    let outcomes = report(
        f,
        tenant,
        vec![
            event("a", "1", now, served(5)),
            event("a", "1", now, served(5)),
            event("a", "2", now, served(0)),
            event("b", "1", now, served(7)),
        ],
    )
    .await;
    assert_eq!(outcomes, [Counted, Duplicate, Counted, Counted]);
    assert_eq!(f.statistics(tenant).await.calls_this_month, 12);

    f.clock.advance(34 * 24 * 3_600_000);
    let again = vec![
        event("a", "1", f.now(), served(100)),
        event("b", "1", f.now(), stored(100)),
        event("a", "3", f.now(), served(1)),
    ];
    assert_eq!(report(f, tenant, again).await, [Duplicate, Duplicate, Counted]);
    let statistics = f.statistics(tenant).await;
    assert_eq!((statistics.calls_this_month, statistics.calls_last_month), (1, 12));
    assert_eq!(statistics.storage_used, Bytes::new(0));

    // Each tenant has its own events.
    assert_eq!(report(f, other, vec![event("a", "1", f.now(), served(3))]).await, [Counted]);
    assert_eq!(f.statistics(other).await.calls_this_month, 3);
    assert_eq!(report(f, other, Vec::new()).await, []);
}

/// Calls count in the month of the event's own time, also before the tenant was made.
pub async fn calls_count_in_the_month_of_the_event(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let events = vec![
        event("a", "1", instant("2025-06-30T23:59:59.999Z"), served(5)),
        event("a", "2", instant("2025-07-01T00:00:00.000Z"), served(7)),
        event("a", "3", instant("2025-05-31T23:59:59.999Z"), served(11)),
    ];
    assert_eq!(report(f, tenant, events).await, [Counted; 3]);
    let statistics = f.statistics(tenant).await;
    assert_eq!((statistics.calls_this_month, statistics.calls_last_month), (7, 5));
}

/// What a service reports is no sign of life of the tenant, and its clock is not ours.
pub async fn a_report_moves_no_instant(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let ahead = f.in_millis(300_000);
    report(f, tenant, vec![event("a", "1", ahead, served(5))]).await;
    report(f, tenant, vec![event("a", "2", ahead, stored(5))]).await;
    let statistics = f.statistics(tenant).await;
    assert_eq!((statistics.generated_at, statistics.last_activity), (f.now(), None));
    assert_eq!((statistics.calls_this_month, statistics.storage_used), (5, Bytes::new(5)));
}

/// Storage is the sum over the sources.
pub async fn storage_is_the_sum_of_its_sources(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let used = async || f.statistics(tenant).await.storage_used.get();
    let now = f.now();
    let events = vec![event("a", "1", now, stored(2_500_000_000)), event("b", "1", now, stored(1))];
    report(f, tenant, events).await;
    assert_eq!(used().await, 2_500_000_001);
    let later = now.plus_millis(1);
    report(f, tenant, vec![event("a", "2", later, stored(4))]).await;
    assert_eq!(used().await, 5);
    report(f, tenant, vec![event("b", "2", later, stored(0))]).await;
    assert_eq!(used().await, 4);
    assert_eq!(f.statistics(tenant).await.calls_this_month, 0);
}

/// Of two reports of one source the later one stands; at equal times, the later received.
pub async fn the_later_report_stands(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let used = async || f.statistics(tenant).await.storage_used.get();
    let now = f.now();
    report(f, tenant, vec![event("a", "1", now, stored(10))]).await;
    let stale = event("a", "2", now.plus_millis(-1), stored(99));
    assert_eq!(report(f, tenant, vec![stale]).await, [Counted]);
    assert_eq!(used().await, 10);
    report(f, tenant, vec![event("a", "3", now, stored(20))]).await;
    assert_eq!(used().await, 20);
    let later = now.plus_millis(5);
    let batch = vec![
        event("a", "4", later, stored(30)),
        event("a", "5", now, stored(40)),
        event("a", "6", later, stored(50)),
        event("a", "6", later.plus_millis(5), stored(60)),
    ];
    assert_eq!(report(f, tenant, batch).await, [Counted, Counted, Counted, Duplicate]);
    assert_eq!(used().await, 50);
}

/// Reports of a suspended tenant are taken.
pub async fn a_suspended_tenant_is_still_metered(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    f.store.govern_tenant(&system(tenant), Governance::Suspend).await.unwrap();
    report(f, tenant, vec![event("a", "1", f.now(), served(5))]).await;
    assert_eq!(f.statistics(tenant).await.calls_this_month, 5);
}

/// A report's own call is counted once, by the report or by the meter; its mark says by which.
pub async fn a_report_is_a_call_too(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let call = f.call(tenant);
    let events = vec![event("a", "1", f.now(), served(5))];
    f.store.report_usage(&own(tenant, Some(&call)), events).await.unwrap();
    let calls = 5 + u64::from(call.is_counted());
    assert_eq!(f.statistics(tenant).await.calls_this_month, calls);
}

/// A number that could not be shown exactly is not kept; what comes beside it is.
pub async fn more_than_can_be_kept_is_refused(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let events = [
        ("gateway", "1", served(MAX_REPORTED)),
        ("gateway", "2", served(1)),
        ("disk", "1", stored(MAX_REPORTED)),
        ("tape", "1", stored(1)),
        ("disk", "2", stored(7)),
        ("tape", "1", stored(1)),
    ]
    .map(|(source, id, report)| event(source, id, f.now(), report));
    let outcomes = f.store.report_usage(&system(tenant), events.into()).await.unwrap();
    assert_eq!(outcomes, [Counted, TooMuch, Counted, TooMuch, Counted, Counted]);
    let statistics = f.statistics(tenant).await;
    assert_eq!(statistics.calls_this_month, MAX_REPORTED);
    assert_eq!(statistics.storage_used, Bytes::new(8));
}
