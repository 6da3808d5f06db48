//! API keys: active, expired, revoked.

use tenantry_domain::api_key::{
    ApiKey, ApiKeyStatus, GRACE_MAX_SECONDS, KeyRefusal, RotatedApiKey, SecretHash,
};
use tenantry_domain::counts::Counts;
use tenantry_domain::error::{Conflict, Error, Missing};
use tenantry_domain::id::{ApiKeyId, TenantId};
use tenantry_domain::ledger::Action;
use tenantry_domain::tenant::Governance;
use tenantry_domain::usage::Tally;

use super::builders::{calls, own, system};
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
    assert_eq!(f.store.api_key(&access, made.id).await.unwrap().api_key, made);
    assert_eq!(f.counts(tenant).await, keys(1, 0, 0));
    f.api_key(tenant, None).await;
    assert_eq!(f.counts(tenant).await, keys(2, 0, 0));

    f.clock.advance(10);
    let revoked = f.store.revoke_api_key(&access, made.id).await.unwrap();
    assert_eq!(revoked.revoked_at, Some(f.now()));
    assert_eq!(f.store.api_key(&access, made.id).await.unwrap().api_key, revoked);
    assert_eq!(f.counts(tenant).await, keys(1, 0, 1));
    assert_eq!(f.counts(tenant).await.api_keys(), 2);
    let entry = f.newest_entry(tenant).await;
    assert_eq!((entry.action, entry.resource_id), (Action::ApiKeyRevoked, made.id.to_string()));

    f.clock.advance(10);
    let before = f.statistics(tenant).await;
    let again = f.store.revoke_api_key(&access, made.id).await;
    assert_fault!(again, Error::Conflict(Conflict::AlreadyRevoked));
    assert_eq!(f.store.api_key(&access, made.id).await.unwrap().api_key, revoked);
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

/// A key with the hash of its secret.
async fn key_with_secret(f: &Fixture, tenant: TenantId) -> (ApiKey, SecretHash) {
    let new = f.new_api_key(None);
    let hash = new.secret_hash;
    (f.store.create_api_key(&system(tenant), new).await.unwrap(), hash)
}

/// Rotates a key; answers it and the hash of its new secret.
async fn rotate(
    f: &Fixture,
    tenant: TenantId,
    id: ApiKeyId,
    grace_seconds: u32,
) -> (RotatedApiKey, SecretHash) {
    let rotation = f.rotation(grace_seconds);
    let hash = rotation.secret_hash;
    (f.store.rotate_api_key(&system(tenant), id, rotation).await.unwrap(), hash)
}

/// Why a secret is not good, if it is not.
async fn refusal(f: &Fixture, tenant: TenantId, hash: SecretHash) -> Option<KeyRefusal> {
    f.presented(tenant, hash).await.unwrap().1
}

/// A key is found by its secret, within its tenant, as it is now.
pub async fn a_secret_leads_to_its_key(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    let (key, hash) = key_with_secret(f, tenant).await;
    key_with_secret(f, tenant).await;
    f.clock.advance(10);
    let (found, refusal_of) = f.presented(tenant, hash).await.unwrap();
    assert_eq!(
        (found.id, &found.scopes, &found.ip_allowlist),
        (key.id, &key.scopes, &key.ip_allowlist)
    );
    assert_eq!((found.secret_ends_at, refusal_of), (None, None));

    assert_eq!(f.presented(other, hash).await, None);
    assert_eq!(f.presented(tenant, SecretHash([7; 32])).await, None);
    let unknown = f.new_tenant("never made").id;
    assert_eq!(f.presented(unknown, hash).await, None);

    let govern = async |act| f.store.govern_tenant(&system(tenant), act).await.unwrap();
    govern(Governance::Suspend).await;
    assert_eq!(refusal(f, tenant, hash).await, Some(KeyRefusal::TenantSuspended));
    govern(Governance::Activate).await;
    assert_eq!(refusal(f, tenant, hash).await, None);
    govern(Governance::Delete).await;
    assert_eq!(f.presented(tenant, hash).await, None);
}

/// A secret is good until its key's very instant, and by a clock that never goes back.
pub async fn a_secret_is_good_until_its_key_expires(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let new = f.new_api_key(Some(f.in_millis(1_000)));
    let hash = new.secret_hash;
    f.store.create_api_key(&system(tenant), new).await.unwrap();
    f.clock.advance(999);
    assert_eq!(refusal(f, tenant, hash).await, None);
    f.clock.advance(1);
    assert_eq!(refusal(f, tenant, hash).await, Some(KeyRefusal::Expired));
    f.store.count_calls(Tally::from_iter([calls(tenant, 1, f.now())])).await.unwrap();
    f.clock.advance(-500);
    assert_eq!(refusal(f, tenant, hash).await, Some(KeyRefusal::Expired));
}

