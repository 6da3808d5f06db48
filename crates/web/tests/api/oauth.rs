//! OAuth 2.0 for clients: how they prove themselves, and what becomes of their tokens.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tenantry_domain::id::TenantId;
use tenantry_testkit::{Answer, Bearer, Request, TestApp};

const CLIENTS: &str = "/api/v1/oauth-clients";
const FORM: &str = "application/x-www-form-urlencoded";
const NOW: i64 = 1_752_157_800;

struct Fixture {
    app: TestApp,
    tenant: TenantId,
}

/// A client as it was made.
struct Client {
    path: String,
    id: String,
    secret: String,
}

impl Client {
    fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.id, self.secret)))
    }
}

impl Fixture {
    async fn new() -> Self {
        let app = TestApp::start().await;
        let tenant = app.tenant("Acme").await;
        Self { app, tenant }
    }

    fn by_admin(&self, method: &str, path: &str) -> Request {
        self.app.request_by(Bearer::admin_of(self.tenant), method, path)
    }

    async fn client_of(&self, tenant: TenantId, body: Value) -> Client {
        let bearer = if tenant == TenantId::PLATFORM {
            Bearer::SUPER_ADMIN
        } else {
            Bearer::admin_of(tenant)
        };
        let made =
            self.app.request_by(bearer, "POST", CLIENTS).json(&body).send().await.expect(201);
        let data = made.data();
        let text = |member: &str| data[member].as_str().unwrap_or_default().to_owned();
        Client {
            path: format!("{CLIENTS}/{}", text("id")),
            id: text("clientId"),
            secret: text("clientSecret"),
        }
    }

    async fn client(&self, scopes: &[&str]) -> Client {
        self.client_of(self.tenant, json!({"name": "machine", "scopes": scopes})).await
    }

    fn post(&self, path: &str, fields: &[(&str, &str)]) -> Request {
        let form = serde_urlencoded::to_string(fields).unwrap();
        self.app.request("POST", path).body(FORM, form)
    }

    /// Asks for a token.
    async fn ask(&self, client: &Client, more: &[(&str, &str)]) -> Answer {
        let fields = [&[("grant_type", "client_credentials")], more].concat();
        self.post("/oauth/token", &fields).header("authorization", &client.basic()).send().await
    }

    async fn token(&self, client: &Client) -> String {
        let answer = self.ask(client, &[]).await.expect(200).json();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    async fn about(&self, client: &Client, path: &str, token: &str) -> Answer {
        let request = self.post(path, &[("token", token)]);
        request.header("authorization", &client.basic()).send().await
    }

    async fn introspect(&self, client: &Client, token: &str) -> Value {
        self.about(client, "/oauth/introspect", token).await.expect(200).json()
    }

    fn stats(&self) -> String {
        format!("/api/v1/admin/tenants/{}/stats", self.tenant)
    }

    async fn reads(&self, token: &str) -> Answer {
        let request = self.app.request("GET", &self.stats()).bearer(token);
        request.header("x-tenantid", &self.tenant.to_string()).send().await
    }
}

#[tokio::test]
async fn a_client_s_token_does_what_its_scopes_say() {
    let f = Fixture::new().await;
    let client = f.client(&["stats:read", "users:write"]).await;
    let answer = f.ask(&client, &[]).await.expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert_eq!(
        (&body["token_type"], &body["expires_in"], &body["scope"]),
        (&json!("Bearer"), &json!(900), &json!("stats:read users:write"))
    );
    let token = body["access_token"].as_str().unwrap();
    let seen = f.reads(token).await.expect(200).data();
    // Its calls count for its tenant, and asking for a token is none.
    let calls = seen["usage"]["apiCallsThisMonth"].as_u64().unwrap();
    f.token(&client).await;
    let next = f.reads(token).await.expect(200).data();
    assert_eq!(next["usage"]["apiCallsThisMonth"], calls + 1);

    let users = format!("/api/v1/admin/tenants/{}/users", f.tenant);
    let by_client = |token: &str, method: &str, path: &str| {
        let request = f.app.request(method, path).bearer(token);
        request.header("x-tenantid", &f.tenant.to_string())
    };
    let body = json!({"email": "ann@example.com"});
    by_client(token, "POST", &users).json(&body).send().await.expect(201);
    let log = f.by_admin("GET", "/api/v1/admin/audit-logs?limit=1").send().await.expect(200).data();
    let actor = &log["items"][0]["actor"];
    assert_eq!((&actor["type"], &actor["name"]), (&json!("oauth_client"), &json!("machine")));
    assert_eq!(by_client(token, "GET", CLIENTS).send().await.status, 403);

    // Less than it may, on request, and not more.
    let less = f.ask(&client, &[("scope", "stats:read")]).await.expect(200).json();
    assert_eq!(less["scope"], "stats:read");
    let less = less["access_token"].as_str().unwrap();
    assert_eq!(by_client(less, "GET", &users).send().await.status, 403);
    f.ask(&client, &[("scope", "users:read")]).await.expect(200);
    for scope in ["audit:read", "stats:read audit:read", "everything", "stats:read stats:read"] {
        let refused = f.ask(&client, &[("scope", scope)]).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "invalid_scope"), "{scope}");
    }
    // It ends by itself, to the very instant.
    f.app.clock.advance(899_999);
    f.reads(token).await.expect(200);
    f.app.clock.advance(1);
    assert_eq!(f.reads(token).await.status, 401);
    f.app.stop().await;
}

