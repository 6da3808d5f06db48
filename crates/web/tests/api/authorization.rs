//! Every operation of the OpenAPI document as every kind of caller. A new operation without a row
//! here fails the test, and so does a row without an operation.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenantry_domain::access::Role;
use tenantry_domain::id::TenantId;
use tenantry_domain::oauth_client::{ClientStatus, OauthClientPatch};
use tenantry_domain::scope::Scope;
use tenantry_security::realm::{TokenBearer, TokenRequest};
use tenantry_security::secret::SecretText;
use tenantry_testkit::{Answer, Bearer, Request, TestApp};

use crate::provider::Provider;

/// Who may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Access {
    /// Anybody, without a token.
    Public,
    /// Super admins, the administrators of the tenant, and its keys with this scope.
    Tenant(&'static str),
    /// Super admins alone.
    Platform,
    /// OAuth clients that prove themselves there: no token and no key is good for it.
    Client,
}

use Access::{Client, Platform, Public, Tenant};

/// The realm that people come from.
const REALM: &str = "people";

const ROWS: &[(&str, &str, Access)] = &[
    ("get", "/health/live", Public),
    ("get", "/health/ready", Public),
    ("get", "/docs", Public),
    ("get", "/openapi.json", Public),
    ("get", "/.well-known/jwks.json", Public),
    ("get", "/.well-known/oauth-authorization-server", Public),
    ("post", "/oauth/token", Client),
    ("post", "/oauth/introspect", Client),
    ("post", "/oauth/revoke", Client),
    ("get", "/api/v1/admin/tenants/{tenantId}/stats", Tenant("stats:read")),
    ("get", "/api/v1/admin/tenants", Platform),
    ("post", "/api/v1/admin/tenants", Platform),
    ("get", "/api/v1/admin/tenants/{tenantId}", Tenant("tenant:read")),
    ("patch", "/api/v1/admin/tenants/{tenantId}", Tenant("tenant:write")),
    ("delete", "/api/v1/admin/tenants/{tenantId}", Platform),
    ("post", "/api/v1/admin/tenants/{tenantId}/suspend", Platform),
    ("post", "/api/v1/admin/tenants/{tenantId}/activate", Platform),
    ("get", "/api/v1/admin/realms", Platform),
    ("post", "/api/v1/admin/realms", Platform),
    ("get", "/api/v1/admin/realms/{name}", Platform),
    ("patch", "/api/v1/admin/realms/{name}", Platform),
    ("delete", "/api/v1/admin/realms/{name}", Platform),
    ("get", "/api/v1/admin/tenants/{tenantId}/users", Tenant("users:read")),
    ("post", "/api/v1/admin/tenants/{tenantId}/users", Tenant("users:write")),
    ("get", "/api/v1/admin/tenants/{tenantId}/users/{id}", Tenant("users:read")),
    ("patch", "/api/v1/admin/tenants/{tenantId}/users/{id}", Tenant("users:write")),
    ("delete", "/api/v1/admin/tenants/{tenantId}/users/{id}", Tenant("users:write")),
    ("post", "/api/v1/admin/tenants/{tenantId}/users/import", Tenant("users:write")),
    ("post", "/api/v1/admin/tenants/{tenantId}/users/{id}/invitations", Tenant("users:write")),
    ("post", "/api/v1/auth/login", Public),
    ("post", "/api/v1/auth/refresh", Public),
    ("post", "/api/v1/auth/logout", Public),
    ("post", "/api/v1/auth/password", Public),
    ("get", "/api/v1/admin/audit-logs", Tenant("audit:read")),
    ("get", "/api/v1/api-keys", Tenant("keys:read")),
    ("post", "/api/v1/api-keys", Tenant("keys:write")),
    ("get", "/api/v1/api-keys/{id}", Tenant("keys:read")),
    ("delete", "/api/v1/api-keys/{id}", Tenant("keys:write")),
    ("post", "/api/v1/api-keys/{id}/rotate", Tenant("keys:write")),
    ("post", "/api/v1/api-keys/validate", Tenant("keys:read")),
    ("get", "/api/v1/oauth-clients", Tenant("clients:read")),
    ("post", "/api/v1/oauth-clients", Tenant("clients:write")),
    ("get", "/api/v1/oauth-clients/{id}", Tenant("clients:read")),
    ("patch", "/api/v1/oauth-clients/{id}", Tenant("clients:write")),
    ("delete", "/api/v1/oauth-clients/{id}", Tenant("clients:write")),
    ("post", "/api/v1/oauth-clients/{id}/rotate-secret", Tenant("clients:write")),
    ("get", "/api/v1/credentials", Tenant("credentials:read")),
    ("post", "/api/v1/credentials", Tenant("credentials:write")),
    ("get", "/api/v1/credentials/{integrationId}/{id}", Tenant("credentials:read")),
    ("patch", "/api/v1/credentials/{integrationId}/{id}", Tenant("credentials:write")),
    ("delete", "/api/v1/credentials/{integrationId}/{id}", Tenant("credentials:write")),
    ("post", "/api/v1/credentials/{integrationId}/{id}/reveal", Tenant("credentials:reveal")),
];

