//! The key that everything else at rest is protected by.

use std::fmt;

use aws_lc_rs::hkdf;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tenantry_domain::entropy::Entropy;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::secret::SecretText;

const KEY_LEN: usize = 32;
/// How long a key's id is, in bytes.
pub(crate) const KEY_ID_LEN: usize = 8;

/// The text was not a master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the master key must be 32 bytes in base64, such as `openssl rand -base64 32` prints")]
pub struct MasterKeyError;

/// 256 random bits. It encrypts nothing itself: each purpose has a key of its own, derived from it
/// with HKDF-SHA256 (RFC 5869).
#[derive(ZeroizeOnDrop)]
pub struct MasterKey([u8; KEY_LEN]);

impl MasterKey {
    /// Reads standard base64; white space around it is ignored.
    pub fn from_base64(text: &str) -> Result<Self, MasterKeyError> {
        // One byte more than a key, because that is what the decoder estimates for its 44 digits.
        let mut decoded = Zeroizing::new([0; KEY_LEN + 1]);
        let length = STANDARD
            .decode_slice(text.trim(), decoded.as_mut_slice())
            .map_err(|_| MasterKeyError)?;
        match decoded.split_first_chunk() {
            Some((key, _)) if length == KEY_LEN => Ok(Self(*key)),
            _ => Err(MasterKeyError),
        }
    }

    /// The key with these bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, MasterKeyError> {
        bytes.try_into().map(Self).map_err(|_| MasterKeyError)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A new key.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut key = Self([0; KEY_LEN]);
        entropy.fill(&mut key.0);
        key
    }

    /// The form that [`MasterKey::from_base64`] reads.
    pub fn to_base64(&self) -> SecretText {
        SecretText::new(STANDARD.encode(self.0))
    }

    /// Tells this key from another without revealing anything of it: 16 hexadecimal digits.
    pub fn id(&self) -> String {
        format!("{:016x}", u64::from_be_bytes(self.id_bytes()))
    }

    pub(crate) fn id_bytes(&self) -> [u8; KEY_ID_LEN] {
        *self.derive("master key id")
    }

    /// Derives a key for one purpose.
    #[expect(clippy::expect_used, reason = "HKDF-SHA256 fails only beyond 8160 bytes")]
    pub(crate) fn derive<const N: usize>(&self, purpose: &str) -> Zeroizing<[u8; N]> {
        let mut key = Zeroizing::new([0; N]);
        // No salt: it serves to concentrate weak key material, and this one is uniformly random.
        hkdf::Salt::none(hkdf::HKDF_SHA256)
            .extract(&self.0)
            .expand(&[b"tenantry v1 ", purpose.as_bytes()], Length(N))
            .and_then(|derived| derived.fill(key.as_mut_slice()))
            .expect("the length must be one that HKDF can derive");
        key
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::SeededEntropy;

    #[test]
    fn survives_its_text_form() {
        let key = MasterKey::generate(&SeededEntropy::new(1));
        let text = key.to_base64();
        let read = MasterKey::from_base64(&format!(" {}\n", text.expose())).unwrap();
        assert_eq!(read.id(), key.id());
        assert_eq!(read.to_base64().expose(), text.expose());
    }

    #[test]
    fn only_32_bytes_in_base64_are_a_key() {
        for bytes in [0, 1, 16, 31, 33, 34, 64] {
            let text = STANDARD.encode(vec![7; bytes]);
            assert_eq!(MasterKey::from_base64(&text).err(), Some(MasterKeyError), "{bytes}");
        }
        let good = STANDARD.encode([0xff; 32]);
        for text in [good.replace('/', "_"), good.replace('=', ""), format!("{good}A")] {
            assert!(MasterKey::from_base64(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_id_differs_by_key_and_shows_nothing_of_it() {
        let (one, other) = (MasterKey([0; 32]), MasterKey([1; 32]));
        assert_ne!(one.id(), other.id());
        assert_eq!(one.id().len(), 16);
        assert_ne!(one.id(), "0".repeat(16));
        assert_eq!(format!("{one:?}"), "MasterKey(…)");
    }

    #[test]
    fn purposes_have_keys_of_their_own() {
        let key = MasterKey([7; 32]);
        assert_ne!(*key.derive::<32>("credentials"), *key.derive::<32>("signing keys"));
    }
}
