//! Many at once: nothing is lost, and no read goes back or sees half of a change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tenantry_domain::access::CallerProbe;
use tenantry_domain::id::TenantId;
use tenantry_domain::page::PageRequest;
use tenantry_domain::stats::Statistics;
use tenantry_domain::tenant::Governance;
use tenantry_domain::usage::Tally;
use tenantry_domain::user::{UserFilter, UserStatus};
use tokio::task::JoinSet;

use super::builders::{all, calls, own, system};
use super::harness::Fixture;
use crate::Store;

const WRITERS: u64 = 50;
const USERS_EACH: u64 = 4;

async fn read(store: &dyn Store, tenant: TenantId) -> Statistics {
    let (_, statistics) = store.statistics(&CallerProbe::of_tenant(tenant), tenant).await.unwrap();
    statistics.open(&system(tenant)).unwrap().unwrap()
}

/// Fifty writers in one tenant, and readers all the while.
pub async fn nothing_is_lost_and_nothing_goes_back(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&f.store);
        let drafts: Vec<_> = (0..USERS_EACH)
            .map(|place| {
                let mut new = f.new_user(&format!("user-{writer}-{place}@example.com"));
                new.roles.tenant_admin = place == 0;
                if place == 1 {
                    new.status = UserStatus::Disabled;
                }
                (new, f.call(tenant))
            })
            .collect();
        let now = f.now();
        writers.spawn(async move {
            let mut seen = 0;
            for (made, (new, call)) in (1..).zip(drafts) {
                let access = own(tenant, Some(&call));
                let user = store.create_user(&access, new).await.unwrap();
                store.count_calls(Tally::from_iter([calls(tenant, 1, now)])).await.unwrap();
                // Whatever was answered is in every read that begins afterwards.
                let statistics = read(store.as_ref(), tenant).await;
                assert!(call.is_counted());
                assert!(statistics.counts.users() >= made);
                assert!(statistics.calls_this_month >= 2 * made);
                assert!(statistics.ledger_seq > seen);
                seen = statistics.ledger_seq;
                assert_eq!(store.user(&access, user.id).await.unwrap(), user);
            }
        });
    }

    let done = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for _ in 0..4 {
        let (store, done) = (Arc::clone(&f.store), Arc::clone(&done));
        readers.spawn(async move {
            let mut before = read(store.as_ref(), tenant).await;
            while !done.load(Ordering::SeqCst) {
                let page = store
                    .list_users(&system(tenant), &UserFilter::default(), &all())
                    .await
                    .unwrap();
                assert_eq!(page.total, page.items.len() as u64, "a page of another instant");
                let now = read(store.as_ref(), tenant).await;
                // Every entry here makes one user, so one snapshot has as many of both.
                assert_eq!(now.counts.users() + 1, now.ledger_seq);
                assert!(page.total >= before.counts.users());
                assert!(now.counts.users() >= page.total);
                assert!(now.calls_this_month >= before.calls_this_month);
                assert!(now.generated_at >= before.generated_at);
                before = now;
                tokio::task::yield_now().await;
            }
        });
    }
    writers.join_all().await;
    done.store(true, Ordering::SeqCst);
    readers.join_all().await;

    let statistics = f.statistics(tenant).await;
    assert_eq!(statistics.counts.users(), WRITERS * USERS_EACH);
    assert_eq!(statistics.counts.users_inactive, WRITERS);
    assert_eq!(statistics.counts.admins, WRITERS);
    assert_eq!(statistics.calls_this_month, 2 * WRITERS * USERS_EACH);
}

/// Of many who want the same e-mail address, one gets it.
pub async fn one_of_many_wins(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let (store, new) = (Arc::clone(&f.store), f.new_user("ann@example.com"));
        tasks.spawn(async move { store.create_user(&system(tenant), new).await.is_ok() });
    }
    let won = tasks.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(won, 1);
    assert_eq!(f.counts(tenant).await.users(), 1);
    assert_eq!(f.entries(tenant).await.len(), 2);
}

/// A key that many revoke at once is revoked once.
pub async fn a_key_is_revoked_once(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let key = f.api_key(tenant, None).await.id;
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let store = Arc::clone(&f.store);
        tasks.spawn(async move { store.revoke_api_key(&system(tenant), key).await.is_ok() });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|won| *won).count(), 1);
    assert_eq!(f.counts(tenant).await.api_keys_revoked, 1);
}

/// Settlers and writers at once: each expiry has one entry.
pub async fn what_expires_is_settled_once(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    for millis in 1..=10 {
        f.credential(tenant, Some(f.in_millis(millis))).await;
    }
    f.clock.advance(20);
    let mut tasks = JoinSet::new();
    for place in 0..20 {
        let store = Arc::clone(&f.store);
        let new = f.new_user(&format!("user-{place}@example.com"));
        tasks.spawn(async move {
            if place % 2 == 0 {
                store.settle(3).await.unwrap();
            } else {
                store.create_user(&system(tenant), new).await.unwrap();
            }
            let counts = read(store.as_ref(), tenant).await.counts;
            assert_eq!((counts.credentials_active, counts.credentials_expired), (0, 10));
        });
    }
    tasks.join_all().await;
    assert_eq!(f.entries(tenant).await.len(), 1 + 10 + 10 + 10);
    let page = PageRequest { limit: 1, ..all() };
    let users = f.store.list_users(&system(tenant), &UserFilter::default(), &page).await.unwrap();
    assert_eq!(users.total, 10);
}

/// A tenant that is deleted while the ledgers catch up is in nobody's way.
pub async fn settling_survives_a_deletion(f: &Fixture) {
    let mut tenants = Vec::new();
    for _ in 0..20 {
        let tenant = f.tenant("Acme").await;
        f.credential(tenant, Some(f.in_millis(10))).await;
        tenants.push(tenant);
    }
    f.clock.advance(10);
    let mut tasks = JoinSet::new();
    for tenant in tenants {
        let (settling, deleting) = (Arc::clone(&f.store), Arc::clone(&f.store));
        tasks.spawn(async move { settling.settle(1_000).await.map(drop) });
        tasks.spawn(async move {
            let access = system(tenant);
            deleting.govern_tenant(&access, Governance::Delete).await.map(drop)
        });
    }
    tasks.join_all().await.into_iter().for_each(Result::unwrap);
    let settled = f.store.settle(1_000).await.unwrap();
    assert_eq!((settled.entries, settled.next_due), (0, None));
}
