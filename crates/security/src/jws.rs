//! JSON Web Signatures in their compact form (RFC 7515), as narrow as the built-in realm needs
//! them.
//!
//! The signature itself is made by the cryptographic library. A general JWT library is not used
//! here: it reads the header and the claims once more with rules of its own (unknown members,
//! repeated ones, the system's clock), each of which would have to be switched off or done again.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tenantry_domain::error::AuthFailure;

use crate::signing_key::{ALGORITHM, SigningKey};

/// The longest token that is looked at, in bytes.
pub(crate) const MAX_LEN: usize = 8 * 1024;
/// The type of an access token (RFC 9068), which tells it from every other kind of JWT.
const TYPE: &str = "at+jwt";

/// The header of an access token. Whatever else a header can say (`crit`, `jwk`, `jku`, `x5u`,
/// `x5c`, `b64`…) asks for something that this realm never does, so it is refused.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// Signs claims: the text of a token.
pub(crate) fn sign(key: &SigningKey, claims: &impl Serialize) -> serde_json::Result<String> {
    let header =
        Header { alg: ALGORITHM.to_owned(), typ: TYPE.to_owned(), kid: key.kid().to_owned() };
    let mut token = encode(&serde_json::to_vec(&header)?);
    token.push('.');
    token.push_str(&encode(&serde_json::to_vec(claims)?));
    let signature = key.sign(token.as_bytes());
    token.push('.');
    token.push_str(&encode(signature.as_ref()));
    Ok(token)
}

/// The claims of a token that one of the keys has signed, and the id of that key.
pub(crate) fn verify<T: DeserializeOwned>(
    token: &str,
    keys: &[SigningKey],
) -> Result<(T, Arc<str>), AuthFailure> {
    let (message, signature) = token.rsplit_once('.').ok_or(AuthFailure::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(AuthFailure::Malformed)?;
    // A further point is no digit of base64url, so it fails below.
    let signature = decode(signature)?;
    let payload = decode(payload)?;
    let header: Header = object(&decode(header)?).ok_or(AuthFailure::Malformed)?;
    if header.typ != TYPE {
        return Err(AuthFailure::Malformed);
    }
    let key = keys.iter().find(|key| key.kid() == header.kid).ok_or(AuthFailure::UnknownKey)?;
    // The key alone says which algorithm it is for.
    if header.alg != ALGORITHM {
        return Err(AuthFailure::Malformed);
    }
    if !key.has_signed(message.as_bytes(), &signature) {
        return Err(AuthFailure::BadSignature);
    }
    let claims = object(&payload).ok_or(AuthFailure::BadClaims)?;
    Ok((claims, key.shared_kid()))
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a part of a token. Padding, line breaks and unused bits that are not zero are refused:
/// two texts are never the same token.
pub(crate) fn decode(part: &str) -> Result<Vec<u8>, AuthFailure> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| AuthFailure::Malformed)?;
    if bytes.is_empty() { Err(AuthFailure::Malformed) } else { Ok(bytes) }
}

/// Reads a JSON object whose members are all known, and none there twice: the derived readers
/// refuse both. They would also take an array of the values, hence the look at the first byte.
fn object<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    if json.starts_with(b"{") { serde_json::from_slice(json).ok() } else { None }
}
