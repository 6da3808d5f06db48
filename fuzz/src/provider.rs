//! A realm that somebody else runs, and its key.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tenantry_domain::id::RealmId;
use tenantry_domain::realm::{Algorithm, Realm, RealmName};
use tenantry_domain::realm_rules::ClaimPath;
use tenantry_store::conformance::START;
use uuid::Uuid;

pub(crate) const ISSUER: &str = "https://id.example.com";
pub(crate) const AUDIENCE: &str = "tenantry";
pub(crate) const KID: &str = "provider";

/// The realm, which is none of the platform's own.
pub(crate) fn realm() -> Realm {
    Realm {
        id: RealmId::from_uuid(Uuid::from_u128(1)),
        name: RealmName::parse("corp").unwrap(),
        issuer: ISSUER.to_owned(),
        jwks_uri: None,
        audience: AUDIENCE.to_owned(),
        algorithms: Algorithm::ALL.to_vec(),
        tenant_claim: ClaimPath::parse("tenant").unwrap(),
        roles_claim: ClaimPath::parse("roles").unwrap(),
        role_mapping: None,
        leeway_seconds: 5,
        platform: false,
        created_at: START,
        updated_at: START,
        revision: 1,
    }
}

pub(crate) fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

/// The public part of the key.
pub(crate) fn x() -> String {
    encode(key().public_key())
}

pub(crate) fn key_set() -> Value {
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": KID, "x": x()}]})
}

/// A token of these parts.
pub(crate) fn sign(key: &Ed25519KeyPair, header: &str, claims: &str) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = encode(key.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
