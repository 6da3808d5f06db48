//! What deleted tenants leave behind.

use tenantry_domain::counts::Counts;
use tenantry_domain::id::TenantId;
use tenantry_domain::tenant::Governance;
use tenantry_domain::usage::{Bytes, Tally, UsageEvent, UsageReport};

use super::builders::{calls, system};
use super::harness::{Fixture, assert_exact};
use super::sessions::attempt_as;
use crate::Purged;

/// A tenant with something of every kind.
async fn full_tenant(f: &Fixture, text: &str) -> TenantId {
    let tenant = f.tenant(text).await;
    for place in 0..6 {
        f.user(tenant, &format!("user-{place}@example.com")).await;
    }
    f.api_key(tenant, Some(f.in_millis(10))).await;
    f.oauth_client(tenant).await;
    f.credential(tenant, Some(f.in_millis(10))).await;
    f.credential(tenant, None).await;
    f.store.count_calls(Tally::from_iter([calls(tenant, 3, f.now())])).await.unwrap();
    let event = |id: &str, report| UsageEvent {
        source: "files".to_owned(),
        id: id.to_owned(),
        time: f.now(),
        report,
    };
    let events =
        vec![event("1", UsageReport::Calls(5)), event("2", UsageReport::Storage(Bytes::new(7)))];
    f.store.report_usage(&system(tenant), events).await.unwrap();
    let user = f.with_password(tenant, "signed-in@example.com").await;
    f.begin_session(tenant, user.id).await.unwrap();
    f.store.attempt_sign_in(&attempt_as(tenant, "nobody@example.com")).await.unwrap();
    f.store.invite_user(&system(tenant), user.id, f.secret()).await.unwrap();
    tenant
}

async fn remains(f: &Fixture, tenant: TenantId) -> u64 {
    f.store.recount(tenant).await.unwrap().unwrap().remains
}

/// Nothing of a tenant that is there is purged.
pub async fn who_is_there_is_left_alone(f: &Fixture) {
    let tenant = full_tenant(f, "Acme").await;
    let before = f.statistics(tenant).await;
    let purged = f.store.purge(1_000).await.unwrap();
    assert_eq!(purged, Purged { rows: 0, more: false });
    assert_eq!(f.statistics(tenant).await, before);
}

/// What deleted tenants leave goes bit by bit, and the books hold at every step.
pub async fn rows_go_in_small_steps(f: &Fixture) {
    let (one, two) = (full_tenant(f, "One").await, full_tenant(f, "Two").await);
    let here = full_tenant(f, "Here").await;
    let before = f.statistics(here).await;
    for tenant in [one, two] {
        f.store.govern_tenant(&system(tenant), Governance::Delete).await.unwrap();
    }
    let entries = f.entries(one).await;
    let mut left = remains(f, one).await + remains(f, two).await;
    // Of every kind at least one.
    assert!(left >= 2 * (6 + 1 + 1 + 2 + 2 + 2 + 1 + 2 + 1 + 1 + 1 + 2 + 2 + 1), "{left}");
    assert_exact(f).await;
    let mut steps = 0;
    loop {
        let purged = f.store.purge(4).await.unwrap();
        assert!(purged.rows <= 4);
        left -= purged.rows;
        assert_eq!(remains(f, one).await + remains(f, two).await, left);
        assert_exact(f).await;
        steps += 1;
        if !purged.more {
            break;
        }
    }
    assert_eq!(left, 0);
    assert!(steps > 8, "{steps}");
    for tenant in [one, two] {
        let recount = f.store.recount(tenant).await.unwrap().unwrap();
        assert_eq!((recount.rows, recount.purge_due), (Counts::default(), false));
    }
    // The ledger stays, and so does everybody else.
    assert_eq!(f.entries(one).await, entries);
    assert_eq!(f.statistics(here).await, before);
    assert_eq!(remains(f, here).await, 0);
    assert_eq!(f.store.purge(4).await.unwrap(), Purged { rows: 0, more: false });
}

/// Nothing comes back to a tenant that is gone.
pub async fn nothing_comes_back(f: &Fixture) {
    let tenant = full_tenant(f, "Acme").await;
    f.store.govern_tenant(&system(tenant), Governance::Delete).await.unwrap();
    assert!(!f.store.purge(1_000).await.unwrap().more);
    f.store.count_calls(Tally::from_iter([calls(tenant, 3, f.now())])).await.unwrap();
    assert_eq!(remains(f, tenant).await, 0);
}