#[tokio::test]
async fn what_is_done_to_a_client_its_tokens_feel_at_once() {
    let f = Fixture::new().await;
    let client = f.client(&["stats:read", "users:read"]).await;
    let token = f.token(&client).await;
    let patch = async |body: Value| {
        f.by_admin("PATCH", &client.path).json(&body).send().await.expect(200);
    };
    patch(json!({"scopes": ["users:read"]})).await;
    assert_eq!(f.reads(&token).await.status, 403);
    patch(json!({"scopes": ["stats:read"]})).await;
    f.reads(&token).await.expect(200);
    patch(json!({"ipAllowlist": ["192.0.2.0/24"]})).await;
    assert_eq!(f.reads(&token).await.status, 401);
    assert_eq!(f.ask(&client, &[]).await.code(), "invalid_client");
    // Somebody else who asks about it learns that it is good, elsewhere.
    let other = f.client(&[]).await;
    assert_eq!(f.introspect(&other, &token).await["active"], true);
    patch(json!({"ipAllowlist": []})).await;
    patch(json!({"status": "disabled"})).await;
    assert_eq!(f.reads(&token).await.status, 401);
    assert_eq!(f.ask(&client, &[]).await.status, 401);
    assert_eq!(f.introspect(&other, &token).await, json!({"active": false}));
    patch(json!({"status": "active"})).await;
    f.reads(&token).await.expect(200);

    // A new secret leaves the tokens alone, and ends the one before.
    let path = format!("{}/rotate-secret", client.path);
    f.by_admin("POST", &path).send().await.expect(200);
    assert_eq!(f.ask(&client, &[]).await.code(), "invalid_client");
    f.reads(&token).await.expect(200);
    f.by_admin("DELETE", &client.path).send().await.expect(200);
    assert_eq!(f.reads(&token).await.status, 401);
    f.app.stop().await;
}

