//! A tenant that is not there, and things of another tenant, are not found by any method.

use tenantry_domain::api_key::{ApiKeyFilter, SecretHash};
use tenantry_domain::credential::{CredentialFilter, CredentialPatch};
use tenantry_domain::error::{Error, Missing};
use tenantry_domain::id::{ApiKeyId, CredentialId, OauthClientId, UserId};
use tenantry_domain::ledger::Action;
use tenantry_domain::oauth_client::{ClientStatus, OauthClientFilter, OauthClientPatch};
use tenantry_domain::patch::Patch;
use tenantry_domain::tenant::{Governance, TenantPatch};
use tenantry_domain::text::Name;
use tenantry_domain::usage::{Bytes, UsageEvent, UsageReport};
use tenantry_domain::user::{UserFilter, UserPatch, UserStatus};

use super::builders::{all, integration, name, system, unopened};
use super::harness::Fixture;
use crate::{EntryFilter, Note};

fn renamed() -> Name {
    name("renamed")
}

/// Whatever is asked of a tenant that never was.
pub async fn an_unknown_tenant_is_not_found(f: &Fixture) {
    let unknown = f.new_tenant("never made").id;
    let (store, access, integration) = (&f.store, &system(unknown), &integration());
    let (now, entropy) = (f.now(), f.entropy.as_ref());
    macro_rules! not_found {
        ($($result:expr),+ $(,)?) => {
            $(assert_fault!($result.await, Error::NotFound(Missing::Tenant));)+
        };
    }

    let patch = TenantPatch { name: Some(renamed()), ..TenantPatch::default() };
    not_found!(
        store.tenant(access),
        store.update_tenant(access, patch),
        store.govern_tenant(access, Governance::Suspend),
        store.govern_tenant(access, Governance::Activate),
        store.govern_tenant(access, Governance::Delete),
    );
    let id = UserId::generate(now, entropy);
    not_found!(
        store.create_user(access, f.new_user("ann@example.com")),
        store.user(access, id),
        store.list_users(access, &UserFilter::default(), &all()),
        store.update_user(access, id, UserPatch::default()),
        store.delete_user(access, id),
    );
    let id = ApiKeyId::generate(now, entropy);
    not_found!(
        store.create_api_key(access, f.new_api_key(None)),
        store.api_key(access, id),
        store.list_api_keys(access, ApiKeyFilter::default(), &all()),
        store.revoke_api_key(access, id),
        store.rotate_api_key(access, id, f.rotation(0)),
    );
    let id = OauthClientId::generate(now, entropy);
    not_found!(
        store.create_oauth_client(access, f.new_oauth_client()),
        store.oauth_client(access, id),
        store.list_oauth_clients(access, OauthClientFilter::default(), &all()),
        store.update_oauth_client(access, id, OauthClientPatch::default()),
        store.rotate_oauth_client_secret(access, id, SecretHash([7; 32])),
        store.delete_oauth_client(access, id),
    );
    let id = CredentialId::generate(now, entropy);
    not_found!(
        store.create_credential(access, f.new_credential(None)),
        store.credential(access, integration, id),
        store.list_credentials(access, &CredentialFilter::default(), &all()),
        store.update_credential(access, integration, id, CredentialPatch::default()),
        store.delete_credential(access, integration, id),
        store.reveal_credential(access, integration, id, unopened()),
    );
    let note = Note {
        action: Action::TokenIssued,
        resource_id: "token".to_owned(),
        details: serde_json::json!({}),
    };
    let report = UsageReport::Storage(Bytes::new(1));
    let event = UsageEvent { source: "s".to_owned(), id: "1".to_owned(), time: now, report };
    not_found!(
        store.list_entries(access, &EntryFilter::default(), 10, 0),
        store.record(access, note),
        store.report_usage(access, vec![event]),
    );

    not_found!(store.counts_at(access, now));
    assert_eq!(f.find_statistics(unknown).await, None);
    assert_eq!(store.recount(unknown).await.unwrap(), None);
    assert!(!store.tenant_ids(None, 10).await.unwrap().contains(&unknown));
}

/// Whatever is asked of a tenant with the id of another tenant's thing.
pub async fn what_belongs_to_another_tenant_is_not_found(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    let (store, access, integration) = (&f.store, &system(other), &integration());
    let user = f.user(tenant, "ann@example.com").await.id;
    let key = f.api_key(tenant, None).await.id;
    let client = f.oauth_client(tenant).await.id;
    let credential = f.credential(tenant, None).await.id;
    let before = (f.statistics(tenant).await, f.statistics(other).await);

    let patch = UserPatch { status: Some(UserStatus::Locked), ..UserPatch::default() };
    assert_fault!(store.user(access, user).await, Error::NotFound(Missing::User));
    let result = store.update_user(access, user, patch).await;
    assert_fault!(result, Error::NotFound(Missing::User));
    assert_fault!(store.delete_user(access, user).await, Error::NotFound(Missing::User));

    assert_fault!(store.api_key(access, key).await, Error::NotFound(Missing::ApiKey));
    assert_fault!(store.revoke_api_key(access, key).await, Error::NotFound(Missing::ApiKey));
    let result = store.rotate_api_key(access, key, f.rotation(0)).await;
    assert_fault!(result, Error::NotFound(Missing::ApiKey));

    let status = Some(ClientStatus::Disabled);
    let patch = OauthClientPatch { status, ..OauthClientPatch::default() };
    assert_fault!(store.oauth_client(access, client).await, Error::NotFound(Missing::OauthClient));
    let result = store.update_oauth_client(access, client, patch).await;
    assert_fault!(result, Error::NotFound(Missing::OauthClient));
    let secret = SecretHash([7; 32]);
    let result = store.rotate_oauth_client_secret(access, client, secret).await;
    assert_fault!(result, Error::NotFound(Missing::OauthClient));
    let result = store.delete_oauth_client(access, client).await;
    assert_fault!(result, Error::NotFound(Missing::OauthClient));

    let patch = CredentialPatch { description: Patch::Clear, ..CredentialPatch::default() };
    let result = store.credential(access, integration, credential).await;
    assert_fault!(result, Error::NotFound(Missing::Credential));
    let result = store.update_credential(access, integration, credential, patch).await;
    assert_fault!(result, Error::NotFound(Missing::Credential));
    let result = store.delete_credential(access, integration, credential).await;
    assert_fault!(result, Error::NotFound(Missing::Credential));
    let result = store.reveal_credential(access, integration, credential, unopened()).await;
    assert_fault!(result, Error::NotFound(Missing::Credential));

    assert_eq!((f.statistics(tenant).await, f.statistics(other).await), before);
}
