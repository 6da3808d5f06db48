//! People of external realms as callers: who they are, what they may, and for how long.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tenantry_domain::id::TenantId;
use tenantry_testkit::{Answer, Bearer, Request, TestApp};

use crate::provider::{Manner, NOW, Provider, encode, header, jwk, sign, sign_by_p256, with};

const REALM: &str = "/api/v1/admin/realms/corp";
/// Long enough that keys are fetched anew before the next request, in milliseconds.
const KEYS_DUE: i64 = 15 * 60 * 1_000;
/// Long enough that a provider is asked again.
const AGAIN: i64 = 10_000;

struct Fixture {
    app: TestApp,
    provider: Provider,
    tenant: TenantId,
}

impl Fixture {
    /// A realm, and a tenant whose people come from it.
    async fn new() -> Self {
        let (app, provider) = (TestApp::start().await, Provider::start().await);
        app.realm("corp", &provider.issuer).await;
        let tenant = app.tenant("Acme").await;
        let f = Self { app, provider, tenant };
        f.bind(json!("corp")).await;
        f
    }

    async fn by_super_admin(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = self.app.request_by(Bearer::SUPER_ADMIN, method, path);
        match body {
            Some(body) => request.json(&body).send().await,
            None => request.send().await,
        }
    }

    async fn bind(&self, realm: Value) {
        let path = format!("/api/v1/admin/tenants/{}", self.tenant);
        self.by_super_admin("PATCH", &path, Some(json!({"realmName": realm}))).await.expect(200);
    }

    async fn change_realm(&self, patch: Value) {
        self.by_super_admin("PATCH", REALM, Some(patch)).await.expect(200);
    }

    fn with(&self, token: &str, method: &str, path: &str) -> Request {
        let tenant = self.tenant.to_string();
        self.app.request(method, path).bearer(token).header("x-tenantid", &tenant)
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/admin/tenants/{}/{rest}", self.tenant)
    }

    /// What the bearer of a token is answered who asks for the tenant's statistics.
    async fn asks(&self, token: &str) -> Answer {
        self.with(token, "GET", &self.path("stats")).send().await
    }

    fn admin(&self) -> String {
        self.provider.token(self.tenant, "tenant_admin")
    }

    /// How many requests were refused, by the reason.
    async fn refused(&self) -> BTreeMap<String, u64> {
        let metrics = self.app.request("GET", "/metrics").send().await.expect(200).text;
        let lines = metrics.lines().filter_map(|line| {
            let line = line.strip_prefix("tenantry_auth_failures_total{reason=\"")?;
            let (reason, count) = line.split_once("\"} ")?;
            Some((reason.to_owned(), count.parse().unwrap()))
        });
        lines.collect()
    }
}

#[tokio::test]
async fn whom_the_realm_vouches_for_is_of_the_tenant() {
    let f = Fixture::new().await;
    let token = f.admin();
    let before = f.asks(&token).await.expect(200).data();
    assert_eq!(before["tenantId"], f.tenant.to_string());
    // Its calls are the tenant's, this one in the next answer.
    let next = f.asks(&token).await.expect(200).data();
    let calls = |seen: &Value| seen["usage"]["apiCallsThisMonth"].as_u64().unwrap();
    assert_eq!((calls(&next), next["lastActivity"].is_null()), (calls(&before) + 1, true));

    let body = json!({"email": "ben@example.com"});
    let users = f.path("users");
    f.with(&token, "POST", &users).json(&body).send().await.expect(201);
    let log = f.with(&token, "GET", "/api/v1/admin/audit-logs?limit=1").send().await.expect(200);
    let actor = &log.data()["items"][0]["actor"];
    assert_eq!((&actor["type"], &actor["id"]), (&json!("external"), &json!("corp/ann")));
    let found = "/api/v1/admin/audit-logs?actorId=corp%2Fann";
    assert_eq!(f.with(&token, "GET", found).send().await.expect(200).data()["total"], 1);

    // A member administers nothing, and nobody another tenant.
    let member = f.provider.token(f.tenant, "member");
    assert_eq!(f.asks(&member).await.expect(403).code(), "INSUFFICIENT_PERMISSIONS");
    let other = f.app.tenant("Other").await;
    let elsewhere = format!("/api/v1/admin/tenants/{other}/stats");
    f.with(&token, "GET", &elsewhere).send().await.expect(403);
    f.with(&token, "GET", "/api/v1/admin/tenants").send().await.expect(403);
    // Nor is anybody a super admin by the word of this realm.
    let root = f.provider.token(f.tenant, "super_admin");
    f.with(&root, "GET", "/api/v1/admin/tenants").send().await.expect(403);
    // All of this asked for the keys once.
    assert_eq!(f.provider.asked(), 1);
    f.app.stop().await;
}

