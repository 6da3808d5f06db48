//! Credentials of the vault: sealed on the way in, opened on the way out, never kept in between.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tenantry_domain::access::TenantAccess;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::credential::{
    AuthType, Credential, CredentialFilter, CredentialPatch, IntegrationId, NewCredential, Sealed,
    SecretPart,
};
use tenantry_domain::credential_rules::secret_problems;
use tenantry_domain::error::{Error, FieldError, Result};
use tenantry_domain::id::{CredentialId, TenantId};
use tenantry_domain::page::{Page, PageRequest};
use tenantry_domain::patch::Patch;
use tenantry_domain::sealing::SealedFor;
use tenantry_domain::text::Name;
use tenantry_security::secret::{SecretBytes, SecretText};
use tenantry_security::vault::Vault;
use tenantry_store::Opening;

use crate::Service;
use crate::idempotency::lock;

/// The secret of a credential: all the parts that its type needs, and no other.
#[derive(Debug, Clone)]
pub struct CredentialSecret {
    auth_type: AuthType,
    parts: Vec<(SecretPart, SecretText)>,
}

impl CredentialSecret {
    /// Takes the parts over.
    ///
    /// # Errors
    /// What is wrong with them as the secret of a credential of this type.
    pub fn new(
        auth_type: AuthType,
        parts: Vec<(SecretPart, SecretText)>,
    ) -> Result<Self, Vec<FieldError>> {
        let given: Vec<_> = parts.iter().map(|(part, _)| *part).collect();
        let problems = secret_problems(auth_type, &given);
        if problems.is_empty() { Ok(Self { auth_type, parts }) } else { Err(problems) }
    }

    /// The parts.
    pub fn parts(&self) -> &[(SecretPart, SecretText)] {
        &self.parts
    }
}

/// A credential to be made, as the caller describes it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the field of `Credential` of the same name")]
pub struct CredentialDraft {
    pub integration_id: IntegrationId,
    pub credential_name: Name,
    pub description: Option<String>,
    pub scopes: Vec<String>,
    pub token_endpoint: Option<String>,
    pub authorization_endpoint: Option<String>,
    pub metadata: serde_json::Map<String, serde_json::Value>,
    pub expires_at: Option<Timestamp>,
    /// What it proves itself with, which also says its type.
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
        let secret = self.seal(access, id, &draft.secret).await?;
        let new = NewCredential {
            id,
            integration_id: draft.integration_id,
            credential_name: draft.credential_name,
            description: draft.description,
            auth_type: draft.secret.auth_type,
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
        page: &PageRequest<Credential>,
    ) -> Result<Page<Credential>> {
        self.store.list_credentials(access, filter, page).await
    }

    /// Changes a credential, and its secret if a new one is given: all of it.
    ///
    /// # Errors
    /// `Internal` if the new secret is for another type of credential.
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
        if let Some(secret) = secret {
            let stored = self.store.credential(access, integration, id).await?;
            if stored.auth_type != secret.auth_type {
                return Err(Error::internal("a secret is for another type of credential"));
            }
            patch.secret = Some(self.seal(access, id, &secret).await?);
        }
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

    /// A credential with its secret. That it was shown is in the ledger before it is, and what does
    /// not open was not shown.
    pub async fn reveal_credential(
        &self,
        access: &TenantAccess,
        integration: &IntegrationId,
        id: CredentialId,
    ) -> Result<RevealedCredential> {
        let tenant = access.tenant();
        let opened = Arc::new(Mutex::new(None));
        let (vault, slot) = (Arc::clone(&self.vault), Arc::clone(&opened));
        let open: Opening = Arc::new(move |credential: &Credential, sealed: &Sealed| {
            *lock(&slot) = Some(open(&vault, tenant, credential, sealed)?);
            Ok(())
        });
        let reveal = || self.store.reveal_credential(access, integration, id, Arc::clone(&open));
        let credential = self.with_master_keys(reveal).await?;
        let secret = lock(&opened).take();
        let unopened = || Error::internal("a credential was revealed without being opened");
        Ok(RevealedCredential { credential, secret: secret.ok_or_else(unopened)? })
    }

    async fn seal(
        &self,
        access: &TenantAccess,
        id: CredentialId,
        secret: &CredentialSecret,
    ) -> Result<Sealed> {
        self.know_master_key().await?;
        let parts: BTreeMap<_, _> =
            secret.parts.iter().map(|(part, text)| (part.as_str(), text.expose())).collect();
        let mut json = SecretBytes::default();
        serde_json::to_writer(&mut json, &parts).map_err(Error::internal)?;
        self.vault.seal(&SealedFor::Credential(access.tenant(), id), json.as_ref())
    }
}

fn open(
    vault: &Vault,
    tenant: TenantId,
    credential: &Credential,
    sealed: &Sealed,
) -> Result<CredentialSecret> {
    let json = vault.open(&SealedFor::Credential(tenant, credential.id), sealed)?;
    // A message of the reader could quote what it reads.
    let unreadable = || Error::internal("a credential's secret does not read back");
    let parts: BTreeMap<String, SecretText> =
        serde_json::from_slice(&json).map_err(|_| unreadable())?;
    let parts = parts
        .into_iter()
        .map(|(part, text)| Ok((part.parse().map_err(|_| unreadable())?, text)))
        .collect::<Result<_>>()?;
    Ok(CredentialSecret { auth_type: credential.auth_type, parts })
}