#[tokio::test]
async fn a_client_proves_itself_in_one_of_three_ways() {
    let f = Fixture::new().await;
    let client = f.client(&["stats:read"]).await;
    let grant = ("grant_type", "client_credentials");
    let (id, secret) =
        (("client_id", client.id.as_str()), ("client_secret", client.secret.as_str()));
    f.post("/oauth/token", &[grant, id, secret]).send().await.expect(200);
    let with_basic = |basic: &str, fields: &[(&str, &str)]| {
        f.post("/oauth/token", fields).header("authorization", basic)
    };
    with_basic(&client.basic(), &[grant, id]).send().await.expect(200);

    let encoded = |text: String| format!("Basic {}", STANDARD.encode(text));
    let other = f.client(&[]).await;
    for (basic, fields, status, error) in [
        // In two ways, or twice.
        (Some(client.basic()), vec![grant, id, secret], 400, "invalid_request"),
        (Some(client.basic()), vec![grant, ("client_id", &other.id)], 400, "invalid_request"),
        (None, vec![grant, id, id, secret], 400, "invalid_request"),
        (None, vec![grant, grant, id, secret], 400, "invalid_request"),
        (None, vec![grant, secret], 400, "invalid_request"),
        (None, vec![id, secret], 400, "invalid_request"),
        (None, vec![("grant_type", "password"), id, secret], 400, "unsupported_grant_type"),
        (None, vec![("grant_type", ""), id, secret], 400, "invalid_request"),
        // Not at all, or wrong.
        (None, vec![grant], 401, "invalid_client"),
        (None, vec![grant, id], 401, "invalid_client"),
        (None, vec![grant, id, ("client_secret", &other.secret)], 401, "invalid_client"),
        (None, vec![grant, ("client_id", "tnc_1"), secret], 401, "invalid_client"),
        (None, vec![grant, ("client_id", "nobody"), secret], 401, "invalid_client"),
        (Some(encoded(client.id.clone())), vec![grant], 401, "invalid_client"),
        (Some(encoded(format!("{}:", client.id))), vec![grant], 401, "invalid_client"),
        (Some("Basic ?".to_owned()), vec![grant], 401, "invalid_client"),
        (Some("Bearer x".to_owned()), vec![grant], 401, "invalid_client"),
    ] {
        let request = match &basic {
            Some(basic) => with_basic(basic, &fields),
            None => f.post("/oauth/token", &fields),
        };
        let answer = request.send().await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, error),
            "{basic:?} {fields:?}"
        );
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
    }
    let json = f.app.request("POST", "/oauth/token").json(&json!({})).send().await;
    assert_eq!((json.status, json.code().as_str()), (415, "invalid_request"));
    // A public client has no secret, and nothing of its own.
    let public = json!({
        "name": "app", "clientType": "public", "redirectUris": ["https://app.example.com/cb"]
    });
    let public = f.client_of(f.tenant, public).await;
    let fields = [grant, ("client_id", public.id.as_str()), secret];
    assert_eq!(f.post("/oauth/token", &fields).send().await.code(), "invalid_client");
    // One that is there for people gets nothing for itself.
    let portal = json!({
        "name": "portal", "grantTypes": ["authorization_code"],
        "redirectUris": ["https://app.example.com/cb"]
    });
    let portal = f.client_of(f.tenant, portal).await;
    assert_eq!(f.ask(&portal, &[]).await.code(), "unauthorized_client");
    let metrics = f.app.request("GET", "/metrics").send().await.expect(200).text;
    assert!(
        metrics.contains("tenantry_auth_failures_total{reason=\"bad_signature\"} "),
        "{metrics}"
    );
    f.app.stop().await;
}

/// A key of a client that signs assertions.
struct Signer(Ed25519KeyPair);

impl Signer {
    fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.0.public_key());
        json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "one", "alg": "EdDSA"})
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "EdDSA", "kid": "one"});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

