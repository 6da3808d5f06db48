//! The document tells of bodies and queries what their readers take.

use std::collections::BTreeSet;

use axum::body::Bytes;
use serde_json::{Map, Value, json};
use tenantry_domain::credential::AuthType;
use tenantry_domain::error::{Error, FieldError, Result};
use tenantry_domain::id::TenantId;
use tenantry_testkit::START;

use super::{api_keys, audit_logs, credential_bodies, oauth_clients, tenants, users};
use crate::extract::members::Members;
use crate::extract::query::Query;

fn document() -> Value {
    serde_json::from_str(&crate::openapi::openapi_json()).unwrap()
}

fn fields<T>(read: Result<T>) -> Vec<FieldError> {
    match read {
        Err(Error::Invalid(fields)) => fields,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("nothing is wrong"),
    }
}

/// Of every member that the document tells of, one that no member can be; each must be refused for
/// what it is, and not for being unknown.
fn check_members<T>(schema: &str, prefix: &str, read: impl FnOnce(Members) -> Result<T>) {
    let schema = &document()["components"]["schemas"][schema];
    assert_eq!(schema["additionalProperties"], json!(false));
    let told: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
    let wrong: Map<_, _> = told.iter().map(|name| (name.clone(), json!([[]]))).collect();
    let body = match prefix.strip_suffix('.') {
        None => Value::Object(wrong),
        Some(member) => json!({ (member): wrong }),
    };
    let refused = fields(read(Members::parse(Bytes::from(body.to_string())).unwrap()));
    let named = |name: &String| format!("{prefix}{name}");
    let known: BTreeSet<_> = refused
        .iter()
        .filter(|it| !it.problem.starts_with("is "))
        .map(|it| it.field.clone())
        .collect();
    assert_eq!(told.iter().map(named).collect::<BTreeSet<_>>(), known);
}

fn read_new_tenant(body: Members) -> Result<tenantry_domain::tenant::NewTenant> {
    tenants::read_new(body, || TenantId::PLATFORM)
}

fn read_new_api_key(body: Members) -> Result<tenantry_service::ApiKeyDraft> {
    api_keys::read_new(body, TenantId::PLATFORM, Ok)
}

#[test]
fn bodies_are_read_as_documented() {
    check_members("NewTenant", "", read_new_tenant);
    check_members("SubscriptionPatch", "subscription.", read_new_tenant);
    check_members("TenantPatch", "", tenants::read_patch);
    check_members("SubscriptionPatch", "subscription.", tenants::read_patch);
    check_members("NewUser", "", users::read_new);
    check_members("ExternalId", "externalId.", users::read_new);
    check_members("UserPatch", "", users::read_patch);
    check_members("ExternalIdPatch", "externalId.", users::read_patch);
    check_members("NewApiKey", "", read_new_api_key);
    check_members("ApiKeyRotation", "", api_keys::read_rotation);
    check_members("PresentedApiKey", "", api_keys::read_presented);
    let tenant = TenantId::PLATFORM;
    check_members("NewOauthClient", "", |body| oauth_clients::read_new(body, tenant));
    check_members("OauthClientPatch", "", |body| oauth_clients::read_patch(body, tenant));
    check_members("NewCredential", "", |body| credential_bodies::read_new(body, START));
    for &auth_type in AuthType::ALL {
        check_members("CredentialPatch", "", |body| {
            credential_bodies::read_patch(body, auth_type, START)
        });
    }
}

/// Of every parameter that the document tells of, the empty text, which none of them can be.
fn check_query<T>(path: &str, read: impl FnOnce(&str) -> Result<T>) {
    check_query_of("get", path, read);
}

fn check_query_of<T>(method: &str, path: &str, read: impl FnOnce(&str) -> Result<T>) {
    let operation = &document()["paths"][path][method];
    let parameters = operation["parameters"].as_array().unwrap().iter();
    let told: BTreeSet<_> = parameters
        .filter(|parameter| parameter["in"] == "query")
        .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
        // Read before the others, for authorization.
        .filter(|name| name != "tenantId")
        .collect();
    let raw: Vec<_> = told.iter().map(|name| format!("{name}=")).collect();
    let refused = fields(read(&raw.join("&")));
    let known: BTreeSet<_> = refused
        .into_iter()
        .filter(|it| !it.problem.starts_with("is "))
        .map(|it| it.field)
        .collect();
    assert_eq!(told, known, "{path}");
}

#[test]
fn queries_are_read_as_documented() {
    check_query("/api/v1/admin/tenants", |raw| tenants::read_query(Some(raw)));
    check_query("/api/v1/admin/tenants/{tenantId}/users", |raw| users::read_query(Some(raw)));
    check_query("/api/v1/api-keys", |raw| api_keys::read_query(Some(raw)));
    let user = "/api/v1/admin/tenants/{tenantId}/users/{id}";
    check_query_of("delete", user, |raw| users::read_delete_query(Some(raw)));
    check_query("/api/v1/oauth-clients", |raw| oauth_clients::read_query(Some(raw)));
    check_query("/api/v1/credentials", |raw| credential_bodies::read_query(Some(raw)));
    check_query("/api/v1/admin/audit-logs", |raw| audit_logs::read_query(Query::parse(Some(raw))));
}

#[test]
fn a_user_is_a_member_unless_said_otherwise() {
    let read = |json: &'static str| users::read_new(Members::parse(Bytes::from(json)).unwrap());
    let draft = read(r#"{"email": "ann@example.com"}"#).unwrap();
    assert_eq!(draft.roles.names(), ["member"]);
    assert_eq!(draft.status.as_str(), "active");
    let draft = read(r#"{"email": "ann@example.com", "roles": []}"#).unwrap();
    assert!(draft.roles.names().is_empty());
    assert_eq!(fields(read(r#"{"email": "a@b", "password": "short"}"#))[0].field, "password");
}

#[test]
fn of_two_instants_the_first_comes_first() {
    let read = |raw| audit_logs::read_query(Query::parse(Some(raw)));
    assert!(read("from=2025-07-10T00:00:00Z&to=2025-07-10T00:00:00.001Z").is_ok());
    let same = read("from=2025-07-10T02:00:00%2B02:00&to=2025-07-10T00:00:00Z");
    assert_eq!(fields(same)[0].field, "from");
}
