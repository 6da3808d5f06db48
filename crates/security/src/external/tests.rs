//! The rules of RFC 8725, one by one, of a realm that somebody else runs.

mod provider;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use provider::{PROVIDER, Provider};
use serde_json::json;
use tenantry_domain::id::RealmId;
use tenantry_domain::realm::{Algorithm, RealmName, RoleMapping};
use tenantry_domain::realm_rules::ClaimPath;

use super::*;
use crate::test_support::uuid;

const ISSUER: &str = "https://id.example.com/realms/corp";
const NOW_SECONDS: i64 = 1_752_157_800;
const NOW: Timestamp = Timestamp::from_millis(NOW_SECONDS * 1_000);

fn keys() -> KeySet {
    KeySet::parse(PROVIDER.jwks().to_string().as_bytes()).unwrap()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn realm() -> Realm {
    let path = |text: &str| ClaimPath::parse(text).unwrap();
    Realm {
        id: RealmId::from_uuid(uuid(1)),
        name: RealmName::parse("corp").unwrap(),
        issuer: ISSUER.to_owned(),
        jwks_uri: None,
        audience: "tenantry".to_owned(),
        algorithms: Algorithm::ALL.to_vec(),
        tenant_claim: path("tenant"),
        roles_claim: path("realm_access.roles"),
        role_mapping: Some(RoleMapping::from([
            ("boss".to_owned(), Role::TenantAdmin),
            ("root".to_owned(), Role::SuperAdmin),
        ])),
        leeway_seconds: 5,
        platform: false,
        created_at: NOW,
        updated_at: NOW,
        revision: 7,
    }
}

fn tenant() -> TenantId {
    TenantId::from_uuid(uuid(7))
}

fn header() -> Value {
    json!({"alg": "ES256", "typ": "JWT", "kid": "p256"})
}

fn ed25519() -> Value {
    json!({"alg": "EdDSA", "typ": "JWT", "kid": "ed25519"})
}

fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "aud": "tenantry",
        "sub": "ann",
        "iat": NOW_SECONDS,
        "exp": NOW_SECONDS + 3600,
        "tenant": uuid(7),
        "realm_access": {"roles": ["other", "boss"]},
        "whatever": {"else": true}
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

/// A token that says anything, signed by a key of the provider's.
#[expect(clippy::needless_pass_by_value, reason = "the callers make what they pass")]
fn sign_by(algorithm: Algorithm, header: impl ToString, claims: impl ToString) -> String {
    let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let signature = encode(PROVIDER.sign(algorithm, message.as_bytes()));
    format!("{message}.{signature}")
}

fn sign(header: impl ToString, claims: impl ToString) -> String {
    sign_by(Algorithm::Es256, header, claims)
}

fn verify_by(realm: &Realm, token: &str) -> Result<Principal, AuthFailure> {
    Unverified::read(token)?.verify(realm, &keys())?.at(NOW)
}

fn verify(token: &str) -> Result<Principal, AuthFailure> {
    verify_by(&realm(), token)
}

fn role_by(realm: &Realm, claims: Value) -> Result<(TenantId, Role), AuthFailure> {
    let principal = verify_by(realm, &sign(header(), claims))?;
    let PrincipalKind::External(external) = principal.kind else { panic!("{principal:?}") };
    Ok((principal.tenant, external.role))
}

#[test]
fn what_the_provider_signs_is_believed() {
    let external = ExternalPrincipal {
        id: Arc::new(ExternalId { realm: "corp".to_owned(), subject: "ann".to_owned() }),
        revision: 7,
        role: Role::TenantAdmin,
    };
    let ann = Principal { tenant: tenant(), kind: PrincipalKind::External(external), token: None };
    for algorithm in Algorithm::ALL {
        let kid = Provider::kid(*algorithm);
        for kind in [None, Some("JWT"), Some("at+jwt"), Some("AT+JWT"), Some("application/at+jwt")]
        {
            let header = json!({"alg": algorithm.as_str(), "kid": kid, "x5t": "whatever"});
            let header = with(header, "typ", kind.map(Value::from));
            let token = sign_by(*algorithm, header, claims());
            assert_eq!(verify(&token), Ok(ann.clone()), "{algorithm:?} {kind:?}");
        }
    }
    // Without an id there is one key that is for the algorithm.
    assert_eq!(verify(&sign(with(header(), "kid", None), claims())), Ok(ann));
}

#[test]
fn the_realm_and_the_key_decide_the_algorithm() {
    let mut narrow = realm();
    narrow.algorithms = vec![Algorithm::Rs256];
    let token = sign(header(), claims());
    assert_eq!(verify_by(&narrow, &token), Err(AuthFailure::Malformed));
    // One that the realm takes, of a key that is for another.
    let swapped = sign(with(header(), "alg", json!("RS256")), claims());
    assert_eq!(verify_by(&narrow, &swapped), Err(AuthFailure::UnknownKey));
    for name in ["none", "None", "nOnE", "NONE", "", "HS256", "HS512", "RS1", "es256", "A128GCM"] {
        let header = with(header(), "alg", json!(name));
        assert_eq!(verify(&sign(header.clone(), claims())), Err(AuthFailure::Malformed), "{name}");
        let message = format!("{}.{}", encode(header.to_string()), encode(claims().to_string()));
        assert_eq!(verify(&format!("{message}.")), Err(AuthFailure::Malformed), "{name}");
    }
    for alg in [None, Some(json!(null)), Some(json!(1)), Some(json!(["ES256"]))] {
        let header = with(header(), "alg", alg);
        assert_eq!(verify(&sign(header, claims())), Err(AuthFailure::Malformed));
    }
}

#[test]
fn a_public_key_is_no_secret_to_sign_with() {
    let jwks = PROVIDER.jwks();
    let der = PROVIDER.rsa.public_key().as_der().unwrap();
    for secret in [
        jwks["keys"][0].to_string().into_bytes(),
        URL_SAFE_NO_PAD.decode(jwks["keys"][0]["n"].as_str().unwrap()).unwrap(),
        der.as_ref().to_vec(),
        PROVIDER.ed25519.public_key().as_ref().to_vec(),
    ] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        for alg in ["HS256", "RS256", "EdDSA"] {
            for kid in ["rsa", "ed25519"] {
                let header = json!({"alg": alg, "kid": kid});
                let message =
                    format!("{}.{}", encode(header.to_string()), encode(claims().to_string()));
                let tag = encode(hmac::sign(&key, message.as_bytes()));
                assert!(verify(&format!("{message}.{tag}")).is_err(), "{alg} {kid}");
            }
        }
    }
}

