//! An API key: what is known of it. Its secret is shown once and kept as a hash.

use std::net::IpAddr;

use serde::Serialize;

use crate::action::words;
use crate::clock::Timestamp;
use crate::counts::{ApiKeyFacts, Counts, is_expired};
use crate::error::AuthFailure;
use crate::id::ApiKeyId;
use crate::network::Network;
use crate::scope::Scopes;
use crate::sort::sort_fields;
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
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
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
    /// The first characters of its newest text, to recognise it by.
    pub prefix: String,
    /// What it may do.
    pub scopes: Scopes,
    /// From this instant on it is expired.
    pub expires_at: Option<Timestamp>,
    /// Where it may be used from; anywhere if empty.
    pub ip_allowlist: Vec<Network>,
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
    pub ip_allowlist: Vec<Network>,
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

/// How long, in seconds, the secret before the new one may be good at the most: 30 days.
pub const GRACE_MAX_SECONDS: u32 = 30 * 24 * 3_600;

/// A new secret for an API key that is there.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The first characters of the key's new text.
    pub prefix: String,
    /// The hash of the new text.
    pub secret_hash: SecretHash,
    /// How long the secret before it stays good, in seconds: at most [`GRACE_MAX_SECONDS`].
    pub grace_seconds: u32,
}

/// An API key with a new secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RotatedApiKey {
    /// The key, which is the same one.
    #[serde(flatten)]
    pub api_key: ApiKey,
    /// From this instant on the secret before is no good.
    pub grace_ends_at: Timestamp,
}

/// What a secret that somebody presents belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedKey {
    /// The key.
    pub api_key: ApiKey,
    /// From this instant on the secret is no good; `None` for the key's newest.
    pub secret_ends_at: Option<Timestamp>,
}

words! {
    /// Why a text is not an API key that is good now.
    KeyRefusal {
        /// It has not the form of a key, or was mistyped.
        Malformed = "MALFORMED",
        /// There is no such key, or none that the caller may ask about.
        Unknown = "UNKNOWN",
        /// The key's tenant is suspended.
        TenantSuspended = "TENANT_SUSPENDED",
        /// The key was revoked.
        Revoked = "REVOKED",
        /// The key has expired.
        Expired = "EXPIRED",
        /// The key has another secret by now, and the grace for this one is over.
        RotatedOut = "ROTATED_OUT",
    }
}

impl PresentedKey {
    /// Why it is not good at an instant, if it is not.
    pub fn refusal(&self, at: Timestamp) -> Option<KeyRefusal> {
        match self.api_key.status(at) {
            ApiKeyStatus::Revoked => Some(KeyRefusal::Revoked),
            ApiKeyStatus::Expired => Some(KeyRefusal::Expired),
            ApiKeyStatus::Active => {
                is_expired(self.secret_ends_at, at).then_some(KeyRefusal::RotatedOut)
            }
        }
    }

    /// Refuses whoever calls with it, if it is not good, or not for where the call comes from.
    pub(crate) fn check_use(&self, at: Timestamp, from: Option<IpAddr>) -> Result<(), AuthFailure> {
        match self.refusal(at) {
            None => {}
            Some(KeyRefusal::Expired) => return Err(AuthFailure::Expired),
            Some(_) => return Err(AuthFailure::Revoked),
        }
        let allowed = &self.api_key.ip_allowlist;
        let is_from = |network: &Network| from.is_some_and(|address| network.contains(address));
        if allowed.is_empty() || allowed.iter().any(is_from) {
            Ok(())
        } else {
            Err(AuthFailure::ForeignAddress)
        }
    }
}

sort_fields! {
    /// What API keys are sorted by.
    ApiKeyField of ApiKey in "api-keys" {
        /// When it was made.
        CreatedAt = "createdAt": Instant,
        /// Its name.
        Name = "name": Text,
        /// When it expires, if it does.
        ExpiresAt = "expiresAt": OptionalInstant,
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
