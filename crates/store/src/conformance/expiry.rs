//! Time as a writer: things expire by the clock alone, and the ledger catches up.

use std::sync::Arc;

use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::Counts;
use tenantry_domain::credential::{Credential, CredentialPatch};
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::{Action, ActorKind};
use tenantry_domain::patch::Patch;
use tokio::task::JoinSet;

use super::builders::{integration, system};
use super::harness::Fixture;
use crate::Settled;

/// The counts of credentials: active, expired.
fn credentials(active: u64, expired: u64) -> Counts {
    Counts { credentials_active: active, credentials_expired: expired, ..Counts::default() }
}

async fn move_expiry(
    f: &Fixture,
    tenant: TenantId,
    credential: &Credential,
    expires_at: Patch<Timestamp>,
) -> Credential {
    let patch = CredentialPatch { expires_at, ..CredentialPatch::default() };
    let access = system(tenant);
    f.store.update_credential(&access, &integration(), credential.id, patch).await.unwrap()
}

/// The instant of expiry is the first one at which a credential is expired, and no write is
/// needed for it. The entry that follows changes nothing.
pub async fn a_credential_expires_at_its_very_instant(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let credential = f.credential(tenant, Some(f.in_millis(1_000))).await;
    let entries = f.entries(tenant).await;
    f.clock.advance(999);
    assert_eq!(f.counts(tenant).await, credentials(1, 0));
    f.clock.advance(1);
    assert_eq!(f.counts(tenant).await, credentials(0, 1));
    assert_eq!(f.entries(tenant).await, entries);

    f.clock.advance(500);
    let settled = f.store.settle(10).await.unwrap();
    assert_eq!(settled, Settled { entries: 1, next_due: None });
    assert_eq!(f.counts(tenant).await, credentials(0, 1));
    let entry = f.newest_entry(tenant).await;
    assert_eq!((entry.action, entry.actor_kind), (Action::CredentialExpired, ActorKind::System));
    assert_eq!((Some(entry.at), entry.rows), (credential.expires_at, 1));
    assert_eq!(entry.counts, credentials(0, 1));
    assert_eq!(f.statistics(tenant).await.last_activity, None);
    assert_eq!(f.store.settle(10).await.unwrap(), Settled { entries: 0, next_due: None });
}

/// The next change appends what is due first, each at its own instant.
pub async fn a_change_settles_what_is_due(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let (first, second) = (f.in_millis(10), f.in_millis(20));
    f.credential(tenant, Some(second)).await;
    f.api_key(tenant, Some(second)).await;
    f.credential(tenant, Some(first)).await;
    f.credential(tenant, Some(f.in_millis(1_000))).await;
    f.clock.advance(30);
    f.user(tenant, "ann@example.com").await;
    let entries = f.entries(tenant).await;
    let told: Vec<_> = entries[5..].iter().map(|entry| (entry.at, entry.rows)).collect();
    assert_eq!(told, [(first, 1), (second, 1), (second, 1), (f.now(), 1)]);
    assert_eq!(entries[5].action, Action::CredentialExpired);
    let mut both = [entries[6].action.as_str(), entries[7].action.as_str()];
    both.sort_unstable();
    assert_eq!(both, ["API_KEY_EXPIRED", "CREDENTIAL_EXPIRED"]);
    assert_eq!(entries[8].action, Action::UserCreated);
    let counts = f.counts(tenant).await;
    assert_eq!((counts.credentials_active, counts.credentials_expired), (1, 2));
}

/// Before it expires, a credential's instant can be moved anywhere.
pub async fn an_expiry_to_come_can_be_moved(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let start = f.now();
    let make = async || f.credential(tenant, Some(start.plus_millis(100))).await;
    let (later, earlier, never, past) = (make().await, make().await, make().await, make().await);
    move_expiry(f, tenant, &later, Patch::Set(start.plus_millis(200))).await;
    move_expiry(f, tenant, &earlier, Patch::Set(start.plus_millis(50))).await;
    move_expiry(f, tenant, &never, Patch::Clear).await;
    assert_eq!(f.counts(tenant).await, credentials(4, 0));
    move_expiry(f, tenant, &past, Patch::Set(start)).await;
    for (millis, counts) in
        [(0, (3, 1)), (49, (3, 1)), (50, (2, 2)), (100, (2, 2)), (199, (2, 2)), (200, (1, 3))]
    {
        f.clock.set(start.plus_millis(millis));
        assert_eq!(f.counts(tenant).await, credentials(counts.0, counts.1), "after {millis} ms");
    }
    let settled = f.store.settle(10).await.unwrap();
    assert_eq!(settled, Settled { entries: 2, next_due: None });
    assert_eq!(f.counts(tenant).await, credentials(1, 3));
}

