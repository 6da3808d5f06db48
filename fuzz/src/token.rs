//! Bearer tokens of the built-in realm and of another one, and the assertions of clients.
//!
//! An input is a text; or a header and the claims, each on a line, to be signed; or with a number on a
//! third line, to get the signature of the issued token of that number; or the number of an issued token, as
//! a byte, and changes of single bytes of it. What no key has signed is taken only if it is, to the letter,
//! a token that was issued. What one has signed is taken only if it says what it must.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::signature::Ed25519KeyPair;
use serde_json::{Map, Value, json};
use tenantry_domain::access::{Principal, PrincipalKind, Role};
use tenantry_domain::entropy::Entropy as _;
use tenantry_domain::id::{OauthClientId, TenantId, UserId};
use tenantry_domain::json;
use tenantry_domain::oauth_client::ClientKeys;
use tenantry_domain::scope::Scopes;
use tenantry_security::client_assertion::LIFE_MAX_MS;
use tenantry_security::external::Unverified;
use tenantry_security::provider_keys::KeySet;
use tenantry_security::realm::{Realm, TokenBearer, TokenRequest};
use tenantry_security::signing_key::SigningKey;
use tenantry_store::conformance::{ManualClock, START, SeededEntropy};
use uuid::Uuid;

use crate::provider::{self, encode, sign};

const ISSUER: &str = "https://tenantry.example";
const CLIENT: &str = "client";
/// How far the clocks of others may be off, in seconds.
const LEEWAY: i64 = 5;

struct World {
    realm: Realm,
    kid: String,
    key: Ed25519KeyPair,
    provider: tenantry_domain::realm::Realm,
    provider_key: Ed25519KeyPair,
    provider_keys: KeySet,
    client_keys: ClientKeys,
    issued: Vec<String>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let key = SigningKey::generate(&SeededEntropy::new(1), START).unwrap();
    let kid = key.kid().to_owned();
    let mut seed = [0; 32];
    SeededEntropy::new(1).fill(&mut seed);
    let clock = Arc::new(ManualClock::default());
    let entropy = Arc::new(SeededEntropy::new(2));
    let mut world = World {
        realm: Realm::new(ISSUER.to_owned(), vec![key], clock, entropy, 100).unwrap(),
        kid,
        key: Ed25519KeyPair::from_seed_unchecked(&seed).unwrap(),
        provider: provider::realm(),
        provider_key: provider::key(),
        provider_keys: KeySet::parse(provider::key_set().to_string().as_bytes()).unwrap(),
        client_keys: ClientKeys::from_stored(provider::key_set().to_string()),
        issued: Vec::new(),
    };
    world.issued = world.issue();
    world
});

/// Reads a token as each of them.
pub fn check(input: &[u8]) -> bool {
    let world = &*WORLD;
    // No text that could be a token, and no JSON, begins with such a byte.
    if let Some((number @ ..8, changes)) = input.split_first() {
        return world.forgery(&changed(world.issued(usize::from(*number)), changes));
    }
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let parts: Vec<_> = text.splitn(3, '\n').collect();
    match parts[..] {
        [header, claims] => world.judge(header, claims),
        [header, claims, number] => {
            let issued = world.issued(number.parse().unwrap_or_default());
            let (_, signature) = issued.rsplit_once('.').unwrap();
            world.forgery(&format!("{}.{}.{signature}", encode(header), encode(claims)))
        }
        _ => world.forgery(text),
    }
}

/// The token with single bytes of it changed. Of each pair the first says which, from the end, where the
/// signature is; the second is put in its place, or in front of it if it is none of ASCII; zero removes it.
fn changed(token: &str, changes: &[u8]) -> String {
    let mut token = token.as_bytes().to_vec();
    for pair in changes.chunks_exact(2) {
        let Some(last) = token.len().checked_sub(1) else { break };
        let place = last - usize::from(pair[0]) % token.len();
        match pair[1] {
            0 => drop(token.remove(place)),
            byte @ 128.. => token.insert(place, byte & 127),
            byte => token[place] = byte,
        }
    }
    String::from_utf8(token).expect("ASCII")
}

