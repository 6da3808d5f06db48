//! API keys.

use std::net::IpAddr;

use tenantry_domain::access::TenantAccess;
use tenantry_domain::api_key::{ApiKey, ApiKeyFilter, NewApiKey};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::Result;
use tenantry_domain::id::ApiKeyId;
use tenantry_domain::page::{Page, PageRequest};
use tenantry_domain::scope::Scopes;
use tenantry_domain::text::Name;
use tenantry_security::api_key::issue_api_key;
use tenantry_security::secret::SecretText;

use crate::Service;

/// An API key to be made, as the caller describes it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the field of `ApiKey` of the same name")]
pub struct ApiKeyDraft {
    pub name: Name,
    pub scopes: Scopes,
    pub expires_at: Option<Timestamp>,
    pub ip_allowlist: Vec<IpAddr>,
}

/// A new API key and its text, which is shown now and never again.
#[derive(Debug, Clone)]
pub struct IssuedApiKey {
    /// What is known of the key.
    pub api_key: ApiKey,
    /// The key itself.
    pub text: SecretText,
}

impl Service {
    /// Makes an API key.
    pub async fn create_api_key(
        &self,
        access: &TenantAccess,
        draft: ApiKeyDraft,
    ) -> Result<IssuedApiKey> {
        self.require_future("expiresAt", draft.expires_at)?;
        let issued = issue_api_key(access.tenant(), self.entropy());
        let new = NewApiKey {
            id: ApiKeyId::generate(self.now(), self.entropy()),
            name: draft.name,
            prefix: issued.prefix,
            secret_hash: issued.hash,
            scopes: draft.scopes,
            expires_at: draft.expires_at,
            ip_allowlist: draft.ip_allowlist,
        };
        let issue = move |api_key: &ApiKey| {
            Ok(IssuedApiKey { api_key: api_key.clone(), text: issued.text.clone() })
        };
        let access = access.completed_by(issue.clone());
        issue(&self.store.create_api_key(&access, new).await?)
    }

    /// An API key.
    pub async fn api_key(&self, access: &TenantAccess, id: ApiKeyId) -> Result<ApiKey> {
        self.store.api_key(access, id).await
    }

    /// A page of the API keys.
    pub async fn list_api_keys(
        &self,
        access: &TenantAccess,
        filter: ApiKeyFilter,
        page: PageRequest,
    ) -> Result<Page<ApiKey>> {
        self.store.list_api_keys(access, filter, page).await
    }

    /// Revokes an API key, for good.
    pub async fn revoke_api_key(&self, access: &TenantAccess, id: ApiKeyId) -> Result<ApiKey> {
        self.store.revoke_api_key(access, id).await
    }
}