#[tokio::test]
async fn an_assertion_is_good_once_and_here() {
    const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let f = Fixture::new().await;
    let (signer, stranger) = (Signer::new(1), Signer::new(2));
    let body =
        json!({"name": "signer", "scopes": ["stats:read"], "jwks": {"keys": [signer.jwk()]}});
    let client = f.client_of(f.tenant, body).await;
    assert_eq!(client.secret, "");
    let other =
        f.client_of(f.tenant, json!({"name": "o", "jwks": {"keys": [stranger.jwk()]}})).await;
    let claims = |id: &str| {
        json!({
            "iss": client.id, "sub": client.id, "aud": "tenantry", "jti": id, "iat": NOW,
            "exp": NOW + 60
        })
    };
    let with = |id: &str, member: &str, value: Value| {
        let mut claims = claims(id);
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(member),
            value => claims.as_object_mut().unwrap().insert(member.to_owned(), value),
        };
        claims
    };
    let ask = async |kind: &str, assertion: &str| {
        let grant = ("grant_type", "client_credentials");
        let fields = [grant, ("client_assertion_type", kind), ("client_assertion", assertion)];
        f.post("/oauth/token", &fields).send().await
    };
    let good = signer.sign(&claims("1"));
    let token = ask(KIND, &good).await.expect(200).json();
    f.reads(token["access_token"].as_str().unwrap()).await.expect(200);
    // Once, whoever has seen it on its way.
    assert_eq!(ask(KIND, &good).await.code(), "invalid_client");
    ask(KIND, &signer.sign(&claims("2"))).await.expect(200);
    ask(KIND, &signer.sign(&with("3", "aud", json!(["tenantry", "https://x.example"]))))
        .await
        .expect(200);
    // It was made for another server, whatever a request says of where it was sent.
    for here in [f.app.url.clone(), format!("{}/oauth/token", f.app.url)] {
        let overheard = signer.sign(&with("3a", "aud", json!([here])));
        assert_eq!(ask(KIND, &overheard).await.code(), "invalid_client");
    }
    let beside = async |client_id: &str, id: &str| {
        let assertion = signer.sign(&claims(id));
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", client_id),
            ("client_assertion_type", KIND),
            ("client_assertion", &assertion),
        ];
        f.post("/oauth/token", &fields).send().await
    };
    assert_eq!(beside(&other.id, "3b").await.code(), "invalid_client");
    beside(&client.id, "3b").await.expect(200);

    assert_eq!(ask("saml", &signer.sign(&claims("4"))).await.code(), "invalid_request");
    for (claims, by) in [
        (claims("5"), &stranger),
        (with("6", "aud", json!("https://elsewhere.example")), &signer),
        (with("7", "aud", Value::Null), &signer),
        (with("8", "sub", json!(other.id)), &signer),
        (with("9", "iss", json!(other.id)), &signer),
        (with("10", "jti", Value::Null), &signer),
        (with("11", "exp", Value::Null), &signer),
        (with("12", "exp", json!(NOW)), &signer),
        (with("13", "exp", json!(NOW + 601)), &signer),
        (with("14", "nbf", json!(NOW + 6)), &signer),
    ] {
        let refused = ask(KIND, &by.sign(&claims)).await;
        assert_eq!((refused.status, refused.code().as_str()), (401, "invalid_client"), "{claims}");
    }
    // Other keys at once, and no secret ever.
    let keys = json!({"jwks": {"keys": [Signer::new(3).jwk()]}});
    f.by_admin("PATCH", &client.path).json(&keys).send().await.expect(200);
    assert_eq!(ask(KIND, &signer.sign(&claims("15"))).await.code(), "invalid_client");
    ask(KIND, &Signer::new(3).sign(&claims("16"))).await.expect(200);
    let rotate = format!("{}/rotate-secret", client.path);
    assert_eq!(f.by_admin("POST", &rotate).send().await.code(), "PUBLIC_CLIENT");
    let private = json!({"kty": "OKP", "crv": "Ed25519", "x": signer.jwk()["x"], "d": "AAAA"});
    for jwks in [json!({"keys": [private]}), json!({"keys": []}), json!({}), json!([]), json!("k")]
    {
        let body = json!({"name": "signer", "jwks": jwks});
        assert_eq!(f.by_admin("POST", CLIENTS).json(&body).send().await.fields(), ["jwks"]);
    }
    f.app.stop().await;
}

#[tokio::test]
async fn who_may_less_than_before_gets_no_secret_of_before() {
    let f = Fixture::new().await;
    let client = f.client(&["keys:write", "credentials:reveal"]).await;
    let full = f.token(&client).await;
    let less = f.ask(&client, &[("scope", "keys:write")]).await.expect(200).json();
    let less = less["access_token"].as_str().unwrap();
    let body = json!({"name": "vault", "scopes": ["credentials:reveal"]});
    let send = async |token: &str| {
        let request = f.app.request("POST", "/api/v1/api-keys").bearer(token);
        let request = request.header("x-tenantid", &f.tenant.to_string());
        request.header("idempotency-key", "once").json(&body).send().await
    };
    let first = send(&full).await.expect(201);
    assert_eq!(send(&full).await.expect(201).data()["key"], first.data()["key"]);
    assert_eq!(send(less).await.expect(403).code(), "INSUFFICIENT_PERMISSIONS");
    // What the client has lost counts as what its token never had.
    let lost = json!({"scopes": ["keys:write"]});
    f.by_admin("PATCH", &client.path).json(&lost).send().await.expect(200);
    assert_eq!(send(&full).await.expect(403).code(), "INSUFFICIENT_PERMISSIONS");
    f.app.stop().await;
}