#[tokio::test]
async fn a_request_that_is_repeated_takes_effect_once() {
    let f = Fixture::new().await;
    let post = async |token: &str| {
        let request = f.with(token, "POST", &f.path("users")).header("idempotency-key", "k");
        request.json(&json!({"email": "ben@example.com"})).send().await
    };
    let first = post(&f.admin()).await.expect(201);
    let again = post(&f.admin()).await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(first.text, again.text);
    // Somebody else's key is another one.
    let claims = with(f.provider.claims(f.tenant, "tenant_admin"), "sub", json!("eve"));
    let other = post(&sign(1, header(1), claims)).await.expect(409);
    assert_eq!(other.code(), "EMAIL_TAKEN");
    f.app.stop().await;
}

#[tokio::test]
async fn the_longest_subject_is_found_in_the_audit_log() {
    let f = Fixture::new().await;
    let subject = "ä".repeat(255);
    let token = |subject: &str| {
        let claims = f.provider.claims(f.tenant, "tenant_admin");
        sign(1, header(1), with(claims, "sub", json!(subject)))
    };
    let body = json!({"email": "ben@example.com"});
    let request = f.with(&token(&subject), "POST", &f.path("users"));
    request.json(&body).send().await.expect(201);
    let encoded = "%C3%A4".repeat(255);
    let found = format!("/api/v1/admin/audit-logs?actorId=corp%2F{encoded}");
    assert_eq!(f.with(&f.admin(), "GET", &found).send().await.expect(200).data()["total"], 1);
    f.asks(&token(&"ä".repeat(256))).await.expect(401);
    f.app.stop().await;
}

#[tokio::test]
async fn the_realm_is_named_or_known_by_its_issuer() {
    let f = Fixture::new().await;
    let (token, other) = (f.admin(), Provider::start().await);
    f.app.realm("other", &other.issuer).await;
    for (realm, status) in
        [("corp", 200), ("other", 401), ("tenantry", 401), ("none", 401), ("Corp", 401), ("", 401)]
    {
        let request = f.with(&token, "GET", &f.path("stats")).header("realmname", realm);
        assert_eq!(request.send().await.status, status, "{realm}");
    }
    // The other realm has the same keys, and none of the tenants.
    let claims = f.provider.claims(f.tenant, "tenant_admin");
    let foreign = sign(1, header(1), with(claims.clone(), "iss", json!(other.issuer)));
    assert_eq!(f.asks(&foreign).await.status, 401);
    let nobody = sign(1, header(1), with(claims, "iss", json!("https://nobody.example.com")));
    assert_eq!(f.asks(&nobody).await.status, 401);
    // The built-in realm is every tenant's, and names itself or not.
    let built_in = f.app.token(Bearer::admin_of(f.tenant));
    f.asks(&built_in).await.expect(200);
    for (realm, status) in [("tenantry", 200), ("corp", 401)] {
        let request = f.with(&built_in, "GET", &f.path("stats")).header("realmname", realm);
        assert_eq!(request.send().await.status, status, "{realm}");
    }
    let refused = f.refused().await;
    assert_eq!(refused.keys().collect::<Vec<_>>(), ["foreign_tenant", "unknown_realm"]);
    f.app.stop().await;
}