#[test]
fn a_header_brings_no_key_and_nothing_critical() {
    let own = json!({"kty": "OKP", "crv": "Ed25519", "x": encode([1; 32])});
    for (name, value) in [
        ("jwk", own),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/chain")),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
    ] {
        let token = sign(with(header(), name, value), claims());
        assert_eq!(verify(&token), Err(AuthFailure::Malformed), "{name}");
    }
    for kid in ["../../../dev/null", "' OR 1=1 --", "P256", "", "rsa"] {
        let token = sign(with(header(), "kid", json!(kid)), claims());
        assert_eq!(verify(&token), Err(AuthFailure::UnknownKey), "{kid}");
    }
    assert_eq!(
        verify(&sign(with(header(), "kid", json!(["p256"])), claims())),
        Err(AuthFailure::Malformed)
    );
    for kind in ["logout+jwt", "dpop+jwt", "secevent+jwt", "JWE", "", "jwt+at"] {
        let token = sign(with(header(), "typ", json!(kind)), claims());
        assert_eq!(verify(&token), Err(AuthFailure::Malformed), "{kind}");
    }
}

#[test]
fn two_texts_are_never_the_same_token() {
    let token = sign(header(), claims());
    assert!(verify(&token).is_ok());
    let parts: Vec<_> = token.split('.').collect();
    let last = token.as_bytes()[token.len() - 1];
    let neighbour = format!("{}{}", &token[..token.len() - 1], char::from(last + 1));
    for other in [
        format!("{token}="),
        format!("{token}."),
        format!("{token}.x"),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{token}AAAA"),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}..{}", parts[0], parts[2]),
        format!("{}.{}.{}.{}.{}", parts[0], parts[1], parts[2], parts[1], parts[2]),
        token.replace('_', "/").replace('-', "+") + "+",
        // The unused bits of the last digit.
        neighbour,
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
    ] {
        assert!(verify(&other).is_err(), "{other}");
    }
    // What was signed is what is read.
    let others = encode(with(claims(), "sub", json!("eve")).to_string());
    let forged = format!("{}.{others}.{}", parts[0], parts[2]);
    assert_eq!(verify(&forged), Err(AuthFailure::BadSignature));
}

#[test]
fn no_character_of_a_token_can_be_another() {
    let (realm, keys, token) = (realm(), keys(), sign_by(Algorithm::EdDsa, ed25519(), claims()));
    let verify = |token: &str| Unverified::read(token)?.verify(&realm, &keys)?.at(NOW);
    assert!(verify(&token).is_ok());
    for position in 0..token.len() {
        for other in ["A", "Q", "z", "_", ".", "=", ""] {
            let mut changed = token.clone();
            changed.replace_range(position..=position, other);
            assert!(changed == token || verify(&changed).is_err(), "{position}: {other:?}");
        }
    }
}