/// After it has expired, a credential can be brought back, whether its expiry has an entry or not.
pub async fn an_expired_credential_can_come_back(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let start = f.now();
    let settled = f.credential(tenant, Some(start.plus_millis(10))).await;
    let later = f.credential(tenant, Some(start.plus_millis(20))).await;
    let never = f.credential(tenant, Some(start.plus_millis(20))).await;
    let again = f.credential(tenant, Some(start.plus_millis(20))).await;
    f.clock.advance(10);
    f.store.settle(1).await.unwrap();
    f.clock.advance(20);
    assert_eq!(f.counts(tenant).await, credentials(0, 4));
    move_expiry(f, tenant, &settled, Patch::Set(f.in_millis(5))).await;
    assert_eq!(f.counts(tenant).await, credentials(1, 3));
    move_expiry(f, tenant, &later, Patch::Set(f.in_millis(5))).await;
    move_expiry(f, tenant, &never, Patch::Clear).await;
    assert_eq!(f.counts(tenant).await, credentials(3, 1));
    move_expiry(f, tenant, &again, Patch::Set(f.in_millis(-1))).await;
    assert_eq!(f.counts(tenant).await, credentials(3, 1));
    f.clock.advance(5);
    assert_eq!(f.counts(tenant).await, credentials(1, 3));
    let history = f.store.counts_at(&system(tenant), start.plus_millis(20)).await.unwrap();
    assert_eq!(history, Some(credentials(0, 4)));
}

/// A change of something else leaves an expired credential expired.
pub async fn other_changes_leave_it_expired(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let credential = f.credential(tenant, Some(f.in_millis(10))).await;
    f.clock.advance(20);
    let patch = CredentialPatch { description: Patch::Clear, ..CredentialPatch::default() };
    let access = system(tenant);
    f.store.update_credential(&access, &integration(), credential.id, patch).await.unwrap();
    assert_eq!(f.counts(tenant).await, credentials(0, 1));
}

/// An expired credential is removed from the expired ones, whether its expiry has an entry or
/// not.
pub async fn an_expired_credential_can_be_removed(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let settled = f.credential(tenant, Some(f.in_millis(10))).await;
    let unsettled = f.credential(tenant, Some(f.in_millis(20))).await;
    let to_come = f.credential(tenant, Some(f.in_millis(1_000))).await;
    f.clock.advance(10);
    f.store.settle(1).await.unwrap();
    f.clock.advance(20);
    for (credential, left) in
        [(settled, credentials(1, 1)), (unsettled, credentials(1, 0)), (to_come, credentials(0, 0))]
    {
        let access = system(tenant);
        f.store.delete_credential(&access, &integration(), credential.id).await.unwrap();
        assert_eq!(f.counts(tenant).await, left);
    }
    f.clock.advance(1_000);
    assert_eq!(f.counts(tenant).await, credentials(0, 0));
    assert_eq!(f.store.settle(10).await.unwrap(), Settled { entries: 0, next_due: None });
}

/// What is made with an instant in the past is expired from the start, with no entry of its own.
pub async fn a_credential_can_be_made_expired(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    f.credential(tenant, Some(f.now())).await;
    f.credential(tenant, Some(f.in_millis(-1))).await;
    assert_eq!(f.counts(tenant).await, credentials(0, 2));
    assert_eq!(f.store.settle(10).await.unwrap(), Settled { entries: 0, next_due: None });
}

/// However many things expire at one instant: one entry says so.
pub async fn a_thousand_at_once_are_one_entry(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let due = f.in_millis(1_000);
    let mut tasks = JoinSet::new();
    for _ in 0..1_000 {
        let (store, new) = (Arc::clone(&f.store), f.new_credential(Some(due)));
        tasks.spawn(async move { store.create_credential(&system(tenant), new).await.unwrap() });
    }
    tasks.join_all().await;
    assert_eq!(f.counts(tenant).await, credentials(1_000, 0));
    f.clock.set(due);
    assert_eq!(f.counts(tenant).await, credentials(0, 1_000));
    let settled = f.store.settle(1).await.unwrap();
    assert_eq!(settled, Settled { entries: 1, next_due: None });
    let entry = f.newest_entry(tenant).await;
    assert_eq!((entry.action, entry.rows), (Action::CredentialExpired, 1_000));
    assert_eq!((entry.at, entry.counts), (due, credentials(0, 1_000)));
    assert_eq!(f.counts(tenant).await, credentials(0, 1_000));
}

