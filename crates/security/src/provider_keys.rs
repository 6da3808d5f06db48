//! The public keys of a provider: a JSON Web Key Set (RFC 7517), of which what can verify a signature
//! is taken and the rest left.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;
use tenantry_domain::json;
use tenantry_domain::realm::Algorithm;

/// The most keys of a set that are looked at.
const KEYS_MAX: usize = 100;
/// The most bytes of an RSA modulus (8,192 bits) and of an exponent.
const MODULUS_MAX: usize = 1024;
const EXPONENT_MAX: usize = 8;

/// What a key says of itself (RFC 7517, section 4; RFC 7518, section 6; RFC 8037, section 2). What is
/// private in it is not read.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// A public key.
struct PublicKey {
    kid: Option<String>,
    /// The one algorithm it says that it is for, if it says so.
    only: Option<String>,
    material: Material,
}

/// What a key is made of, which says what it can be used for.
enum Material {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    /// On a curve, which has one algorithm.
    Curve(Algorithm, ParsedPublicKey),
}

/// The keys of a provider.
pub struct KeySet {
    keys: Vec<PublicKey>,
}

impl KeySet {
    /// Reads a key set. A key that cannot verify any signature that is taken here (another type, a
    /// short one, one for encryption) is left out.
    ///
    /// # Errors
    /// What is wrong, if it is no key set or none of its keys can be used.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let set = json::parse(text)?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or("it is no key set")?;
        let keys: Vec<_> = keys.iter().take(KEYS_MAX).filter_map(read).collect();
        if keys.is_empty() {
            Err("none of its keys can be used".to_owned())
        } else {
            Ok(Self { keys })
        }
    }

    /// Whether the key with this id, for this algorithm, made the signature; `None` if there is no
    /// such key. Without an id the one key is meant that is for the algorithm.
    pub(crate) fn has_signed(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Option<bool> {
        let mut fitting = self.keys.iter().filter(|key| {
            key.is_for(algorithm) && kid.is_none_or(|kid| key.kid.as_deref() == Some(kid))
        });
        let key = fitting.next()?;
        // Which of several is meant is not for whoever sends the token to be found out.
        let is_the_one = fitting.next().is_none();
        is_the_one.then(|| key.has_signed(algorithm, message, signature))
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.kid)).finish()
    }
}

impl PublicKey {
    /// The key decides what it is for, never the token.
    fn is_for(&self, algorithm: Algorithm) -> bool {
        let named = self.only.as_ref().is_none_or(|only| only == algorithm.as_str());
        named
            && match &self.material {
                Material::Rsa(_) => rsa(algorithm).is_some(),
                Material::Curve(its, _) => *its == algorithm,
            }
    }

    fn has_signed(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa(key) => rsa(algorithm)
                .is_some_and(|parameters| key.verify(parameters, message, signature).is_ok()),
            Material::Curve(_, key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

/// What an algorithm means for an RSA key, if it means something. Keys have 2,048 to 8,192 bits.
fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 | Algorithm::EdDsa => None,
    }
}

/// Reads a key, if it can be used.
fn read(value: &Value) -> Option<PublicKey> {
    let jwk = Jwk::deserialize(value).ok()?;
    let signs = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
    let verifies =
        jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|it| it == "verify"));
    if !signs || !verifies {
        return None;
    }
    let material = match jwk.kty.as_str() {
        "RSA" => modulus_and_exponent(&jwk)?,
        "EC" => {
            let (algorithm, verification, length): (_, &'static dyn VerificationAlgorithm, _) =
                match jwk.crv.as_deref()? {
                    "P-256" => (Algorithm::Es256, &ECDSA_P256_SHA256_FIXED, 32),
                    "P-384" => (Algorithm::Es384, &ECDSA_P384_SHA384_FIXED, 48),
                    "P-521" => (Algorithm::Es512, &ECDSA_P521_SHA512_FIXED, 66),
                    _ => return None,
                };
            // An uncompressed point (SEC 1, section 2.3.3).
            let mut point = vec![4];
            point.extend(coordinate(jwk.x.as_deref()?, length)?);
            point.extend(coordinate(jwk.y.as_deref()?, length)?);
            Material::Curve(algorithm, ParsedPublicKey::new(verification, point).ok()?)
        }
        "OKP" if jwk.crv.as_deref() == Some("Ed25519") => {
            let point = coordinate(jwk.x.as_deref()?, 32)?;
            Material::Curve(Algorithm::EdDsa, ParsedPublicKey::new(&ED25519, point).ok()?)
        }
        _ => return None,
    };
    Some(PublicKey { kid: jwk.kid, only: jwk.alg, material })
}

