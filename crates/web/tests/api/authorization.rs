//! Every operation of the OpenAPI document as every kind of caller. A new operation without a row
//! here fails the test, and so does a row without an operation.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenantry_domain::access::Role;
use tenantry_domain::clock::Clock as _;
use tenantry_domain::id::{TenantId, UserId};
use tenantry_domain::oauth_client::{ClientStatus, OauthClientPatch};
use tenantry_domain::scope::Scope;
use tenantry_domain::user::{UserPatch, UserStatus};
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
/// The realm that the platform's own people come from.
const STAFF: &str = "staff";

/// The realms' providers.
struct Providers {
    people: Provider,
    staff: Provider,
}

impl Providers {
    async fn start(app: &TestApp) -> Self {
        let (people, staff) = (Provider::start().await, Provider::start().await);
        app.realm(REALM, &people.issuer).await;
        app.realm(STAFF, &staff.issuer).await;
        let path = format!("/api/v1/admin/realms/{STAFF}");
        let flagged = app.request_by(Bearer::SUPER_ADMIN, "PATCH", &path);
        flagged.json(&json!({"platform": true})).send().await.expect(200);
        Self { people, staff }
    }
}

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

/// A body that the operation takes; of two tenants it makes two things.
fn body(method: &str, path: &str, target: TenantId) -> Option<Value> {
    match (method, path) {
        ("post", "/api/v1/admin/tenants") => Some(json!({"name": "New"})),
        ("post", "/api/v1/admin/realms") => Some(json!({
            "name": target, "issuer": format!("https://{target}.example.com"),
            "audience": "tenantry"
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
    (app, providers): (&TestApp, &Providers),
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
    let (token, acting_in) = token(app, providers, caller, scope, target, other).await;
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
        Caller::Key | Caller::ExpiredKey | Caller::SuspendedKey => {
            Some((target, scope.into_iter().collect()))
        }
        Caller::KeyWithout => Some((target, scopes_without(scope))),
        Caller::RevokedKey => Some((target, scopes_without(None))),
        Caller::OtherKey | Caller::OtherKeyAtHome => Some((other, scopes_without(None))),
        _ => None,
    };
    let request = match key {
        Some((tenant, scopes)) if caller == Caller::ExpiredKey => {
            request.header("x-api-key", &expired_key(app, tenant, &scopes).await)
        }
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
    if caller.is_suspended() {
        let suspend = format!("/api/v1/admin/tenants/{target}/suspend");
        app.request_by(Bearer::SUPER_ADMIN, "POST", &suspend).send().await.expect(200);
    }
    with_body(request, (method, path), target).send().await.status
}

/// The token that the caller has, if it has one, and the tenant that it says to act in.
async fn token(
    app: &TestApp,
    Providers { people, staff }: &Providers,
    caller: Caller,
    scope: Option<&str>,
    target: TenantId,
    other: TenantId,
) -> (Option<String>, TenantId) {
    let bearer = |tenant, role| app.token(Bearer { tenant, subject: None, role });
    match caller {
        Caller::Nobody
        | Caller::Key
        | Caller::KeyWithout
        | Caller::RevokedKey
        | Caller::ExpiredKey
        | Caller::SuspendedKey
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
        Caller::Admin | Caller::SuspendedAdmin => (Some(bearer(target, Role::TenantAdmin)), target),
        Caller::UserAdmin => (Some(user(app, target, true).await.1), target),
        Caller::UserMember => (Some(user(app, target, false).await.1), target),
        Caller::DisabledUser => {
            let (id, token) = user(app, target, true).await;
            let status = Some(UserStatus::Disabled);
            let patch = UserPatch { status, ..UserPatch::default() };
            app.service.update_user(&TestApp::access(target), id, patch).await.unwrap();
            (Some(token), target)
        }
        Caller::ExternalSuperAdmin => {
            (Some(staff.token(TenantId::PLATFORM, "super_admin")), target)
        }
        Caller::OtherAdmin => (Some(bearer(other, Role::TenantAdmin)), target),
        Caller::OtherAdminAtHome => (Some(bearer(other, Role::TenantAdmin)), other),
        Caller::SuperAdmin => (Some(bearer(TenantId::PLATFORM, Role::SuperAdmin)), target),
        Caller::OtherKeyAtHome => (None, other),
        Caller::RealmAdmin | Caller::RealmMember => {
            app.bind(target, REALM).await;
            let role = if caller == Caller::RealmAdmin { "tenant_admin" } else { "member" };
            (Some(people.token(target, role)), target)
        }
        Caller::OtherRealmAdmin | Caller::OtherRealmAdminAtHome => {
            app.bind(target, REALM).await;
            app.bind(other, REALM).await;
            let at_home = caller == Caller::OtherRealmAdminAtHome;
            (Some(people.token(other, "tenant_admin")), if at_home { other } else { target })
        }
        Caller::ForeignRealmAdmin => (Some(people.token(target, "tenant_admin")), target),
        Caller::ClientToken | Caller::SuspendedClient => {
            let scopes: Vec<_> = scope.into_iter().collect();
            (Some(app.client_token(target, &scopes).await.1), target)
        }
        Caller::ClientWithout => {
            (Some(app.client_token(target, &scopes_without(scope)).await.1), target)
        }
        Caller::OtherClient => {
            (Some(app.client_token(other, &scopes_without(None)).await.1), target)
        }
        Caller::OtherClientAtHome => {
            (Some(app.client_token(other, &scopes_without(None)).await.1), other)
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
    }
}

/// A user of a tenant, and a token of theirs.
async fn user(app: &TestApp, tenant: TenantId, tenant_admin: bool) -> (UserId, String) {
    let id = app.user(tenant, "caller@example.com", tenant_admin).await.id;
    let role = if tenant_admin { Role::TenantAdmin } else { Role::Member };
    (id, app.token(Bearer { tenant, subject: Some(id), role }))
}

/// The text of a key that was good until just now.
async fn expired_key(app: &TestApp, tenant: TenantId, scopes: &[&str]) -> String {
    let expires_at = app.clock.now().plus_millis(1_000);
    let new = json!({"name": "caller", "scopes": scopes, "expiresAt": expires_at});
    let made = app.request_by(Bearer::admin_of(tenant), "POST", "/api/v1/api-keys").json(&new);
    let key = made.send().await.expect(201).data()["key"].as_str().unwrap().to_owned();
    app.clock.advance(1_000);
    key
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
fn with_body(request: Request, (method, path): (&str, &str), target: TenantId) -> Request {
    if path.ends_with("/users/import") {
        return request.body("text/csv", "email\nnew@example.com\n");
    }
    if path.starts_with("/oauth/") {
        let form = "grant_type=client_credentials&token=none";
        return request.body("application/x-www-form-urlencoded", form);
    }
    match body(method, path, target) {
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
        with_body(request, (method, self.path), self.target).send().await
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
    /// One of a client of another tenant, with every scope, which says so in `x-tenantid`.
    OtherClientAtHome,
    /// A user who is an administrator of the tenant.
    UserAdmin,
    /// A user who is none.
    UserMember,
    /// A user who was an administrator of the tenant, and is disabled by now.
    DisabledUser,
    /// An administrator of another tenant of the realm, who says so in `x-tenantid`.
    OtherRealmAdminAtHome,
    /// A super admin by the word of the platform's realm.
    ExternalSuperAdmin,
    /// A key of the tenant with the one scope that the operation needs, which has expired.
    ExpiredKey,
    /// An administrator of the tenant, which is suspended.
    SuspendedAdmin,
    /// A key of it with the one scope that the operation needs.
    SuspendedKey,
    /// A token of a client of it with the same.
    SuspendedClient,
}

impl Caller {
    fn is_suspended(self) -> bool {
        [Self::SuspendedAdmin, Self::SuspendedKey, Self::SuspendedClient].contains(&self)
    }
}

const CALLERS: [Caller; 30] = [
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
    Caller::OtherClientAtHome,
    Caller::UserAdmin,
    Caller::UserMember,
    Caller::DisabledUser,
    Caller::OtherRealmAdminAtHome,
    Caller::ExternalSuperAdmin,
    Caller::ExpiredKey,
    Caller::SuspendedAdmin,
    Caller::SuspendedKey,
    Caller::SuspendedClient,
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
fn refusal((method, path, access): (&str, &str, Access), caller: Caller) -> Option<u16> {
    // Where the path names no tenant, the header does: at home, everybody asks about themselves.
    let at_home = [
        Caller::OtherAdminAtHome,
        Caller::OtherKeyAtHome,
        Caller::OtherClientAtHome,
        Caller::OtherRealmAdminAtHome,
    ];
    let at_home = at_home.contains(&caller);
    let about_itself = at_home && !path.contains("{tenantId}");
    match (access, caller) {
        (Client, _) => Some(401),
        (Public, _)
        | (_, Caller::SuperAdmin | Caller::ExternalSuperAdmin)
        | (
            Tenant(_),
            Caller::Admin
            | Caller::UserAdmin
            | Caller::Key
            | Caller::RealmAdmin
            | Caller::ClientToken,
        ) => None,
        // What is suspended is read and not changed.
        (Tenant(_), _) if caller.is_suspended() => {
            let changes = method != "get" && !path.ends_with("/validate");
            changes.then_some(403)
        }
        (
            _,
            Caller::Nobody
            | Caller::Expired
            | Caller::RevokedKey
            | Caller::ExpiredKey
            | Caller::ForeignRealmAdmin
            | Caller::DisabledUser
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
    let app = TestApp::start().await;
    let providers = Providers::start(&app).await;
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
            let status = send((&app, &providers), (method, path, *access), caller).await;
            let right = match refusal((method, path, *access), caller) {
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
