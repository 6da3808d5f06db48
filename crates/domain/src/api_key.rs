//! An API key: what is known of it. Its secret is shown once and kept as a hash.

use std::net::IpAddr;

use serde::Serialize;

use crate::action::words;
use crate::clock::Timestamp;
use crate::counts::{ApiKeyFacts, Counts, is_expired};
use crate::id::ApiKeyId;
use crate::scope::Scopes;
use crate::text::Name;

words! {
    /// What an API key is good for at an instant.
    ApiKeyStatus {
        /// It may be used.
        Active = "active",
        /// Its time is over.
        Expired = "expired",
        /// It was revoked, whatever its time.
        Revoked = "revoked",
    }
}

/// The SHA-256 of a secret. A secret of 256 random bits needs no salt and no slow hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash(pub [u8; 32]);

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// What it is for.
    pub name: Name,
    /// The first characters of its text, to recognise it by.
    pub prefix: String,
    /// What it may do.
    pub scopes: Scopes,
    /// From this instant on it is expired.
    pub expires_at: Option<Timestamp>,
    /// Where it may be used from; anywhere if empty.
    pub ip_allowlist: Vec<IpAddr>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    /// What matters of it for the counts.
    pub fn facts(&self) -> ApiKeyFacts {
        ApiKeyFacts { expires_at: self.expires_at, revoked: self.revoked_at.is_some() }
    }

    /// What it is good for at an instant.
    pub fn status(&self, at: Timestamp) -> ApiKeyStatus {
        if self.revoked_at.is_some() {
            ApiKeyStatus::Revoked
        } else if is_expired(self.expires_at, at) {
            ApiKeyStatus::Expired
        } else {
            ApiKeyStatus::Active
        }
    }
}

/// An API key to be made.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the field of `ApiKey` of the same name")]
pub struct NewApiKey {
    pub id: ApiKeyId,
    pub name: Name,
    pub prefix: String,
    pub secret_hash: SecretHash,
    pub scopes: Scopes,
    pub expires_at: Option<Timestamp>,
    pub ip_allowlist: Vec<IpAddr>,
}

impl NewApiKey {
    /// The key, made at `at`.
    pub fn into_api_key(self, at: Timestamp) -> ApiKey {
        ApiKey {
            id: self.id,
            name: self.name,
            prefix: self.prefix,
            scopes: self.scopes,
            expires_at: self.expires_at,
            ip_allowlist: self.ip_allowlist,
            created_at: at,
            last_used_at: None,
            revoked_at: None,
        }
    }
}

/// Which API keys to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApiKeyFilter {
    /// Those in this state.
    pub status: Option<ApiKeyStatus>,
}

impl ApiKeyFilter {
    /// The total of the list.
    pub fn counted(self, counts: &Counts) -> u64 {
        match self.status {
            None => counts.api_keys(),
            Some(ApiKeyStatus::Active) => counts.api_keys_active,
            Some(ApiKeyStatus::Expired) => counts.api_keys_expired,
            Some(ApiKeyStatus::Revoked) => counts.api_keys_revoked,
        }
    }
}
