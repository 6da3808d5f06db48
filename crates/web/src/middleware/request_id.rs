//! The id that a request is known by in its answer and in the log.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::entropy::Entropy;
use uuid::{Builder, Uuid, Variant, Version};

/// The header that carries it, both ways.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const LONGEST: usize = 128;

/// Makes ids for requests whose callers have sent none: UUIDs of version 7 (RFC 9562), whose random
/// bits are drawn once and counted up from there (section 6.2). They are unique and no secret, so
/// the operating system need not be asked for each.
#[derive(Debug)]
pub(crate) struct RequestIds {
    /// Of this server.
    server: u16,
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new(entropy: &dyn Entropy) -> Self {
        Self {
            server: u16::from_ne_bytes(entropy.bytes()),
            next: AtomicU64::new(u64::from_ne_bytes(entropy.bytes())),
        }
    }

    /// The id that the caller sent, if it sent one that is fit to be logged and sent back; else a
    /// new one.
    pub(super) fn of(&self, headers: &HeaderMap, now: Timestamp) -> HeaderValue {
        given(headers).unwrap_or_else(|| {
            let mut text = Uuid::encode_buffer();
            HeaderValue::from_str(self.make(now).hyphenated().encode_lower(&mut text))
                .unwrap_or(HeaderValue::from_static("unknown"))
        })
    }

    fn make(&self, now: Timestamp) -> Uuid {
        let millis = u128::try_from(now.as_millis()).unwrap_or_default();
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let bits = millis << 80 | u128::from(self.server) << 64 | u128::from(next);
        let id = Builder::from_u128(bits).with_version(Version::SortRand);
        id.with_variant(Variant::RFC4122).into_uuid()
    }
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
    fn makes_one_otherwise_that_is_no_other() {
        struct Ones;
        impl Entropy for Ones {
            fn fill(&self, buffer: &mut [u8]) {
                buffer.fill(0xff);
            }
        }
        let ids = RequestIds::new(&Ones);
        let id = |millis| {
            let header = ids.of(&HeaderMap::new(), Timestamp::from_millis(millis));
            header.to_str().unwrap().to_owned()
        };
        assert_eq!(id(1), "00000000-0001-7fff-bfff-ffffffffffff");
        assert_eq!(id(1), "00000000-0001-7fff-8000-000000000000");
        assert_eq!(id(2), "00000000-0002-7fff-8000-000000000001");
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
