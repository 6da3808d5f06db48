//! Key sets of providers and of clients: a token is believed by a set only if the key is in it that signed
//! the token, and a client's set has nothing private.

use std::sync::LazyLock;

use serde_json::{Value, json};
use tenantry_domain::json;
use tenantry_domain::realm::{Algorithm, Realm};
use tenantry_security::client_assertion::{KEYS_MAX, read_client_keys};
use tenantry_security::external::Unverified;
use tenantry_security::provider_keys::KeySet;
use tenantry_store::conformance::START;
use uuid::Uuid;

use crate::provider::{self, encode, sign};

static REALM: LazyLock<Realm> = LazyLock::new(provider::realm);

/// What the provider's key has signed.
static SIGNED: LazyLock<String> = LazyLock::new(|| {
    let header = json!({"alg": "EdDSA", "kid": provider::KID});
    sign(&provider::key(), &header.to_string(), &claims())
});

/// What no key has signed, for each algorithm.
static FORGED: LazyLock<Vec<String>> = LazyLock::new(|| {
    let forge = |algorithm: &Algorithm| {
        // As long as the signature of most keys for it.
        let length = match algorithm {
            Algorithm::Es256 | Algorithm::EdDsa => 64,
            Algorithm::Es384 => 96,
            Algorithm::Es512 => 132,
            _ => 256,
        };
        let header = encode(json!({"alg": algorithm.as_str()}).to_string());
        format!("{header}.{}.{}", encode(claims()), encode(vec![1; length]))
    };
    Algorithm::ALL.iter().map(forge).collect()
});

fn claims() -> String {
    let tenant = Uuid::from_u128(7);
    let (issuer, audience) = (provider::ISSUER, provider::AUDIENCE);
    let exp = START.as_seconds() + 60;
    json!({"iss": issuer, "aud": audience, "sub": "ann", "exp": exp, "tenant": tenant}).to_string()
}

/// Reads a set as a provider's and as a client's.
pub fn check(input: &[u8]) -> bool {
    let value = json::parse(input);
    let set = KeySet::parse(input);
    let Ok(value) = value else {
        assert!(set.is_err());
        return false;
    };
    let keys = value["keys"].as_array().cloned().unwrap_or_default();
    if let Ok(set) = &set {
        if believes(set, &SIGNED) {
            assert!(keys.iter().any(is_the_providers), "{value}");
        }
        assert!(!FORGED.iter().any(|token| believes(set, token)), "{value}");
    }
    if let Ok(stored) = read_client_keys(&value) {
        assert!(set.is_ok() && stored.as_str().len() <= KEYS_MAX);
        assert_eq!(json::parse(stored.as_str().as_bytes()).as_ref(), Ok(&value));
        for name in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(keys.iter().all(|key| key.get(name).is_none()), "{name} in {value}");
        }
    }
    set.is_ok()
}

fn believes(set: &KeySet, token: &str) -> bool {
    let token = Unverified::read(token).expect("a token that can be read");
    token.verify(&REALM, set).is_ok_and(|vouched| vouched.at(START).is_ok())
}

/// Whether this is the key that has signed, and is said to be for that.
fn is_the_providers(key: &Value) -> bool {
    let says = |name: &str, value: &str| key[name] == value;
    let may_say = |name: &str, value: &str| key[name].is_null() || key[name] == value;
    says("kty", "OKP")
        && says("crv", "Ed25519")
        && says("x", &provider::x())
        && says("kid", provider::KID)
        && may_say("use", "sig")
        && may_say("alg", "EdDSA")
        && (key["key_ops"].is_null() || key["key_ops"].to_string().contains("\"verify\""))
}
