//! A provider with a key of each kind.

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use serde_json::{Value, json};
use tenantry_domain::realm::Algorithm;

use super::encode;

/// The provider's private keys.
pub(super) struct Provider {
    pub(super) rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    p521: EcdsaKeyPair,
    pub(super) ed25519: Ed25519KeyPair,
}

pub(super) static PROVIDER: LazyLock<Provider> = LazyLock::new(|| {
    let curve =
        |algorithm: &'static EcdsaSigningAlgorithm| EcdsaKeyPair::generate(algorithm).unwrap();
    Provider {
        rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        p256: curve(&ECDSA_P256_SHA256_FIXED_SIGNING),
        p384: curve(&ECDSA_P384_SHA384_FIXED_SIGNING),
        p521: curve(&ECDSA_P521_SHA512_FIXED_SIGNING),
        ed25519: Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap(),
    }
});

impl Provider {
    pub(super) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let rsa = |encoding: &'static dyn RsaEncoding| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
            signature
        };
        let curve = |key: &EcdsaKeyPair| key.sign(&SystemRandom::new(), message).unwrap();
        match algorithm {
            Algorithm::Rs256 => rsa(&RSA_PKCS1_SHA256),
            Algorithm::Rs384 => rsa(&RSA_PKCS1_SHA384),
            Algorithm::Rs512 => rsa(&RSA_PKCS1_SHA512),
            Algorithm::Ps256 => rsa(&RSA_PSS_SHA256),
            Algorithm::Ps384 => rsa(&RSA_PSS_SHA384),
            Algorithm::Ps512 => rsa(&RSA_PSS_SHA512),
            Algorithm::Es256 => curve(&self.p256).as_ref().to_vec(),
            Algorithm::Es384 => curve(&self.p384).as_ref().to_vec(),
            Algorithm::Es512 => curve(&self.p521).as_ref().to_vec(),
            Algorithm::EdDsa => self.ed25519.sign(message).as_ref().to_vec(),
        }
    }

    pub(super) fn kid(algorithm: Algorithm) -> &'static str {
        match algorithm {
            Algorithm::Es256 => "p256",
            Algorithm::Es384 => "p384",
            Algorithm::Es512 => "p521",
            Algorithm::EdDsa => "ed25519",
            _ => "rsa",
        }
    }

    pub(super) fn jwks(&self) -> Value {
        let curve = |kid: &str, crv: &str, key: &EcdsaKeyPair| {
            let point = key.public_key().as_ref();
            let (x, y) = point[1..].split_at((point.len() - 1) / 2);
            json!({"kty": "EC", "crv": crv, "kid": kid, "x": encode(x), "y": encode(y)})
        };
        // A sequence of two numbers, of which the first has a sign byte (RFC 8017, appendix A.1.1).
        let rsa = self.rsa.public_key().as_ref();
        let (n, e) = (&rsa[9..9 + 256], &rsa[rsa.len() - 3..]);
        json!({"keys": [
            {
                "kty": "RSA", "kid": "rsa", "use": "sig",
                "n": encode(n),
                "e": encode(e)
            },
            curve("p256", "P-256", &self.p256),
            curve("p384", "P-384", &self.p384),
            curve("p521", "P-521", &self.p521),
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed25519",
             "x": encode(self.ed25519.public_key().as_ref())}
        ]})
    }
}