fn modulus_and_exponent(jwk: &Jwk) -> Option<Material> {
    let number = |text: &str, most: usize| {
        let bytes = decode(text)?;
        // Some providers write a sign byte in front, which RFC 7518, section 6.3.1.1 warns of.
        let start = bytes.iter().position(|byte| *byte != 0)?;
        let bytes = bytes.get(start..)?.to_vec();
        (bytes.len() <= most).then_some(bytes)
    };
    let n = number(jwk.n.as_deref()?, MODULUS_MAX)?;
    let e = number(jwk.e.as_deref()?, EXPONENT_MAX)?;
    // Shorter ones are refused when they are used, too; this way they are no keys at all.
    (n.len() >= 256).then_some(Material::Rsa(RsaPublicKeyComponents { n, e }))
}

fn coordinate(text: &str, length: usize) -> Option<Vec<u8>> {
    decode(text).filter(|bytes| bytes.len() == length)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of RFC 7517, appendix A.1, and RFC 8037, appendix A.2.
    const P256: &str = r#"{"kty":"EC","crv":"P-256","kid":"ec","use":"sig",
        "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;
    const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"ed",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    const RSA: &str = r#"{"kty":"RSA","kid":"rsa","alg":"RS256","e":"AQAB",
        "n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}"#;

    fn set(keys: &[&str]) -> Result<KeySet, String> {
        KeySet::parse(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes())
    }

    #[test]
    fn a_key_is_for_what_it_is_made_of() {
        let set = set(&[P256, ED25519, RSA]).unwrap();
        let is_for: Vec<Vec<_>> = set
            .keys
            .iter()
            .map(|key| Algorithm::ALL.iter().filter(|it| key.is_for(**it)).collect())
            .collect();
        assert_eq!(
            is_for,
            [vec![&Algorithm::Es256], vec![&Algorithm::EdDsa], vec![&Algorithm::Rs256]]
        );
        let unlimited = RSA.replace(r#""alg":"RS256","#, "");
        let set = super::tests::set(&[&unlimited]).unwrap();
        assert_eq!(Algorithm::ALL.iter().filter(|it| set.keys[0].is_for(**it)).count(), 6);
    }

    #[test]
    fn what_cannot_be_used_is_left_out() {
        for other in [
            r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#.to_owned(),
            P256.replace("sig", "enc"),
            P256.replace("P-256", "secp256k1"),
            P256.replace("MKBCTN", "MKBCTA"),
            P256.replace("MKBCTN", "KBCTN"),
            ED25519.replace("Ed25519", "X25519"),
            RSA.replace("0vx7", "AQAB\",\"unused\":\"0vx7"),
            r#"{"kty":"RSA","n":"","e":"AQAB"}"#.to_owned(),
            r#"{"kty":"RSA"}"#.to_owned(),
            r#"{"kty":"EC","crv":"P-256"}"#.to_owned(),
            r#"{"kid":"x"}"#.to_owned(),
            "1".to_owned(),
        ] {
            assert!(set(&[&other]).is_err(), "{other}");
            assert_eq!(set(&[&other, RSA]).unwrap().keys.len(), 1, "{other}");
        }
        for none in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[]}"#] {
            assert!(KeySet::parse(none.as_bytes()).is_err(), "{none}");
        }
        // A sign byte is no part of the number.
        let signed = RSA.replace("\"0vx7agoebGcQ", "\"ANL8e2oKHmxnEA");
        assert_ne!(signed, RSA);
    }

    #[test]
    fn of_several_keys_none_is_guessed() {
        let set = set(&[P256, &P256.replace("\"ec\"", "\"other\"")]).unwrap();
        assert_eq!(set.has_signed(None, Algorithm::Es256, b"", b""), None);
        assert_eq!(set.has_signed(Some("ec"), Algorithm::Es256, b"", b""), Some(false));
        assert_eq!(set.has_signed(Some("none"), Algorithm::Es256, b"", b""), None);
        assert_eq!(set.has_signed(Some("ec"), Algorithm::Es384, b"", b""), None);
        let twice = super::tests::set(&[P256, P256]).unwrap();
        assert_eq!(twice.has_signed(Some("ec"), Algorithm::Es256, b"", b""), None);
    }
}
