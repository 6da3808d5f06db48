//! Tokens that are ended before their time, and clients that call with theirs.

use std::sync::Arc;

use tenantry_domain::access::{Bearer, BearerId, CallerProbe, CallerState, TokenIds};
use tenantry_domain::api_key::SecretHash;
use tenantry_domain::error::{Conflict, Error};
use tenantry_domain::id::{OauthClientId, SessionId, TenantId, TokenId};
use tenantry_domain::ledger::Action;
use tenantry_domain::oauth_client::{ClientKeys, ClientStatus, OauthClientPatch};
use tenantry_domain::tenant::{Governance, TenantStatus};
use tenantry_domain::token::EndedToken;

use super::Fixture;
use super::builders::{own, system};

/// The key that has signed them.
const KID: &str = "first";

fn ids(f: &Fixture, session: Option<SessionId>) -> TokenIds {
    TokenIds { id: TokenId::generate(f.now(), f.entropy.as_ref()), session, key: KID.into() }
}

async fn is_ended(f: &Fixture, tenant: TenantId, token: &TokenIds) -> bool {
    let probe = CallerProbe { token: Some(token.clone()), ..CallerProbe::of_tenant(tenant) };
    let state = f.store.caller_state(&probe).await.unwrap();
    let (with_statistics, _) = f.store.statistics(&probe, tenant).await.unwrap();
    assert_eq!(with_statistics, state);
    state.is_ended
}

/// A token is ended from the next request on, by itself or with its session, and nobody else's is.
pub async fn what_was_ended_is_known_at_once(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    let session = SessionId::generate(f.now(), f.entropy.as_ref());
    let (one, two, of_session) = (ids(f, None), ids(f, None), ids(f, Some(session)));
    f.first_signing_key(KID).await;
    for token in [&one, &two, &of_session] {
        assert!(!is_ended(f, tenant, token).await);
    }
    let end = async |id, is_told| {
        let token = EndedToken { id, expires_at: f.in_millis(1_000), is_told };
        f.store.end_token(&system(tenant), token).await.unwrap()
    };
    assert!(end(one.id.as_uuid(), true).await);
    assert!(is_ended(f, tenant, &one).await);
    assert!(!is_ended(f, tenant, &two).await && !is_ended(f, tenant, &of_session).await);
    assert!(!is_ended(f, other, &one).await);
    let entry = f.newest_entry(tenant).await;
    assert_eq!((entry.action, entry.resource_id), (Action::TokenRevoked, one.id.to_string()));

    // A second time nothing happens, and what nobody is to be told of leaves no entry.
    let before = f.entries(tenant).await.len();
    assert!(!end(one.id.as_uuid(), true).await);
    assert!(end(session.as_uuid(), false).await);
    assert_eq!(f.entries(tenant).await.len(), before);
    assert!(is_ended(f, tenant, &of_session).await && !is_ended(f, tenant, &two).await);
}

/// What has ended by itself since need not be remembered.
pub async fn what_is_over_is_forgotten(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    f.first_signing_key(KID).await;
    let (early, late) = (ids(f, None), ids(f, None));
    for (token, millis) in [(&early, 1_000), (&late, 2_000)] {
        let expires_at = f.in_millis(millis);
        let token = EndedToken { id: token.id.as_uuid(), expires_at, is_told: true };
        f.store.end_token(&system(tenant), token).await.unwrap();
    }
    f.clock.advance(999);
    assert_eq!(f.store.forget_ended_tokens(10).await.unwrap(), 0);
    f.clock.advance(1);
    assert_eq!(f.store.forget_ended_tokens(10).await.unwrap(), 1);
    assert!(is_ended(f, tenant, &late).await);
    f.clock.advance(1_000);
    assert_eq!(f.store.forget_ended_tokens(10).await.unwrap(), 1);
    assert_eq!(f.store.forget_ended_tokens(10).await.unwrap(), 0);
}