#[test]
fn json_is_read_strictly() {
    let claims = claims().to_string();
    let inner = claims.strip_prefix('{').unwrap();
    for twice in [
        format!("{{\"sub\":\"eve\",{inner}"),
        format!("{{\"s\\u0075b\":\"eve\",{inner}"),
        format!("{{\"x\":{{\"a\":1,\"a\":2}},{inner}"),
        format!("{claims}{{}}"),
        format!("{claims}x"),
        format!("[{claims}]"),
        "null".to_owned(),
        String::from_utf8(vec![b'{'; 10]).unwrap(),
    ] {
        assert_eq!(verify(&sign(header(), &twice)), Err(AuthFailure::Malformed), "{twice}");
    }
    for twice in [
        r#"{"alg":"ES256","alg":"ES256","kid":"p256"}"#,
        r#"{"alg":"none","alg":"ES256","kid":"p256"}"#,
        r#"["ES256"]"#,
        r#"{"alg":"ES256","kid":"p256"} {}"#,
    ] {
        assert_eq!(verify(&sign(twice, &claims)), Err(AuthFailure::Malformed), "{twice}");
    }
    let nested = |levels: usize| "{\"a\":".repeat(levels) + "1" + &"}".repeat(levels);
    let deep = |levels: usize| format!("{{\"deep\":{},{inner}", nested(levels));
    assert!(verify(&sign(header(), deep(MAX_DEPTH - 1))).is_ok());
    for levels in [MAX_DEPTH, 127, 200, 2_000] {
        assert_eq!(verify(&sign(header(), deep(levels))), Err(AuthFailure::Malformed), "{levels}");
    }
    let padded = |length: usize| format!("{{\"pad\":\"{}\",{inner}", "x".repeat(length));
    assert!(verify(&sign(header(), padded(8_000))).is_ok());
    assert_eq!(verify(&sign(header(), padded(20_000))), Err(AuthFailure::Malformed));
}

#[test]
fn the_issuer_is_the_realm_s_to_the_letter() {
    for issuer in [
        format!("{ISSUER}/"),
        ISSUER.to_uppercase(),
        ISSUER.replace("https", "http"),
        "tenantry".to_owned(),
        String::new(),
    ] {
        let token = sign(header(), with(claims(), "iss", json!(issuer)));
        assert_eq!(verify(&token), Err(AuthFailure::UnknownRealm), "{issuer}");
    }
    for issuer in [None, Some(json!(null)), Some(json!([ISSUER]))] {
        let token = sign(header(), with(claims(), "iss", issuer));
        assert_eq!(verify(&token), Err(AuthFailure::BadClaims));
    }
}

#[test]
fn a_token_for_somebody_else_is_not_for_us() {
    for (audience, failure) in [
        (json!("tenantry"), None),
        (json!(["tenantry"]), None),
        // As those of providers are that also answer `userinfo`.
        (json!(["https://id.example.com/userinfo", "tenantry"]), None),
        (json!("Tenantry"), Some(AuthFailure::WrongAudience)),
        (json!("tenantry "), Some(AuthFailure::WrongAudience)),
        (json!(["one", "two"]), Some(AuthFailure::WrongAudience)),
        (json!([]), Some(AuthFailure::WrongAudience)),
        (json!(["tenantry", 1]), Some(AuthFailure::BadClaims)),
        (json!({"tenantry": true}), Some(AuthFailure::BadClaims)),
        (json!(null), Some(AuthFailure::BadClaims)),
    ] {
        let token = sign(header(), with(claims(), "aud", audience.clone()));
        assert_eq!(verify(&token).err(), failure, "{audience}");
    }
    let token = sign(header(), with(claims(), "aud", None));
    assert_eq!(verify(&token), Err(AuthFailure::WrongAudience));
}

#[test]
fn dates_are_whole_seconds_within_reason() {
    let bad = [
        json!(-1),
        json!(1_752_161_400.5),
        json!(1.8e9),
        json!("1752161400"),
        json!(null),
        json!(true),
        // Milliseconds, by mistake.
        json!(1_752_161_400_000_i64),
        json!(253_402_300_800_i64),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1e300),
    ];
    for name in ["exp", "iat", "nbf"] {
        for value in &bad {
            let token = sign(header(), with(claims(), name, value.clone()));
            assert_eq!(verify(&token), Err(AuthFailure::BadClaims), "{name} {value}");
        }
    }
    assert_eq!(verify(&sign(header(), with(claims(), "exp", None))), Err(AuthFailure::BadClaims));
    assert!(verify(&sign(header(), with(claims(), "iat", None))).is_ok());
    for name in ["iat", "nbf"] {
        let token = sign(header(), with(claims(), name, json!(NOW_SECONDS + 3600)));
        assert_eq!(verify(&token), Err(AuthFailure::BadClaims), "{name}");
    }
}

