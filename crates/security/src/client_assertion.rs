//! How an OAuth client proves itself by a key in place of a secret: `private_key_jwt` (RFC 7523,
//! section 3; `OpenID` Connect Core, section 9).

use serde_json::Value;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::AuthFailure;
use tenantry_domain::oauth_client::ClientKeys;
use tenantry_domain::realm::Algorithm;
use uuid::Uuid;

use crate::api_key::sha256;
use crate::claims::LEEWAY_MS;
use crate::external::Unverified;
use crate::provider_keys::KeySet;

/// How far ahead, in milliseconds, an assertion may end: until then it is remembered that it was used.
pub const LIFE_MAX_MS: i64 = 10 * 60_000;

/// The most characters of an assertion's id.
const ID_MAX: usize = 256;

/// The most bytes of a client's key set.
pub const KEYS_MAX: usize = 16 * 1024;

/// Members that only a private or a secret key has (RFC 7518, section 6).
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "k"];

/// An assertion that was found right. It is good once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assertion {
    /// What stands for it: no other one of any client has the same.
    pub id: Uuid,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Reads the public keys of a client: a JSON Web Key Set (RFC 7517) of which at least one key can be
/// used here, and none is private.
///
/// # Errors
/// What would be right, to follow the field's name.
pub fn read_client_keys(set: &Value) -> Result<ClientKeys, String> {
    let text = set.to_string();
    let keys = set.get("keys").and_then(Value::as_array);
    let is_private = |key: &Value| PRIVATE.iter().any(|member| key.get(member).is_some());
    if keys.is_some_and(|keys| keys.iter().any(is_private)) {
        return Err("must have public keys alone".to_owned());
    }
    if text.len() > KEYS_MAX || KeySet::parse(text.as_bytes()).is_err() {
        let most = KEYS_MAX / 1024;
        return Err(format!(
            "must be a JSON Web Key Set of at most {most} KiB with a key for RS256 to RS512, PS256 \
             to PS512, ES256 to ES512 or EdDSA"
        ));
    }
    Ok(ClientKeys::from_stored(text))
}

impl Unverified<'_> {
    /// Whether one of a client's keys has signed this as the client's proof, for one of these
    /// audiences, and when.
    ///
    /// # Errors
    /// Why it is none.
    pub fn prove_client(
        &self,
        client_id: &str,
        keys: &ClientKeys,
        audiences: &[String],
        now: Timestamp,
    ) -> Result<Assertion, AuthFailure> {
        let set = KeySet::parse(keys.as_str().as_bytes()).map_err(|_| AuthFailure::UnknownKey)?;
        let algorithm: Algorithm =
            self.algorithm.parse().map_err(|_: String| AuthFailure::Malformed)?;
        let signed = set.has_signed(self.kid.as_deref(), algorithm, self.message, &self.signature);
        if !signed.ok_or(AuthFailure::UnknownKey)? {
            return Err(AuthFailure::BadSignature);
        }
        let subject = self.claims.get("sub").and_then(Value::as_str);
        if self.issuer != client_id || subject != Some(client_id) {
            return Err(AuthFailure::BadClaims);
        }
        let mut is_for_us = false;
        for audience in audiences {
            is_for_us |= self.is_for(audience)?;
        }
        if !is_for_us {
            return Err(AuthFailure::WrongAudience);
        }
        let expires_at = self.instant("exp")?.ok_or(AuthFailure::BadClaims)?;
        let start = self.instant("nbf")?.max(self.instant("iat")?);
        if expires_at <= now {
            return Err(AuthFailure::Expired);
        }
        if start.is_some_and(|start| start > now.plus_millis(LEEWAY_MS)) {
            return Err(AuthFailure::NotYetValid);
        }
        let id = self.claims.get("jti").and_then(Value::as_str);
        let id = id.filter(|id| (1..=ID_MAX).contains(&id.chars().count()));
        let id = id.ok_or(AuthFailure::BadClaims)?;
        if expires_at > now.plus_millis(LIFE_MAX_MS) {
            return Err(AuthFailure::BadClaims);
        }
        Ok(Assertion { id: name_of(client_id, id), expires_at })
    }
}

/// A name for an assertion of a client, in the form of an id (RFC 9562, section 5.8).
fn name_of(client_id: &str, id: &str) -> Uuid {
    let [bytes @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
        sha256(format!("client assertion {client_id} {id}").as_bytes());
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
