//! The OpenAPI document: what the handlers say of themselves, and what holds for all of them.

use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, Object, ObjectBuilder, OpenApi, Ref, RefOr, Required, Response,
    ResponseBuilder, Type,
};

use crate::api::api_keys::RotationBody;
use crate::api::schemas::integration_id;
use crate::error::{Code, Failure};
use crate::router::documented;
use terms::Terms;

mod terms;

/// Who may call an operation: `public`, `super_admin`, or `tenant` (an administrator of the
/// tenant in question, or a super admin).
const ACCESS: &str = "x-tenantry-access";
const BEARER: &str = "bearer";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Tenantry",
        description = "Exact, real-time statistics for multi-tenant platforms.\n\n\
            Every answer carries `x-request-id`. `HEAD` answers what `GET` would, and `OPTIONS` \
            needs no token. Times are RFC 3339 in UTC with milliseconds.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "Statistics", description = "What a tenant has and uses, exactly and now."),
        (name = "Tenants", description = "Customers of the platform."),
        (name = "Users", description = "People of a tenant."),
        (name = "API keys", description = "With which machines call."),
        (name = "OAuth clients", description = "Applications that ask for tokens."),
        (name = "Credentials", description = "Secrets of third parties, in the vault."),
        (name = "Audit log", description = "What happened, and the counts after it."),
        (name = "Server", description = "The server itself; without a token."),
    ),
    components(schemas(Failure<'_>, RotationBody)),
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
            complete(method, path, operation);
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
fn complete(method: &str, path: &str, operation: &mut Operation) {
    let access = operation.extensions.as_ref().and_then(|extensions| extensions.get(ACCESS));
    if access.is_none_or(|access| access == "public") {
        return;
    }
    let names_a_tenant = access.is_some_and(|access| access == "tenant") || path.contains('{');
    let takes_a_body = operation.request_body.is_some();
    operation.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>(BEARER, [])]);

    let in_path =
        [("{tenantId}", "tenantId"), ("{integrationId}", "integrationId"), ("{id}", "id")]
            .into_iter()
            .filter_map(|(place, name)| path.contains(place).then_some(name));
    let terms = terms::of(method, path, operation);
    let in_headers = HEADERS.iter().map(|header| header.name).chain(terms.parameter());
    let common = in_path
        .chain(in_headers)
        .map(|name| RefOr::Ref(Ref::new(format!("#/components/parameters/{name}"))));
    let own = operation.parameters.take().unwrap_or_default();
    operation.parameters = Some(common.chain(own).collect());

    for failure in FAILURES {
        let possible = match failure.when {
            When::Always => true,
            When::TenantNamed => names_a_tenant,
            When::BodyTaken => takes_a_body,
            When::StateNamed => terms == Terms::Changes,
        };
        if possible {
            let response = RefOr::Ref(Ref::from_response_name(failure.name));
            operation.responses.responses.insert(failure.status.to_owned(), response);
        }
    }
    terms.complete(operation);
}

fn add_common_parts(components: &mut Components) {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("A token of the built-in realm."))
        .build();
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
    for failure in FAILURES {
        let response = RefOr::T(failure.response());
        components.responses.insert(failure.name.to_owned(), response);
    }
    for header in HEADERS.iter().chain(terms::HEADERS) {
        components.parameters.insert(header.name.to_owned(), RefOr::T(header.parameter()));
    }
    for (name, description, schema) in [
        ("tenantId", "The tenant.", uuid()),
        ("integrationId", "The integration that the credential belongs to.", integration_id()),
        ("id", "The thing within the tenant.", uuid()),
    ] {
        let parameter = parameter(name, ParameterIn::Path, true, description, schema);
        components.parameters.insert(name.to_owned(), RefOr::T(parameter));
    }
}

/// A header that every operation under the gate takes.
struct Header {
    name: &'static str,
    required: bool,
    description: &'static str,
    schema: fn() -> Object,
}

const HEADERS: &[Header] = &[
    Header {
        name: "x-tenantid",
        required: true,
        description: "The tenant the caller acts in: its own, or, for a super admin, the one that \
                      the request is about.",
        schema: uuid,
    },
    Header {
        name: "realmname",
        required: false,
        description: "The realm that issued the token; absent: the one whose issuer is the token's \
                      `iss`.",
        schema: text,
    },
    Header {
        name: "accept",
        required: false,
        description: "Absent, or a range that covers `application/json`.",
        schema: text,
    },
];

impl Header {
    fn parameter(&self) -> Parameter {
        let schema = (self.schema)();
        parameter(self.name, ParameterIn::Header, self.required, self.description, schema)
    }
}

fn parameter(
    name: &str,
    place: ParameterIn,
    required: bool,
    description: &str,
    schema: Object,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(if required { Required::True } else { Required::False })
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

fn uuid() -> Object {
    let format = utoipa::openapi::SchemaFormat::Custom("uuid".to_owned());
    ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build()
}

fn text() -> Object {
    ObjectBuilder::new().schema_type(Type::String).build()
}

/// A way in which any operation under the gate can fail.
struct CommonFailure {
    name: &'static str,
    status: &'static str,
    when: When,
}

/// Which operations can fail in a way.
enum When {
    Always,
    /// Those about one tenant.
    TenantNamed,
    /// Those with a body.
    BodyTaken,
    /// Those that a caller can make depend on the state of a thing.
    StateNamed,
}

const FAILURES: &[CommonFailure] = &[
    CommonFailure { name: "BadRequest", status: "400", when: When::Always },
    CommonFailure { name: "Unauthorized", status: "401", when: When::Always },
    CommonFailure { name: "Forbidden", status: "403", when: When::Always },
    CommonFailure { name: "NotFound", status: "404", when: When::TenantNamed },
    CommonFailure { name: "NotAcceptable", status: "406", when: When::Always },
    CommonFailure { name: "RequestTimeout", status: "408", when: When::BodyTaken },
    CommonFailure { name: "PreconditionFailed", status: "412", when: When::StateNamed },
    CommonFailure { name: "PayloadTooLarge", status: "413", when: When::BodyTaken },
    CommonFailure { name: "UnsupportedMediaType", status: "415", when: When::BodyTaken },
    CommonFailure { name: "UnprocessableEntity", status: "422", when: When::Always },
    CommonFailure { name: "InternalServerError", status: "500", when: When::Always },
    CommonFailure { name: "ServiceUnavailable", status: "503", when: When::Always },
];

impl CommonFailure {
    fn response(&self) -> Response {
        let codes: Vec<_> = Code::ALL
            .iter()
            .filter(|code| code.status().as_str() == self.status)
            .map(|code| format!("- `{}`: {}", code.as_str(), code.meaning()))
            .collect();
        let schema = Ref::from_schema_name("Failure");
        ResponseBuilder::new()
            .description(codes.join("\n"))
            .content("application/json", ContentBuilder::new().schema(Some(schema)).build())
            .build()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

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
                let extensions = operation.extensions.as_ref().expect(path);
                let access = extensions[ACCESS].as_str().unwrap();
                assert!(["public", "super_admin", "tenant"].contains(&access), "{path}: {access}");
                let gated = path.starts_with(crate::router::API);
                assert_eq!(gated, access != "public", "{path}");
                assert_eq!(gated, operation.security.is_some(), "{path}");
                names.push(operation.operation_id.clone().expect(path));
            }
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "an operationId is used twice");
    }

    #[test]
    fn every_failure_that_is_told_of_has_a_code() {
        for failure in FAILURES {
            assert!(!failure.response().description.is_empty(), "{}", failure.name);
        }
    }
}
