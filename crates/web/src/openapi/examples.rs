//! Examples of what is sent and answered, all with one cast: Acme Corporation and its people.
//!
//! `crates/web/tests/api/document.rs` sends every request that is here to a server, and holds every
//! answer against its schema.

mod api_keys;
mod audit_logs;
mod auth;
mod credentials;
mod oauth;
mod oauth_clients;
mod realms;
mod server;
mod statistics;
mod tenants;
mod users;

use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::content::Content;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::path::Operation;

use super::id;

/// When all of them were answered.
const NOW: &str = "2025-07-10T14:40:00.000Z";
const ACME: &str = "3fa85f64-5717-4562-b3fc-2c963f66afa6";
const ANN: &str = "0197f3a4-6c1e-7b52-9d1e-2f0c5a7e8b31";

/// Examples for one operation. Each has a name; of several, the first by name is shown first.
#[derive(Default)]
struct Examples {
    requests: Vec<Request>,
    answers: Vec<(&'static str, Value)>,
    /// Of those that have bodies of their own.
    failures: Vec<(u16, &'static str, Value)>,
}

struct Request {
    /// The one type of body that it is an example of; absent: any that the operation takes.
    media: Option<&'static str>,
    name: &'static str,
    value: Value,
}

impl Examples {
    /// A body that can be sent.
    fn request(mut self, name: &'static str, value: Value) -> Self {
        self.requests.push(Request { media: None, name, value });
        self
    }

    /// A body of one type that can be sent.
    fn request_of(mut self, media: &'static str, name: &'static str, text: &str) -> Self {
        self.requests.push(Request { media: Some(media), name, value: text.into() });
        self
    }

    /// A body that can be answered.
    fn answer(mut self, name: &'static str, body: Value) -> Self {
        self.answers.push((name, body));
        self
    }

    /// A body that can be answered to what fails, where it is not that of all operations.
    fn failure(mut self, status: u16, name: &'static str, body: Value) -> Self {
        self.failures.push((status, name, body));
        self
    }

    /// A body that can be answered, in what all answers of the API are wrapped in.
    fn success(self, name: &'static str, message: &str, data: impl Into<Value>) -> Self {
        let data = data.into();
        let body = json!({"success": true, "message": message, "data": data, "timestamp": NOW});
        self.answer(name, body)
    }

    /// As [`Examples::success`], for one page that is the whole list.
    fn page(self, message: &str, items: &[Value]) -> Self {
        let data = json!({
            "items": items, "total": items.len(), "limit": 50, "offset": 0, "nextCursor": null
        });
        self.success("page", message, data)
    }
}

/// An object with some other members.
fn with(mut object: Value, members: Value) -> Value {
    if let (Value::Object(object), Value::Object(members)) = (&mut object, members) {
        object.extend(members);
    }
    object
}

fn of(operation: &str) -> Examples {
    let resources = [
        statistics::of,
        tenants::of,
        realms::of,
        users::of,
        api_keys::of,
        oauth::of,
        oauth_clients::of,
        credentials::of,
        audit_logs::of,
        auth::of,
        server::of,
    ];
    resources.iter().find_map(|of| of(operation)).unwrap_or_default()
}

/// Adds its examples to an operation.
pub(super) fn complete(operation: &mut Operation) {
    let Examples { requests, answers, failures } = of(id(operation));
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        for (media, content) in &mut body.content {
            let fit = |request: &&Request| request.media.is_none_or(|only| only == media);
            for Request { name, value, .. } in requests.iter().filter(fit) {
                add(content, name, value);
            }
        }
    }
    let responses = operation.responses.responses.iter_mut();
    for (status, response) in responses {
        let RefOr::T(response) = response else { continue };
        for content in response.content.values_mut() {
            let of_success = answers.iter().filter(|_| status.starts_with('2'));
            let of_failure = failures.iter().filter(|(its, ..)| its.to_string() == *status);
            let of_failure = of_failure.map(|(_, name, value)| (name, value));
            for (name, value) in of_success.map(|(name, value)| (name, value)).chain(of_failure) {
                add(content, name, value);
            }
        }
    }
}

fn add(content: &mut RefOr<Content>, name: &str, value: &Value) {
    let RefOr::T(content) = content else { return };
    let example = ExampleBuilder::new().value(Some(value.clone())).build();
    content.examples.insert(name.to_owned(), RefOr::T(example));
}
