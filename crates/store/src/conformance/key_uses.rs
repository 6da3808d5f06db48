//! When and from where the texts of API keys were last used.

use std::sync::Arc;

use tenantry_domain::api_key::{ApiKey, ApiKeyFilter, KeySecret, KeyUse, LastUse, SecretHash};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::id::TenantId;
use tenantry_domain::page::PageRequest;
use tenantry_domain::tenant::Governance;
use tenantry_domain::usage::{Call, Tally};

use super::Fixture;
use super::builders::{all, own, system};

/// A key with the hash of its secret.
async fn made(f: &Fixture, tenant: TenantId) -> (ApiKey, SecretHash) {
    let new = f.new_api_key(None);
    let hash = new.secret_hash;
    (f.store.create_api_key(&system(tenant), new).await.unwrap(), hash)
}

fn used(tenant: TenantId, key: &ApiKey, secret: SecretHash, at: Timestamp, from: &str) -> Call {
    let call = Call::new(tenant, at, true);
    let last = LastUse { at, from: Some(from.parse().unwrap()) };
    call.note_use(KeyUse { tenant, key: key.id, secret, last });
    call
}

async fn secrets(f: &Fixture, tenant: TenantId, key: &ApiKey) -> Vec<KeySecret> {
    f.store.api_key(&system(tenant), key.id).await.unwrap().secrets
}

/// Where and when each text was used, the newest first.
async fn uses(f: &Fixture, tenant: TenantId, key: &ApiKey) -> Vec<Option<(Timestamp, String)>> {
    let told = |it: KeySecret| it.last_use.map(|it| (it.at, it.from.unwrap().to_string()));
    secrets(f, tenant, key).await.into_iter().map(told).collect()
}

/// Each text has its newest use, however the uses come, and the key the newest of all.
pub async fn each_text_has_its_newest_use(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    let (key, old) = made(f, tenant).await;
    let (bystander, _) = made(f, tenant).await;
    assert_eq!(uses(f, tenant, &key).await, [None]);
    let rotation = f.rotation(60);
    let new = rotation.secret_hash;
    f.clock.advance(10);
    f.store.rotate_api_key(&system(tenant), key.id, rotation).await.unwrap();
    assert_eq!(uses(f, tenant, &key).await, [None, None]);
    let shown = secrets(f, tenant, &key).await;
    assert_eq!((shown[0].prefix.as_str(), shown[1].prefix.as_str()), ("tnt_efgh", "tnt_abcd"));
    assert_eq!((shown[0].created_at, shown[1].created_at), (f.now(), key.created_at));
    assert_eq!((shown[0].ends_at, shown[1].ends_at), (None, Some(f.in_millis(60_000))));

    let (at, later) = (f.in_millis(100), f.in_millis(200));
    let count = async |calls: &[&Call]| {
        let mut tally = Tally::default();
        for call in calls {
            tally.add(call);
        }
        f.store.count_calls(tally).await.unwrap();
    };
    // In a batch, and from one to the next, the newest stands.
    let early = used(tenant, &key, old, at, "192.0.2.1");
    let late = used(tenant, &key, old, later, "192.0.2.2");
    count(&[&late, &early, &used(tenant, &key, new, at, "2001:db8::7")]).await;
    count(&[&early]).await;
    let newest = |at, from: &str| Some((at, from.to_owned()));
    let seen = [newest(at, "2001:db8::7"), newest(later, "192.0.2.2")];
    assert_eq!(uses(f, tenant, &key).await, seen);
    assert_eq!(uses(f, tenant, &bystander).await, [None]);

    // In a list it is the key's.
    let page: PageRequest<ApiKey> = all();
    let listed =
        f.store.list_api_keys(&system(tenant), ApiKeyFilter::default(), &page).await.unwrap();
    let last_use = |id| listed.items.iter().find(|it| it.id == id).unwrap().last_used_at;
    assert_eq!((last_use(key.id), last_use(bystander.id)), (Some(later), None));
    let details = f.store.api_key(&system(tenant), key.id).await.unwrap();
    assert_eq!(details.api_key.last_used_at, Some(later));
    // Somebody else's call says nothing of it, whichever key it names.
    count(&[&used(other, &key, old, f.in_millis(900), "192.0.2.9")]).await;
    assert_eq!(uses(f, tenant, &key).await, seen);
}

