//! The rules of RFC 8725, one by one, and the cache.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tenantry_domain::access::PrincipalKind;
use tenantry_domain::signing_key::KNOWN_AFTER_MS;

use super::*;
use crate::test_support::{ManualClock, SeededEntropy, uuid};

mod bearers;

const ISSUER: &str = "https://tenantry.example";
const NOW: &str = "2025-07-10T14:30:00.000Z";
const NOW_SECONDS: i64 = 1_752_157_800;

struct Fixture {
    clock: Arc<ManualClock>,
    realm: Realm,
}

impl Fixture {
    fn new() -> Self {
        Self::with(vec![key(1)], 100)
    }

    fn with(keys: Vec<SigningKey>, cache_capacity: usize) -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let entropy = Arc::new(SeededEntropy::new(100));
        let realm =
            Realm::new(ISSUER.to_owned(), keys, Arc::clone(&clock) as _, entropy, cache_capacity);
        Self { clock, realm: realm.unwrap() }
    }

    fn issue(&self) -> String {
        self.realm.issue(&request()).unwrap().text.expose().to_owned()
    }

    fn verify(&self, token: &str) -> Result<Principal, AuthFailure> {
        match self.realm.verify(token, None) {
            Ok(principal) => Ok(principal),
            Err(Error::Unauthenticated(failure)) => Err(failure),
            Err(error) => panic!("{error}"),
        }
    }

    /// The token, and every refused one, must not be remembered.
    #[track_caller]
    fn refuses(&self, token: &str, failure: AuthFailure) {
        let cached = self.realm.cached_tokens();
        assert_eq!(self.verify(token), Err(failure), "{token}");
        assert_eq!(self.realm.cached_tokens(), cached);
    }
}

fn key(seed: u64) -> SigningKey {
    SigningKey::generate(&SeededEntropy::new(seed), NOW.parse().unwrap()).unwrap()
}

fn request() -> TokenRequest {
    TokenRequest {
        tenant: TenantId::from_uuid(uuid(7)),
        bearer: TokenBearer::Person {
            id: Some(UserId::from_uuid(uuid(8))),
            role: Role::TenantAdmin,
        },
        session: None,
        ttl_seconds: 3600,
    }
}

fn header() -> Value {
    json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": key(1).kid() })
}

fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "aud": "tenantry",
        "sub": uuid(8),
        "jti": uuid(9),
        "iat": NOW_SECONDS,
        "exp": NOW_SECONDS + 3600,
        "tenant": uuid(7),
        "roles": ["tenant_admin"],
    })
}

