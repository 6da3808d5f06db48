//! The id that a request is known by in its answer and in the log.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tenantry_domain::id::uuid_v7;
use tenantry_service::Service;

/// The header that carries it, both ways.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const LONGEST: usize = 128;

/// The id that the caller sent, if it sent one that is fit to be logged and sent back; else a new
/// one.
pub(crate) fn request_id(headers: &HeaderMap, service: &Service) -> HeaderValue {
    given(headers).unwrap_or_else(|| {
        let id = uuid_v7(service.now(), service.entropy());
        let mut text = uuid::Uuid::encode_buffer();
        HeaderValue::from_str(id.hyphenated().encode_lower(&mut text))
            .unwrap_or(HeaderValue::from_static("unknown"))
    })
}

fn given(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(X_REQUEST_ID).iter();
    let id = values.next()?;
    let fit = values.next().is_none()
        && (1..=LONGEST).contains(&id.len())
        && id.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte));
    fit.then(|| id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(values: &[&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(X_REQUEST_ID, HeaderValue::from_static(value));
        }
        given(&headers).map(|id| id.to_str().unwrap().to_owned())
    }

    #[test]
    fn takes_a_sane_id_from_the_caller() {
        assert_eq!(sent(&["a"]).as_deref(), Some("a"));
        assert_eq!(sent(&["Trace_1.2-3"]).as_deref(), Some("Trace_1.2-3"));
        let longest: &'static str = "x".repeat(LONGEST).leak();
        assert_eq!(sent(&[longest]).as_deref(), Some(longest));
    }

    #[test]
    fn takes_no_other() {
        assert_eq!(sent(&[]), None);
        assert_eq!(sent(&[""]), None);
        assert_eq!(sent(&["a b"]), None);
        assert_eq!(sent(&["a\tb"]), None);
        assert_eq!(sent(&["<script>"]), None);
        assert_eq!(sent(&["one", "two"]), None);
        assert_eq!(sent(&["x".repeat(LONGEST + 1).leak()]), None);
    }
}
