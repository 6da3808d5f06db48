//! API keys: active, expired, revoked.

use tenantry_domain::api_key::ApiKeyStatus;
use tenantry_domain::counts::Counts;
use tenantry_domain::error::{Conflict, Error, Missing};
use tenantry_domain::id::ApiKeyId;
use tenantry_domain::ledger::Action;

use super::builders::system;
use super::harness::Fixture;

/// The counts of API keys: active, expired, revoked.
fn keys(active: u64, expired: u64, revoked: u64) -> Counts {
    Counts {
        api_keys_active: active,
        api_keys_expired: expired,
        api_keys_revoked: revoked,
        ..Counts::default()
    }
}

/// A key is made, read and revoked for good; revoked ones stay in the total.
pub async fn each_step_is_counted(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let access = system(tenant);
    let new = f.new_api_key(Some(f.in_millis(1_000)));
    let made = f.store.create_api_key(&access, new.clone()).await.unwrap();
    assert_eq!(made, new.into_api_key(f.now()));
    assert_eq!(f.store.api_key(&access, made.id).await.unwrap(), made);
    assert_eq!(f.counts(tenant).await, keys(1, 0, 0));
    f.api_key(tenant, None).await;
    assert_eq!(f.counts(tenant).await, keys(2, 0, 0));

    f.clock.advance(10);
    let revoked = f.store.revoke_api_key(&access, made.id).await.unwrap();
    assert_eq!(revoked.revoked_at, Some(f.now()));
    assert_eq!(f.store.api_key(&access, made.id).await.unwrap(), revoked);
    assert_eq!(f.counts(tenant).await, keys(1, 0, 1));
    assert_eq!(f.counts(tenant).await.api_keys(), 2);
    let entry = f.newest_entry(tenant).await;
    assert_eq!((entry.action, entry.resource_id), (Action::ApiKeyRevoked, made.id.to_string()));

    f.clock.advance(10);
    let before = f.statistics(tenant).await;
    let again = f.store.revoke_api_key(&access, made.id).await;
    assert_fault!(again, Error::Conflict(Conflict::AlreadyRevoked));
    assert_eq!(f.store.api_key(&access, made.id).await.unwrap(), revoked);
    assert_eq!(f.statistics(tenant).await, before);

    let unknown = ApiKeyId::generate(f.now(), f.entropy.as_ref());
    assert_fault!(f.store.api_key(&access, unknown).await, Error::NotFound(Missing::ApiKey));
    let result = f.store.revoke_api_key(&access, unknown).await;
    assert_fault!(result, Error::NotFound(Missing::ApiKey));
}

/// A key expires at its instant by the clock alone, and stays an expired one.
pub async fn a_key_expires_by_the_clock_alone(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let key = f.api_key(tenant, Some(f.in_millis(1_000))).await;
    let seq = f.statistics(tenant).await.ledger_seq;
    f.clock.advance(999);
    assert_eq!(f.counts(tenant).await, keys(1, 0, 0));
    f.clock.advance(1);
    assert_eq!(f.counts(tenant).await, keys(0, 1, 0));
    assert_eq!(f.entries(tenant).await.len() as u64, seq);

    f.clock.advance(50);
    assert_eq!(f.store.settle(10).await.unwrap().entries, 1);
    assert_eq!(f.counts(tenant).await, keys(0, 1, 0));
    let entry = f.newest_entry(tenant).await;
    assert_eq!((entry.action, entry.rows), (Action::ApiKeyExpired, 1));
    assert_eq!((Some(entry.at), entry.counts), (key.expires_at, keys(0, 1, 0)));
}

/// A key that is made with an instant in the past is expired from the start.
pub async fn a_key_can_be_made_expired(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    for millis in [0, -1] {
        let key = f.api_key(tenant, Some(f.in_millis(millis))).await;
        assert_eq!(key.status(f.now()), ApiKeyStatus::Expired);
    }
    assert_eq!(f.counts(tenant).await, keys(0, 2, 0));
    assert_eq!(f.store.settle(10).await.unwrap().entries, 0);
    assert_eq!(f.counts(tenant).await, keys(0, 2, 0));
}

/// Revoking an expired key makes it a revoked one, whether its expiry has an entry or not.
pub async fn an_expired_key_can_be_revoked(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let settled = f.api_key(tenant, Some(f.in_millis(10))).await;
    let unsettled = f.api_key(tenant, Some(f.in_millis(20))).await;
    f.clock.advance(10);
    f.store.settle(10).await.unwrap();
    f.clock.advance(20);
    assert_eq!(f.counts(tenant).await, keys(0, 2, 0));
    f.store.revoke_api_key(&system(tenant), settled.id).await.unwrap();
    assert_eq!(f.counts(tenant).await, keys(0, 1, 1));
    f.store.revoke_api_key(&system(tenant), unsettled.id).await.unwrap();
    assert_eq!(f.counts(tenant).await, keys(0, 0, 2));
    let expired = Action::ApiKeyExpired;
    let actions = f.actions(tenant).await;
    assert_eq!(actions.iter().filter(|action| **action == expired).count(), 2);
}

/// A revoked key that is past its expiry is revoked, and its expiry is no event.
pub async fn a_revoked_key_does_not_expire(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let key = f.api_key(tenant, Some(f.in_millis(10))).await;
    f.store.revoke_api_key(&system(tenant), key.id).await.unwrap();
    f.clock.advance(20);
    assert_eq!(f.counts(tenant).await, keys(0, 0, 1));
    let settled = f.store.settle(10).await.unwrap();
    assert_eq!((settled.entries, settled.next_due), (0, None));
    assert_eq!(f.counts(tenant).await, keys(0, 0, 1));
    assert_eq!(f.newest_entry(tenant).await.action, Action::ApiKeyRevoked);
}
