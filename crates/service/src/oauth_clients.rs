//! OAuth clients.

use tenantry_domain::access::TenantAccess;
use tenantry_domain::error::Result;
use tenantry_domain::id::OauthClientId;
use tenantry_domain::network::Network;
use tenantry_domain::oauth_client::{
    ClientKeys, ClientType, GrantType, NewOauthClient, OauthClient, OauthClientFilter,
    OauthClientPatch,
};
use tenantry_domain::page::{Page, PageRequest};
use tenantry_domain::scope::Scopes;
use tenantry_domain::text::Name;
use tenantry_security::api_key::{issue_client_id, issue_client_secret};
use tenantry_security::secret::SecretText;

use crate::Service;

/// An OAuth client to be made, as the caller describes it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the field of `OauthClient` of the same name")]
pub struct OauthClientDraft {
    pub name: Name,
    pub client_type: ClientType,
    pub redirect_uris: Vec<String>,
    pub grant_types: Vec<GrantType>,
    pub scopes: Scopes,
    pub allowed_origins: Vec<String>,
    pub ip_allowlist: Vec<Network>,
    pub jwks: Option<ClientKeys>,
}

/// A new OAuth client and its secret, which is shown now and never again.
#[derive(Debug, Clone)]
pub struct IssuedOauthClient {
    /// What is known of the client.
    pub client: OauthClient,
    /// The secret of a confidential one.
    pub secret: Option<SecretText>,
}

impl Service {
    /// Makes an OAuth client.
    ///
    /// # Errors
    /// `Invalid` if its properties do not fit together; `Denied` for scopes that the caller may
    /// not give.
    pub async fn create_oauth_client(
        &self,
        access: &TenantAccess,
        draft: OauthClientDraft,
    ) -> Result<IssuedOauthClient> {
        draft.scopes.check_grant(access)?;
        let (secret, secret_hash) = match (draft.client_type, &draft.jwks) {
            (ClientType::Public, _) | (ClientType::Confidential, Some(_)) => (None, None),
            (ClientType::Confidential, None) => {
                let (secret, hash) = issue_client_secret(self.entropy());
                (Some(secret), Some(hash))
            }
        };
        let new = NewOauthClient {
            id: OauthClientId::generate(self.now(), self.entropy()),
            client_id: issue_client_id(access.tenant(), self.entropy()),
            secret_hash,
            name: draft.name,
            client_type: draft.client_type,
            redirect_uris: draft.redirect_uris,
            grant_types: draft.grant_types,
            scopes: draft.scopes,
            allowed_origins: draft.allowed_origins,
            ip_allowlist: draft.ip_allowlist,
            jwks: draft.jwks,
        };
        new.check()?;
        let issue = move |client: &OauthClient| {
            Ok(IssuedOauthClient { client: client.clone(), secret: secret.clone() })
        };
        let access = access.completed_by(issue.clone());
        issue(&self.store.create_oauth_client(&access, new).await?)
    }

    /// An OAuth client.
    pub async fn oauth_client(
        &self,
        access: &TenantAccess,
        id: OauthClientId,
    ) -> Result<OauthClient> {
        self.store.oauth_client(access, id).await
    }

    /// A page of the OAuth clients.
    pub async fn list_oauth_clients(
        &self,
        access: &TenantAccess,
        filter: OauthClientFilter,
        page: &PageRequest<OauthClient>,
    ) -> Result<Page<OauthClient>> {
        self.store.list_oauth_clients(access, filter, page).await
    }

    /// Changes an OAuth client.
    ///
    /// # Errors
    /// As [`Service::create_oauth_client`], for what the client would be then; `Denied` also for
    /// one that may do what the caller may not.
    pub async fn update_oauth_client(
        &self,
        access: &TenantAccess,
        id: OauthClientId,
        patch: OauthClientPatch,
    ) -> Result<OauthClient> {
        self.store.update_oauth_client(access, id, patch).await
    }

    /// Gives a confidential OAuth client a new secret. The one before is no good from now on.
    ///
    /// # Errors
    /// `Conflict` for a public one, which has none; `Denied` for one that may do what the caller
    /// may not: whoever gets its secret could do it then.
    pub async fn rotate_oauth_client_secret(
        &self,
        access: &TenantAccess,
        id: OauthClientId,
    ) -> Result<IssuedOauthClient> {
        let (secret, hash) = issue_client_secret(self.entropy());
        let issue = move |client: &OauthClient| {
            Ok(IssuedOauthClient { client: client.clone(), secret: Some(secret.clone()) })
        };
        let access = access.completed_by(issue.clone());
        issue(&self.store.rotate_oauth_client_secret(&access, id, hash).await?)
    }

    /// Removes an OAuth client; answers what it was.
    pub async fn delete_oauth_client(
        &self,
        access: &TenantAccess,
        id: OauthClientId,
    ) -> Result<OauthClient> {
        self.store.delete_oauth_client(access, id).await
    }
}