impl World {
    fn issued(&self, number: usize) -> &str {
        &self.issued[number % self.issued.len()]
    }

    fn issue(&self) -> Vec<String> {
        let id = Uuid::from_u128;
        let user = Some(UserId::from_uuid(id(8)));
        let client = TokenBearer::Client {
            id: OauthClientId::from_uuid(id(9)),
            client_id: CLIENT.to_owned(),
            scopes: Scopes::parse(["stats:read"]).unwrap(),
        };
        let bearers = [
            TokenBearer::Person { id: user, role: Role::Member },
            TokenBearer::Person { id: None, role: Role::SuperAdmin },
            client,
        ];
        let built_in = bearers.map(|bearer| {
            let tenant = TenantId::from_uuid(id(7));
            let request = TokenRequest { tenant, bearer, session: None, ttl_seconds: 60 };
            self.realm.issue(&request).unwrap().text.expose().to_owned()
        });
        let header = json!({"alg": "EdDSA", "kid": provider::KID}).to_string();
        let now = START.as_seconds();
        let token = json!({
            "iss": provider::ISSUER, "aud": provider::AUDIENCE, "sub": "ann", "exp": now + 60,
            "tenant": id(7), "roles": ["tenant_admin"]
        });
        let assertion = json!({
            "iss": CLIENT, "aud": ISSUER, "sub": CLIENT, "exp": now + 60, "jti": "1"
        });
        let others =
            [token, assertion].map(|it| sign(&self.provider_key, &header, &it.to_string()));
        built_in.into_iter().chain(others).collect()
    }

    /// A text that no key has signed.
    fn forgery(&self, text: &str) -> bool {
        let taken = self.realm.verify(text, None).is_ok()
            || self.verify_external(text).is_some()
            || self.verify_assertion(text);
        assert_eq!(taken, self.issued.iter().any(|token| token == text), "{text}");
        taken
    }

    /// What a key has signed is for its own realm alone, and taken there only for what it says.
    fn judge(&self, header: &str, claims: &str) -> bool {
        let own = sign(&self.key, header, claims);
        let foreign = sign(&self.provider_key, header, claims);
        assert!(self.realm.verify(&foreign, None).is_err());
        assert!(self.verify_external(&own).is_none() && !self.verify_assertion(&own));

        let built_in = self.realm.verify(&own, None).ok();
        if let Some(principal) = &built_in {
            judge_built_in(&object(header), &object(claims), &self.kid, principal);
        }
        let external = self.verify_external(&foreign);
        if let Some(principal) = &external {
            judge_external(&object(header), &object(claims), principal);
        }
        let proves = self.verify_assertion(&foreign);
        if proves {
            judge_assertion(&object(header), &object(claims));
        }
        built_in.is_some() || external.is_some() || proves
    }

    fn verify_external(&self, token: &str) -> Option<Principal> {
        let token = Unverified::read(token).ok()?;
        token.verify(&self.provider, &self.provider_keys).ok()?.at(START).ok()
    }

    fn verify_assertion(&self, token: &str) -> bool {
        let audiences = [ISSUER.to_owned()];
        Unverified::read(token).is_ok_and(|token| {
            token.prove_client(CLIENT, &self.client_keys, &audiences, START).is_ok()
        })
    }
}

/// A JSON object without a member given twice: everything else is refused.
fn object(text: &str) -> Map<String, Value> {
    match json::parse(text.as_bytes()) {
        Ok(Value::Object(members)) => members,
        other => unreachable!("{other:?} was taken"),
    }
}