#[tokio::test]
async fn every_change_takes_effect_on_the_next_request() {
    let f = Fixture::new().await;
    let token = f.admin();
    f.asks(&token).await.expect(200);
    // The tenant names another realm, or none.
    for realm in [json!("other"), json!(null)] {
        f.bind(realm).await;
        f.asks(&token).await.expect(401);
    }
    f.bind(json!("corp")).await;
    f.asks(&token).await.expect(200);
    // The tenant has a user of it.
    let user = json!({
        "email": "ann@example.com", "roles": ["tenant_admin"],
        "externalId": {"realm": "corp", "subject": "ann"}
    });
    let made = f.by_super_admin("POST", &f.path("users"), Some(user)).await.expect(201).data();
    let path = f.path(&format!("users/{}", made["id"].as_str().unwrap()));
    let change = async |patch: Value| {
        f.by_super_admin("PATCH", &path, Some(patch)).await.expect(200);
        f.asks(&token).await.status
    };
    f.asks(&token).await.expect(200);
    let body = json!({"email": "ben@example.com"});
    f.with(&token, "POST", &f.path("users")).json(&body).send().await.expect(201);
    let log = format!("/api/v1/admin/audit-logs?tenantId={}", f.tenant);
    let log = f.by_super_admin("GET", &log, None).await.expect(200).data();
    let actor = &log["items"][0]["actor"];
    assert_eq!((&actor["type"], &actor["id"]), (&json!("user"), &made["id"]));
    assert_eq!(change(json!({"roles": ["member"]})).await, 403);
    assert_eq!(change(json!({"roles": ["tenant_admin"], "status": "disabled"})).await, 401);
    assert_eq!(change(json!({"status": "invited"})).await, 401);
    assert_eq!(change(json!({"status": "active"})).await, 200);
    f.by_super_admin("DELETE", &path, None).await.expect(200);
    f.asks(&token).await.expect(200);
    // The realm is another one.
    for (patch, status) in [
        (json!({"leewaySeconds": 0}), 200),
        (json!({"audience": "another"}), 401),
        (json!({"audience": "tenantry"}), 200),
        (json!({"algorithms": ["RS256"]}), 401),
        (json!({"algorithms": ["EdDSA", "RS256"]}), 200),
        (json!({"roleMapping": {"boss": "tenant_admin"}}), 403),
        (json!({"roleMapping": {"tenant_admin": "tenant_admin"}}), 200),
        (json!({"rolesClaim": "groups"}), 403),
        (json!({"rolesClaim": "roles", "tenantClaim": "org"}), 401),
        (json!({"tenantClaim": "tenant"}), 200),
        (json!({"issuer": "https://id.example.com"}), 401),
        (json!({"issuer": f.provider.issuer}), 200),
    ] {
        f.change_realm(patch.clone()).await;
        assert_eq!(f.asks(&token).await.status, status, "{patch}");
    }
    f.by_super_admin("DELETE", REALM, None).await.expect(200);
    f.asks(&token).await.expect(401);
    // One that is made later under the name is the tenant's again.
    f.app.realm("corp", &f.provider.issuer).await;
    f.asks(&token).await.expect(200);
    let suspend = format!("/api/v1/admin/tenants/{}/suspend", f.tenant);
    f.by_super_admin("POST", &suspend, None).await.expect(200);
    f.asks(&token).await.expect(200);
    let body = json!({"email": "late@example.com"});
    let late = f.with(&token, "POST", &f.path("users")).json(&body).send().await.expect(403);
    assert_eq!(late.code(), "TENANT_SUSPENDED");
    f.by_super_admin("DELETE", &format!("/api/v1/admin/tenants/{}", f.tenant), None).await;
    f.asks(&token).await.expect(401);
    f.app.stop().await;
}

