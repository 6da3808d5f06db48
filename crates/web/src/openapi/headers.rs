//! The headers of answers.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Components, Object, ObjectBuilder, RefOr, Response, Type};

use super::{common, text};

pub(super) const REQUEST_ID: &str = "x-request-id";
pub(super) const ETAG: &str = "ETag";
pub(super) const LOCATION: &str = "Location";
pub(super) const REPLAYED: &str = "Idempotent-Replayed";
pub(super) const CHALLENGE: &str = "WWW-Authenticate";
pub(super) const RETRY_AFTER: &str = "Retry-After";

type Header = (&'static str, &'static str, fn() -> Object, &'static str);

const HEADERS: &[Header] = &[
    (
        REQUEST_ID,
        "What the request is known by in the server's log.",
        request_id,
        "0197f3a4-6c1e-7b52-9d1e-2f0c5a7e8b31",
    ),
    (
        ETAG,
        "The state that it is in then, for `If-Match` and `If-None-Match`.",
        text,
        r#""8c7dd922ad47494fc02c388e12c00eac""#,
    ),
    (LOCATION, "Where it is.", text, "/api/v1/admin/tenants/3fa85f64-5717-4562-b3fc-2c963f66afa6"),
    (REPLAYED, "Only there if the request took effect before: `true`.", yes, "true"),
    (
        CHALLENGE,
        "RFC 9110, section 11.6.1: what would let the caller in.",
        text,
        r#"Bearer realm="tenantry", error="invalid_token""#,
    ),
    (RETRY_AFTER, "In how many seconds to try again.", seconds, "1"),
];

pub(super) fn add(components: &mut Components) {
    for (name, description, schema, example) in HEADERS {
        let header = HeaderBuilder::new()
            .schema(Some(schema()))
            .description(Some(*description))
            .example(Some((*example).into()))
            .build();
        components.headers.insert((*name).to_owned(), RefOr::T(header));
    }
}

/// Tells of a header of a response.
pub(super) fn tell(response: &mut Response, name: &str) {
    response.headers.insert(name.to_owned(), common("headers", name));
}

/// Every answer has an id.
pub(super) fn complete(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            tell(response, REQUEST_ID);
        }
    }
}

fn request_id() -> Object {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[A-Za-z0-9._-]{1,128}$")).build()
}

fn yes() -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"])).build()
}

fn seconds() -> Object {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9]+$")).build()
}
