//! The signing keys of the built-in realm: how processes learn of them, and how they are replaced.
//!
//! A new key is made known first and signs later ([`signer`]); an old one verifies until nothing that
//! it has signed is valid, and is removed then. Whether a token's key is still there is looked at on
//! every request, with whether the token was ended; what is held here need not be that fresh.

use std::cmp::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tenantry_domain::access::TenantAccess;
use tenantry_domain::clock::{Clock, Timestamp};
use tenantry_domain::entropy::Entropy;
use tenantry_domain::error::{Error, Result};
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::ActorKind;
use tenantry_domain::signing_key::{ORDINARY_TTL_MS, StoredSigningKey, signer};
use tenantry_security::realm::{IssuedToken, TokenRequest};
use tenantry_security::signing_key::SigningKey;
use tenantry_security::vault::Vault;
use tenantry_store::Store;

use crate::Service;

/// How often to look whether a key is due to be replaced or removed.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How soon the keys are read again because somebody who need not be known asks for it.
const READ_AGAIN_MS: i64 = 1_000;

/// When the keys were last read for the sake of somebody unknown.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// For a token whose key was not known.
    unknown: Look,
    /// For whoever asked for the public keys.
    published: Look,
    /// Held by whoever reads, so that what was read first is not held last.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Look(Mutex<Option<Timestamp>>);

impl Look {
    /// Whether the last one was long enough ago; then this is one.
    fn is_due(&self, now: Timestamp) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = last.map(|last| now.as_millis().saturating_sub(last.as_millis()));
        // A clock that has stepped back is none to wait for.
        let is_due = since.is_none_or(|since| !(0..READ_AGAIN_MS).contains(&since));
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

/// A signing key, and what it is for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKeyStanding {
    /// Its id.
    pub kid: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// What it is for.
    pub purpose: KeyPurpose,
}

/// What a signing key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPurpose {
    /// It is being made known, and signs from then on.
    SignsFrom(Timestamp),
    /// It signs.
    Signs,
    /// It verifies what it has signed, and is removed then.
    VerifiesUntil(Timestamp),
}

/// What a rotation has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotatedKeys {
    /// The id of the new key.
    pub kid: String,
    /// Those that were removed at once.
    pub retired: Vec<String>,
}

impl Service {
    /// The signing keys, oldest first.
    ///
    /// # Errors
    /// What the store fails with.
    pub async fn signing_keys(&self) -> Result<Vec<SigningKeyStanding>> {
        let (keys, now) = (self.store.signing_keys().await?, self.clock.now());
        let signing = signer(&keys, |key| key.created_at, now);
        let signing = keys.iter().position(|key| Some(key) == signing);
        let standing = keys.iter().enumerate().map(|(place, key)| {
            let next = keys.get(place.saturating_add(1));
            let purpose = match (Some(place).cmp(&signing), next) {
                (Ordering::Less, Some(next)) => KeyPurpose::VerifiesUntil(key.verifies_until(next)),
                (Ordering::Equal, _) => KeyPurpose::Signs,
                _ => KeyPurpose::SignsFrom(key.signs_from()),
            };
            SigningKeyStanding { kid: key.kid.clone(), created_at: key.created_at, purpose }
        });
        Ok(standing.collect())
    }

    /// Makes a new signing key. The others go on verifying what they have signed; if they have
    /// `leaked` they are removed at once, and the new one signs at once.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if somebody else has just made one.
    pub async fn rotate_signing_keys(&self, leaked: bool) -> Result<RotatedKeys> {
        let access = access(ActorKind::CommandLine, "tenantry keys rotate");
        let keys = self.store.signing_keys().await?;
        let kid = self.add_signing_key(&access, &keys).await?.ok_or_else(|| {
            Error::Unavailable("another signing key was made at the same time".to_owned())
        })?;
        let mut retired = Vec::new();
        for key in keys.into_iter().filter(|_| leaked) {
            if self.store.retire_signing_key(&access, &key.kid).await? {
                retired.push(key.kid);
            }
        }
        self.read_keys().await?;
        Ok(RotatedKeys { kid, retired })
    }

