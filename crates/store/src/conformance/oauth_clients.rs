//! OAuth clients: active, disabled, removed.

use tenantry_domain::api_key::SecretHash;
use tenantry_domain::counts::Counts;
use tenantry_domain::error::{Conflict, Error, Missing};
use tenantry_domain::ledger::Action;
use tenantry_domain::oauth_client::{ClientStatus, ClientType, GrantType, OauthClientPatch};
use tenantry_domain::scope::Scopes;

use super::builders::{name, system};
use super::harness::Fixture;

fn to_status(status: ClientStatus) -> OauthClientPatch {
    OauthClientPatch { status: Some(status), ..OauthClientPatch::default() }
}

/// A client is made, read, changed and removed, and the counts follow each step.
pub async fn each_step_is_counted(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let access = system(tenant);
    let new = f.new_oauth_client();
    let made = f.store.create_oauth_client(&access, new.clone()).await.unwrap();
    assert_eq!(made, new.into_client(f.now()));
    assert_eq!(f.store.oauth_client(&access, made.id).await.unwrap(), made);
    let active = Counts { oauth_clients_active: 1, ..Counts::default() };
    let disabled = Counts { oauth_clients_disabled: 1, ..Counts::default() };
    assert_eq!(f.counts(tenant).await, active);

    let mut client = made;
    for (patch, counts) in [
        (to_status(ClientStatus::Disabled), disabled),
        (
            OauthClientPatch { name: Some(name("renamed")), ..to_status(ClientStatus::Disabled) },
            disabled,
        ),
        (to_status(ClientStatus::Active), active),
        (
            OauthClientPatch {
                redirect_uris: Some(vec!["com.example.app:/back".to_owned()]),
                grant_types: Some(vec![GrantType::AuthorizationCode]),
                scopes: Some(Scopes::default()),
                allowed_origins: Some(vec!["https://b.example.com".to_owned()]),
                ip_allowlist: Some(vec!["2001:db8::2".parse().unwrap()]),
                ..OauthClientPatch::default()
            },
            active,
        ),
    ] {
        f.clock.advance(10);
        let expected = patch.clone().apply(&client).unwrap();
        client = f.store.update_oauth_client(&access, client.id, patch).await.unwrap();
        assert_eq!(client, expected);
        assert_eq!(f.store.oauth_client(&access, client.id).await.unwrap(), client);
        assert_eq!(f.counts(tenant).await, counts);
        let entry = f.newest_entry(tenant).await;
        assert_eq!((entry.action, entry.at), (Action::OauthClientUpdated, f.now()));
    }

    f.store
        .update_oauth_client(&access, client.id, to_status(ClientStatus::Disabled))
        .await
        .unwrap();
    client.status = ClientStatus::Disabled;
    assert_eq!(f.store.delete_oauth_client(&access, client.id).await.unwrap(), client);
    assert_eq!(f.counts(tenant).await, Counts::default());
    assert_eq!(f.newest_entry(tenant).await.action, Action::OauthClientDeleted);
    let missing = f.store.oauth_client(&access, client.id).await;
    assert_fault!(missing, Error::NotFound(Missing::OauthClient));
    let again = f.store.delete_oauth_client(&access, client.id).await;
    assert_fault!(again, Error::NotFound(Missing::OauthClient));
    let update = f.store.update_oauth_client(&access, client.id, OauthClientPatch::default()).await;
    assert_fault!(update, Error::NotFound(Missing::OauthClient));
}

/// A public client has no secret and counts as any other.
pub async fn a_public_client_has_no_secret(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let mut new = f.new_oauth_client();
    (new.client_type, new.secret_hash) = (ClientType::Public, None);
    let made = f.store.create_oauth_client(&system(tenant), new).await.unwrap();
    assert_eq!(made.client_type, ClientType::Public);
    let other = f.oauth_client(tenant).await;
    assert_eq!(f.counts(tenant).await.oauth_clients_active, 2);
    f.store.delete_oauth_client(&system(tenant), other.id).await.unwrap();
    assert_eq!(f.store.oauth_client(&system(tenant), made.id).await.unwrap(), made);
}