/// Every `POST` that takes no `Idempotency-Key`: it changes nothing, or must leave a trace each time.
const UNKEYED: &[&str] =
    &["/api/v1/api-keys/validate", "/api/v1/credentials/{integrationId}/{id}/reveal"];

/// The operations of the document, as in [`ROWS`].
fn operations(document: &Value) -> BTreeSet<(String, String)> {
    let methods = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let item = item.as_object().unwrap();
            let found = item.keys().filter(|key| methods.contains(&key.as_str()));
            found.map(|method| (method.clone(), path.clone())).collect::<Vec<_>>()
        })
        .collect()
}

/// A body that the operation takes.
fn body(method: &str, path: &str) -> Option<Value> {
    match (method, path) {
        ("post", "/api/v1/admin/tenants") => Some(json!({"name": "New"})),
        ("post", "/api/v1/admin/realms") => Some(json!({
            "name": "new", "issuer": "https://new.example.com", "audience": "tenantry"
        })),
        ("patch", "/api/v1/admin/realms/{name}") => Some(json!({"audience": "another"})),
        ("post", path) if path.ends_with("/users") => Some(json!({"email": "new@example.com"})),
        ("post", "/api/v1/api-keys") => Some(json!({"name": "key"})),
        ("post", "/api/v1/api-keys/validate") => Some(json!({"key": "tnt_"})),
        ("post", "/api/v1/oauth-clients") => Some(json!({"name": "client"})),
        ("post", "/api/v1/credentials") => Some(json!({
            "integrationId": "github", "credentialName": "deploy", "authType": "api_key",
            "apiKey": "third-party-key"
        })),
        ("patch", path) if path.contains("/credentials/") => Some(json!({"credentialName": "New"})),
        ("patch", path) if path.ends_with("/{tenantId}") => Some(json!({"displayName": "Shown"})),
        ("patch", _) => Some(json!({"name": "Renamed"})),
        _ => None,
    }
}

/// Makes a thing of the tenant that the path can name; answers its id.
async fn thing(app: &TestApp, tenant: TenantId, path: &str) -> String {
    if path.contains("/api-keys/") {
        return app.api_key(tenant, "key").await.api_key.id.to_string();
    }
    if path.contains("/oauth-clients/") {
        return app.oauth_client(tenant, "client").await.client.id.to_string();
    }
    if path.contains("/realms/{name}") {
        let name = tenant.to_string();
        return app.realm(&name, &format!("https://{name}.example.com")).await.name.to_string();
    }
    if path.contains("/credentials/") {
        return app.credential(tenant, "github").await.id.to_string();
    }
    app.user(tenant, "ann@example.com", false).await.id.to_string()
}