/// A use by a call that is a change is noted with the change, or not at all.
pub async fn a_change_notes_the_use_of_its_key(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let (key, secret) = made(f, tenant).await;
    let at = f.in_millis(5);
    let call = Arc::new(used(tenant, &key, secret, at, "192.0.2.1"));
    let access = own(tenant, Some(&call));
    let taken = f.user(tenant, "ann@example.com").await;
    let again = f.new_user(&taken.email.to_string());
    f.store.create_user(&access, again).await.unwrap_err();
    assert_eq!(uses(f, tenant, &key).await, [None]);
    f.store.create_user(&access, f.new_user("ben@example.com")).await.unwrap();
    assert_eq!(uses(f, tenant, &key).await, [Some((at, "192.0.2.1".to_owned()))]);
    // A later one elsewhere, and one that comes late.
    let later = used(tenant, &key, secret, f.in_millis(7), "192.0.2.2");
    f.store.count_calls(Tally::of(&later)).await.unwrap();
    let late = Arc::new(used(tenant, &key, secret, f.in_millis(6), "192.0.2.3"));
    f.store.create_user(&own(tenant, Some(&late)), f.new_user("cat@example.com")).await.unwrap();
    assert_eq!(uses(f, tenant, &key).await, [Some((f.in_millis(7), "192.0.2.2".to_owned()))]);
}

/// Nothing comes back of a tenant that is gone, and nothing is left of it.
pub async fn uses_go_with_their_tenant(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let (key, secret) = made(f, tenant).await;
    let call = used(tenant, &key, secret, f.now(), "192.0.2.1");
    f.store.count_calls(Tally::of(&call)).await.unwrap();
    let change = Arc::new(used(tenant, &key, secret, f.now(), "192.0.2.1"));
    f.store.create_user(&own(tenant, Some(&change)), f.new_user("ann@example.com")).await.unwrap();
    f.store.govern_tenant(&system(tenant), Governance::Delete).await.unwrap();
    f.store.count_calls(Tally::of(&call)).await.unwrap();
    while f.store.purge(1_000).await.unwrap().more {}
    assert_eq!(f.store.recount(tenant).await.unwrap().unwrap().remains, 0);
}

/// Only when nobody would notice is a text safe to drop.
pub async fn what_is_safe_to_drop(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let (key, old) = made(f, tenant).await;
    let rotation = f.rotation(7 * 24 * 3_600);
    let new = rotation.secret_hash;
    let note = async |secret, at| {
        let call = used(tenant, &key, secret, at, "192.0.2.1");
        f.store.count_calls(Tally::of(&call)).await.unwrap();
    };
    let safe = async || {
        let details = f.store.api_key(&system(tenant), key.id).await.unwrap();
        let safe = details.secrets.iter().map(|it| details.is_safe_to_drop(it, f.now()));
        safe.collect::<Vec<_>>()
    };
    note(old, f.now()).await;
    assert_eq!(safe().await, [false]);
    f.clock.advance(10);
    f.store.rotate_api_key(&system(tenant), key.id, rotation).await.unwrap();
    assert_eq!(safe().await, [false, true]);
    // Somebody still uses it.
    f.clock.advance(10);
    note(old, f.now()).await;
    assert_eq!(safe().await, [false, false]);
    f.clock.advance(10);
    note(new, f.now()).await;
    f.clock.advance(24 * 3_600_000 - 11);
    assert_eq!(safe().await, [false, false]);
    f.clock.advance(1);
    assert_eq!(safe().await, [false, true]);
    // Quiet is not enough where nobody uses the newer one.
    note(old, f.now()).await;
    f.clock.advance(2 * 24 * 3_600_000);
    assert_eq!(safe().await, [false, false]);
    f.clock.advance(7 * 24 * 3_600_000);
    assert_eq!(safe().await, [false, true]);
}
