//! The operations that OAuth clients prove themselves for: how they fail, in the words of OAuth.

use utoipa::openapi::path::Operation;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};

use super::headers::{CHALLENGE, RETRY_AFTER, tell};

/// What each status means.
const FAILURES: [(&str, &str); 7] = [
    ("400", "What is wrong with the request."),
    ("401", "The client is not known."),
    ("408", "The body stopped coming."),
    ("413", "The body is too long."),
    ("415", "The body is no form."),
    ("500", "Anything unexpected."),
    ("503", "Not now."),
];

/// Adds the failures to an operation.
pub(super) fn complete(operation: &mut Operation) {
    for (status, meaning) in FAILURES {
        let content =
            ContentBuilder::new().schema(Some(Ref::from_schema_name("OauthFailure"))).build();
        let mut response = ResponseBuilder::new()
            .description(meaning)
            .content("application/json", content)
            .build();
        match status {
            "401" => tell(&mut response, CHALLENGE),
            "503" => tell(&mut response, RETRY_AFTER),
            _ => {}
        }
        operation.responses.responses.insert(status.to_owned(), RefOr::T(response));
    }
}
