//! The keys that the built-in realm signs its tokens with.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey, Signature};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::entropy::Entropy;
use tenantry_domain::error::{Error, Result};
use tenantry_domain::sealing::SealedFor;
use tenantry_domain::signing_key::StoredSigningKey;
use zeroize::Zeroizing;

use crate::api_key::sha256;
use crate::vault::Vault;

/// The one algorithm, as JOSE names it (RFC 8037).
pub(crate) const ALGORITHM: &str = "EdDSA";

/// An Ed25519 key pair (RFC 8032) with its id.
pub struct SigningKey {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
    public: ParsedPublicKey,
    kid: Arc<str>,
    created_at: Timestamp,
}

impl SigningKey {
    /// A new key.
    pub fn generate(entropy: &dyn Entropy, now: Timestamp) -> Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        entropy.fill(seed.as_mut_slice());
        Self::from_seed(seed, now)
    }

    fn from_seed(seed: Zeroizing<[u8; 32]>, created_at: Timestamp) -> Result<Self> {
        let failed = |_| Error::internal("a signing key cannot be made from its seed");
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(failed)?;
        let public = ParsedPublicKey::new(&ED25519, pair.public_key()).map_err(failed)?;
        let kid = thumbprint(&encode(pair.public_key())).into();
        Ok(Self { seed, pair, public, kid, created_at })
    }

    /// The key's id: the thumbprint of its public part (RFC 7638).
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub(crate) fn shared_kid(&self) -> Arc<str> {
        Arc::clone(&self.kid)
    }

    /// When it was made.
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// What to keep of it.
    pub fn seal(&self, vault: &Vault) -> Result<StoredSigningKey> {
        Ok(StoredSigningKey {
            kid: self.kid.to_string(),
            algorithm: ALGORITHM.to_owned(),
            sealed: vault
                .seal(&SealedFor::SigningKey(self.kid.to_string()), self.seed.as_slice())?,
            created_at: self.created_at,
            needed_until: None,
        })
    }

    /// Reads back what [`SigningKey::seal`] gave to keep.
    ///
    /// # Errors
    /// [`Error::Internal`] if it was sealed under another master key, or changed, or is of an
    /// algorithm that this version does not know.
    pub fn open(vault: &Vault, stored: &StoredSigningKey) -> Result<Self> {
        let StoredSigningKey { kid, algorithm, sealed, created_at, needed_until: _ } = stored;
        if algorithm != ALGORITHM {
            return Err(Error::internal("a signing key has an unknown algorithm"));
        }
        let secret = vault.open(&SealedFor::SigningKey(kid.clone()), sealed)?;
        let mut seed = Zeroizing::new([0; 32]);
        if secret.len() != seed.len() {
            return Err(Error::internal("a signing key has a wrong length"));
        }
        seed.copy_from_slice(&secret);
        let key = Self::from_seed(seed, *created_at)?;
        if *key.kid == **kid {
            Ok(key)
        } else {
            Err(Error::internal("a signing key is not the one that its id names"))
        }
    }

    /// The public part, as a JSON Web Key (RFC 7517, RFC 8037).
    pub fn jwk(&self) -> serde_json::Value {
        json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "x": encode(self.pair.public_key()),
            "kid": &*self.kid,
            "alg": ALGORITHM,
            "use": "sig",
        })
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        self.pair.sign(message)
    }

    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.public.verify_sig(message, signature).is_ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The hash of the members that define a key, in the order and form that RFC 7638 fixes.
fn thumbprint(x: &str) -> String {
    encode(sha256(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#).as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::master_key::MasterKey;
    use crate::test_support::SeededEntropy;

    const NOW: Timestamp = Timestamp::from_millis(1_752_157_800_000);

    fn vault() -> Vault {
        let entropy = Arc::new(SeededEntropy::new(5));
        Vault::new(MasterKey::generate(&*entropy), entropy)
    }

    #[test]
    fn the_example_of_rfc_8037() {
        let seed: [u8; 32] = URL_SAFE_NO_PAD
            .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
            .unwrap()
            .try_into()
            .unwrap();
        let key = SigningKey::from_seed(Zeroizing::new(seed), NOW).unwrap();
        let kid = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        assert_eq!(
            key.jwk(),
            json!({
                "kty": "OKP",
                "crv": "Ed25519",
                "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                "kid": kid,
                "alg": "EdDSA",
                "use": "sig",
            })
        );
        let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt\
                         9g7sVvpAr_MuM0KAg";
        assert_eq!(encode(key.sign(message)), signature);
        assert!(key.has_signed(message, key.sign(message).as_ref()));
    }

    #[test]
    fn opens_what_was_sealed_and_nothing_else() {
        let vault = vault();
        let key = SigningKey::generate(&SeededEntropy::new(1), NOW).unwrap();
        let parts = key.seal(&vault).unwrap();
        let open = |kid: &str, algorithm: &str, vault: &Vault| {
            let (kid, algorithm) = (kid.to_owned(), algorithm.to_owned());
            SigningKey::open(vault, &StoredSigningKey { kid, algorithm, ..parts.clone() })
        };
        let opened = open(&parts.kid, &parts.algorithm, &vault).unwrap();
        assert_eq!((opened.jwk(), opened.created_at()), (key.jwk(), NOW));

        let other = SigningKey::generate(&SeededEntropy::new(2), NOW).unwrap();
        assert_ne!(other.kid(), key.kid());
        assert!(open(other.kid(), "EdDSA", &vault).is_err());
        assert!(open(key.kid(), "ES256", &vault).is_err());
        let elsewhere = Vault::new(
            MasterKey::generate(&SeededEntropy::new(6)),
            Arc::new(SeededEntropy::new(7)),
        );
        assert!(open(key.kid(), "EdDSA", &elsewhere).is_err());
    }

    #[test]
    fn what_is_sealed_under_a_wrong_id_is_refused() {
        let vault = vault();
        let sealed = vault.seal(&SealedFor::SigningKey("mine".to_owned()), &[7; 32]).unwrap();
        let (kid, algorithm) = ("mine".to_owned(), "EdDSA".to_owned());
        let stored =
            StoredSigningKey { kid, algorithm, sealed, created_at: NOW, needed_until: None };
        assert!(SigningKey::open(&vault, &stored).is_err());
    }

    #[test]
    fn debug_shows_the_id_alone() {
        let key = SigningKey::generate(&SeededEntropy::new(1), NOW).unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey {{ kid: {:?}, .. }}", key.kid()));
    }
}