fn judge_built_in(
    header: &Map<String, Value>,
    claims: &Map<String, Value>,
    kid: &str,
    principal: &Principal,
) {
    assert_eq!(json!(header), json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid}));
    assert_eq!(claims["iss"], ISSUER);
    assert!(claims["aud"] == "tenantry" || claims["aud"] == json!(["tenantry"]));
    lasts(claims, 0);
    assert!(claims["iat"].as_i64().unwrap() < claims["exp"].as_i64().unwrap());
    assert_eq!(tenant(claims), principal.tenant);
    let word = |value: &Value| value.as_str().unwrap().parse::<Role>().unwrap();
    let asserted = claims.get("roles").map(|roles| roles.as_array().unwrap().iter().map(word));
    match &principal.kind {
        PrincipalKind::Operator { role, .. } => {
            assert_eq!(
                (claims["sub"].as_str(), asserted.unwrap().max()),
                (Some("operator"), Some(*role))
            );
        }
        PrincipalKind::User { id, role } => {
            assert_eq!(claims["sub"].as_str().unwrap().parse(), Ok(*id));
            assert_eq!(asserted.unwrap().max(), Some(*role));
        }
        PrincipalKind::Client { scopes, .. } => {
            assert!(asserted.is_none());
            let said = claims["scope"].as_str().unwrap();
            assert!(scopes.to_line().split(' ').all(|scope| said.contains(scope)));
        }
        _ => unreachable!("{principal:?}"),
    }
    let known =
        ["iss", "aud", "sub", "jti", "sid", "iat", "nbf", "exp", "tenant", "roles", "scope"];
    assert!(claims.keys().all(|name| known.contains(&name.as_str()) || name == "client_id"));
}

fn judge_external(header: &Map<String, Value>, claims: &Map<String, Value>, principal: &Principal) {
    judge_header(header);
    assert_eq!(claims["iss"], provider::ISSUER);
    is_for(claims, provider::AUDIENCE);
    lasts(claims, LEEWAY);
    let PrincipalKind::External(person) = &principal.kind else { unreachable!("{principal:?}") };
    assert_eq!(tenant(claims), principal.tenant);
    assert_eq!(claims["sub"], person.id.subject);
    assert_eq!((person.id.realm.as_str(), person.revision), ("corp", 1));
    // A realm like this has no super admins, and whoever is more than a member was said to be.
    match person.role {
        Role::Member => {}
        Role::TenantAdmin => assert!(json!(claims["roles"]).to_string().contains("tenant_admin")),
        Role::SuperAdmin => unreachable!("{claims:?}"),
    }
}

fn judge_assertion(header: &Map<String, Value>, claims: &Map<String, Value>) {
    judge_header(header);
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!(CLIENT), &json!(CLIENT)));
    is_for(claims, ISSUER);
    lasts(claims, 0);
    assert!(claims["exp"].as_i64().unwrap() <= START.as_seconds() + LIFE_MAX_MS / 1_000);
    assert!(!claims["jti"].as_str().unwrap().is_empty());
}

fn judge_header(header: &Map<String, Value>) {
    assert_eq!(header["alg"], "EdDSA");
    assert!(header.get("kid").is_none_or(|kid| kid == provider::KID));
    for name in ["jwk", "jku", "x5c", "x5u", "crit", "b64", "zip"] {
        assert!(!header.contains_key(name), "{name}");
    }
}

fn is_for(claims: &Map<String, Value>, audience: &str) {
    let is_the_one = |value: &Value| value == audience;
    let among = claims["aud"].as_array().is_some_and(|list| list.iter().any(is_the_one));
    assert!(among || is_the_one(&claims["aud"]), "{claims:?}");
}

/// Whether it has begun and has not ended, give or take what the end may be late.
fn lasts(claims: &Map<String, Value>, late: i64) {
    let now = START.as_seconds();
    assert!(claims["exp"].as_i64().unwrap() + late > now, "{claims:?}");
    for name in ["iat", "nbf"] {
        if let Some(start) = claims.get(name) {
            assert!(start.as_i64().unwrap() <= now + LEEWAY, "{claims:?}");
        }
    }
}

fn tenant(claims: &Map<String, Value>) -> TenantId {
    claims["tenant"].as_str().unwrap().parse().unwrap()
}