/// The path of a thing of a tenant.
fn fill(path: &str, tenant: TenantId, id: &str) -> String {
    path.replace("{tenantId}", &tenant.to_string())
        .replace("{integrationId}", "github")
        .replace("{id}", id)
        .replace("{name}", id)
}

/// Sends the operation about a fresh tenant; answers the status.
async fn send(
    (app, provider): (&TestApp, &Provider),
    (method, path, access): (&str, &str, Access),
    caller: Caller,
) -> u16 {
    let scope = match access {
        Tenant(scope) => Some(scope),
        Public | Client | Platform => None,
    };
    let target = app.tenant("Target").await;
    let id = thing(app, target, path).await;
    let other = app.tenant("Other").await;
    let filled = fill(path, target, &id);
    let request = app.request(&method.to_uppercase(), &filled);
    let bearer = |tenant, role| app.token(Bearer { tenant, subject: None, role });
    let (token, acting_in) = match caller {
        Caller::Nobody
        | Caller::Key
        | Caller::KeyWithout
        | Caller::RevokedKey
        | Caller::OtherKey => (None, target),
        Caller::Expired => {
            let request = TokenRequest {
                tenant: TenantId::PLATFORM,
                bearer: TokenBearer::Person { id: None, role: Role::SuperAdmin },
                session: None,
                ttl_seconds: 1,
            };
            let token = app.service.realm().issue(&request).unwrap();
            app.clock.advance(1_000);
            (Some(token.text.expose().to_owned()), target)
        }
        Caller::Member => (Some(bearer(target, Role::Member)), target),
        Caller::Admin => (Some(bearer(target, Role::TenantAdmin)), target),
        Caller::OtherAdmin => (Some(bearer(other, Role::TenantAdmin)), target),
        Caller::OtherAdminAtHome => (Some(bearer(other, Role::TenantAdmin)), other),
        Caller::SuperAdmin => (Some(bearer(TenantId::PLATFORM, Role::SuperAdmin)), target),
        Caller::OtherKeyAtHome => (None, other),
        Caller::RealmAdmin | Caller::RealmMember => {
            app.bind(target, REALM).await;
            let role = if caller == Caller::RealmAdmin { "tenant_admin" } else { "member" };
            (Some(provider.token(target, role)), target)
        }
        Caller::OtherRealmAdmin => {
            app.bind(target, REALM).await;
            app.bind(other, REALM).await;
            (Some(provider.token(other, "tenant_admin")), target)
        }
        Caller::ForeignRealmAdmin => (Some(provider.token(target, "tenant_admin")), target),
        Caller::ClientToken => {
            let scopes: Vec<_> = scope.into_iter().collect();
            (Some(app.client_token(target, &scopes).await.1), target)
        }
        Caller::ClientWithout => {
            (Some(app.client_token(target, &scopes_without(scope)).await.1), target)
        }
        Caller::OtherClient => {
            (Some(app.client_token(other, &scopes_without(None)).await.1), target)
        }
        Caller::DisabledClient => {
            let (id, token) = app.client_token(target, &scopes_without(None)).await;
            let patch = OauthClientPatch {
                status: Some(ClientStatus::Disabled),
                ..OauthClientPatch::default()
            };
            let access = TestApp::access(target);
            app.service.update_oauth_client(&access, id, patch).await.unwrap();
            (Some(token), target)
        }
    };
    // Where nobody is known, the header names whom the request is about.
    let acting_in = if access == Public { target } else { acting_in };
    let request = request.header("x-tenantid", &acting_in.to_string());
    if path.starts_with("/api/v1/auth/") {
        let body = secrets(app, target, path).await;
        let request = token.iter().fold(request, |request, token| request.bearer(token));
        return request.json(&body).send().await.status;
    }
    let request = match token {
        Some(token) => request.bearer(&token),
        None => request,
    };
    let key = match caller {
        Caller::Key => Some((target, scope.into_iter().collect())),
        Caller::KeyWithout => Some((target, scopes_without(scope))),
        Caller::RevokedKey => Some((target, scopes_without(None))),
        Caller::OtherKey | Caller::OtherKeyAtHome => Some((other, scopes_without(None))),
        _ => None,
    };
    let request = match key {
        Some((tenant, scopes)) => {
            let key = app.api_key_with(tenant, "caller", &scopes).await;
            if caller == Caller::RevokedKey {
                let access = TestApp::access(tenant);
                app.service.revoke_api_key(&access, key.api_key.id).await.unwrap();
            }
            request.header("x-api-key", key.text.expose())
        }
        None => request,
    };
    with_body(request, method, path).send().await.status
}