/// Without grace the new secret ends the old one at once; the key stays one key.
pub async fn a_rotation_replaces_the_secret(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let (key, old) = key_with_secret(f, tenant).await;
    f.clock.advance(10);
    let call = f.call(tenant);
    let rotation = f.rotation(0);
    let new = rotation.secret_hash;
    let access = own(tenant, Some(&call));
    let rotated = f.store.rotate_api_key(&access, key.id, rotation).await.unwrap();
    assert!(call.is_counted());
    assert_eq!(rotated.grace_ends_at, f.now());
    let expected = ApiKey { prefix: "tnt_efgh".to_owned(), ..key.clone() };
    assert_eq!(rotated.api_key, expected);
    assert_eq!(f.store.api_key(&access, key.id).await.unwrap().api_key, expected);
    assert_eq!(refusal(f, tenant, old).await, Some(KeyRefusal::RotatedOut));
    assert_eq!(refusal(f, tenant, new).await, None);
    assert_eq!(f.counts(tenant).await, keys(1, 0, 0));

    let entry = f.newest_entry(tenant).await;
    assert_eq!((entry.action, entry.resource_id), (Action::ApiKeyRotated, key.id.to_string()));
    assert_eq!(entry.counts, keys(1, 0, 0));
    let details = entry.details.clear.unwrap().json;
    assert!(details.contains("tnt_efgh") && details.contains("graceEndsAt"), "{details}");
}

/// In grace both secrets are good, to the very instant, and the key is one key.
pub async fn an_old_secret_lives_to_the_end_of_its_grace(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let (key, old) = key_with_secret(f, tenant).await;
    let (rotated, new) = rotate(f, tenant, key.id, 60).await;
    assert_eq!(rotated.grace_ends_at, f.in_millis(60_000));
    let before = f.entries(tenant).await.len();
    f.clock.advance(59_999);
    for hash in [old, new] {
        assert_eq!(refusal(f, tenant, hash).await, None);
    }
    assert_eq!(f.counts(tenant).await, keys(1, 0, 0));
    f.clock.advance(1);
    assert_eq!(refusal(f, tenant, old).await, Some(KeyRefusal::RotatedOut));
    assert_eq!(refusal(f, tenant, new).await, None);
    // The end of a grace is no event.
    assert_eq!(f.store.settle(10).await.unwrap().entries, 0);
    assert_eq!(f.entries(tenant).await.len(), before);
}

/// A key has at most one secret beside its newest.
pub async fn another_rotation_ends_the_grace_before(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let (key, first) = key_with_secret(f, tenant).await;
    let (bystander, other) = key_with_secret(f, tenant).await;
    let (_, other_new) = rotate(f, tenant, bystander.id, 60).await;
    let (_, second) = rotate(f, tenant, key.id, GRACE_MAX_SECONDS).await;
    f.clock.advance(10);
    let (_, third) = rotate(f, tenant, key.id, 1).await;
    assert_eq!(refusal(f, tenant, first).await, Some(KeyRefusal::RotatedOut));
    for hash in [second, third, other, other_new] {
        assert_eq!(refusal(f, tenant, hash).await, None);
    }
    f.clock.advance(1_000);
    assert_eq!(refusal(f, tenant, second).await, Some(KeyRefusal::RotatedOut));
    // A grace that is over does not begin again.
    let (_, fourth) = rotate(f, tenant, key.id, 60).await;
    for hash in [first, second] {
        assert_eq!(refusal(f, tenant, hash).await, Some(KeyRefusal::RotatedOut));
    }
    for hash in [third, fourth] {
        assert_eq!(refusal(f, tenant, hash).await, None);
    }
    assert_eq!(f.counts(tenant).await, keys(2, 0, 0));
}

/// Revoking a key in grace ends both of its secrets.
pub async fn revoking_ends_every_secret(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let (key, old) = key_with_secret(f, tenant).await;
    let (_, new) = rotate(f, tenant, key.id, 60).await;
    f.store.revoke_api_key(&system(tenant), key.id).await.unwrap();
    for hash in [old, new] {
        assert_eq!(refusal(f, tenant, hash).await, Some(KeyRefusal::Revoked));
    }
    assert_eq!(f.counts(tenant).await, keys(0, 0, 1));
}

/// A key that is over gets no new secret, and nothing happens.
pub async fn what_is_over_is_not_rotated(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let access = system(tenant);
    let (revoked, _) = key_with_secret(f, tenant).await;
    f.store.revoke_api_key(&access, revoked.id).await.unwrap();
    let expiring = f.api_key(tenant, Some(f.in_millis(10))).await;
    f.clock.advance(10);
    f.store.settle(10).await.unwrap();
    let before = f.statistics(tenant).await;
    let attempt = async |id| f.store.rotate_api_key(&access, id, f.rotation(60)).await;
    assert_fault!(attempt(revoked.id).await, Error::Conflict(Conflict::AlreadyRevoked));
    assert_fault!(attempt(expiring.id).await, Error::Conflict(Conflict::ApiKeyExpired));
    let unknown = ApiKeyId::generate(f.now(), f.entropy.as_ref());
    assert_fault!(attempt(unknown).await, Error::NotFound(Missing::ApiKey));
    assert_eq!(f.statistics(tenant).await, before);
    assert_eq!(f.store.api_key(&access, expiring.id).await.unwrap().api_key, expiring);
}