#[tokio::test]
async fn only_a_realm_of_the_platform_asserts_a_super_admin() {
    let f = Fixture::new().await;
    let platform = TenantId::PLATFORM;
    let claims = f.provider.claims(platform, "super_admin");
    let named = sign(1, header(1), claims.clone());
    let unnamed = sign(1, header(1), with(claims, "tenant", None));
    let tenants = async |token: &str| {
        let request = f.app.request("GET", "/api/v1/admin/tenants").bearer(token);
        request.header("x-tenantid", &platform.to_string()).send().await
    };
    for token in [&named, &unnamed] {
        tenants(token).await.expect(401);
    }
    f.change_realm(json!({"platform": true})).await;
    for token in [&named, &unnamed] {
        assert_eq!(tenants(token).await.expect(200).data()["total"], 2);
        // Any tenant is theirs to look at.
        f.asks(token).await.expect(200);
    }
    // The very realm they come from is theirs to change, and then they are nobody.
    let patch = json!({"platform": false});
    let request = f.app.request("PATCH", REALM).bearer(&named).json(&patch);
    request.header("x-tenantid", &platform.to_string()).send().await.expect(200);
    tenants(&named).await.expect(401);
    let log = f.by_super_admin("GET", "/api/v1/admin/audit-logs?limit=1", None).await.expect(200);
    assert_eq!(log.data()["items"][0]["actor"]["id"], "corp/ann");
    f.app.stop().await;
}

