//! Another tenant, named in a query or in a body. What a request can say is read from the OpenAPI document:
//! a member that is new fails the test until it is said here whether it can name a tenant.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenantry_domain::id::TenantId;
use tenantry_testkit::{Bearer, Request, TestApp};

/// Where a request can name a tenant beside its path and its header: by an id, or by a text that was given
/// in one.
const NAMES_A_TENANT: &[(&str, &str, &str)] = &[
    ("get", "/api/v1/admin/audit-logs", "tenantId"),
    ("post", "/api/v1/admin/tenants", "id"),
    ("post", "/api/v1/api-keys/validate", "key"),
    ("post", "/api/v1/auth/logout", "refreshToken"),
    ("post", "/api/v1/auth/password", "token"),
    ("post", "/api/v1/auth/refresh", "refreshToken"),
    ("post", "/oauth/introspect", "client_assertion"),
    ("post", "/oauth/introspect", "client_id"),
    ("post", "/oauth/introspect", "client_secret"),
    ("post", "/oauth/introspect", "token"),
    ("post", "/oauth/revoke", "client_assertion"),
    ("post", "/oauth/revoke", "client_id"),
    ("post", "/oauth/revoke", "client_secret"),
    ("post", "/oauth/revoke", "token"),
    ("post", "/oauth/token", "client_assertion"),
    ("post", "/oauth/token", "client_id"),
    ("post", "/oauth/token", "client_secret"),
    ("post", "/oauth/token", "refresh_token"),
];

/// What names none, whatever it says.
const NAMES_NONE: &[&str] = &[
    "accessToken",
    "action",
    "actorId",
    "algorithms",
    "allowedOrigins",
    "apiKey",
    "assertion",
    "audience",
    "authType",
    "authorizationEndpoint",
    "clientId",
    "clientSecret",
    "clientType",
    "client_assertion_type",
    "credentialName",
    "cursor",
    "description",
    "displayName",
    "email",
    "erase",
    "expiresAt",
    "expiresIn",
    "externalId",
    "from",
    "graceSeconds",
    "grantTypes",
    "grant_type",
    "integrationId",
    "ipAllowlist",
    "issuer",
    "jwks",
    "jwksUri",
    "leewaySeconds",
    "limit",
    "metadata",
    "name",
    "offset",
    "password",
    "platform",
    "q",
    "rateLimit",
    "realmName",
    "redirectUris",
    "refreshToken",
    "role",
    "roleMapping",
    "roles",
    "rolesClaim",
    "scope",
    "scopes",
    "serverUrl",
    "settings",
    "sort",
    "status",
    "storageQuotaMB",
    "subscription",
    "tenantClaim",
    "to",
    "tokenEndpoint",
    "token_type_hint",
    "username",
];

/// What a reference leads to.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let Some(reference) = value["$ref"].as_str() else { return value };
    document.pointer(reference.strip_prefix('#').unwrap()).unwrap()
}

/// The members that a schema tells of.
fn members(document: &Value, schema: &Value, found: &mut BTreeSet<String>) {
    let schema = resolved(document, schema);
    for parts in ["allOf", "anyOf", "oneOf"] {
        for part in schema[parts].as_array().into_iter().flatten() {
            members(document, part, found);
        }
    }
    found.extend(schema["properties"].as_object().into_iter().flat_map(|it| it.keys().cloned()));
}

#[tokio::test]
async fn it_is_known_of_every_member_whether_it_names_a_tenant() {
    let app = TestApp::start().await;
    let document = app.request("GET", "/openapi.json").send().await.expect(200).json();
    let (mut unknown, mut known) = (BTreeSet::new(), BTreeSet::new());
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let mut names = BTreeSet::new();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let parameter = resolved(&document, parameter);
                if parameter["in"] == "query" {
                    names.insert(parameter["name"].as_str().unwrap().to_owned());
                }
            }
            let content = operation["requestBody"]["content"].as_object();
            for (_, media) in content.into_iter().flatten() {
                members(&document, &media["schema"], &mut names);
            }
            for name in names {
                let row = NAMES_A_TENANT.iter().find(|row| **row == (method, path, &name));
                match row {
                    Some(row) => drop(known.insert(*row)),
                    None if NAMES_NONE.contains(&name.as_str()) => {}
                    None => drop(unknown.insert(format!("{method} {path}: {name}"))),
                }
            }
        }
    }
    assert!(unknown.is_empty(), "say whether these name a tenant: {unknown:#?}");
    assert_eq!(known, NAMES_A_TENANT.iter().copied().collect(), "rows of what is not there");
    app.stop().await;
}

/// Two tenants, and what somebody of the first one can call with.
struct Fixture {
    app: TestApp,
    home: TenantId,
    other: TenantId,
    callers: Vec<(&'static str, String)>,
}

impl Fixture {
    async fn new() -> Self {
        let app = TestApp::start().await;
        let (home, other) = (app.tenant("Home").await, app.tenant("Other").await);
        let scopes = ["audit:read", "keys:read", "tenant:write"];
        let key = app.api_key_with(home, "caller", &scopes).await.text.expose().to_owned();
        let client = app.client_token(home, &scopes).await.1;
        let admin = app.token(Bearer::admin_of(home));
        let callers = vec![("admin", admin), ("client", client), ("key", key)];
        Self { app, home, other, callers }
    }

