//! What a request's headers say about repeating it, and about the state of the thing it is about.

use std::sync::{Arc, OnceLock};

use axum::extract::MatchedPath;
use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, Method, Uri};
use tenantry_domain::etag::{IfMatch, TagList};
use tenantry_domain::idempotency::{IdempotencyKey, NotAKey, request_digest};
use tenantry_domain::ledger::Hash;

use crate::router::API;

/// The header by which a `POST` says that it may be repeated.
pub(crate) const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// A request that may be repeated.
#[derive(Debug)]
pub(crate) struct Keyed {
    /// What names it.
    pub(crate) key: Result<IdempotencyKey, NotAKey>,
    /// The route it is for: `POST /api/v1/…/{tenantId}/users`.
    pub(crate) route: String,
    method: Method,
    target: String,
    digest: OnceLock<Hash>,
}

impl Keyed {
    /// The request that these are parts of, if it is one. Whoever asks about the same request gets
    /// the same.
    pub(crate) fn of(parts: &mut Parts) -> Option<Arc<Self>> {
        if let Some(known) = parts.extensions.get::<Arc<Self>>() {
            return Some(Arc::clone(known));
        }
        if parts.method != Method::POST || !parts.headers.contains_key(IDEMPOTENCY_KEY) {
            return None;
        }
        let path = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
        let keyed = Arc::new(Self {
            key: key(&parts.headers),
            route: format!("{} {}", parts.method, path.unwrap_or(parts.uri.path())),
            method: parts.method.clone(),
            target: target(&parts.uri).to_owned(),
            digest: OnceLock::new(),
        });
        parts.extensions.insert(Arc::clone(&keyed));
        Some(keyed)
    }

    /// Takes note of the body, as it was sent.
    pub(crate) fn note_body(&self, body: &[u8]) {
        self.digest.get_or_init(|| self.digest_with(body));
    }

    /// A digest of what the request says. A body that nobody reads says nothing.
    pub(crate) fn digest(&self) -> Hash {
        *self.digest.get_or_init(|| self.digest_with(b""))
    }

    fn digest_with(&self, body: &[u8]) -> Hash {
        request_digest(self.method.as_str(), &self.target, body)
    }
}

/// What the request is for, below the API's own path: so it has always been digested, and digests are
/// kept.
fn target(uri: &Uri) -> &str {
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    target.strip_prefix(API).unwrap_or(target)
}

fn key(headers: &HeaderMap) -> Result<IdempotencyKey, NotAKey> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let value = values.next().filter(|_| values.next().is_none()).ok_or(NotAKey)?;
    value.to_str().map_err(|_| NotAKey)?.parse()
}

/// The terms on which a request is made.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) keyed: Option<Arc<Keyed>>,
    /// The state in which a change is to meet the thing.
    pub(crate) if_match: Option<IfMatch>,
    /// The states of the thing that the caller knows.
    pub(crate) if_none_match: Option<TagList>,
}

impl Terms {
    pub(crate) fn of(parts: &mut Parts) -> Self {
        let changes = matches!(parts.method, Method::PATCH | Method::DELETE);
        let if_match = list(&parts.headers, &IF_MATCH).filter(|_| changes);
        Self {
            keyed: Keyed::of(parts),
            if_match: if_match.map(|text| IfMatch::parse(&text)),
            if_none_match: known(&parts.headers),
        }
    }
}

/// The states that the caller knows. A header that cannot be read spares nobody the answer.
pub(crate) fn known(headers: &HeaderMap) -> Option<TagList> {
    list(headers, &IF_NONE_MATCH).and_then(|text| TagList::parse(&text).ok())
}

/// A header that is a list, from all its lines.
fn list(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned())
        .collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_a_post_with_a_key_is_keyed() {
        let key = [("idempotency-key", "k")];
        assert!(Keyed::of(&mut parts("POST", "/", &key)).is_some());
        assert!(Keyed::of(&mut parts("POST", "/", &[])).is_none());
        assert!(Keyed::of(&mut parts("PATCH", "/", &key)).is_none());
        let twice = [("idempotency-key", "k"), ("idempotency-key", "k")];
        assert_eq!(Keyed::of(&mut parts("POST", "/", &twice)).unwrap().key, Err(NotAKey));
    }

    #[test]
    fn whoever_asks_means_the_same_request() {
        let mut parts = parts("POST", "/a?b", &[("idempotency-key", "k")]);
        let keyed = Keyed::of(&mut parts).unwrap();
        Keyed::of(&mut parts).unwrap().note_body(b"body");
        assert_eq!(keyed.digest(), request_digest("POST", "/a?b", b"body"));
    }

    #[test]
    fn conditions_are_taken_from_all_lines_of_their_header() {
        let lines = [("if-none-match", "\"a\""), ("if-none-match", "W/\"b\"")];
        let terms = Terms::of(&mut parts("GET", "/", &lines));
        let both = TagList::Tags(vec!["\"a\"".to_owned(), "W/\"b\"".to_owned()]);
        assert_eq!(terms.if_none_match, Some(both));
        assert_eq!(terms.if_match, None);
        let bad = [("if-match", "a"), ("if-none-match", "a")];
        let terms = Terms::of(&mut parts("DELETE", "/", &bad));
        assert_eq!((terms.if_match.is_some(), terms.if_none_match), (true, None));
    }
}