/// A body that tells who somebody is whom nobody knows yet.
async fn secrets(app: &TestApp, tenant: TenantId, path: &str) -> Value {
    let (email, password) = ("bea@example.com", "correct horse battery");
    let user = app.user_with_password(tenant, email, password).await;
    let signed_in = async || {
        let (email, password) = (user.email.clone(), SecretText::new(password.to_owned()));
        app.service.sign_in(tenant, email, password, None).await.unwrap()
    };
    match path.rsplit('/').next().unwrap() {
        "login" => json!({"email": email, "password": password}),
        "password" => {
            let access = TestApp::access(tenant);
            let invitation = app.service.invite_user(&access, user.id).await.unwrap();
            json!({"token": invitation.token.expose(), "password": "another horse battery"})
        }
        _ => json!({"refreshToken": signed_in().await.refresh_token.expose()}),
    }
}

/// The request with a body that the operation takes.
fn with_body(request: Request, method: &str, path: &str) -> Request {
    if path.ends_with("/users/import") {
        return request.body("text/csv", "email\nnew@example.com\n");
    }
    if path.starts_with("/oauth/") {
        let form = "grant_type=client_credentials&token=none";
        return request.body("application/x-www-form-urlencoded", form);
    }
    match body(method, path) {
        Some(body) => request.json(&body),
        None => request,
    }
}

/// Asks about one fresh thing of a fresh tenant, again and again, as a super admin.
struct Asking<'a> {
    app: &'a TestApp,
    path: &'static str,
    filled: String,
    target: TenantId,
    token: String,
}

impl<'a> Asking<'a> {
    async fn about(app: &'a TestApp, path: &'static str) -> Self {
        let target = app.tenant("Target").await;
        let id = thing(app, target, path).await;
        let filled = fill(path, target, &id);
        Self { app, path, filled, target, token: app.token(Bearer::SUPER_ADMIN) }
    }

    async fn send(&self, method: &str, (name, value): (&str, &str)) -> Answer {
        let request = self.app.request(&method.to_uppercase(), &self.filled).bearer(&self.token);
        let request = request.header("x-tenantid", &self.target.to_string()).header(name, value);
        with_body(request, method, self.path).send().await
    }
}

/// Whether the document says that the operation takes a header.
fn takes(document: &Value, method: &str, path: &str, header: &str) -> bool {
    let reference = json!({"$ref": format!("#/components/parameters/{header}")});
    let parameters =
        document.pointer(&format!("/paths/{}/{method}/parameters", path.replace('/', "~1")));
    let parameters = parameters.and_then(Value::as_array);
    parameters.is_some_and(|parameters| parameters.contains(&reference))
}