#[tokio::test]
async fn who_may_asks_what_a_token_is_worth() {
    let f = Fixture::new().await;
    let (client, colleague) = (f.client(&["stats:read"]).await, f.client(&[]).await);
    let other_tenant = f.app.tenant("Other").await;
    let foreign = f.client_of(other_tenant, json!({"name": "foreign"})).await;
    let platform = f.client_of(TenantId::PLATFORM, json!({"name": "gateway"})).await;
    let token = f.token(&client).await;
    let told = f.introspect(&colleague, &token).await;
    let jti = told["jti"].clone();
    let id = client.path.rsplit('/').next().unwrap();
    assert_eq!(
        told,
        json!({
            "active": true, "scope": "stats:read", "client_id": client.id, "token_type": "Bearer",
            "exp": NOW + 900, "iat": NOW, "sub": id, "aud": "tenantry", "iss": "tenantry",
            "jti": jti, "tenant": f.tenant.to_string()
        })
    );
    assert_eq!(f.introspect(&platform, &token).await, told);
    assert_eq!(f.introspect(&foreign, &token).await, json!({"active": false}));
    let operator = f.app.token(Bearer::admin_of(f.tenant));
    let of_operator = f.introspect(&colleague, &operator).await;
    assert_eq!(
        (&of_operator["sub"], &of_operator["role"]),
        (&json!("operator"), &json!("tenant_admin"))
    );
    for nothing in ["none", &token[..token.len() - 1], &format!("{token}A")] {
        assert_eq!(f.introspect(&colleague, nothing).await, json!({"active": false}));
    }
    assert_eq!(f.about(&colleague, "/oauth/introspect", "").await.code(), "invalid_request");
    f.app.clock.advance(900_000);
    assert_eq!(f.introspect(&colleague, &token).await, json!({"active": false}));
    f.app.stop().await;
}

#[tokio::test]
async fn a_client_ends_its_own_tokens() {
    let f = Fixture::new().await;
    let (client, colleague) = (f.client(&["stats:read"]).await, f.client(&["stats:read"]).await);
    let (one, two) = (f.token(&client).await, f.token(&client).await);
    let revoke = async |client: &Client, token: &str| f.about(client, "/oauth/revoke", token).await;
    f.reads(&one).await.expect(200);
    assert_eq!(revoke(&colleague, &one).await.code(), "unauthorized_client");
    f.reads(&one).await.expect(200);
    let answer = revoke(&client, &one).await.expect(200);
    assert_eq!(answer.text, "");
    assert_eq!(f.reads(&one).await.status, 401);
    f.reads(&two).await.expect(200);
    assert_eq!(f.introspect(&client, &one).await, json!({"active": false}));
    // Once more, and what is no token: there is nothing left to end.
    revoke(&client, &one).await.expect(200);
    revoke(&client, "none").await.expect(200);
    let log = f.by_admin("GET", "/api/v1/admin/audit-logs?action=TOKEN_REVOKED").send().await;
    let log = log.expect(200).data();
    assert_eq!(
        (log["total"].as_u64(), &log["items"][0]["actor"]["type"]),
        (Some(1), &json!("oauth_client"))
    );
    f.app.stop().await;
}