    /// Makes a new signing key if the newest one is of this age, and removes those of which nothing is
    /// valid that they have signed.
    ///
    /// # Errors
    /// What the store fails with.
    pub async fn tend_signing_keys(&self, age: Option<Duration>) -> Result<()> {
        let access = access(ActorKind::System, "tenantry");
        let keys = self.store.signing_keys().await?;
        let now = self.clock.now();
        for (key, next) in keys.iter().zip(keys.iter().skip(1)) {
            if key.verifies_until(next) <= now
                && self.store.retire_signing_key(&access, &key.kid).await?
            {
                tracing::info!(kid = key.kid, "a signing key has been retired");
            }
        }
        let is_old = |key: &StoredSigningKey, age: Duration| {
            let since = now.as_millis().saturating_sub(key.created_at.as_millis());
            u128::try_from(since).is_ok_and(|since| since >= age.as_millis())
        };
        if keys.last().zip(age).is_some_and(|(key, age)| is_old(key, age))
            && let Some(kid) = self.add_signing_key(&access, &keys).await?
        {
            tracing::info!(kid, "a new signing key has been made");
        }
        self.read_keys().await
    }

    /// The public keys as they are now, or were a second ago.
    pub async fn public_keys(&self) -> serde_json::Value {
        if self.looks.published.is_due(self.clock.now())
            && let Err(error) = self.read_keys().await
        {
            tracing::warn!(%error, "the signing keys could not be read; those known are shown");
        }
        self.realm.jwks()
    }

    /// Reads the keys for a token whose key is not known, unless that was done just now; answers
    /// whether it was.
    pub(crate) async fn look_for_key(&self) -> Result<bool> {
        if !self.looks.unknown.is_due(self.clock.now()) {
            return Ok(false);
        }
        self.read_keys().await?;
        Ok(true)
    }

    /// Issues a token with the key that signs now, and has that stay as long as the token is valid.
    ///
    /// # Errors
    /// As [`Realm::issue`](tenantry_security::realm::Realm::issue).
    pub(crate) async fn sign(&self, request: &TokenRequest) -> Result<IssuedToken> {
        self.read_keys().await?;
        let token = self.realm.issue(request)?;
        if i64::try_from(request.ttl_seconds).is_ok_and(|ttl| ttl <= ORDINARY_TTL_MS / 1_000)
            || self.store.keep_signing_key(&token.key, token.expires_at).await?
        {
            return Ok(token);
        }
        Err(Error::Unavailable("the signing keys have just been replaced".to_owned()))
    }

    /// Adds a key after these; answers its id, or `None` if somebody else was first.
    async fn add_signing_key(
        &self,
        access: &TenantAccess,
        keys: &[StoredSigningKey],
    ) -> Result<Option<String>> {
        let Some(newest) = keys.last() else { return Ok(None) };
        self.know_master_key().await?;
        // It is the newest, whatever the clock says.
        let at = self.clock.now().max(newest.created_at.plus_millis(1));
        let key = SigningKey::generate(&*self.entropy, at)?;
        let kid = key.kid().to_owned();
        let is_added =
            self.store.add_signing_key(access, key.seal(&self.vault)?, &newest.kid).await?;
        // What was added when the connection was lost is not added again.
        let is_there = is_added || self.store.signing_keys().await?.iter().any(|it| it.kid == kid);
        Ok(is_there.then_some(kid))
    }

    /// Has the realm's keys be those that the store has.
    async fn read_keys(&self) -> Result<()> {
        let _reading = self.looks.reading.lock().await;
        let stored = self.store.signing_keys().await?;
        let known = self.realm.keys();
        if !stored.iter().map(|key| &*key.kid).eq(known.iter().map(SigningKey::kid)) {
            let opened = || async { opened(&self.vault, &stored) };
            self.realm.replace_keys(self.with_master_keys(opened).await?)?;
        }
        Ok(())
    }
}

/// The realm's signing keys; the first start makes one.
pub(crate) async fn first_keys(
    store: &dyn Store,
    vault: &Vault,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Vec<SigningKey>> {
    let mut stored = store.signing_keys().await?;
    if stored.is_empty() {
        let key = SigningKey::generate(entropy, clock.now())?;
        store.add_first_signing_key(key.seal(vault)?).await?;
        stored = store.signing_keys().await?;
    }
    opened(vault, &stored)
}

fn opened(vault: &Vault, stored: &[StoredSigningKey]) -> Result<Vec<SigningKey>> {
    stored.iter().map(|key| SigningKey::open(vault, key)).collect()
}

/// Authority over what there is once for all tenants, by whoever holds the data.
pub(crate) fn access(kind: ActorKind, id: &str) -> TenantAccess {
    TenantAccess::local(TenantId::PLATFORM, kind, id)
}

/// Tends the signing keys, again and again, until it is dropped. Without an age none is made.
pub async fn run(service: Arc<Service>, age: Option<Duration>) {
    loop {
        if let Err(error) = service.tend_signing_keys(age).await {
            tracing::warn!(%error, "the signing keys could not be looked after; they stay in use");
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