    fn by(&self, (kind, secret): &(&str, String), method: &str, path: &str) -> Request {
        let request = self.app.request(method, path).header("x-tenantid", &self.home.to_string());
        if *kind == "key" { request.header("x-api-key", secret) } else { request.bearer(secret) }
    }
}

#[tokio::test]
async fn an_id_of_another_tenant_leads_nowhere() {
    let f = Fixture::new().await;
    let log = format!("/api/v1/admin/audit-logs?tenantId={}", f.other);
    let new = json!({"name": "Mine", "id": f.other});
    for caller in &f.callers {
        let own = format!("/api/v1/admin/audit-logs?tenantId={}", f.home);
        f.by(caller, "GET", &own).send().await.expect(200);
        let refused = f.by(caller, "GET", &log).send().await.expect(403);
        assert_eq!(refused.code(), "INSUFFICIENT_PERMISSIONS", "{}", caller.0);
        f.by(caller, "POST", "/api/v1/admin/tenants").json(&new).send().await.expect(403);
    }
    f.app.request_by(Bearer::SUPER_ADMIN, "GET", &log).send().await.expect(200);
    f.app.stop().await;
}

#[tokio::test]
async fn a_key_of_another_tenant_is_as_good_as_none() {
    let f = Fixture::new().await;
    let foreign = f.app.api_key_with(f.other, "foreign", &["stats:read"]).await;
    let never = json!({"valid": false, "reason": "UNKNOWN"});
    for caller in &f.callers {
        let body = json!({"key": foreign.text.expose()});
        let answer = f.by(caller, "POST", "/api/v1/api-keys/validate").json(&body).send().await;
        let told = answer.expect(200).data();
        assert_eq!((&told["valid"], &told["reason"]), (&never["valid"], &never["reason"]));
        assert!(!told.to_string().contains(&f.other.to_string()), "{told}");
    }
    f.app.stop().await;
}

#[tokio::test]
async fn what_was_given_in_another_tenant_is_good_there_alone() {
    let f = Fixture::new().await;
    let form = async |path: &str, client: &Value, fields: &[(&str, &str)]| {
        let said = |name: &str| client[name].as_str().unwrap().to_owned();
        let (id, secret) = (said("clientId"), said("clientSecret"));
        let proof = [("client_id", id.as_str()), ("client_secret", secret.as_str())];
        let form = serde_urlencoded::to_string([&proof, fields].concat()).unwrap();
        let request = f.app.request("POST", path);
        request.body("application/x-www-form-urlencoded", form).send().await
    };
    let made = async |tenant| {
        let new = json!({"name": "machine", "scopes": ["stats:read"],
            "grantTypes": ["client_credentials", "refresh_token"]});
        let request = f.app.request_by(Bearer::admin_of(tenant), "POST", "/api/v1/oauth-clients");
        request.json(&new).send().await.expect(201).data()
    };
    let (ours, theirs) = (made(f.home).await, made(f.other).await);
    let grant = ("grant_type", "client_credentials");
    let pair = form("/oauth/token", &theirs, &[grant]).await.expect(200).json();
    let [access, refresh] = ["access_token", "refresh_token"].map(|it| pair[it].as_str().unwrap());
    let mixed = json!({"clientId": theirs["clientId"], "clientSecret": ours["clientSecret"]});
    assert_eq!(form("/oauth/token", &mixed, &[grant]).await.code(), "invalid_client");
    for token in [access, refresh] {
        let told = form("/oauth/introspect", &ours, &[("token", token)]).await.expect(200).json();
        assert_eq!(told, json!({"active": false}));
        form("/oauth/revoke", &ours, &[("token", token)]).await;
    }
    let next = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    assert_eq!(form("/oauth/token", &ours, &next).await.code(), "invalid_grant");
    // Nothing of that has ended it.
    let stats = |tenant: TenantId| {
        let path = format!("/api/v1/admin/tenants/{tenant}/stats");
        f.app.request("GET", &path).bearer(access).header("x-tenantid", &tenant.to_string())
    };
    stats(f.other).send().await.expect(200);
    stats(f.home).send().await.expect(403);
    form("/oauth/token", &theirs, &next).await.expect(200);

    // A person's tokens are of their own tenant, whichever the header names.
    let ann = f.app.user_with_password(f.other, "ann@example.com", "correct horse battery").await;
    let post = async |path: &str, body: Value| {
        let request = f.app.request("POST", path).header("x-tenantid", &f.home.to_string());
        request.json(&body).send().await
    };
    let invited = f.app.service.invite_user(&TestApp::access(f.other), ann.id).await.unwrap();
    let body = json!({"token": invited.token.expose(), "password": "another horse battery"});
    post("/api/v1/auth/password", body).await.expect(200);
    let body = json!({"email": "ann@example.com", "password": "another horse battery"});
    post("/api/v1/auth/login", body.clone()).await.expect(401);
    let login = f.app.request("POST", "/api/v1/auth/login").json(&body);
    let login = login.header("x-tenantid", &f.other.to_string()).send().await.expect(200).data();
    let pair = post("/api/v1/auth/refresh", json!({"refreshToken": login["refreshToken"]})).await;
    let pair = pair.expect(200).data();
    let token = pair["accessToken"].as_str().unwrap();
    let users = |tenant: TenantId| format!("/api/v1/admin/tenants/{tenant}/users");
    let by = |tenant: TenantId| f.app.request("GET", &users(tenant)).bearer(token);
    by(f.home).header("x-tenantid", &f.home.to_string()).send().await.expect(403);
    let logout = json!({"refreshToken": pair["refreshToken"]});
    post("/api/v1/auth/logout", logout).await.expect(200);
    by(f.home).header("x-tenantid", &f.home.to_string()).send().await.expect(401);
    f.app.stop().await;
}
