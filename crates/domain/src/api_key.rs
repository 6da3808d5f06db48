//! An API key: what is known of it. Its secret is shown once and kept as a hash.

use std::net::IpAddr;
use std::num::NonZeroU32;

use serde::Serialize;

use crate::action::words;
use crate::clock::Timestamp;
use crate::counts::{ApiKeyFacts, Counts, is_expired};
use crate::error::{AuthFailure, Conflict, Error, Result};
use crate::id::{ApiKeyId, TenantId};
use crate::network::{Network, check_address};
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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// How many calls a minute it is good for; as many as can be if `None`.
    pub rate_limit: Option<NonZeroU32>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used. No part of the state that a change is compared with: using a key is
    /// not changing it.
    #[serde(skip)]
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

    /// The same key, revoked at an instant.
    ///
    /// # Errors
    /// [`Conflict::AlreadyRevoked`].
    pub fn revoke(mut self, at: Timestamp) -> Result<Self> {
        if self.revoked_at.is_some() {
            return Err(Error::Conflict(Conflict::AlreadyRevoked));
        }
        self.revoked_at = Some(at);
        Ok(self)
    }

    /// The same key with a new text from an instant on, if it is good for anything then.
    ///
    /// # Errors
    /// [`Conflict::AlreadyRevoked`], [`Conflict::ApiKeyExpired`].
    pub fn rotate(self, rotation: &Rotation, at: Timestamp) -> Result<RotatedApiKey> {
        match self.status(at) {
            ApiKeyStatus::Active => {}
            ApiKeyStatus::Revoked => return Err(Error::Conflict(Conflict::AlreadyRevoked)),
            ApiKeyStatus::Expired => return Err(Error::Conflict(Conflict::ApiKeyExpired)),
        }
        let api_key = Self { prefix: rotation.prefix.clone(), ..self };
        let grace = i64::from(rotation.grace_seconds) * 1_000;
        Ok(RotatedApiKey { api_key, grace_ends_at: at.plus_millis(grace) })
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
    pub rate_limit: Option<NonZeroU32>,
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
            rate_limit: self.rate_limit,
            created_at: at,
            last_used_at: None,
            revoked_at: None,
        }
    }
}

/// The most calls a minute that a key can be limited to.
pub const RATE_LIMIT_MAX: u32 = 1_000_000;

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

/// One of the texts that a key has or had, as those see it who administer the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySecret {
    /// The first characters of the text.
    pub prefix: String,
    /// When the key got it.
    pub created_at: Timestamp,
    /// From this instant on it is no good; `None` for the key's newest.
    pub ends_at: Option<Timestamp>,
    /// When and from where it was last used, if it ever was.
    pub last_use: Option<LastUse>,
}

impl KeySecret {
    /// How many of a key's texts are shown at the most: the newest.
    pub const SHOWN: u32 = 10;
}

/// When and from where something was last used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastUse {
    /// When the request was received.
    pub at: Timestamp,
    /// Where it came from, if that is known.
    pub from: Option<IpAddr>,
}

/// How long, in milliseconds, nobody must have used an older text that was used after the newest was
/// made, to take it that nobody will: 24 hours. What calls less often is not known by it.
pub const QUIET_MS: i64 = 24 * 3_600_000;

/// An API key with its texts, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyDetails {
    /// The key.
    pub api_key: ApiKey,
    /// Its texts.
    pub secrets: Vec<KeySecret>,
}

impl ApiKeyDetails {
    /// Whether one of its texts can be let go without anybody noticing, at an instant: it is over,
    /// or nobody has used it since there is a newer one, or the newer one is used and this one was not
    /// for [`QUIET_MS`]. The newest never can.
    pub fn is_safe_to_drop(&self, secret: &KeySecret, at: Timestamp) -> bool {
        let Some(ends_at) = secret.ends_at else { return false };
        let Some(newest) = self.secrets.iter().find(|it| it.ends_at.is_none()) else { return true };
        let Some(last) = secret.last_use else { return true };
        let is_quiet = last.at.plus_millis(QUIET_MS) <= at;
        let is_followed = newest.last_use.is_some_and(|newest| newest.at > last.at);
        ends_at <= at || last.at < newest.created_at || (is_quiet && is_followed)
    }
}

/// A use of one of a key's texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUse {
    /// The key's tenant.
    pub tenant: TenantId,
    /// The key.
    pub key: ApiKeyId,
    /// The text.
    pub secret: SecretHash,
    /// When and from where.
    pub last: LastUse,
}

/// What a secret that somebody presents belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedKey {
    /// The key's id.
    pub id: ApiKeyId,
    /// What it is for.
    pub name: Name,
    /// What it may do.
    pub scopes: Scopes,
    /// From this instant on it is expired.
    pub expires_at: Option<Timestamp>,
    /// Where it may be used from; anywhere if empty.
    pub ip_allowlist: Vec<Network>,
    /// How many calls a minute it is good for; as many as can be if `None`.
    pub rate_limit: Option<NonZeroU32>,
    /// Whether it was revoked.
    pub is_revoked: bool,
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
        if self.is_revoked {
            Some(KeyRefusal::Revoked)
        } else if is_expired(self.expires_at, at) {
            Some(KeyRefusal::Expired)
        } else {
            is_expired(self.secret_ends_at, at).then_some(KeyRefusal::RotatedOut)
        }
    }

    /// Refuses whoever calls with it, if it is not good, or not for where the call comes from.
    pub(crate) fn check_use(&self, at: Timestamp, from: Option<IpAddr>) -> Result<(), AuthFailure> {
        match self.refusal(at) {
            None => {}
            Some(KeyRefusal::Expired) => return Err(AuthFailure::Expired),
            Some(_) => return Err(AuthFailure::Revoked),
        }
        check_address(&self.ip_allowlist, from)
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
