//! Changes that are to meet a thing in a certain state.

use tenantry_domain::access::TenantAccess;
use tenantry_domain::credential::CredentialPatch;
use tenantry_domain::error::{Conflict, Error};
use tenantry_domain::etag::{ETag, IfMatch};
use tenantry_domain::id::TenantId;
use tenantry_domain::oauth_client::{GrantType, OauthClientPatch};
use tenantry_domain::patch::Patch;
use tenantry_domain::tenant::{Governance, TenantPatch};
use tenantry_domain::user::{ExternalIdPatch, UserPatch};

use super::builders::{email, if_match, integration, name, system};
use super::harness::Fixture;

const ELSE: &str = "\"another\"";

fn only_if(tenant: TenantId, text: &str) -> TenantAccess {
    if_match(tenant, IfMatch::parse(text))
}

/// The tag of a thing, as in the header.
macro_rules! tag {
    ($thing:expr) => {
        ETag::of($thing).unwrap().to_string()
    };
}

/// Every change of a thing is refused in another state, and made in the one it means.
pub async fn a_change_meets_the_state_it_means(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let made = f.store.tenant(&only_if(tenant, "*")).await.unwrap();
    let (user, key) = (f.user(tenant, "ann@example.com").await, f.api_key(tenant, None).await);
    let (client, credential) = (f.oauth_client(tenant).await, f.credential(tenant, None).await);
    let (store, github) = (&f.store, integration());
    macro_rules! meet {
        ($thing:expr, $method:ident $(, $argument:expr)*) => {{
            let before = f.entries(tenant).await;
            let refused = store.$method(&only_if(tenant, ELSE) $(, $argument)*).await;
            assert_fault!(refused, Error::PreconditionFailed);
            let unreadable = store.$method(&only_if(tenant, "?") $(, $argument)*).await;
            assert_fault!(unreadable, Error::Malformed(_));
            assert_eq!(f.entries(tenant).await, before);
            let list = format!("{ELSE}, {}", tag!($thing));
            store.$method(&only_if(tenant, &list) $(, $argument)*).await.unwrap()
        }};
    }
    let renamed = TenantPatch { name: Some(name("Renamed")), ..TenantPatch::default() };
    let changed = meet!(&made, update_tenant, renamed.clone());
    assert_ne!(tag!(&changed), tag!(&made));
    let patch = UserPatch { name: Patch::Set(name("Ann")), ..UserPatch::default() };
    let user = meet!(&user, update_user, user.id, patch.clone()).value;
    meet!(&user, delete_user, user.id);
    meet!(&key, revoke_api_key, key.id);
    let patch = OauthClientPatch { name: Some(name("Renamed")), ..OauthClientPatch::default() };
    let client = meet!(&client, update_oauth_client, client.id, patch.clone());
    meet!(&client, delete_oauth_client, client.id);
    let patch = CredentialPatch { description: Patch::Clear, ..CredentialPatch::default() };
    let credential = meet!(&credential, update_credential, &github, credential.id, patch.clone());
    meet!(&credential, delete_credential, &github, credential.id);
    let erased = f.user(tenant, "ben@example.com").await;
    meet!(&erased, erase_user, erased.id);
    meet!(&changed, govern_tenant, Governance::Delete);
}

/// A change that changes nothing is refused in another state too; `*` is any state.
pub async fn any_state_is_a_state(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let nothing = TenantPatch::default;
    let refused = f.store.update_tenant(&only_if(tenant, ELSE), nothing()).await;
    assert_fault!(refused, Error::PreconditionFailed);
    f.store.update_tenant(&only_if(tenant, "*"), nothing()).await.unwrap();
    let nobody = f.new_user("nobody@example.com").id;
    let missing = f.store.delete_user(&only_if(tenant, "*"), nobody).await;
    assert_fault!(missing, Error::NotFound(_));
}

/// Somebody who was deleted and can still be erased is in no state that could be meant.
pub async fn who_is_gone_is_in_no_state(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = f.user(tenant, "ann@example.com").await;
    f.store.delete_user(&system(tenant), user.id).await.unwrap();
    let before = f.entries(tenant).await;
    for condition in ["*", &tag!(&user)] {
        let refused = f.store.erase_user(&only_if(tenant, condition), user.id).await;
        assert_fault!(refused, Error::PreconditionFailed);
    }
    let unreadable = f.store.erase_user(&only_if(tenant, "?"), user.id).await;
    assert_fault!(unreadable, Error::Malformed(_));
    assert_eq!(f.entries(tenant).await, before);
    f.store.erase_user(&system(tenant), user.id).await.unwrap();
}

/// What would be wrong with a change in any state is told before the state is looked at.
pub async fn a_condition_comes_last(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let (user, key) = (f.user(tenant, "ann@example.com").await, f.api_key(tenant, None).await);
    f.user(tenant, "ben@example.com").await;
    let client = f.oauth_client(tenant).await;
    f.store.revoke_api_key(&system(tenant), key.id).await.unwrap();
    let access = only_if(tenant, ELSE);
    let patch = UserPatch { email: Some(email("ben@example.com")), ..UserPatch::default() };
    let taken = f.store.update_user(&access, user.id, patch).await;
    assert_fault!(taken, Error::Conflict(Conflict::Email));
    let half = ExternalIdPatch { realm: Some("acme".to_owned()), subject: None };
    let patch = UserPatch { external_id: Patch::Set(half), ..UserPatch::default() };
    assert_fault!(f.store.update_user(&access, user.id, patch).await, Error::Invalid(_));
    let revoked = f.store.revoke_api_key(&access, key.id).await;
    assert_fault!(revoked, Error::Conflict(Conflict::AlreadyRevoked));
    let patch = OauthClientPatch {
        redirect_uris: Some(Vec::new()),
        grant_types: Some(vec![GrantType::AuthorizationCode]),
        ..OauthClientPatch::default()
    };
    let refused = f.store.update_oauth_client(&access, client.id, patch).await;
    assert_fault!(refused, Error::Invalid(_));
}

/// A tag says nothing of a thing that has changed since: of two who saw the same, one changes it.
pub async fn of_two_who_saw_the_same_one_changes_it(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = f.user(tenant, "ann@example.com").await;
    let access = only_if(tenant, &tag!(&user));
    let patch = |text| UserPatch { name: Patch::Set(name(text)), ..UserPatch::default() };
    let (one, other) = tokio::join!(
        f.store.update_user(&access, user.id, patch("One")),
        f.store.update_user(&access, user.id, patch("Other")),
    );
    assert_eq!(u8::from(one.is_ok()) + u8::from(other.is_ok()), 1);
}
