//! What the document tells of repeating a request, and of the states of things.

use utoipa::openapi::path::Operation;
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, Object, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder,
    Type,
};

use super::{Header, text};
use crate::error::Code;

/// Every `POST` that takes no key: it changes nothing, or must leave a trace each time.
const UNKEYED: &[&str] = &["validateApiKey", "revealCredential"];

/// The terms on which an operation can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Terms {
    /// Changes something anew each time, unless it has a key.
    Makes,
    /// Changes or removes one thing.
    Changes,
    /// Reads one thing.
    Reads,
    /// Neither.
    Other,
}

pub(super) const HEADERS: &[Header] = &[
    Header {
        name: "Idempotency-Key",
        required: false,
        description: "Names the request, so that it can be repeated within 24 hours and takes \
                      effect once: the same body gets the first answer again, another one 422.",
        schema: key,
    },
    Header {
        name: "If-Match",
        required: false,
        description: "The `ETag` of the state in which the thing is to be changed, or several, or \
                      `*`. In another state: 412.",
        schema: tags,
    },
    Header {
        name: "If-None-Match",
        required: false,
        description: "The `ETag` of the state that the caller knows. In the same state: 304.",
        schema: text,
    },
];

fn key() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(255))
        .pattern(Some("^[!-~]+$"))
        .build()
}

fn tags() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#))
        .build()
}

/// The terms of an operation. What a path ends with an id for is one thing.
pub(super) fn of(method: &str, path: &str, operation: &Operation) -> Terms {
    let id = operation.operation_id.as_deref();
    let keyed = id.is_none_or(|id| !UNKEYED.contains(&id));
    match method {
        "post" if keyed => Terms::Makes,
        "patch" | "delete" => Terms::Changes,
        "get" if path.ends_with('}') => Terms::Reads,
        _ => Terms::Other,
    }
}

impl Terms {
    /// The header that sets them.
    pub(super) fn parameter(self) -> Option<&'static str> {
        match self {
            Self::Makes => Some("Idempotency-Key"),
            Self::Changes => Some("If-Match"),
            Self::Reads => Some("If-None-Match"),
            Self::Other => None,
        }
    }

    /// Adds the answers that follow from them.
    pub(super) fn complete(self, operation: &mut Operation) {
        let is_patch = operation.request_body.is_some();
        match self {
            Self::Makes => {
                add_header(operation, "201", "ETag", "The state that it is in.");
                for status in ["200", "201"] {
                    let description = "`true` if the request took effect before.";
                    add_header(operation, status, "Idempotent-Replayed", description);
                }
                add_in_flight(operation);
            }
            Self::Changes if is_patch => {
                add_header(operation, "200", "ETag", "The state that it is in then.");
            }
            Self::Changes | Self::Other => {}
            Self::Reads => {
                add_header(operation, "200", "ETag", "The state that it is in.");
                let same = ResponseBuilder::new()
                    .description("It is in the state that the caller knows.")
                    .build();
                operation.responses.responses.insert("304".to_owned(), RefOr::T(same));
            }
        }
    }
}

fn add_header(operation: &mut Operation, status: &str, name: &str, description: &str) {
    if let Some(response) = response(operation, status) {
        let header =
            HeaderBuilder::new().schema(Some(text())).description(Some(description)).build();
        response.headers.insert(name.to_owned(), RefOr::T(header));
    }
}

fn add_in_flight(operation: &mut Operation) {
    let code = Code::IdempotencyInFlight;
    let meaning = format!("- `{}`: {}", code.as_str(), code.meaning());
    if let Some(response) = response(operation, "409") {
        response.description = format!("{}\n{meaning}", response.description);
        return;
    }
    let schema = Ref::from_schema_name("Failure");
    let response = ResponseBuilder::new()
        .description(meaning)
        .content("application/json", ContentBuilder::new().schema(Some(schema)).build())
        .build();
    operation.responses.responses.insert(code.status().as_str().to_owned(), RefOr::T(response));
}

/// What the operation itself says of a status.
fn response<'a>(operation: &'a mut Operation, status: &str) -> Option<&'a mut Response> {
    match operation.responses.responses.get_mut(status)? {
        RefOr::T(response) => Some(response),
        RefOr::Ref(_) => None,
    }
}