/// Tokens that nobody should issue: what each is, and why it is refused.
fn rows(f: &Fixture, other: TenantId) -> Vec<(&'static str, String, &'static str)> {
    let claims = || f.provider.claims(f.tenant, "tenant_admin");
    let signed = |member: &str, value: Value| sign(1, header(1), with(claims(), member, value));
    let headed = |member: &str, value: Value| sign(1, with(header(1), member, value), claims());
    let text = claims().to_string();
    let inner = text.strip_prefix('{').unwrap().to_owned();
    let good = f.admin();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let unsigned = |alg: &str| {
        let header = encode(json!({"alg": alg, "typ": "JWT"}).to_string());
        format!("{header}.{}", encode(&text))
    };
    let by_public_key = |secret: &[u8]| {
        let message = unsigned("HS256");
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        format!("{message}.{}", encode(hmac::sign(&key, message.as_bytes())))
    };
    let key = URL_SAFE_NO_PAD.decode(jwk(1)["x"].as_str().unwrap()).unwrap();
    // Its `SubjectPublicKeyInfo` (RFC 8410).
    let spki = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let der = [spki.as_slice(), &key].concat();
    let encoded = STANDARD.encode(&der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{encoded}\n-----END PUBLIC KEY-----\n");
    let nested = "[".repeat(40) + &"]".repeat(40);
    let last = signature.as_bytes()[signature.len() - 1];
    let non_canonical =
        format!("{message}.{}{}", &signature[..signature.len() - 1], char::from(last + 1));
    vec![
        ("alg none", unsigned("none") + ".", "malformed"),
        ("alg none, signed", headed("alg", json!("none")), "malformed"),
        ("HMAC with the key", by_public_key(jwk(1).to_string().as_bytes()), "malformed"),
        ("HMAC with its bytes", by_public_key(&key), "malformed"),
        ("HMAC with its DER", by_public_key(&der), "malformed"),
        ("HMAC with its PEM", by_public_key(pem.as_bytes()), "malformed"),
        ("HMAC with its PEM, trimmed", by_public_key(pem.trim_end().as_bytes()), "malformed"),
        ("alg swapped", headed("alg", json!("ES256")), "unknown_key"),
        (
            "alg of another key",
            sign_by_p256(with(header(1), "alg", json!("ES256")), claims()),
            "unknown_key",
        ),
        ("jwk", sign(9, with(header(9), "jwk", jwk(9)), claims()), "malformed"),
        (
            "jku",
            sign(9, with(header(9), "jku", json!("http://127.0.0.1:1/")), claims()),
            "malformed",
        ),
        (
            "x5u",
            sign(9, with(header(9), "x5u", json!("http://127.0.0.1:1/")), claims()),
            "malformed",
        ),
        ("x5c", sign(9, with(header(9), "x5c", json!(["MIIB"])), claims()), "malformed"),
        ("kid with a path", headed("kid", json!("../../../../dev/null")), "unknown_key"),
        ("kid with SQL", headed("kid", json!("1' OR '1'='1")), "unknown_key"),
        ("somebody's key", sign(9, header(1), claims()), "bad_signature"),
        ("crit", headed("crit", json!(["x"])), "malformed"),
        ("typ", headed("typ", json!("logout+jwt")), "malformed"),
        ("no aud", sign(1, header(1), with(claims(), "aud", None)), "wrong_audience"),
        ("another aud", signed("aud", json!("other")), "wrong_audience"),
        ("several aud", signed("aud", json!(["other", "another"])), "wrong_audience"),
        ("aud of no text", signed("aud", json!(["tenantry", 1])), "bad_claims"),
        ("exp beyond range", signed("exp", json!(i64::MAX)), "bad_claims"),
        ("exp beyond the last year", signed("exp", json!(253_402_300_800_i64)), "bad_claims"),
        ("fractional exp", signed("exp", json!(1_752_161_400.5)), "bad_claims"),
        ("negative exp", signed("exp", json!(-1)), "bad_claims"),
        ("fractional nbf", signed("nbf", json!(1.5)), "bad_claims"),
        ("negative iat", signed("iat", json!(-1)), "bad_claims"),
        ("no exp", sign(1, header(1), with(claims(), "exp", None)), "bad_claims"),
        ("exp before iat", signed("exp", json!(NOW)), "bad_claims"),
        (
            "over",
            sign(1, header(1), with(with(claims(), "iat", None), "exp", json!(NOW - 6))),
            "expired",
        ),
        ("to come", signed("nbf", json!(NOW + 60)), "not_yet_valid"),
        ("a member twice", sign(1, header(1), format!("{{\"sub\":\"eve\",{inner}")), "malformed"),
        (
            "a header's twice",
            sign(1, r#"{"alg":"EdDSA","kid":"1","kid":"1"}"#, claims()),
            "malformed",
        ),
        ("oversize", signed("pad", json!("x".repeat(13_000))), "malformed"),
        ("deep nesting", sign(1, header(1), format!("{{\"deep\":{nested},{inner}")), "malformed"),
        ("trailing garbage", sign(1, header(1), format!("{text}x")), "malformed"),
        ("a fourth part", format!("{good}.x"), "malformed"),
        ("padded base64", format!("{good}="), "malformed"),
        ("non-canonical base64", non_canonical, "malformed"),
        ("no sub", sign(1, header(1), with(claims(), "sub", None)), "bad_claims"),
        ("no tenant", sign(1, header(1), with(claims(), "tenant", None)), "bad_claims"),
        ("no tenant's id", signed("tenant", json!("acme")), "bad_claims"),
        ("roles of no texts", signed("roles", json!([1])), "bad_claims"),
        ("somebody's tenant", signed("tenant", json!(other)), "foreign_tenant"),
        ("nobody's tenant", signed("tenant", json!(TestApp::unknown_tenant())), "revoked"),
    ]
}

/// RFC 8725, row by row. Each token is refused, and counted by the reason, which is not told.
#[tokio::test]
async fn what_no_provider_should_issue_is_refused() {
    let f = Fixture::new().await;
    f.asks(&f.admin()).await.expect(200);
    let rows = rows(&f, f.app.tenant("Other").await);
    let mut expected = BTreeMap::new();
    let first = f.asks(&rows[0].1).await.expect(401);
    for (row, token, reason) in &rows {
        let answer = f.asks(token).await;
        assert_eq!(answer.status, 401, "{row}");
        // Each is told the same.
        for member in ["success", "message", "error"] {
            assert_eq!(answer.json()[member], first.json()[member], "{row}");
        }
        assert_eq!(answer.header("www-authenticate"), first.header("www-authenticate"), "{row}");
        *expected.entry((*reason).to_owned()).or_default() += 1;
        let mut counted = f.refused().await;
        *counted.get_mut(rows[0].2).unwrap() -= 1;
        counted.retain(|_, count| *count > 0);
        assert_eq!(counted, expected, "{row}");
    }
    f.asks(&f.admin()).await.expect(200);
    f.app.stop().await;
}

#[tokio::test]
async fn several_audiences_are_fine_if_one_is_ours() {
    let f = Fixture::new().await;
    let claims = f.provider.claims(f.tenant, "tenant_admin");
    let claims = with(claims, "aud", json!(["https://id.example.com/userinfo", "tenantry"]));
    f.asks(&sign(1, header(1), claims)).await.expect(200);
    f.app.stop().await;
}

#[tokio::test]
async fn the_leeway_is_the_realm_s() {
    let f = Fixture::new().await;
    let token = f.admin();
    f.app.clock.advance(3_600_000 + 4_999);
    f.asks(&token).await.expect(200);
    f.app.clock.advance(1);
    f.asks(&token).await.expect(401);
    f.change_realm(json!({"leewaySeconds": 60})).await;
    f.asks(&token).await.expect(200);
    f.app.stop().await;
}

#[tokio::test]
async fn keys_rotate() {
    let f = Fixture::new().await;
    let old = f.admin();
    f.asks(&old).await.expect(200);
    f.provider.show(&[1, 2]);
    let new = sign(2, header(2), f.provider.claims(f.tenant, "tenant_admin"));
    f.asks(&new).await.expect(200);
    f.asks(&old).await.expect(200);
    // A key that the provider shows no more is good for nothing once that is known.
    f.provider.show(&[2]);
    f.app.clock.advance(KEYS_DUE);
    f.asks(&old).await.expect(401);
    f.asks(&new).await.expect(200);
    // Whoever makes keys up has the provider asked once in a while.
    let asked = f.provider.asked();
    f.app.clock.advance(AGAIN);
    for _ in 0..10 {
        let made_up = sign(9, header(9), f.provider.claims(f.tenant, "tenant_admin"));
        f.asks(&made_up).await.expect(401);
    }
    assert_eq!(f.provider.asked(), asked + 1);
    f.app.stop().await;
}

#[tokio::test]
async fn keys_serve_while_the_provider_is_of_no_use() {
    let f = Fixture::new().await;
    let mut claims = f.provider.claims(f.tenant, "tenant_admin");
    claims["exp"] = json!(NOW + 1_000_000);
    let token = sign(1, header(1), claims.clone());
    f.asks(&token).await.expect(200);
    for manner in [Manner::Down, Manner::Moved, Manner::Huge, Manner::Garbage, Manner::Silent] {
        f.provider.answer(manner);
        f.app.clock.advance(KEYS_DUE);
        f.asks(&token).await.expect(200);
        // Another token is verified by them, too.
        claims["jti"] = json!(format!("{manner:?}"));
        f.asks(&sign(1, header(1), claims.clone())).await.expect(200);
    }
    // After a day they are no keys any more.
    f.app.clock.advance(24 * 60 * 60 * 1_000);
    assert_eq!(f.asks(&token).await.expect(503).code(), "UNAVAILABLE");
    f.provider.answer(Manner::Right);
    f.app.clock.advance(AGAIN);
    f.asks(&token).await.expect(200);
    f.app.stop().await;
}

#[tokio::test]
async fn without_keys_the_answer_is_to_ask_again() {
    let f = Fixture::new().await;
    for manner in [Manner::Down, Manner::Moved, Manner::Huge, Manner::Garbage] {
        f.provider.answer(manner);
        f.app.clock.advance(AGAIN);
        let answer = f.asks(&f.admin()).await.expect(503);
        assert_eq!(answer.header("retry-after"), Some("1"), "{manner:?}");
    }
    // Nobody else is held up by it.
    f.asks(&f.app.token(Bearer::admin_of(f.tenant))).await.expect(200);
    f.provider.answer(Manner::Right);
    f.app.clock.advance(AGAIN);
    f.asks(&f.admin()).await.expect(200);
    f.app.stop().await;
}
