//! Encryption at rest.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tenantry_domain::clock::Timestamp;
use tenantry_domain::credential::Sealed;
use tenantry_domain::entropy::Entropy;
use tenantry_domain::error::{Error, Result};
use tenantry_domain::idempotency::RequestDigests;
use tenantry_domain::ledger::Hash;
use tenantry_domain::sealing::{MasterKeys, SealedFor};
use zeroize::Zeroizing;

use crate::master_key::MasterKey;
use crate::vault::keys::{Keys, Parts};

mod keys;

/// Seals secrets with AES-256-GCM-SIV (RFC 8452): nonces are random, and a repeated one would
/// reveal no more than that two plaintexts are equal.
///
/// Every secret is bound to what it belongs to, so that it opens nowhere else. It is sealed under the
/// master key that the installation is bound to, and opens under any that is known here.
pub struct Vault {
    ring: RwLock<Ring>,
    entropy: Arc<dyn Entropy>,
}

/// The master keys that are known.
struct Ring {
    /// The one that everything is sealed under.
    bound: Arc<Keys>,
    /// Others, the one before first.
    others: Vec<Arc<Keys>>,
}

impl Ring {
    fn keys(&self) -> impl Iterator<Item = &Arc<Keys>> {
        std::iter::once(&self.bound).chain(&self.others)
    }

    fn ids(&self) -> Vec<&str> {
        self.keys().map(|keys| keys.id.as_str()).collect()
    }

    /// The stored keys, as far as those of this ring open them.
    fn learn(&self, stored: &MasterKeys) -> Result<Self> {
        let mut known: Vec<_> = self.keys().cloned().collect();
        let find = |known: &[Arc<Keys>], id: &str| known.iter().position(|keys| keys.id == id);
        // One can open the next, in any order.
        for _ in &stored.wrapped {
            for wrapped in &stored.wrapped {
                let under = find(&known, &wrapped.under).and_then(|place| known.get(place));
                if let (None, Some(under)) = (find(&known, &wrapped.key_id), under) {
                    let keys = under.unwrap_key(wrapped)?;
                    known.push(Arc::new(keys));
                }
            }
        }
        let bound = stored.bound.as_deref().and_then(|bound| find(&known, bound));
        let bound = known.swap_remove(bound.ok_or(Error::UnknownMasterKey)?);
        known.retain(|keys| stored.wrapped.iter().any(|wrapped| wrapped.key_id == keys.id));
        let before = stored.succession().map(|wrapped| &wrapped.under);
        known.sort_by_key(|keys| Some(&keys.id) != before);
        Ok(Self { bound, others: known })
    }
}

impl Vault {
    /// The vault under a master key.
    pub fn new(master: MasterKey, entropy: Arc<dyn Entropy>) -> Self {
        let bound = Arc::new(Keys::of(master));
        Self { ring: RwLock::new(Ring { bound, others: Vec::new() }), entropy }
    }

    /// Takes over the master keys of the installation, as far as those that are known open them, and
    /// lets go of others. Answers whether they were not known like that.
    ///
    /// # Errors
    /// [`Error::UnknownMasterKey`] if the bound one cannot be opened; then nothing is changed.
    pub fn learn(&self, stored: &MasterKeys) -> Result<bool> {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let learnt = ring.learn(stored)?;
        let is_new = learnt.ids() != ring.ids();
        *ring = learnt;
        Ok(is_new)
    }

    /// The master keys of the installation once it is bound to the next one.
    ///
    /// # Errors
    /// [`Error::Internal`] if sealing fails.
    pub fn succeed(&self, next: MasterKey, at: Timestamp) -> Result<MasterKeys> {
        let ring = self.ring();
        let next = Keys::of(next);
        let entropy = &*self.entropy;
        let before = ring.keys().map(|keys| next.wrap(entropy, keys, at));
        let after = std::iter::once_with(|| ring.bound.wrap(entropy, &next, at));
        let mut wrapped = before.chain(after).collect::<Result<Vec<_>>>()?;
        // As a store tells them.
        wrapped.sort_by(|one, other| (&one.key_id, &one.under).cmp(&(&other.key_id, &other.under)));
        Ok(MasterKeys { bound: Some(next.id), wrapped })
    }

    /// The ids of the master keys that are known, the bound one first, then the one before.
    pub fn key_ids(&self) -> Vec<String> {
        let ring = self.ring();
        ring.ids().into_iter().map(str::to_owned).collect()
    }

    /// Digests of a request that can be kept: without the key nobody can find out by trying what
    /// the request said. Its body can hold a password.
    pub fn request_digests(&self, request: Hash) -> RequestDigests {
        let ring = self.ring();
        let digest = |keys: &Arc<Keys>| keys.request_digest(request);
        RequestDigests { now: digest(&ring.bound), before: ring.others.first().map(digest) }
    }

    /// Seals a secret for what it belongs to.
    ///
    /// # Errors
    /// [`Error::Internal`] if it is too long to be one.
    pub fn seal(&self, sealed_for: &SealedFor, secret: &[u8]) -> Result<Sealed> {
        self.bound().seal(&*self.entropy, sealed_for, secret)
    }

    /// Opens what was sealed for the same thing.
    ///
    /// # Errors
    /// [`Error::UnknownMasterKey`] if it was sealed under a master key that is not known here;
    /// [`Error::Internal`] if it was sealed for something else, or was changed since.
    pub fn open(&self, sealed_for: &SealedFor, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>> {
        let parts = Parts::of(sealed)?;
        self.keys_of(&parts)?.open(sealed_for, parts)
    }

    /// The same secret sealed under the bound key; nothing if it is already.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub fn reseal(&self, sealed_for: &SealedFor, sealed: &Sealed) -> Result<Option<Sealed>> {
        let (parts, bound) = (Parts::of(sealed)?, self.bound());
        let keys = self.keys_of(&parts)?;
        if keys.id == bound.id {
            return Ok(None);
        }
        let secret = keys.open(sealed_for, parts)?;
        bound.seal(&*self.entropy, sealed_for, &secret).map(Some)
    }

    fn ring(&self) -> RwLockReadGuard<'_, Ring> {
        // It is whole between any two statements.
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn bound(&self) -> Arc<Keys> {
        Arc::clone(&self.ring().bound)
    }

    fn keys_of(&self, parts: &Parts<'_>) -> Result<Arc<Keys>> {
        let ring = self.ring();
        let keys = ring.keys().find(|keys| keys.id_bytes == parts.key_id).cloned();
        keys.ok_or(Error::UnknownMasterKey)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

#[cfg(test)]
mod tests;