#[tokio::test]
async fn a_refresh_token_is_good_once() {
    let f = Fixture::new().await;
    let body = json!({
        "name": "machine", "scopes": ["stats:read", "users:read"],
        "grantTypes": ["client_credentials", "refresh_token"]
    });
    let client = f.client_of(f.tenant, body.clone()).await;
    let other = f.client_of(f.tenant, body).await;
    let pair = |answer: Answer| {
        let body = answer.expect(200).json();
        let text = |member: &str| body[member].as_str().unwrap().to_owned();
        (text("access_token"), text("refresh_token"), text("scope"))
    };
    let refresh = async |client: &Client, token: &str, more: &[(&str, &str)]| {
        let grant = [("grant_type", "refresh_token"), ("refresh_token", token)];
        let request = f.post("/oauth/token", &[&grant, more].concat());
        request.header("authorization", &client.basic()).send().await
    };
    let (first, one, _) = pair(f.ask(&client, &[]).await);
    let (second, two, scope) = pair(refresh(&client, &one, &[]).await);
    assert_eq!(scope, "stats:read users:read");
    for token in [&first, &second] {
        f.reads(token).await.expect(200);
    }
    // Less, for one token; not more, and not somebody else's.
    let (_, three, less) = pair(refresh(&client, &two, &[("scope", "stats:read")]).await);
    assert_eq!(less, "stats:read");
    assert_eq!(refresh(&client, &three, &[("scope", "audit:read")]).await.code(), "invalid_scope");
    assert_eq!(refresh(&other, &three, &[]).await.code(), "invalid_grant");
    assert_eq!(refresh(&client, "tnr_1", &[]).await.code(), "invalid_grant");
    assert_eq!(refresh(&client, "", &[]).await.code(), "invalid_request");
    let narrow = json!({"scopes": ["users:read"]});
    f.by_admin("PATCH", &client.path).json(&narrow).send().await.expect(200);
    let (_, four, left) = pair(refresh(&client, &three, &[]).await);
    assert_eq!(left, "users:read");
    let wide = json!({"scopes": ["stats:read"]});
    f.by_admin("PATCH", &client.path).json(&wide).send().await.expect(200);
    f.reads(&first).await.expect(200);

    // Who has an old one has it from somebody else: all that came of it is over.
    assert_eq!(refresh(&client, &two, &[]).await.code(), "invalid_grant");
    for token in [&first, &second] {
        assert_eq!(f.reads(token).await.status, 401);
    }
    assert_eq!(refresh(&client, &four, &[]).await.code(), "invalid_grant");

    // Ending one ends what came of it, too.
    let (access, last, _) = pair(f.ask(&client, &[]).await);
    assert_eq!(f.about(&other, "/oauth/revoke", &last).await.status, 200);
    f.reads(&access).await.expect(200);
    f.about(&client, "/oauth/revoke", &last).await.expect(200);
    assert_eq!(f.reads(&access).await.status, 401);
    assert_eq!(refresh(&client, &last, &[]).await.code(), "invalid_grant");
    // Who is not registered for it gets none.
    let plain = f.client(&["stats:read"]).await;
    assert_eq!(f.ask(&plain, &[]).await.expect(200).json().get("refresh_token"), None);
    let (_, last, _) = pair(f.ask(&client, &[]).await);
    assert_eq!(refresh(&plain, &last, &[]).await.code(), "unauthorized_client");
    f.app.stop().await;
}

#[tokio::test]
async fn a_suspended_tenant_s_clients_read() {
    let f = Fixture::new().await;
    let client = f.client(&["stats:read", "users:write"]).await;
    let path = format!("/api/v1/admin/tenants/{}/suspend", f.tenant);
    f.app.request_by(Bearer::SUPER_ADMIN, "POST", &path).send().await.expect(200);
    let token = f.token(&client).await;
    f.reads(&token).await.expect(200);
    let users = format!("/api/v1/admin/tenants/{}/users", f.tenant);
    let request = f.app.request("POST", &users).bearer(&token);
    let request = request.header("x-tenantid", &f.tenant.to_string());
    let refused = request.json(&json!({"email": "ann@example.com"})).send().await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "TENANT_SUSPENDED"));
    f.about(&client, "/oauth/revoke", &token).await.expect(200);
    assert_eq!(f.reads(&token).await.status, 401);
    f.app.stop().await;
}

#[tokio::test]
async fn what_there_is_is_told() {
    let f = Fixture::new().await;
    let told = f.app.request("GET", "/.well-known/oauth-authorization-server").send().await;
    let told = told.expect(200).json();
    assert_eq!(told["issuer"], "tenantry");
    assert_eq!(told["token_endpoint"], format!("{}/oauth/token", f.app.url));
    assert_eq!(told["grant_types_supported"], json!(["client_credentials", "refresh_token"]));
    let methods = json!(["client_secret_basic", "client_secret_post", "private_key_jwt"]);
    assert_eq!(told["token_endpoint_auth_methods_supported"], methods);
    f.app.stop().await;
}
