//! A credential of the vault: what is known of it beside its secret.

use std::fmt;

use serde::Serialize;

use crate::action::words;
use crate::clock::Timestamp;
use crate::counts::{Counts, CredentialFacts, is_expired};
use crate::error::{Error, Result};
use crate::id::CredentialId;
use crate::patch::Patch;
use crate::sort::sort_fields;
use crate::tenant::merged_object;
use crate::text::Name;

words! {
    /// What a credential proves itself with.
    AuthType {
        /// An OAuth 2.0 access token somebody else obtained.
        Oauth2Bearer = "oauth2_bearer",
        /// OAuth 2.0 client credentials.
        Oauth2ClientCredentials = "oauth2_client_credentials",
        /// An API key.
        ApiKey = "api_key",
        /// User name and password.
        BasicAuth = "basic_auth",
        /// A bearer token.
        BearerToken = "bearer_token",
        /// A signed JWT.
        Jwt = "jwt",
        /// A SAML assertion.
        Saml = "saml",
        /// Anything else.
        Custom = "custom",
    }
}

words! {
    /// What a credential is good for at an instant.
    CredentialStatus {
        /// It may be used.
        Active = "active",
        /// Its time is over.
        Expired = "expired",
    }
}

words! {
    /// A part of a credential's secret.
    SecretPart {
        /// An access token.
        AccessToken = "accessToken",
        /// A refresh token.
        RefreshToken = "refreshToken",
        /// An OAuth client's id at the third party.
        ClientId = "clientId",
        /// An OAuth client's secret at the third party.
        ClientSecret = "clientSecret",
        /// A user name.
        Username = "username",
        /// A password.
        Password = "password",
        /// An API key.
        ApiKey = "apiKey",
        /// A signed assertion.
        Assertion = "assertion",
    }
}

/// The caller's own name for an integration: 1 to 128 of `[A-Za-z0-9._-]`, and neither `.` nor `..`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct IntegrationId(String);

impl IntegrationId {
    /// Reads one.
    ///
    /// # Errors
    /// What would be right, to follow the field's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        // As a segment of a path these two mean something else.
        let dots = matches!(text, "." | "..");
        if (1..=128).contains(&text.len()) && text.bytes().all(allowed) && !dots {
            Ok(Self(text.to_owned()))
        } else {
            Err("must have 1 to 128 of the characters A-Z a-z 0-9 . _ - and not be . or .."
                .to_owned())
        }
    }

    /// One that a store kept.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IntegrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A credential without its secret.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// Its id.
    pub id: CredentialId,
    /// The integration it belongs to.
    pub integration_id: IntegrationId,
    /// What it is called.
    pub credential_name: Name,
    /// What it is for.
    pub description: Option<String>,
    /// What it proves itself with.
    pub auth_type: AuthType,
    /// The scopes it has at the third party.
    pub scopes: Vec<String>,
    /// Where the third party issues tokens.
    pub token_endpoint: Option<String>,
    /// Where the third party asks for consent.
    pub authorization_endpoint: Option<String>,
    /// What its users keep beside it: a JSON object, never a secret.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// From this instant on it is expired.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Credential {
    /// What matters of it for the counts.
    pub fn facts(&self) -> CredentialFacts {
        CredentialFacts { expires_at: self.expires_at }
    }

    /// What it is good for at an instant.
    pub fn status(&self, at: Timestamp) -> CredentialStatus {
        if is_expired(self.expires_at, at) {
            CredentialStatus::Expired
        } else {
            CredentialStatus::Active
        }
    }
}

/// A secret under the vault's key: what is kept on disk. It opens only for what it was sealed for:
/// a credential of a tenant, say.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// A credential to be made.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the field of `Credential` of the same name")]
pub struct NewCredential {
    pub id: CredentialId,
    pub integration_id: IntegrationId,
    pub credential_name: Name,
    pub description: Option<String>,
    pub auth_type: AuthType,
    pub scopes: Vec<String>,
    pub token_endpoint: Option<String>,
    pub authorization_endpoint: Option<String>,
    pub metadata: serde_json::Map<String, serde_json::Value>,
    pub expires_at: Option<Timestamp>,
    /// Its secret parts, sealed.
    pub secret: Sealed,
}

impl NewCredential {
    /// The credential, made at `at`.
    pub fn into_credential(self, at: Timestamp) -> Credential {
        Credential {
            id: self.id,
            integration_id: self.integration_id,
            credential_name: self.credential_name,
            description: self.description,
            auth_type: self.auth_type,
            scopes: self.scopes,
            token_endpoint: self.token_endpoint,
            authorization_endpoint: self.authorization_endpoint,
            metadata: self.metadata,
            expires_at: self.expires_at,
            created_at: at,
            updated_at: at,
        }
    }
}

/// A change of a credential.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each is the field of `Credential` of the same name")]
pub struct CredentialPatch {
    pub credential_name: Option<Name>,
    pub description: Patch<String>,
    pub scopes: Option<Vec<String>>,
    pub token_endpoint: Patch<String>,
    pub authorization_endpoint: Patch<String>,
    pub metadata: Option<serde_json::Value>,
    pub expires_at: Patch<Timestamp>,
    /// New secret parts, sealed.
    pub secret: Option<Sealed>,
}

impl CredentialPatch {
    /// The credential after the change. A new secret shows in `updated_at` alone.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the metadata is too large then.
    pub fn apply(self, before: &Credential, at: Timestamp) -> Result<Credential> {
        let mut credential = before.clone();
        self.description.apply(&mut credential.description);
        self.token_endpoint.apply(&mut credential.token_endpoint);
        self.authorization_endpoint.apply(&mut credential.authorization_endpoint);
        self.expires_at.apply(&mut credential.expires_at);
        credential.credential_name = self.credential_name.unwrap_or(credential.credential_name);
        credential.scopes = self.scopes.unwrap_or(credential.scopes);
        if let Some(patch) = self.metadata {
            credential.metadata = merged_object(credential.metadata, patch)
                .map_err(|problem| Error::invalid("metadata", problem))?;
        }
        if credential != *before || self.secret.is_some() {
            credential.updated_at = at;
        }
        Ok(credential)
    }
}

sort_fields! {
    /// What credentials are sorted by.
    CredentialField of Credential in "credentials" {
        /// When it was made.
        CreatedAt = "createdAt": Instant,
        /// When it was last changed.
        UpdatedAt = "updatedAt": Instant,
        /// Its name.
        CredentialName = "credentialName": Text,
        /// When it expires, if it does.
        ExpiresAt = "expiresAt": OptionalInstant,
    }
}

/// Which credentials to list.
#[derive(Debug, Clone, Default)]
pub struct CredentialFilter {
    /// Those in this state.
    pub status: Option<CredentialStatus>,
    /// Those of this integration.
    pub integration_id: Option<IntegrationId>,
}

impl CredentialFilter {
    /// The total of the list, where the counts know it.
    pub fn counted(&self, counts: &Counts) -> Option<u64> {
        match (self.status, &self.integration_id) {
            (None, None) => Some(counts.credentials()),
            (Some(CredentialStatus::Active), None) => Some(counts.credentials_active),
            (Some(CredentialStatus::Expired), None) => Some(counts.credentials_expired),
            (_, Some(_)) => None,
        }
    }
}