#[tokio::test]
async fn every_request_with_a_key_takes_effect_once() {
    let app = TestApp::start().await;
    let document = app.request("GET", "/openapi.json").send().await.expect(200).json();
    for (method, path, access) in ROWS {
        let keyed =
            *method == "post" && ![Public, Client].contains(access) && !UNKEYED.contains(path);
        assert_eq!(takes(&document, method, path, "Idempotency-Key"), keyed, "{method} {path}");
        if !keyed {
            continue;
        }
        let asking = Asking::about(&app, path).await;
        let first = asking.send("post", ("idempotency-key", "k")).await;
        assert!((200..300).contains(&first.status), "{path}: {}", first.text);
        assert_eq!(first.header("idempotent-replayed"), None, "{path}");
        let again = asking.send("post", ("idempotency-key", "k")).await;
        assert_eq!(again.header("idempotent-replayed"), Some("true"), "{path} makes no `Change`");
        assert_eq!((again.status, &again.text), (first.status, &first.text), "{path}");
        for header in ["location", "etag"] {
            assert_eq!(again.header(header), first.header(header), "{path}: {header}");
            // A one-time token is nowhere to be found again.
            let made = first.status == 201 && !path.ends_with("/invitations");
            assert!(!made || first.header(header).is_some(), "{path} answers without {header}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn every_single_thing_has_a_tag_that_changes_with_it() {
    let app = TestApp::start().await;
    let document = app.request("GET", "/openapi.json").send().await.expect(200).json();
    for (method, path, access) in ROWS {
        let single = path.ends_with('}') && *access != Public;
        let reads = *path == "/docs" || (single && *method == "get");
        // What is told of a key's uses changes while the key is the same.
        let is_compared = reads && !path.contains("/api-keys/");
        assert_eq!(takes(&document, method, path, "If-None-Match"), is_compared, "{method} {path}");
        let changes = single && ["patch", "delete"].contains(method);
        assert_eq!(takes(&document, method, path, "If-Match"), changes, "{method} {path}");
        if !reads {
            continue;
        }
        // What has a tag can be changed and removed in the state that the tag names alone.
        for changing in ["patch", "delete"] {
            if !ROWS.iter().any(|(method, other, _)| *method == changing && other == path) {
                continue;
            }
            let asking = Asking::about(&app, path).await;
            let got = asking.send("get", ("accept", "*/*")).await.expect(200);
            let tag = got.header("etag").unwrap_or_else(|| panic!("{path} has no tag")).to_owned();
            if is_compared {
                let same = asking.send("get", ("if-none-match", &tag)).await.expect(304);
                assert_eq!((same.text.as_str(), same.header("etag")), ("", Some(tag.as_str())));
            }
            app.clock.advance(10);
            let refused = asking.send(changing, ("if-match", "\"another\"")).await;
            assert_eq!(refused.status, 412, "{changing} {path} does not look at the state");
            assert_eq!(refused.code(), "PRECONDITION_FAILED");
            let changed = asking.send(changing, ("if-match", &tag)).await.expect(200);
            if changing == "patch" {
                assert_ne!(changed.header("etag").unwrap(), tag, "{path}");
                let got = asking.send("get", ("if-none-match", &tag)).await.expect(200);
                assert_eq!(got.header("etag"), changed.header("etag"), "{path}");
            }
        }
    }
    app.stop().await;
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Caller {
    Nobody,
    Expired,
    Member,
    Admin,
    OtherAdmin,
    /// An administrator of another tenant who says so in `x-tenantid`.
    OtherAdminAtHome,
    SuperAdmin,
    /// A key of the tenant with the one scope that the operation needs.
    Key,
    /// One with every other scope, but the one that includes it.
    KeyWithout,
    /// A key of another tenant with every scope.
    OtherKey,
    /// The same, which says so in `x-tenantid`.
    OtherKeyAtHome,
    /// A key of the tenant with every scope, revoked.
    RevokedKey,
    /// An administrator of the tenant, by the word of its own realm.
    RealmAdmin,
    /// A member of it, by the same.
    RealmMember,
    /// An administrator of another tenant of that realm.
    OtherRealmAdmin,
    /// An administrator of the tenant by the word of a realm that is not the tenant's.
    ForeignRealmAdmin,
    /// A token of a client of the tenant with the one scope that the operation needs.
    ClientToken,
    /// One with every other scope, but the one that includes it.
    ClientWithout,
    /// One of a client of another tenant, with every scope.
    OtherClient,
    /// One of a client of the tenant with every scope, which is disabled by now.
    DisabledClient,
}

const CALLERS: [Caller; 20] = [
    Caller::Nobody,
    Caller::Expired,
    Caller::Member,
    Caller::Admin,
    Caller::OtherAdmin,
    Caller::OtherAdminAtHome,
    Caller::SuperAdmin,
    Caller::Key,
    Caller::KeyWithout,
    Caller::OtherKey,
    Caller::OtherKeyAtHome,
    Caller::RevokedKey,
    Caller::RealmAdmin,
    Caller::RealmMember,
    Caller::OtherRealmAdmin,
    Caller::ForeignRealmAdmin,
    Caller::ClientToken,
    Caller::ClientWithout,
    Caller::OtherClient,
    Caller::DisabledClient,
];

/// Every scope that a key of a tenant may have, but those that reach to what `needed` stands for.
fn scopes_without(needed: Option<&str>) -> Vec<&'static str> {
    let names = Scope::ALL.iter().map(|scope| scope.as_str());
    let reaches = |name: &str| {
        needed.is_some_and(|needed| name == needed || name == needed.replace(":read", ":write"))
    };
    names.filter(|name| *name != "usage:write:any" && !reaches(name)).collect()
}

/// What the caller must hear; `None`: that it may.
fn refusal(access: Access, path: &str, caller: Caller) -> Option<u16> {
    // Where the path names no tenant, the header does: at home, everybody asks about themselves.
    let at_home = [Caller::OtherAdminAtHome, Caller::OtherKeyAtHome].contains(&caller);
    let about_itself = at_home && !path.contains("{tenantId}");
    match (access, caller) {
        (Client, _) => Some(401),
        (Public, _)
        | (_, Caller::SuperAdmin)
        | (Tenant(_), Caller::Admin | Caller::Key | Caller::RealmAdmin | Caller::ClientToken) => {
            None
        }
        (
            _,
            Caller::Nobody
            | Caller::Expired
            | Caller::RevokedKey
            | Caller::ForeignRealmAdmin
            | Caller::DisabledClient,
        ) => Some(401),
        // What another tenant has is not there at home.
        (Tenant(_), _) if about_itself && path.contains("{id}") => Some(404),
        (Tenant(_), _) if about_itself => None,
        _ => Some(403),
    }
}

#[tokio::test]
async fn every_operation_as_every_caller() {
    let (app, provider) = (TestApp::start().await, Provider::start().await);
    app.realm(REALM, &provider.issuer).await;
    let document = app.request("GET", "/openapi.json").send().await.expect(200).json();
    let rows: BTreeSet<_> =
        ROWS.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    let operations = operations(&document);
    let missing: Vec<_> = operations.difference(&rows).collect();
    assert!(missing.is_empty(), "operations without a row: {missing:?}");
    let stale: Vec<_> = rows.difference(&operations).collect();
    assert!(stale.is_empty(), "rows without an operation: {stale:?}");

    let mut wrong = Vec::new();
    for (method, path, access) in ROWS {
        let documented = match access {
            Public => "public",
            Tenant(scope) => scope,
            Platform => "super_admin",
            Client => "client",
        };
        let operation = &document["paths"][path][method];
        assert_eq!(operation["x-tenantry-access"], documented, "{method} {path}");
        for caller in CALLERS {
            let status = send((&app, &provider), (method, path, *access), caller).await;
            let right = match refusal(*access, path, caller) {
                Some(refusal) => status == refusal,
                None => (200..300).contains(&status),
            };
            if !right {
                wrong.push(format!("{method} {path} as {caller:?}: {status}"));
            }
            let responses = &operation["responses"];
            assert!(
                responses.get(status.to_string()).is_some(),
                "{method} {path} answers {status}, which the document does not name"
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    app.stop().await;
}
