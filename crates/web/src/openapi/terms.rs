//! What the document tells of repeating a request, and of the states of things.

use utoipa::openapi::path::Operation;
use utoipa::openapi::{RefOr, ResponseBuilder};

use super::headers::{ETAG, LOCATION, REPLAYED, tell};
use super::{id, response};

/// Every `POST` that takes no key: it changes nothing, must leave a trace each time, or has a secret
/// of its own that is good once.
const UNKEYED: &[&str] =
    &["validateApiKey", "revealCredential", "signIn", "refreshSession", "signOut", "setPassword"];

/// The operations beside `PATCH` that change one thing and leave it there, and tell its state.
const TAGGED: &[&str] =
    &["suspendTenant", "activateTenant", "revokeApiKey", "rotateApiKey", "rotateOauthClientSecret"];

/// The terms on which an operation can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Terms {
    /// Changes something anew each time, unless it has a key.
    Makes,
    /// Changes or removes one thing.
    Changes,
    /// Reads one thing.
    Reads,
    /// Reads one thing, and what changes of it while its state is the same.
    Observes,
    /// Neither.
    Other,
}

/// The terms of an operation. What a path ends with an id for is one thing, and so is a page.
pub(super) fn of(method: &str, path: &str, operation: &Operation) -> Terms {
    match method {
        // Whoever gets a token by it gets another one the next time.
        "post" if !super::is_gated(operation) => Terms::Other,
        "post" if !UNKEYED.contains(&id(operation)) => Terms::Makes,
        "patch" | "delete" => Terms::Changes,
        "get" if id(operation) == "getApiKey" => Terms::Observes,
        "get" if path.ends_with('}') || id(operation) == "getDocs" => Terms::Reads,
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
            Self::Observes | Self::Other => None,
        }
    }

    /// Adds the answers and headers that follow from them.
    pub(super) fn complete(self, operation: &mut Operation) {
        let is_patch = operation.request_body.is_some();
        let headers: &[(&str, &[&str])] = match self {
            Self::Makes if TAGGED.contains(&id(operation)) => &[("200", &[ETAG, REPLAYED])],
            // A one-time token is nowhere to be found again.
            Self::Makes if id(operation) == "inviteUser" => &[("201", &[REPLAYED])],
            Self::Makes => &[("200", &[REPLAYED]), ("201", &[ETAG, LOCATION, REPLAYED])],
            Self::Changes if is_patch || TAGGED.contains(&id(operation)) => &[("200", &[ETAG])],
            Self::Observes => &[("200", &[ETAG])],
            Self::Changes | Self::Other => &[],
            Self::Reads => {
                let same = ResponseBuilder::new()
                    .description("It is in the state that the caller knows.")
                    .build();
                operation.responses.responses.insert("304".to_owned(), RefOr::T(same));
                &[("200", &[ETAG]), ("304", &[ETAG])]
            }
        };
        for (status, names) in headers {
            if let Some(response) = response(operation, status) {
                names.iter().for_each(|name| tell(response, name));
            }
        }
    }
}
