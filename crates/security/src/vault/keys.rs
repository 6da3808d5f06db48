//! What a master key seals and opens.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::credential::Sealed;
use tenantry_domain::entropy::Entropy;
use tenantry_domain::error::{Error, Result};
use tenantry_domain::ledger::Hash;
use tenantry_domain::sealing::{SealedFor, WrappedKey};
use zeroize::Zeroizing;

use crate::master_key::{KEY_ID_LEN, MasterKey};

/// The layout of [`Sealed`]: this byte, the master key's id, the nonce, the ciphertext with its
/// tag.
const VERSION: u8 = 1;
const HEADER_LEN: usize = 1 + KEY_ID_LEN + NONCE_LEN;

/// A master key, and what is derived from it for each purpose.
pub(super) struct Keys {
    master: MasterKey,
    pub(super) id: String,
    pub(super) id_bytes: [u8; KEY_ID_LEN],
    credentials: LessSafeKey,
    signing: LessSafeKey,
    answers: LessSafeKey,
    wrapping: LessSafeKey,
    requests: hmac::Key,
}

impl Keys {
    pub(super) fn of(master: MasterKey) -> Self {
        Self {
            id: master.id(),
            id_bytes: master.id_bytes(),
            credentials: key_for(&master, "credentials"),
            signing: key_for(&master, "signing keys"),
            answers: key_for(&master, "answers"),
            wrapping: key_for(&master, "master keys"),
            requests: hmac::Key::new(hmac::HMAC_SHA256, &*master.derive::<32>("requests")),
            master,
        }
    }

    fn key(&self, sealed_for: &SealedFor) -> &LessSafeKey {
        match sealed_for {
            SealedFor::Credential(..) => &self.credentials,
            SealedFor::SigningKey(_) => &self.signing,
            SealedFor::Answer(_) => &self.answers,
            SealedFor::MasterKey(_) => &self.wrapping,
        }
    }

    /// What the ciphertext is bound to.
    fn associated_data(&self, sealed_for: &SealedFor) -> Vec<u8> {
        let data = |label: &str, parts: &[&[u8]]| associated_data(label, &self.id_bytes, parts);
        match sealed_for {
            SealedFor::Credential(tenant, id) => {
                data("tenantry credential", &[tenant.as_uuid().as_bytes(), id.as_uuid().as_bytes()])
            }
            SealedFor::SigningKey(kid) => data("tenantry signing key", &[kid.as_bytes()]),
            SealedFor::Answer(mark) => data(
                "tenantry answer",
                &[mark.tenant.as_uuid().as_bytes(), &mark.id.0, &mark.request.0],
            ),
            SealedFor::MasterKey(id) => data("tenantry master key", &[id.as_bytes()]),
        }
    }

    pub(super) fn seal(
        &self,
        entropy: &dyn Entropy,
        sealed_for: &SealedFor,
        secret: &[u8],
    ) -> Result<Sealed> {
        let (key, associated) = (self.key(sealed_for), self.associated_data(sealed_for));
        let nonce: [u8; NONCE_LEN] = entropy.bytes();
        // Its full size from the start: growing would leave a copy of the secret behind.
        let size = HEADER_LEN + secret.len() + key.algorithm().tag_len();
        let mut sealed = Zeroizing::new(Vec::with_capacity(size));
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.id_bytes);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(secret);
        let (_, text) = sealed.split_at_mut(HEADER_LEN);
        let tag = key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(associated),
                text,
            )
            .map_err(|_| Error::internal("the vault cannot seal a secret"))?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(Sealed(std::mem::take(&mut *sealed)))
    }

    /// A digest of a request that can be kept.
    pub(super) fn request_digest(&self, request: Hash) -> Hash {
        let tag = hmac::sign(&self.requests, &request.0);
        let mut digest = Hash::default();
        digest.0.copy_from_slice(tag.as_ref());
        digest
    }

    /// Wraps another key.
    pub(super) fn wrap(
        &self,
        entropy: &dyn Entropy,
        other: &Self,
        at: Timestamp,
    ) -> Result<WrappedKey> {
        let sealed_for = SealedFor::MasterKey(other.id.clone());
        Ok(WrappedKey {
            key_id: other.id.clone(),
            under: self.id.clone(),
            sealed: self.seal(entropy, &sealed_for, other.master.as_bytes())?,
            created_at: at,
        })
    }

    /// Unwraps a key that was wrapped under this one.
    pub(super) fn unwrap_key(&self, wrapped: &WrappedKey) -> Result<Self> {
        let parts = Parts::of(&wrapped.sealed)?;
        let sealed_for = SealedFor::MasterKey(wrapped.key_id.clone());
        let secret = self.open(&sealed_for, parts)?;
        let master = MasterKey::from_bytes(&secret).map_err(Error::internal)?;
        let keys = Self::of(master);
        if keys.id == wrapped.key_id {
            Ok(keys)
        } else {
            Err(Error::internal("a wrapped master key is another one"))
        }
    }

    pub(super) fn open(
        &self,
        sealed_for: &SealedFor,
        parts: Parts<'_>,
    ) -> Result<Zeroizing<Vec<u8>>> {
        let (key, associated) = (self.key(sealed_for), self.associated_data(sealed_for));
        let nonce = Nonce::assume_unique_for_key(parts.nonce);
        let mut secret = Zeroizing::new(parts.text.to_vec());
        let length = key
            .open_in_place(nonce, Aad::from(associated), &mut secret)
            .map_err(|_| Error::internal("a sealed secret was changed or belongs elsewhere"))?
            .len();
        secret.truncate(length);
        Ok(secret)
    }
}

#[expect(clippy::expect_used, reason = "the length is the algorithm's own")]
fn key_for(master: &MasterKey, purpose: &str) -> LessSafeKey {
    let key = master.derive::<32>(purpose);
    let key = UnboundKey::new(&AES_256_GCM_SIV, key.as_slice());
    LessSafeKey::new(key.expect("an AES-256 key must have 32 bytes"))
}

/// Each part is preceded by its length, so that no two lists of parts give the same bytes.
fn associated_data(label: &str, key_id: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let common: [&[u8]; 3] = [label.as_bytes(), &[VERSION], key_id];
    let mut data = Vec::new();
    for part in common.iter().chain(parts) {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part);
    }
    data
}

/// What [`Sealed`] is made of.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) key_id: [u8; KEY_ID_LEN],
    nonce: [u8; NONCE_LEN],
    text: &'a [u8],
}

impl<'a> Parts<'a> {
    pub(super) fn of(sealed: &'a Sealed) -> Result<Self> {
        let too_short = || Error::internal("a sealed secret is too short");
        let (version, rest) = sealed.0.split_first().ok_or_else(too_short)?;
        let (key_id, rest) = rest.split_first_chunk().ok_or_else(too_short)?;
        let (nonce, text) = rest.split_first_chunk().ok_or_else(too_short)?;
        if *version != VERSION {
            return Err(Error::internal("a sealed secret has an unknown format"));
        }
        Ok(Self { key_id: *key_id, nonce: *nonce, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_be_shifted() {
        assert_ne!(
            associated_data("label", b"id", &[b"ab", b"c"]),
            associated_data("label", b"id", &[b"a", b"bc"]),
        );
    }
}
