//! Every operation of the OpenAPI document as every kind of caller. A new operation without a row
//! here fails the test, and so does a row without an operation.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenantry_domain::access::Role;
use tenantry_domain::id::TenantId;
use tenantry_security::realm::TokenRequest;
use tenantry_testkit::{Bearer, TestApp};

/// Who may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Access {
    /// Anybody, without a token.
    Public,
    /// Super admins, and the administrators of the tenant.
    Tenant,
    /// Super admins alone.
    Platform,
}

use Access::{Platform, Public, Tenant};

const ROWS: &[(&str, &str, Access)] = &[
    ("get", "/health/live", Public),
    ("get", "/health/ready", Public),
    ("get", "/openapi.json", Public),
    ("get", "/.well-known/jwks.json", Public),
    ("get", "/api/v1/admin/tenants/{tenantId}/stats", Tenant),
    ("get", "/api/v1/admin/tenants", Platform),
    ("post", "/api/v1/admin/tenants", Platform),
    ("get", "/api/v1/admin/tenants/{tenantId}", Tenant),
    ("patch", "/api/v1/admin/tenants/{tenantId}", Tenant),
    ("delete", "/api/v1/admin/tenants/{tenantId}", Platform),
    ("post", "/api/v1/admin/tenants/{tenantId}/suspend", Platform),
    ("post", "/api/v1/admin/tenants/{tenantId}/activate", Platform),
    ("get", "/api/v1/admin/tenants/{tenantId}/users", Tenant),
    ("post", "/api/v1/admin/tenants/{tenantId}/users", Tenant),
    ("get", "/api/v1/admin/tenants/{tenantId}/users/{id}", Tenant),
    ("patch", "/api/v1/admin/tenants/{tenantId}/users/{id}", Tenant),
    ("delete", "/api/v1/admin/tenants/{tenantId}/users/{id}", Tenant),
    ("post", "/api/v1/admin/tenants/{tenantId}/users/import", Tenant),
    ("get", "/api/v1/admin/audit-logs", Tenant),
    ("get", "/api/v1/api-keys", Tenant),
    ("post", "/api/v1/api-keys", Tenant),
    ("get", "/api/v1/api-keys/{id}", Tenant),
    ("delete", "/api/v1/api-keys/{id}", Tenant),
    ("post", "/api/v1/api-keys/{id}/rotate", Tenant),
    ("post", "/api/v1/api-keys/validate", Tenant),
    ("get", "/api/v1/oauth-clients", Tenant),
    ("post", "/api/v1/oauth-clients", Tenant),
    ("get", "/api/v1/oauth-clients/{id}", Tenant),
    ("patch", "/api/v1/oauth-clients/{id}", Tenant),
    ("delete", "/api/v1/oauth-clients/{id}", Tenant),
    ("post", "/api/v1/oauth-clients/{id}/rotate-secret", Tenant),
    ("get", "/api/v1/credentials", Tenant),
    ("post", "/api/v1/credentials", Tenant),
    ("get", "/api/v1/credentials/{integrationId}/{id}", Tenant),
    ("patch", "/api/v1/credentials/{integrationId}/{id}", Tenant),
    ("delete", "/api/v1/credentials/{integrationId}/{id}", Tenant),
    ("post", "/api/v1/credentials/{integrationId}/{id}/reveal", Tenant),
];

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
    if path.contains("/credentials/") {
        return app.credential(tenant, "github").await.id.to_string();
    }
    app.user(tenant, "ann@example.com", false).await.id.to_string()
}

/// Sends the operation about a fresh tenant; answers the status.
async fn send(app: &TestApp, (method, path): (&str, &str), caller: Caller) -> u16 {
    let target = app.tenant("Target").await;
    let id = thing(app, target, path).await;
    let other = app.tenant("Other").await;
    let filled = path
        .replace("{tenantId}", &target.to_string())
        .replace("{integrationId}", "github")
        .replace("{id}", &id);
    let request = app.request(&method.to_uppercase(), &filled);
    let bearer = |tenant, role| app.token(Bearer { tenant, subject: None, role });
    let (token, acting_in) = match caller {
        Caller::Nobody => (None, target),
        Caller::Expired => {
            let request = TokenRequest {
                tenant: TenantId::PLATFORM,
                subject: None,
                role: Role::SuperAdmin,
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
    };
    let request = request.header("x-tenantid", &acting_in.to_string());
    let request = match token {
        Some(token) => request.bearer(&token),
        None => request,
    };
    if path.ends_with("/users/import") {
        return request.body("text/csv", "email\nnew@example.com\n").send().await.status;
    }
    let request = match body(method, path) {
        Some(body) => request.json(&body),
        None => request,
    };
    request.send().await.status
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
}

const CALLERS: [Caller; 7] = [
    Caller::Nobody,
    Caller::Expired,
    Caller::Member,
    Caller::Admin,
    Caller::OtherAdmin,
    Caller::OtherAdminAtHome,
    Caller::SuperAdmin,
];

/// What the caller must hear; `None`: that it may.
fn refusal(access: Access, path: &str, caller: Caller) -> Option<u16> {
    // Where the path names no tenant, the header does: at home, everybody asks about themselves.
    let about_itself = caller == Caller::OtherAdminAtHome && !path.contains("{tenantId}");
    match (access, caller) {
        (Public, _) | (_, Caller::SuperAdmin) | (Tenant, Caller::Admin) => None,
        (_, Caller::Nobody | Caller::Expired) => Some(401),
        // What another tenant has is not there at home.
        (Tenant, Caller::OtherAdminAtHome) if about_itself && path.contains("{id}") => Some(404),
        (Tenant, Caller::OtherAdminAtHome) if about_itself => None,
        _ => Some(403),
    }
}

#[tokio::test]
async fn every_operation_as_every_caller() {
    let app = TestApp::start().await;
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
            Tenant => "tenant",
            Platform => "super_admin",
        };
        let operation = &document["paths"][path][method];
        assert_eq!(operation["x-tenantry-access"], documented, "{method} {path}");
        for caller in CALLERS {
            let status = send(&app, (method, path), caller).await;
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