#[test]
fn the_realm_s_leeway_is_given_at_both_ends() {
    for leeway in [0, 5, 300] {
        let mut realm = realm();
        realm.leeway_seconds = leeway;
        let leeway = i64::from(leeway);
        let at = |claims: Value, millis: i64| {
            let token = sign(header(), claims);
            let now = Timestamp::from_millis(NOW.as_millis() + millis);
            Unverified::read(&token).unwrap().verify(&realm, &keys()).unwrap().at(now).err()
        };
        let end = (3_600 + leeway) * 1_000;
        assert_eq!(at(claims(), end - 1), None);
        assert_eq!(at(claims(), end), Some(AuthFailure::Expired));
        for name in ["iat", "nbf"] {
            let later = |seconds| with(claims(), name, json!(NOW_SECONDS + seconds));
            assert_eq!(at(later(leeway), 0), None, "{name}");
            assert_eq!(at(later(leeway + 1), 0), Some(AuthFailure::NotYetValid), "{name}");
        }
    }
}

#[test]
fn a_tenant_and_a_subject_are_named() {
    for value in [
        None,
        Some(json!(null)),
        Some(json!("acme")),
        Some(json!("")),
        Some(json!([uuid(7)])),
        Some(json!(7)),
        Some(json!(uuid(7).simple().to_string())),
    ] {
        let token = sign(header(), with(claims(), "tenant", value.clone()));
        assert_eq!(verify(&token), Err(AuthFailure::BadClaims), "{value:?}");
    }
    for value in [
        None,
        Some(json!(null)),
        Some(json!("")),
        Some(json!(7)),
        Some(json!("a\nb")),
        Some(json!("x".repeat(SUBJECT_MAX + 1))),
    ] {
        let token = sign(header(), with(claims(), "sub", value.clone()));
        assert_eq!(verify(&token), Err(AuthFailure::BadClaims), "{value:?}");
    }
}

#[test]
fn roles_mean_what_the_realm_says() {
    let roles = |value: Value| with(claims(), "realm_access", json!({"roles": value}));
    let mut realm = realm();
    for (value, role) in [
        (json!(["boss"]), Role::TenantAdmin),
        (json!("boss"), Role::TenantAdmin),
        (json!("openid boss"), Role::TenantAdmin),
        (json!({"boss": {"1": "corp.example"}}), Role::TenantAdmin),
        (json!(["Boss", "bos", "tenant_admin"]), Role::Member),
        (json!([]), Role::Member),
        (json!(null), Role::Member),
        // More than this realm can say.
        (json!(["root"]), Role::Member),
        (json!(["root", "boss"]), Role::TenantAdmin),
    ] {
        assert_eq!(role_by(&realm, roles(value.clone())), Ok((tenant(), role)), "{value}");
    }
    for value in [json!(1), json!([1]), json!(["boss", null]), json!(true)] {
        assert_eq!(role_by(&realm, roles(value.clone())), Err(AuthFailure::BadClaims), "{value}");
    }
    let without = with(claims(), "realm_access", None);
    assert_eq!(role_by(&realm, without), Ok((tenant(), Role::Member)));
    // Unless it says something, it means the same as we do.
    realm.role_mapping = None;
    let admin = roles(json!(["boss", "tenant_admin", "super_admin"]));
    assert_eq!(role_by(&realm, admin), Ok((tenant(), Role::TenantAdmin)));
}

#[test]
fn only_a_realm_of_the_platform_asserts_a_super_admin() {
    let mut realm = realm();
    let root = with(claims(), "realm_access", json!({"roles": ["root"]}));
    let at_platform = with(root.clone(), "tenant", json!(TenantId::PLATFORM));
    let nowhere = with(root.clone(), "tenant", None);
    assert_eq!(role_by(&realm, at_platform.clone()), Ok((TenantId::PLATFORM, Role::Member)));
    assert_eq!(role_by(&realm, nowhere.clone()), Err(AuthFailure::BadClaims));
    realm.platform = true;
    let super_admin = Ok((TenantId::PLATFORM, Role::SuperAdmin));
    assert_eq!(role_by(&realm, at_platform), super_admin);
    // Its people need no tenant to belong to the platform's own.
    assert_eq!(role_by(&realm, nowhere), super_admin);
    // Nobody is one elsewhere.
    assert_eq!(role_by(&realm, root), Ok((tenant(), Role::Member)));
}
