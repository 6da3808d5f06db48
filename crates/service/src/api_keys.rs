//! API keys.

use std::num::NonZeroU32;
use std::sync::Arc;

use tenantry_domain::access::{BearerId, CallerProbe, TenantAccess};
use tenantry_domain::api_key::{
    ApiKey, ApiKeyDetails, ApiKeyFilter, KeyRefusal, NewApiKey, PresentedKey, RotatedApiKey,
    Rotation,
};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::Result;
use tenantry_domain::id::{ApiKeyId, TenantId};
use tenantry_domain::network::Network;
use tenantry_domain::page::{Page, PageRequest};
use tenantry_domain::scope::Scopes;
use tenantry_domain::text::Name;
use tenantry_security::api_key::{issue_api_key, parse_api_key};
use tenantry_security::secret::SecretText;

use crate::Service;

/// An API key to be made, as the caller describes it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the field of `ApiKey` of the same name")]
pub struct ApiKeyDraft {
    pub name: Name,
    pub scopes: Scopes,
    pub expires_at: Option<Timestamp>,
    pub ip_allowlist: Vec<Network>,
    pub rate_limit: Option<NonZeroU32>,
}

/// A new API key and its text, which is shown now and never again.
#[derive(Debug, Clone)]
pub struct IssuedApiKey {
    /// What is known of the key.
    pub api_key: ApiKey,
    /// The key itself.
    pub text: SecretText,
}

/// An API key with a new secret, and its new text, which is shown now and never again.
#[derive(Debug, Clone)]
pub struct ReissuedApiKey {
    /// What is known of the key, and until when its text before is good.
    pub rotated: RotatedApiKey,
    /// The key itself.
    pub text: SecretText,
}

/// What a text that somebody presents as an API key is worth.
#[derive(Debug, Clone)]
pub struct KeyValidation {
    /// The key and its tenant, if the caller may know of it.
    pub key: Option<(TenantId, Arc<PresentedKey>)>,
    /// Why it is not good, if it is not.
    pub refusal: Option<KeyRefusal>,
}

impl From<KeyRefusal> for KeyValidation {
    fn from(refusal: KeyRefusal) -> Self {
        Self { key: None, refusal: Some(refusal) }
    }
}

impl Service {
    /// Makes an API key.
    pub async fn create_api_key(
        &self,
        access: &TenantAccess,
        draft: ApiKeyDraft,
    ) -> Result<IssuedApiKey> {
        self.require_future("expiresAt", draft.expires_at)?;
        draft.scopes.check_grant(access)?;
        let issued = issue_api_key(access.tenant(), self.entropy());
        let new = NewApiKey {
            id: ApiKeyId::generate(self.now(), self.entropy()),
            name: draft.name,
            prefix: issued.prefix,
            secret_hash: issued.hash,
            scopes: draft.scopes,
            expires_at: draft.expires_at,
            ip_allowlist: draft.ip_allowlist,
            rate_limit: draft.rate_limit,
        };
        let issue = move |api_key: &ApiKey| {
            Ok(IssuedApiKey { api_key: api_key.clone(), text: issued.text.clone() })
        };
        let access = access.completed_by(issue.clone());
        issue(&self.store.create_api_key(&access, new).await?)
    }

    /// An API key, with its texts.
    pub async fn api_key(&self, access: &TenantAccess, id: ApiKeyId) -> Result<ApiKeyDetails> {
        self.store.api_key(access, id).await
    }

    /// A page of the API keys.
    pub async fn list_api_keys(
        &self,
        access: &TenantAccess,
        filter: ApiKeyFilter,
        page: &PageRequest<ApiKey>,
    ) -> Result<Page<ApiKey>> {
        self.store.list_api_keys(access, filter, page).await
    }

    /// Revokes an API key, for good.
    pub async fn revoke_api_key(&self, access: &TenantAccess, id: ApiKeyId) -> Result<ApiKey> {
        self.store.revoke_api_key(access, id).await
    }

    /// Gives an API key a new text; the one before stays good for `grace_seconds`.
    ///
    /// # Errors
    /// `Conflict` for a key that is revoked or expired; `Denied` for one that may do what the
    /// caller may not: whoever gets its text could do it then.
    pub async fn rotate_api_key(
        &self,
        access: &TenantAccess,
        id: ApiKeyId,
        grace_seconds: u32,
    ) -> Result<ReissuedApiKey> {
        let ApiKeyDetails { api_key, .. } = self.store.api_key(access, id).await?;
        api_key.scopes.check_grant(access)?;
        let issued = issue_api_key(access.tenant(), self.entropy());
        let rotation = Rotation { prefix: issued.prefix, secret_hash: issued.hash, grace_seconds };
        let issue = move |rotated: &RotatedApiKey| {
            Ok(ReissuedApiKey { rotated: rotated.clone(), text: issued.text.clone() })
        };
        let access = access.completed_by(issue.clone());
        issue(&self.store.rotate_api_key(&access, id, rotation).await?)
    }

    /// What a text that somebody presents as an API key is worth now. The call counts for the
    /// key's tenant if there is such a key, and of a key that is none of the caller's business
    /// nothing is looked up.
    ///
    /// # Errors
    /// `NotFound` if the caller acts in a tenant that does not exist.
    pub async fn validate_api_key(
        &self,
        access: &TenantAccess,
        text: &SecretText,
    ) -> Result<KeyValidation> {
        if access.tenant() != access.actor().tenant {
            self.store.tenant(access).await?;
        }
        let Some((tenant, secret_hash)) = parse_api_key(text.expose()) else {
            return Ok(KeyRefusal::Malformed.into());
        };
        if !access.may_validate_keys_of(tenant) {
            return Ok(KeyRefusal::Unknown.into());
        }
        let probe =
            CallerProbe { tenant, bearer: Some(BearerId::ApiKey(secret_hash)), token: None };
        let state = self.store.caller_state(&probe).await?;
        let Some((key, refusal)) = state.presented() else {
            return Ok(KeyRefusal::Unknown.into());
        };
        let is_good = refusal.is_none();
        access.count_call_for(tenant, is_good.then_some((key.id, secret_hash)));
        Ok(KeyValidation { key: Some((tenant, Arc::clone(key))), refusal })
    }
}
