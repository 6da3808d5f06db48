//! The OpenAPI document: what the handlers say of themselves, and what holds for all of them.

use tenantry_domain::scope::Scope;
use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Components, Object, ObjectBuilder, OpenApi, Ref, RefOr, Response, Type};

use crate::api::api_keys::RotationBody;
use crate::api::oauth_bodies::FailureBody;
use crate::error::Failure;
use crate::router::{API, documented};

mod clients;
mod examples;
mod failures;
mod headers;
mod parameters;
mod terms;

/// Who may call an operation: `public`, `client` (an OAuth client that proves itself there),
/// `super_admin`, or the scope that a key of the tenant in
/// question needs, whose administrators may too, as may a super admin.
const ACCESS: &str = "x-tenantry-access";
const BEARER: &str = "bearer";
const API_KEY: &str = "apiKey";
const CLIENT: &str = "client";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Tenantry API",
        description = "Exact, real-time statistics for multi-tenant platforms.\n\n\
            Every answer carries `x-request-id`: the caller's, if it sent one of 1 to 128 of \
            `[A-Za-z0-9._-]`. `Accept` is absent or covers `application/json`. `HEAD` answers what \
            `GET` would, and `OPTIONS` needs no token. A path that is not here is 404, a method \
            that its path does not have 405 with `Allow`; under `/api/v1` both are 401 without a \
            token or a key. Times are RFC 3339 in UTC with milliseconds.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers((url = "/", description = "The server that this document comes from.")),
    tags(
        (name = "Statistics", description = "What a tenant has and uses, exactly and now."),
        (name = "Sign-in", description = "People of the built-in realm; without a token."),
        (name = "Tenants", description = "Customers of the platform."),
        (name = "Realms", description = "Identity providers whose tokens are taken."),
        (name = "Users", description = "People of a tenant."),
        (name = "API keys", description = "With which machines call."),
        (name = "OAuth clients", description = "Applications that ask for tokens."),
        (name = "OAuth", description = "What these applications ask."),
        (name = "Credentials", description = "Secrets of third parties, in the vault."),
        (name = "Audit log", description = "What happened, and the counts after it."),
        (name = "Server", description = "The server itself; without a token."),
    ),
    components(schemas(Failure<'_>, FailureBody, RotationBody)),
)]
struct Preamble;

/// The document before any route is in it.
pub(crate) fn preamble() -> OpenApi {
    Preamble::openapi()
}

/// The OpenAPI document of the API, on several lines, with a line break at the end.
pub fn openapi_json() -> String {
    let mut json = document().to_pretty_json().unwrap_or_default();
    json.push('\n');
    json
}

fn document() -> OpenApi {
    let mut document = documented().into_openapi();
    let components = document.components.get_or_insert_default();
    add_common_parts(components);
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            complete(method, path, operation, components);
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, post, patch, delete, .. } = item;
    [("get", get), ("post", post), ("patch", patch), ("delete", delete)]
        .into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Adds what follows from who may call the operation and from what it takes.
fn complete(method: &str, path: &str, operation: &mut Operation, components: &mut Components) {
    let gated = is_gated(operation);
    let scope = scope(operation);
    let names_a_tenant = scope.is_some() || path.contains("{tenantId}");
    if gated {
        let bearer = SecurityRequirement::new::<_, [&str; 0], &str>(BEARER, []);
        let key = scope.map(|scope| SecurityRequirement::new(API_KEY, [scope.as_str()]));
        operation.security = Some([bearer].into_iter().chain(key).collect());
    }
    if access(operation) == Some(CLIENT) {
        clients::complete(operation);
    }
    let terms = terms::of(method, path, operation);
    parameters::complete(operation, path, gated, terms);
    terms.complete(operation);
    let api = path.starts_with(API);
    let shape = failures::Shape { method, path, gated, api, names_a_tenant, terms };
    shape.complete(operation, components);
    headers::complete(operation);
    examples::complete(operation);
}

fn add_common_parts(components: &mut Components) {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "A token of the built-in realm (`tenantry token` prints one) or of an external one.",
        ))
        .build();
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
    let key = ApiKeyValue::with_description(
        "X-API-Key",
        "An API key of the tenant, with the scope that the operation needs.",
    );
    components.add_security_scheme(API_KEY, SecurityScheme::ApiKey(ApiKey::Header(key)));
    parameters::add(components);
    headers::add(components);
}

/// Who may call an operation.
fn access(operation: &Operation) -> Option<&str> {
    operation.extensions.as_ref()?.get(ACCESS)?.as_str()
}

/// Whether an operation takes a token or a key.
fn is_gated(operation: &Operation) -> bool {
    access(operation).is_some_and(|access| ![CLIENT, "public"].contains(&access))
}

/// The scope that keys need for an operation that they may call.
fn scope(operation: &Operation) -> Option<Scope> {
    access(operation)?.parse().ok()
}

/// The id of an operation, which every one has.
fn id(operation: &Operation) -> &str {
    operation.operation_id.as_deref().unwrap_or_default()
}

/// What the operation itself says of a status.
fn response<'a>(operation: &'a mut Operation, status: &str) -> Option<&'a mut Response> {
    match operation.responses.responses.get_mut(status)? {
        RefOr::T(response) => Some(response),
        RefOr::Ref(_) => None,
    }
}

/// A part of the document that is told of once.
fn common<T>(kind: &str, name: &str) -> RefOr<T> {
    RefOr::Ref(Ref::new(format!("#/components/{kind}/{name}")))
}

fn text() -> Object {
    ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).build()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::router::PUBLIC;

    #[test]
    fn the_committed_document_is_the_code_s() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi.json");
        let committed = fs::read_to_string(path).unwrap_or_default();
        assert!(committed == openapi_json(), "openapi.json is stale: run `cargo xtask openapi`");
    }

    #[test]
    fn every_operation_says_who_may_call_it() {
        let mut document = document();
        let mut names = Vec::new();
        for (path, item) in &mut document.paths.paths {
            for (_, operation) in operations(item) {
                let access = access(operation).expect(path);
                let known = ["public", "client", "super_admin"].contains(&access);
                assert!(known || scope(operation).is_some(), "{path}: {access}");
                let below = path.strip_prefix(API);
                let gated = below.is_some_and(|path| !PUBLIC.contains(&path));
                assert_eq!(gated, is_gated(operation), "{path}");
                assert_eq!(gated, operation.security.is_some(), "{path}");
                names.push(operation.operation_id.clone().expect(path));
            }
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "an operationId is used twice");
    }
}