/// The object with a member set, or taken out.
fn with(mut object: Value, member: &str, value: impl Into<Option<Value>>) -> Value {
    let members = object.as_object_mut().unwrap();
    match value.into() {
        Some(value) => members.insert(member.to_owned(), value),
        None => members.remove(member),
    };
    object
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token that says anything, signed by the realm's key.
#[expect(clippy::needless_pass_by_value, reason = "the callers make what they pass")]
fn sign(header: impl ToString, claims: impl ToString) -> String {
    let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let signature = encode(key(1).sign(message.as_bytes()));
    format!("{message}.{signature}")
}

#[test]
fn the_forged_tokens_differ_from_good_ones_in_what_they_test_alone() {
    let fixture = Fixture::new();
    assert!(fixture.verify(&sign(header(), claims())).is_ok());
    let several = with(claims(), "roles", json!(["member", "super_admin", "tenant_admin"]));
    let principal = fixture.verify(&sign(header(), several)).unwrap();
    assert!(
        matches!(principal.kind, PrincipalKind::User { role: Role::SuperAdmin, .. }),
        "{principal:?}"
    );
    let listed = with(claims(), "aud", json!(["tenantry"]));
    assert!(fixture.verify(&sign(header(), listed)).is_ok());
}

#[test]
fn the_algorithm_is_the_keys_own() {
    let fixture = Fixture::new();
    for alg in ["none", "None", "HS256", "ES256", "eddsa", "Ed25519", ""] {
        fixture.refuses(&sign(with(header(), "alg", json!(alg)), claims()), AuthFailure::Malformed);
    }
    fixture.refuses(&sign(with(header(), "alg", None), claims()), AuthFailure::Malformed);

    let unsigned = with(header(), "alg", json!("none")).to_string();
    let unsigned = format!("{}.{}.", encode(unsigned), encode(claims().to_string()));
    fixture.refuses(&unsigned, AuthFailure::Malformed);

    // The public key is known to everybody, so it must not do as the secret of an HMAC.
    let public = fixture.realm.jwks()["keys"][0]["x"].as_str().unwrap().to_owned();
    for alg in ["HS256", "EdDSA"] {
        let header = with(header(), "alg", json!(alg)).to_string();
        let message = format!("{}.{}", encode(header), encode(claims().to_string()));
        for secret in [URL_SAFE_NO_PAD.decode(&public).unwrap(), public.clone().into_bytes()] {
            let secret = hmac::Key::new(hmac::HMAC_SHA256, &secret);
            let token = format!("{message}.{}", encode(hmac::sign(&secret, message.as_bytes())));
            let failure =
                if alg == "EdDSA" { AuthFailure::BadSignature } else { AuthFailure::Malformed };
            fixture.refuses(&token, failure);
        }
    }
}

#[test]
fn only_access_tokens_are_believed() {
    let fixture = Fixture::new();
    for typ in [json!("JWT"), json!("application/at+jwt"), json!("AT+JWT"), json!(null)] {
        fixture.refuses(&sign(with(header(), "typ", typ), claims()), AuthFailure::Malformed);
    }
    fixture.refuses(&sign(with(header(), "typ", None), claims()), AuthFailure::Malformed);
}

#[test]
fn the_header_brings_no_keys_and_no_extensions() {
    let fixture = Fixture::new();
    for (member, value) in [
        ("jwk", key(1).jwk()),
        ("jku", json!("https://tenantry.example/.well-known/jwks.json")),
        ("x5u", json!("https://tenantry.example/")),
        ("x5c", json!([])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
    ] {
        fixture.refuses(&sign(with(header(), member, value), claims()), AuthFailure::Malformed);
    }
}

#[test]
fn the_key_is_one_of_ours() {
    let fixture = Fixture::new();
    for kid in ["", "other", "../../../dev/null", "/etc/hosts", "' OR 1=1 --"] {
        let token = sign(with(header(), "kid", json!(kid)), claims());
        fixture.refuses(&token, AuthFailure::UnknownKey);
    }
    fixture.refuses(&sign(with(header(), "kid", None), claims()), AuthFailure::Malformed);
    fixture.refuses(&sign(with(header(), "kid", json!(7)), claims()), AuthFailure::Malformed);

    let other = Fixture::with(vec![key(2)], 100).issue();
    fixture.refuses(&other, AuthFailure::UnknownKey);
    let token = sign(header(), claims());
    let (message, _) = token.rsplit_once('.').unwrap();
    let signature = encode(key(2).sign(message.as_bytes()));
    fixture.refuses(&format!("{message}.{signature}"), AuthFailure::BadSignature);
}

#[test]
fn the_token_is_of_this_realm_and_for_this_audience() {
    let fixture = Fixture::new();
    for iss in ["", "https://tenantry.example/", "https://TENANTRY.example", "https://other"] {
        let token = sign(header(), with(claims(), "iss", json!(iss)));
        fixture.refuses(&token, AuthFailure::UnknownRealm);
    }
    for aud in [
        json!("other"),
        json!(""),
        json!([]),
        json!(["tenantry", "other"]),
        json!(["tenantry", "tenantry"]),
        json!(["other"]),
    ] {
        let token = sign(header(), with(claims(), "aud", aud));
        fixture.refuses(&token, AuthFailure::WrongAudience);
    }
    fixture.refuses(&sign(header(), with(claims(), "aud", None)), AuthFailure::BadClaims);
    fixture.refuses(&sign(header(), with(claims(), "aud", json!(null))), AuthFailure::BadClaims);
}

#[test]
fn the_realm_named_is_this_one() {
    let fixture = Fixture::new();
    let token = fixture.issue();
    assert!(fixture.realm.verify(&token, Some("tenantry")).is_ok());
    // Remembered by now, and refused all the same.
    for name in ["other", "Tenantry", ""] {
        let verified = fixture.realm.verify(&token, Some(name));
        assert!(matches!(verified, Err(Error::Unauthenticated(AuthFailure::UnknownRealm))));
    }
}

#[test]
fn every_claim_is_there_and_well_formed() {
    let fixture = Fixture::new();
    for claim in ["iss", "aud", "sub", "jti", "iat", "exp", "tenant", "roles"] {
        let token = sign(header(), with(claims(), claim, None));
        fixture.refuses(&token, AuthFailure::BadClaims);
    }
    for (claim, value) in [
        ("sub", json!("")),
        ("sub", json!("Operator")),
        ("sub", json!("not a uuid")),
        ("jti", json!("")),
        ("jti", json!("not a uuid")),
        ("jti", json!("3FA85F64-5717-4562-B3FC-2C963F66AFA6")),
        ("jti", json!("3fa85f6457174562b3fc2c963f66afa6")),
        ("tenant", json!("not a uuid")),
        ("tenant", json!(7)),
        ("roles", json!([])),
        ("roles", json!(["root"])),
        ("roles", json!(["member", "root"])),
        ("roles", json!("member")),
        ("iat", json!(1.5)),
        ("iat", json!("1752157800")),
        ("exp", json!(1_752_161_400.0)),
        ("exp", json!(null)),
        ("exp", json!(NOW_SECONDS)),
        ("exp", json!(NOW_SECONDS - 1)),
        ("exp", json!(253_402_300_800_i64)),
        ("exp", json!(i64::MAX)),
        ("exp", json!(u64::MAX)),
        ("iat", json!(i64::MIN)),
        ("nbf", json!(null)),
        ("nbf", json!("1752157800")),
        ("nbf", json!(i64::MAX)),
        ("scope", json!("admin")),
    ] {
        let token = sign(header(), with(claims(), claim, value));
        fixture.refuses(&token, AuthFailure::BadClaims);
    }
}

#[test]
fn members_are_not_repeated_and_objects_are_objects() {
    let fixture = Fixture::new();
    let twice = |object: Value, member: &str| {
        let text = object.to_string();
        let value = &object[member];
        format!(r#"{{"{member}":{value},{}"#, &text[1..])
    };
    for member in ["alg", "typ", "kid"] {
        let token = sign(twice(header(), member), claims());
        fixture.refuses(&token, AuthFailure::Malformed);
    }
    for member in ["iss", "aud", "sub", "jti", "iat", "exp", "tenant", "roles"] {
        let token = sign(header(), twice(claims(), member));
        fixture.refuses(&token, AuthFailure::BadClaims);
    }
    let escaped = twice(header(), "alg").replacen("alg", "\\u0061lg", 1);
    fixture.refuses(&sign(escaped, claims()), AuthFailure::Malformed);

    let list = |object: Value, members: &[&str]| {
        Value::from(members.iter().map(|member| object[member].clone()).collect::<Vec<_>>())
    };
    let listed = list(header(), &["alg", "typ", "kid"]);
    fixture.refuses(&sign(listed, claims()), AuthFailure::Malformed);
    let members = ["iss", "aud", "sub", "jti", "iat", "nbf", "exp", "tenant", "roles"];
    let listed = list(with(claims(), "nbf", json!(NOW_SECONDS)), &members);
    fixture.refuses(&sign(header(), listed), AuthFailure::BadClaims);
    fixture.refuses(&sign(header(), format!("{}{{}}", claims())), AuthFailure::BadClaims);
    fixture.refuses(&sign(format!("{} x", header()), claims()), AuthFailure::Malformed);
}

#[test]
fn a_token_has_three_parts_and_one_spelling() {
    let fixture = Fixture::new();
    let token = fixture.issue();
    let (message, signature) = token.rsplit_once('.').unwrap();
    for changed in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        message.to_owned(),
        format!("{message}."),
        format!(".{token}"),
        format!("{token}."),
        format!("{token}.{signature}"),
        format!("{token}="),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{message}.\u{a0}{signature}"),
        token.replacen('.', "..", 1),
        token.replacen('.', "=.", 1),
    ] {
        fixture.refuses(&changed, AuthFailure::Malformed);
    }
    fixture.refuses(&format!("{token}A"), AuthFailure::BadSignature);
    // The last of 86 digits holds two bits of the signature. The other four must be zero.
    let same_bits = match signature.as_bytes()[signature.len() - 1] {
        b'A' => "B",
        b'Q' => "R",
        b'g' => "h",
        b'w' => "x",
        other => panic!("{other} is not canonical"),
    };
    fixture.refuses(&format!("{}{same_bits}", &token[..token.len() - 1]), AuthFailure::Malformed);
}

#[test]
fn no_character_can_be_changed() {
    let fixture = Fixture::new();
    let token = fixture.issue();
    for position in 0..token.len() {
        let other = if &token[position..=position] == "A" { "B" } else { "A" };
        let mut changed = token.clone();
        changed.replace_range(position..=position, other);
        assert!(fixture.verify(&changed).is_err(), "{position}");
    }
    assert_eq!(fixture.realm.cached_tokens(), 0);
}

#[test]
fn long_tokens_are_not_looked_at() {
    let fixture = Fixture::new();
    let padded = |spaces: usize| {
        let text = claims().to_string();
        sign(header(), format!("{{{}{}", " ".repeat(spaces), &text[1..]))
    };
    assert!(padded(5_000).len() < 8 * 1024);
    assert!(fixture.verify(&padded(5_000)).is_ok());
    assert!(padded(8_000).len() > 8 * 1024);
    fixture.refuses(&padded(8_000), AuthFailure::Malformed);
}

#[test]
fn a_token_ends_at_its_instant() {
    for remembered in [true, false] {
        let fixture = Fixture::new();
        let token = fixture.issue();
        assert!(fixture.verify(&token).is_ok());
        if !remembered {
            fixture.realm.verified.clear();
        }
        fixture.clock.advance_millis(3_600_000);
        fixture.refuses(&token, AuthFailure::Expired);
        fixture.clock.advance_millis(-1);
        assert!(fixture.verify(&token).is_ok());
    }
}

#[test]
fn a_token_begins_at_its_instant_give_or_take_five_seconds() {
    for claim in ["iat", "nbf"] {
        for remembered in [true, false] {
            let fixture = Fixture::new();
            let token = sign(header(), with(claims(), claim, json!(NOW_SECONDS + 5)));
            assert!(fixture.verify(&token).is_ok());
            if !remembered {
                fixture.realm.verified.clear();
            }
            fixture.clock.advance_millis(-1);
            fixture.refuses(&token, AuthFailure::NotYetValid);
        }
    }
    let later = with(with(claims(), "iat", json!(NOW_SECONDS + 60)), "nbf", json!(NOW_SECONDS));
    Fixture::new().refuses(&sign(header(), later), AuthFailure::NotYetValid);
}

#[test]
fn a_remembered_token_costs_no_signature() {
    let fixture = Fixture::new();
    let token = fixture.issue();
    let principal = fixture.verify(&token).unwrap();
    assert_eq!(fixture.realm.cached_tokens(), 1);
    assert_eq!(fixture.verify(&token), Ok(principal.clone()));
    assert_eq!(fixture.realm.cached_tokens(), 1);

    // Only if the signature is not looked at again can what is remembered of the one token vouch
    // for another that nobody signed.
    let unsigned = format!("{token}A");
    let verified = fixture.realm.verified.get(&sha256(token.as_bytes())).unwrap();
    fixture.realm.verified.insert(sha256(unsigned.as_bytes()), verified);
    assert_eq!(fixture.verify(&unsigned), Ok(principal));
}

#[test]
fn memory_is_bounded() {
    let fixture = Fixture::with(vec![key(1)], 10);
    for _ in 0..100 {
        assert!(fixture.verify(&fixture.issue()).is_ok());
    }
    assert!(fixture.realm.cached_tokens() <= 10, "{}", fixture.realm.cached_tokens());
    let forgetful = Fixture::with(vec![key(1)], 0);
    assert!(forgetful.verify(&forgetful.issue()).is_ok());
    assert_eq!(forgetful.realm.cached_tokens(), 0);
}

#[test]
fn the_newest_key_that_is_known_everywhere_signs_and_all_verify() {
    let (old, rotated) = (Fixture::new(), Fixture::with(vec![key(1), key(2)], 100));
    assert!(rotated.verify(&old.issue()).is_ok());
    // Another process need not have heard of the second key yet.
    assert!(old.verify(&rotated.issue()).is_ok());
    rotated.clock.advance_millis(KNOWN_AFTER_MS);
    assert!(rotated.verify(&rotated.issue()).is_ok());
    old.refuses(&rotated.issue(), AuthFailure::UnknownKey);
    assert_eq!(rotated.realm.jwks(), json!({ "keys": [key(1).jwk(), key(2).jwk()] }));
    let clock = Arc::new(ManualClock::at(NOW));
    let entropy = Arc::new(SeededEntropy::new(1));
    assert!(Realm::new(ISSUER.to_owned(), Vec::new(), clock, entropy, 10).is_err());
}

#[test]
fn what_a_key_has_signed_is_forgotten_with_it() {
    let fixture = Fixture::new();
    let token = fixture.issue();
    assert!(fixture.verify(&token).is_ok());
    fixture.realm.replace_keys(vec![key(1), key(2)]).unwrap();
    assert_eq!((fixture.realm.cached_tokens(), fixture.verify(&token).is_ok()), (1, true));
    assert!(fixture.realm.replace_keys(Vec::new()).is_err());
    assert!(fixture.verify(&token).is_ok());
    fixture.realm.replace_keys(vec![key(2)]).unwrap();
    assert_eq!(fixture.realm.cached_tokens(), 0);
    fixture.refuses(&token, AuthFailure::UnknownKey);
    assert!(fixture.verify(&fixture.issue()).is_ok());
}

#[test]
fn a_time_to_live_is_positive_and_ends() {
    let fixture = Fixture::new();
    for ttl_seconds in [0, 253_402_300_800, i64::MAX.unsigned_abs(), u64::MAX] {
        let issued = fixture.realm.issue(&TokenRequest { ttl_seconds, ..request() });
        assert!(matches!(issued, Err(Error::Invalid(_))), "{ttl_seconds}");
    }
}

#[test]
fn debug_shows_no_token_and_no_key() {
    let fixture = Fixture::new();
    let issued = fixture.realm.issue(&request()).unwrap();
    let shown = format!("{issued:?} {:?}", fixture.realm);
    assert!(!shown.contains("eyJ") && shown.contains("SecretText(…)"), "{shown}");
    assert!(shown.ends_with(&format!("Realm {{ issuer: {ISSUER:?}, .. }}")), "{shown}");
}
