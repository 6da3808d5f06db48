//! Encryption at rest.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use tenantry_domain::credential::Sealed;
use tenantry_domain::entropy::Entropy;
use tenantry_domain::error::{Error, Result};
use tenantry_domain::id::{CredentialId, TenantId};
use tenantry_domain::idempotency::Mark;
use tenantry_domain::ledger::Hash;
use zeroize::Zeroizing;

use crate::master_key::MasterKey;

/// The layout of [`Sealed`]: this byte, the master key's id, the nonce, the ciphertext with its
/// tag.
const VERSION: u8 = 1;
const KEY_ID_LEN: usize = 8;
const HEADER_LEN: usize = 1 + KEY_ID_LEN + NONCE_LEN;

/// Seals secrets with AES-256-GCM-SIV (RFC 8452): nonces are random, and a repeated one would
/// reveal no more than that two plaintexts are equal.
///
/// Every secret is bound to what it belongs to, so that it opens nowhere else.
pub struct Vault {
    key_id: [u8; KEY_ID_LEN],
    credentials: LessSafeKey,
    signing_keys: LessSafeKey,
    answers: LessSafeKey,
    requests: hmac::Key,
    entropy: Arc<dyn Entropy>,
}

impl Vault {
    /// The vault under a master key.
    pub fn new(master: &MasterKey, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            key_id: master.id_bytes(),
            credentials: key_for(master, "credentials"),
            signing_keys: key_for(master, "signing keys"),
            answers: key_for(master, "answers"),
            requests: hmac::Key::new(hmac::HMAC_SHA256, &*master.derive::<32>("requests")),
            entropy,
        }
    }

    /// Seals the secret of one credential.
    pub fn seal_credential(
        &self,
        tenant: TenantId,
        credential: CredentialId,
        secret: &[u8],
    ) -> Result<Sealed> {
        self.seal(&self.credentials, &self.credential_data(tenant, credential), secret)
    }

    /// Opens what was sealed for the same credential of the same tenant.
    ///
    /// # Errors
    /// [`Error::Internal`] if it was sealed for another one or under another master key, or was
    /// changed since.
    pub fn open_credential(
        &self,
        tenant: TenantId,
        credential: CredentialId,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>> {
        self.open(&self.credentials, &self.credential_data(tenant, credential), sealed)
    }

    /// Seals the private part of a signing key.
    pub fn seal_signing_key(&self, kid: &str, secret: &[u8]) -> Result<Sealed> {
        self.seal(&self.signing_keys, &self.signing_key_data(kid), secret)
    }

    /// Opens what was sealed for the signing key of the same id.
    ///
    /// # Errors
    /// As [`Vault::open_credential`].
    pub fn open_signing_key(&self, kid: &str, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>> {
        self.open(&self.signing_keys, &self.signing_key_data(kid), sealed)
    }

    /// A digest of a request that can be kept: without the key nobody can find out by trying what
    /// the request said. Its body can hold a password.
    pub fn request_digest(&self, request: Hash) -> Hash {
        let tag = hmac::sign(&self.requests, &request.0);
        let mut digest = Hash::default();
        digest.0.copy_from_slice(tag.as_ref());
        digest
    }

    /// Seals the answer to a request, for its repetition.
    pub fn seal_answer(&self, mark: &Mark, answer: &[u8]) -> Result<Sealed> {
        self.seal(&self.answers, &self.answer_data(mark), answer)
    }

    /// Opens what was sealed for the same request.
    ///
    /// # Errors
    /// As [`Vault::open_credential`].
    pub fn open_answer(&self, mark: &Mark, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>> {
        self.open(&self.answers, &self.answer_data(mark), sealed)
    }

    fn answer_data(&self, mark: &Mark) -> Vec<u8> {
        self.associated_data(
            "tenantry answer",
            &[mark.tenant.as_uuid().as_bytes(), &mark.id.0, &mark.request.0],
        )
    }

    fn credential_data(&self, tenant: TenantId, credential: CredentialId) -> Vec<u8> {
        self.associated_data(
            "tenantry credential",
            &[tenant.as_uuid().as_bytes(), credential.as_uuid().as_bytes()],
        )
    }

    fn signing_key_data(&self, kid: &str) -> Vec<u8> {
        self.associated_data("tenantry signing key", &[kid.as_bytes()])
    }

    /// What the ciphertext is bound to. Each part is preceded by its length, so that no two lists
    /// of parts give the same bytes.
    fn associated_data(&self, label: &str, parts: &[&[u8]]) -> Vec<u8> {
        let common: [&[u8]; 3] = [label.as_bytes(), &[VERSION], &self.key_id];
        let mut data = Vec::new();
        for part in common.iter().chain(parts) {
            data.extend_from_slice(&(part.len() as u64).to_be_bytes());
            data.extend_from_slice(part);
        }
        data
    }

    fn seal(&self, key: &LessSafeKey, associated: &[u8], secret: &[u8]) -> Result<Sealed> {
        let nonce: [u8; NONCE_LEN] = self.entropy.bytes();
        // Its full size from the start: growing would leave a copy of the secret behind.
        let size = HEADER_LEN + secret.len() + key.algorithm().tag_len();
        let mut sealed = Zeroizing::new(Vec::with_capacity(size));
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.key_id);
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

    fn open(
        &self,
        key: &LessSafeKey,
        associated: &[u8],
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>> {
        let (version, key_id, nonce, text) =
            split(&sealed.0).ok_or_else(|| Error::internal("a sealed secret is too short"))?;
        if version != VERSION {
            return Err(Error::internal("a sealed secret has an unknown format"));
        }
        if key_id != self.key_id {
            return Err(Error::internal("a secret was sealed under another master key"));
        }
        let mut secret = Zeroizing::new(text.to_vec());
        let length = key
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(associated), &mut secret)
            .map_err(|_| Error::internal("a sealed secret was changed or belongs elsewhere"))?
            .len();
        secret.truncate(length);
        Ok(secret)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

#[expect(clippy::expect_used, reason = "the length is the algorithm's own")]
fn key_for(master: &MasterKey, purpose: &str) -> LessSafeKey {
    let key = master.derive::<32>(purpose);
    let key = UnboundKey::new(&AES_256_GCM_SIV, key.as_slice());
    LessSafeKey::new(key.expect("an AES-256 key must have 32 bytes"))
}

type SealedParts<'a> = (u8, [u8; KEY_ID_LEN], [u8; NONCE_LEN], &'a [u8]);

fn split(sealed: &[u8]) -> Option<SealedParts<'_>> {
    let (version, rest) = sealed.split_first()?;
    let (key_id, rest) = rest.split_first_chunk()?;
    let (nonce, text) = rest.split_first_chunk()?;
    Some((*version, *key_id, *nonce, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{SeededEntropy, uuid};

    const SECRET: &[u8] = b"a refresh token";

    fn vault(seed: u64) -> Vault {
        let entropy = Arc::new(SeededEntropy::new(seed));
        Vault::new(&MasterKey::generate(&*entropy), entropy)
    }

    fn ids() -> (TenantId, CredentialId) {
        (TenantId::from_uuid(uuid(1)), CredentialId::from_uuid(uuid(2)))
    }

    #[test]
    fn opens_what_it_sealed() {
        let (vault, (tenant, credential)) = (vault(1), ids());
        for secret in [b"".as_slice(), SECRET, &[0xff; 10_000]] {
            let sealed = vault.seal_credential(tenant, credential, secret).unwrap();
            assert_eq!(*vault.open_credential(tenant, credential, &sealed).unwrap(), secret);
            assert!(
                secret.is_empty() || !sealed.0.windows(secret.len()).any(|part| part == secret)
            );
            let sealed = vault.seal_signing_key("kid", secret).unwrap();
            assert_eq!(*vault.open_signing_key("kid", &sealed).unwrap(), secret);
        }
    }

    #[test]
    fn equal_secrets_look_different() {
        let (vault, (tenant, credential)) = (vault(1), ids());
        let seal = || vault.seal_credential(tenant, credential, SECRET).unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn opens_for_nothing_else() {
        let (vault, (tenant, credential)) = (vault(1), ids());
        let sealed = vault.seal_credential(tenant, credential, SECRET).unwrap();
        let other_tenant = TenantId::from_uuid(uuid(9));
        let other_credential = CredentialId::from_uuid(uuid(9));
        assert!(vault.open_credential(other_tenant, credential, &sealed).is_err());
        assert!(vault.open_credential(tenant, other_credential, &sealed).is_err());
        assert!(vault.open_signing_key("kid", &sealed).is_err());
        let sealed = vault.seal_signing_key("kid", SECRET).unwrap();
        assert!(vault.open_signing_key("dik", &sealed).is_err());
        assert!(vault.open_credential(tenant, credential, &sealed).is_err());
    }

    #[test]
    fn an_answer_opens_for_its_request_alone() {
        let vault = vault(1);
        let mark = Mark { tenant: ids().0, id: Hash([1; 32]), request: Hash([2; 32]) };
        let sealed = vault.seal_answer(&mark, SECRET).unwrap();
        assert_eq!(*vault.open_answer(&mark, &sealed).unwrap(), SECRET);
        for other in [
            Mark { tenant: TenantId::from_uuid(uuid(9)), ..mark },
            Mark { id: Hash([9; 32]), ..mark },
            Mark { request: Hash([9; 32]), ..mark },
        ] {
            assert!(vault.open_answer(&other, &sealed).is_err());
        }
        let (tenant, credential) = ids();
        assert!(vault.open_credential(tenant, credential, &sealed).is_err());
    }

    #[test]
    fn a_digest_of_a_request_takes_the_key() {
        let (ours, other) = (vault(1), vault(2));
        let (one, two) = (Hash([1; 32]), Hash([2; 32]));
        assert_eq!(ours.request_digest(one), ours.request_digest(one));
        assert_ne!(ours.request_digest(one), ours.request_digest(two));
        assert_ne!(ours.request_digest(one), other.request_digest(one));
        assert_ne!(ours.request_digest(one), one);
    }

    #[test]
    fn every_bit_counts_and_none_may_be_missing() {
        let (vault, (tenant, credential)) = (vault(1), ids());
        let sealed = vault.seal_credential(tenant, credential, SECRET).unwrap();
        for bit in 0..sealed.0.len() * 8 {
            let mut changed = sealed.clone();
            changed.0[bit / 8] ^= 1 << (bit % 8);
            let opened = vault.open_credential(tenant, credential, &changed);
            assert!(opened.is_err(), "bit {bit}");
        }
        for length in 0..sealed.0.len() {
            let cut = Sealed(sealed.0[..length].to_vec());
            assert!(vault.open_credential(tenant, credential, &cut).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn another_master_key_opens_nothing() {
        let (tenant, credential) = ids();
        let (ours, other) = (vault(1), vault(2));
        let mut sealed = ours.seal_credential(tenant, credential, SECRET).unwrap();
        let error = other.open_credential(tenant, credential, &sealed).unwrap_err();
        assert!(error.to_string().contains("another master key"), "{error}");
        // Nor if somebody puts the other key's id there.
        sealed.0[1..=KEY_ID_LEN].copy_from_slice(&other.key_id);
        assert!(other.open_credential(tenant, credential, &sealed).is_err());
    }

    #[test]
    fn parts_cannot_be_shifted() {
        let vault = vault(1);
        assert_ne!(
            vault.associated_data("label", &[b"ab", b"c"]),
            vault.associated_data("label", &[b"a", b"bc"]),
        );
        assert_eq!(format!("{vault:?}"), "Vault(…)");
    }
}