/// Settling stops at its limit and says when to come again; which tenant goes first is the store's
/// own business.
pub async fn settling_is_bounded(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    let start = f.now();
    let due = |millis| Some(start.plus_millis(millis));
    f.credential(tenant, due(10)).await;
    f.api_key(other, due(20)).await;
    f.credential(tenant, due(30)).await;
    f.credential(other, due(1_000)).await;
    let settle = async |limit| f.store.settle(limit).await.unwrap();
    assert_eq!(settle(10).await, Settled { entries: 0, next_due: due(10) });
    f.clock.advance(100);
    let settled = settle(2).await;
    assert_eq!(settled.entries, 2);
    assert!(settled.next_due <= Some(f.now()), "{settled:?}");
    assert_eq!(settle(2).await, Settled { entries: 1, next_due: due(1_000) });
    assert_eq!(settle(2).await, Settled { entries: 0, next_due: due(1_000) });
    assert_eq!(f.counts(tenant).await, credentials(0, 2));
    f.clock.set(start.plus_millis(1_000));
    assert_eq!(settle(2).await, Settled { entries: 1, next_due: None });
}

/// A tenant of which much has expired does not keep the others waiting, and no call is in vain.
pub async fn each_tenant_has_its_share(f: &Fixture) {
    let (much, little) = (f.tenant("Much").await, f.tenant("Little").await);
    for millis in 1..=20 {
        f.credential(much, Some(f.in_millis(millis))).await;
    }
    f.credential(little, Some(f.in_millis(30))).await;
    f.credential(little, Some(f.in_millis(1_000))).await;
    f.clock.advance(100);
    let settled = f.store.settle(4).await.unwrap();
    assert!((2..=4).contains(&settled.entries), "{settled:?}");
    assert_eq!(f.newest_entry(little).await.action, Action::CredentialExpired);
    assert_eq!(f.newest_entry(much).await.action, Action::CredentialExpired);
    let mut next = settled.next_due;
    while next <= Some(f.now()) {
        let settled = f.store.settle(4).await.unwrap();
        assert!(settled.entries > 0, "{settled:?}");
        next = settled.next_due;
    }
    assert_eq!(next, Some(f.in_millis(900)));
    assert_eq!(f.counts(much).await, credentials(0, 20));
}

/// What expires at one instant is settled as a whole, whatever the limit.
pub async fn an_instant_is_settled_as_a_whole(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let due = f.in_millis(10);
    f.api_key(tenant, Some(due)).await;
    f.credential(tenant, Some(due)).await;
    f.credential(tenant, Some(f.in_millis(11))).await;
    f.clock.advance(100);
    let settled = f.store.settle(1).await.unwrap();
    assert_eq!(settled.entries, 2);
    super::harness::assert_exact(f).await;
    assert_eq!(f.store.settle(1).await.unwrap().entries, 1);
}

/// What expires while a change is under way, after its instant was taken, is in the next read and
/// gets its entry: what was there, and the very thing that is made.
pub async fn what_expires_during_a_change_is_not_lost(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let access = system(tenant);
    for change in 0..3 {
        let (due, before) = (f.in_millis(5), f.counts(tenant).await);
        f.credential(tenant, Some(due)).await;
        f.api_key(tenant, Some(due)).await;
        let (credential, key) = (f.new_credential(Some(due)), f.new_api_key(Some(due)));
        let client = f.new_oauth_client();
        f.clock.tick(10);
        match change {
            0 => drop(f.store.create_oauth_client(&access, client).await.unwrap()),
            1 => drop(f.store.create_credential(&access, credential).await.unwrap()),
            _ => drop(f.store.create_api_key(&access, key).await.unwrap()),
        }
        f.clock.tick(0);
        let change_at = f.newest_entry(tenant).await.at;
        assert!(change_at < due && due <= f.now(), "{change_at} < {due} <= {}", f.now());
        let after = f.counts(tenant).await;
        let expired = |counts: Counts| (counts.credentials_expired, counts.api_keys_expired);
        let (credentials, keys) = (1 + u64::from(change == 1), 1 + u64::from(change == 2));
        assert_eq!(
            expired(after),
            (before.credentials_expired + credentials, before.api_keys_expired + keys)
        );
        assert_eq!((after.credentials_active, after.api_keys_active), (0, 0));
        assert_eq!(f.store.settle(10).await.unwrap(), Settled { entries: 2, next_due: None });
        let entry = f.newest_entry(tenant).await;
        assert_eq!((entry.at, entry.counts), (due, after));
        assert_eq!(f.counts(tenant).await, after);
    }
}