/// What was ended goes with its tenant.
pub async fn nothing_is_left_of_a_tenant(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let token =
        EndedToken { id: ids(f, None).id.as_uuid(), expires_at: f.in_millis(1_000), is_told: true };
    f.store.end_token(&own(tenant, Some(&f.call(tenant))), token).await.unwrap();
    f.store.govern_tenant(&system(tenant), Governance::Delete).await.unwrap();
    while f.store.purge(1_000).await.unwrap().more {}
    assert_eq!(f.store.recount(tenant).await.unwrap().unwrap().remains, 0);
}

/// A client that calls is known as it is now.
pub async fn clients_are_known_as_they_are_now(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    let client = f.store.create_oauth_client(&system(tenant), f.new_oauth_client()).await.unwrap();
    let state = async |tenant| {
        let probe = CallerProbe { tenant, bearer: Some(BearerId::Client(client.id)), token: None };
        let state = f.store.caller_state(&probe).await.unwrap();
        let (with_statistics, _) = f.store.statistics(&probe, other).await.unwrap();
        assert_eq!(state, with_statistics);
        state
    };
    let known = |client| CallerState {
        tenant: Some(TenantStatus::Active),
        bearer: Some(Bearer::Client(Arc::new(client))),
        is_ended: false,
    };
    let nobody = CallerState { tenant: Some(TenantStatus::Active), ..CallerState::default() };
    assert_eq!(state(tenant).await, known(client.clone()));
    assert_eq!(state(other).await, nobody);
    let patch =
        OauthClientPatch { status: Some(ClientStatus::Disabled), ..OauthClientPatch::default() };
    let disabled = f.store.update_oauth_client(&system(tenant), client.id, patch).await.unwrap();
    assert_eq!(state(tenant).await, known(disabled));
    f.store.delete_oauth_client(&system(tenant), client.id).await.unwrap();
    assert_eq!(state(tenant).await, nobody);
}

/// A client is found by what it presents itself as, within its tenant, with what is kept of its secret.
pub async fn a_client_is_found_by_what_it_presents(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    let mut new = f.new_oauth_client();
    let client = f.store.create_oauth_client(&system(tenant), new.clone()).await.unwrap();
    let found = async |tenant| {
        let kept = f.store.kept_client(tenant, &client.client_id).await.unwrap();
        kept.map(|kept| (kept.client, kept.secret_hash))
    };
    assert_eq!(found(tenant).await, Some((client.clone(), new.secret_hash)));
    assert_eq!(found(other).await, None);
    assert_eq!(f.store.kept_client(tenant, "nobody").await.unwrap().map(|kept| kept.client), None);
    let secret = SecretHash([9; 32]);
    f.store.rotate_oauth_client_secret(&system(tenant), client.id, secret).await.unwrap();
    assert_eq!(found(tenant).await, Some((client.clone(), Some(secret))));

    // One that has keys has no secret, and gets none.
    let keys = |text: &str| Some(ClientKeys::from_stored(text.to_owned()));
    new.id = OauthClientId::generate(f.now(), f.entropy.as_ref());
    "signer".clone_into(&mut new.client_id);
    (new.secret_hash, new.jwks) = (None, keys(r#"{"keys":[1]}"#));
    let signer = f.store.create_oauth_client(&system(tenant), new).await.unwrap();
    let kept = f.store.kept_client(tenant, "signer").await.unwrap().unwrap();
    assert_eq!((&kept.client, kept.secret_hash), (&signer, None));
    let rotated = f.store.rotate_oauth_client_secret(&system(tenant), signer.id, secret).await;
    assert_fault!(rotated, Error::Conflict(Conflict::PublicClient));
    let other_keys = keys(r#"{"keys":[2]}"#);
    let patch = OauthClientPatch { jwks: other_keys.clone(), ..OauthClientPatch::default() };
    let patched = f.store.update_oauth_client(&system(tenant), signer.id, patch.clone()).await;
    assert_eq!(patched.unwrap().jwks, other_keys);
    let kept = f.store.kept_client(tenant, "signer").await.unwrap().unwrap();
    assert_eq!(kept.client.jwks, other_keys);
    let refused = f.store.update_oauth_client(&system(tenant), client.id, patch).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    f.store.delete_oauth_client(&system(tenant), client.id).await.unwrap();
    assert_eq!(found(tenant).await, None);
}