/// A patch is judged by what the client would be after it.
pub async fn a_patch_that_contradicts_the_rest_is_refused(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let access = system(tenant);
    let client = f.oauth_client(tenant).await;
    let mut new = f.new_oauth_client();
    (new.client_type, new.secret_hash) = (ClientType::Public, None);
    new.grant_types = vec![GrantType::AuthorizationCode];
    let public = f.store.create_oauth_client(&access, new).await.unwrap();
    let before = f.entries(tenant).await;
    let none = || Some(Vec::new());
    let grants = |grants: &[GrantType]| Some(grants.to_vec());
    for (id, redirect_uris, grant_types, field) in [
        (client.id, none(), grants(&[GrantType::AuthorizationCode]), "redirectUris"),
        (client.id, None, grants(&[GrantType::RefreshToken]), "grantTypes"),
        (public.id, none(), None, "redirectUris"),
        (public.id, None, grants(&[GrantType::ClientCredentials]), "grantTypes"),
    ] {
        let patch = OauthClientPatch { redirect_uris, grant_types, ..Default::default() };
        match f.store.update_oauth_client(&access, id, patch).await {
            Err(Error::Invalid(fields)) => {
                let named: Vec<_> = fields.iter().map(|it| it.field.as_str()).collect();
                assert_eq!(named, [field]);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(f.entries(tenant).await, before);
    assert_eq!(f.store.oauth_client(&access, client.id).await.unwrap(), client);
    assert_eq!(f.store.oauth_client(&access, public.id).await.unwrap(), public);
}

/// A new secret leaves an entry and the client as it is; a public client cannot have one.
pub async fn a_new_secret_leaves_an_entry(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let access = system(tenant);
    let client = f.oauth_client(tenant).await;
    let counts = f.counts(tenant).await;
    f.clock.advance(10);
    let secret = || SecretHash([7; 32]);
    let rotated = f.store.rotate_oauth_client_secret(&access, client.id, secret()).await.unwrap();
    assert_eq!(rotated, client);
    assert_eq!(f.store.oauth_client(&access, client.id).await.unwrap(), client);
    let entry = f.newest_entry(tenant).await;
    assert_eq!((entry.action, entry.at), (Action::OauthClientSecretRotated, f.now()));
    assert_eq!((entry.resource_id, entry.counts), (client.id.to_string(), counts));

    let mut new = f.new_oauth_client();
    (new.client_type, new.secret_hash) = (ClientType::Public, None);
    let public = f.store.create_oauth_client(&access, new).await.unwrap();
    let before = f.entries(tenant).await;
    let refused = f.store.rotate_oauth_client_secret(&access, public.id, secret()).await;
    assert_fault!(refused, Error::Conflict(Conflict::PublicClient));
    f.store.delete_oauth_client(&access, client.id).await.unwrap();
    let missing = f.store.rotate_oauth_client_secret(&access, client.id, secret()).await;
    assert_fault!(missing, Error::NotFound(Missing::OauthClient));
    assert_eq!(f.entries(tenant).await[..before.len()], before);
    assert_eq!(f.entries(tenant).await.len(), before.len() + 1);
}

/// A patch that changes nothing leaves no trace.
pub async fn a_patch_that_changes_nothing_leaves_no_trace(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let client = f.oauth_client(tenant).await;
    let before = f.entries(tenant).await;
    f.clock.advance(10);
    for patch in [OauthClientPatch::default(), to_status(ClientStatus::Active)] {
        let after = f.store.update_oauth_client(&system(tenant), client.id, patch).await.unwrap();
        assert_eq!(after, client);
    }
    assert_eq!(f.entries(tenant).await, before);
}
