//! Credentials of the vault: sealed on the way in, opened on the way out, never kept in between.

use std::collections::BTreeMap;

use tenantry_domain::access::TenantAccess;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::credential::{
    AuthType, Credential, CredentialFilter, CredentialPatch, IntegrationId, NewCredential, Sealed,
    SecretPart,
};
use tenantry_domain::error::{Error, Result};
use tenantry_domain::id::CredentialId;
use tenantry_domain::page::{Page, PageRequest};
use tenantry_domain::patch::Patch;
use tenantry_domain::text::Name;
use tenantry_security::secret::SecretText;
use zeroize::Zeroizing;

use crate::Service;

/// The parts of a credential's secret.
pub type CredentialSecret = Vec<(SecretPart, SecretText)>;

/// A credential to be made, as the caller describes it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the field of `Credential` of the same name")]
pub struct CredentialDraft {
    pub integration_id: IntegrationId,
    pub credential_name: Name,
    pub description: Option<String>,
    pub auth_type: AuthType,
    pub scopes: Vec<String>,
    pub token_endpoint: Option<String>,
    pub authorization_endpoint: Option<String>,
    pub metadata: serde_json::Map<String, serde_json::Value>,
    pub expires_at: Option<Timestamp>,
    /// What it proves itself with.
    pub secret: CredentialSecret,
}

/// A credential and its secret.
#[derive(Debug, Clone)]
pub struct RevealedCredential {
    /// What is known of the credential.
    pub credential: Credential,
    /// What it proves itself with.
    pub secret: CredentialSecret,
}

impl Service {
    /// Puts a credential into the vault.
    pub async fn create_credential(
        &self,
        access: &TenantAccess,
        draft: CredentialDraft,
    ) -> Result<Credential> {
        self.require_future("expiresAt", draft.expires_at)?;
        let id = CredentialId::generate(self.now(), self.entropy());
        let secret = self.seal(access, id, &draft.secret)?;
        let new = NewCredential {
            id,
            integration_id: draft.integration_id,
            credential_name: draft.credential_name,
            description: draft.description,
            auth_type: draft.auth_type,
            scopes: draft.scopes,
            token_endpoint: draft.token_endpoint,
            authorization_endpoint: draft.authorization_endpoint,
            metadata: draft.metadata,
            expires_at: draft.expires_at,
            secret,
        };
        self.store.create_credential(access, new).await
    }

    /// A credential without its secret.
    pub async fn credential(
        &self,
        access: &TenantAccess,
        integration: &IntegrationId,
        id: CredentialId,
    ) -> Result<Credential> {
        self.store.credential(access, integration, id).await
    }

    /// A page of the credentials.
    pub async fn list_credentials(
        &self,
        access: &TenantAccess,
        filter: &CredentialFilter,
        page: PageRequest,
    ) -> Result<Page<Credential>> {
        self.store.list_credentials(access, filter, page).await
    }

    /// Changes a credential, and its secret if a new one is given.
    pub async fn update_credential(
        &self,
        access: &TenantAccess,
        integration: &IntegrationId,
        id: CredentialId,
        mut patch: CredentialPatch,
        secret: Option<CredentialSecret>,
    ) -> Result<Credential> {
        if let Patch::Set(expires_at) = patch.expires_at {
            self.require_future("expiresAt", Some(expires_at))?;
        }
        patch.secret = secret.map(|secret| self.seal(access, id, &secret)).transpose()?;
        self.store.update_credential(access, integration, id, patch).await
    }

    /// Removes a credential; answers what it was.
    pub async fn delete_credential(
        &self,
        access: &TenantAccess,
        integration: &IntegrationId,
        id: CredentialId,
    ) -> Result<Credential> {
        self.store.delete_credential(access, integration, id).await
    }

    /// A credential with its secret. That it was shown is in the ledger before it is.
    pub async fn reveal_credential(
        &self,
        access: &TenantAccess,
        integration: &IntegrationId,
        id: CredentialId,
    ) -> Result<RevealedCredential> {
        let (credential, sealed) = self.store.reveal_credential(access, integration, id).await?;
        let secret = self.open(access, id, &sealed)?;
        Ok(RevealedCredential { credential, secret })
    }

    fn seal(
        &self,
        access: &TenantAccess,
        id: CredentialId,
        secret: &CredentialSecret,
    ) -> Result<Sealed> {
        let parts: BTreeMap<_, _> =
            secret.iter().map(|(part, text)| (part.as_str(), text.expose())).collect();
        let json = Zeroizing::new(serde_json::to_vec(&parts).map_err(Error::internal)?);
        self.vault.seal_credential(access.tenant(), id, &json)
    }

    fn open(
        &self,
        access: &TenantAccess,
        id: CredentialId,
        sealed: &Sealed,
    ) -> Result<CredentialSecret> {
        let json = self.vault.open_credential(access.tenant(), id, sealed)?;
        // A message of the reader could quote what it reads.
        let unreadable = || Error::internal("a credential's secret does not read back");
        let parts: BTreeMap<String, SecretText> =
            serde_json::from_slice(&json).map_err(|_| unreadable())?;
        parts
            .into_iter()
            .map(|(part, text)| Ok((part.parse().map_err(|_| unreadable())?, text)))
            .collect()
    }
}
