//! The statistics as they were, and a clock that steps back.

use tenantry_domain::clock::{Month, Timestamp};
use tenantry_domain::counts::Counts;
use tenantry_domain::id::TenantId;
use tenantry_domain::usage::Tally;
use tenantry_domain::user::{UserPatch, UserStatus};

use super::builders::{calls, instant, integration, system};
use super::harness::Fixture;

async fn counts_at(f: &Fixture, tenant: TenantId, at: Timestamp) -> Option<Counts> {
    f.store.counts_at(&system(tenant), at).await.unwrap()
}

/// The counts at any past instant are those that a read at that instant saw.
pub async fn the_past_is_as_it_was_seen(f: &Fixture) {
    f.clock.advance(100);
    let tenant = f.tenant("Acme").await;
    let access = system(tenant);
    let created = f.now();
    assert_eq!(counts_at(f, tenant, created.plus_millis(-1)).await, None);
    let mut seen = vec![(created, f.counts(tenant).await)];
    let due = created.plus_millis(55);
    for step in 0..9 {
        f.clock.advance(10);
        seen.push((f.in_millis(-1), seen.last().unwrap().1));
        match step {
            0 | 2 => drop(f.credential(tenant, Some(due)).await),
            1 => drop(f.api_key(tenant, Some(due)).await),
            3 => {
                let user = f.user(tenant, "ann@example.com").await;
                let patch = UserPatch { status: Some(UserStatus::Locked), ..UserPatch::default() };
                // Two changes at one instant: the last one is what the instant shows.
                f.store.update_user(&access, user.id, patch).await.unwrap();
            }
            4 => drop(f.oauth_client(tenant).await),
            5 => {
                // At 60: nothing was written at 55, where three things expired.
                seen.pop();
                seen.push((due.plus_millis(-1), seen.last().unwrap().1));
                seen.push((due, f.counts(tenant).await));
                assert_ne!(seen[seen.len() - 1].1, seen[seen.len() - 2].1);
            }
            6 => drop(f.store.settle(1).await.unwrap()),
            _ => drop(f.user(tenant, &format!("{step}@example.com")).await),
        }
        seen.push((f.now(), f.counts(tenant).await));
    }
    // The past before, and after, the ledger has caught up with it.
    for _ in 0..2 {
        for (at, counts) in &seen {
            assert_eq!(counts_at(f, tenant, *at).await, Some(*counts), "at {at}");
        }
        f.clock.advance(10);
        f.store.settle(10).await.unwrap();
    }
    for entries in f.entries(tenant).await.windows(2) {
        if entries[0].at < entries[1].at {
            assert_eq!(counts_at(f, tenant, entries[0].at).await, Some(entries[0].counts));
        }
        assert!(counts_at(f, tenant, entries[1].at.plus_millis(-1)).await.is_some());
    }
}

/// What expires later does not colour what was before, also when it is removed or moved since.
pub async fn the_past_does_not_change(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let start = f.now();
    let credential = f.credential(tenant, Some(start.plus_millis(50))).await;
    f.clock.advance(40);
    let before = f.counts(tenant).await;
    f.clock.advance(40);
    let after = f.counts(tenant).await;
    // The ledger does not know of the expiry yet.
    assert_eq!(counts_at(f, tenant, start.plus_millis(49)).await, Some(before));
    assert_eq!(counts_at(f, tenant, start.plus_millis(50)).await, Some(after));
    f.clock.advance(10);
    let access = system(tenant);
    f.store.delete_credential(&access, &integration(), credential.id).await.unwrap();
    assert_eq!(counts_at(f, tenant, start.plus_millis(40)).await, Some(before));
    assert_eq!(counts_at(f, tenant, start.plus_millis(50)).await, Some(after));
    assert_eq!(counts_at(f, tenant, start.plus_millis(80)).await, Some(after));
    assert_eq!(counts_at(f, tenant, f.now()).await, Some(Counts::default()));
}

/// A clock that steps back takes no instant and no count with it.
pub async fn a_clock_that_steps_back_takes_nothing_back(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    f.credential(tenant, Some(f.in_millis(500))).await;
    f.api_key(tenant, Some(f.in_millis(1_500))).await;
    f.clock.advance(1_000);
    let newest = f.now();
    f.user(tenant, "ann@example.com").await;
    let before = f.statistics(tenant).await;
    assert_eq!((before.generated_at, before.counts.credentials_expired), (newest, 1));

    f.clock.advance(-3_600_000);
    assert_eq!(f.statistics(tenant).await, before);
    let user = f.user(tenant, "ben@example.com").await;
    assert_eq!(user.created_at, newest);
    f.store.settle(10).await.unwrap();
    let statistics = f.statistics(tenant).await;
    assert_eq!((statistics.generated_at, statistics.counts.users()), (newest, 2));
    assert_eq!(statistics.counts.api_keys_active, 1);
    assert!(f.entries(tenant).await.is_sorted_by_key(|entry| entry.at));

    // The key expires by the clock that has caught up.
    f.clock.set(newest.plus_millis(499));
    assert_eq!(f.counts(tenant).await.api_keys_expired, 0);
    f.clock.advance(1);
    assert_eq!(f.counts(tenant).await.api_keys_expired, 1);
}

/// A clock that steps back over the turn of a month does not bring the old month back.
pub async fn a_month_does_not_come_back(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let august = instant("2025-08-01T00:00:00.000Z");
    f.store.count_calls(Tally::from_iter([calls(tenant, 3, f.now())])).await.unwrap();
    f.clock.set(august);
    f.store.count_calls(Tally::from_iter([calls(tenant, 2, august)])).await.unwrap();
    f.clock.advance(-1);
    let statistics = f.statistics(tenant).await;
    assert_eq!(Month::of(statistics.generated_at), Month::of(august));
    assert_eq!((statistics.calls_this_month, statistics.calls_last_month), (2, 3));
    f.store.count_calls(Tally::from_iter([calls(tenant, 1, f.now())])).await.unwrap();
    let statistics = f.statistics(tenant).await;
    assert_eq!((statistics.calls_this_month, statistics.calls_last_month), (2, 4));
}
