//! Requests that may arrive twice and are to take effect once.

use std::any::Any;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::access::Actor;
use crate::credential::Sealed;
use crate::error::{Error, Result};
use crate::id::TenantId;
use crate::ledger::Hash;

/// How long the answer to a request is kept for its repetition: 24 hours, in milliseconds.
pub const RETENTION_MS: i64 = 24 * 3_600_000;

/// What a caller names a request by, so that it may repeat it: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// The text was not an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be given once, as 1 to 255 visible ASCII characters")]
pub struct NotAKey;

impl FromStr for IdempotencyKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let fit = (1..=255).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_graphic());
        if fit { Ok(Self(text.to_owned())) } else { Err(NotAKey) }
    }
}

/// A digest of what a request says: two that differ in anything are two requests.
pub fn request_digest(method: &str, target: &str, body: &[u8]) -> Hash {
    digest(&[b"tenantry/request/1", method.as_bytes(), target.as_bytes(), body])
}

/// The parts, each preceded by its length, so that no two lists of parts give the same bytes.
fn digest(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    Hash(hasher.finalize().into())
}

/// What a store tells a repeated request by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark {
    /// The tenant that the request is about.
    pub tenant: TenantId,
    /// A digest of principal, route and key: which request it claims to be.
    pub id: Hash,
    /// A digest of what it says: which request it is.
    pub request: Hash,
    /// That digest under the master key before, by which a mark is known that was left then.
    pub before: Option<Hash>,
}

/// The digests of a request under the master key of now, and under the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestDigests {
    /// Under the one of now.
    pub now: Hash,
    /// Under the one before, if it is known.
    pub before: Option<Hash>,
}

impl From<Hash> for RequestDigests {
    fn from(now: Hash) -> Self {
        Self { now, before: None }
    }
}

impl Mark {
    /// The mark of a principal's request on a route (`POST /users/{id}`).
    pub fn new(
        tenant: TenantId,
        actor: &Actor,
        route: &str,
        key: &IdempotencyKey,
        request: impl Into<RequestDigests>,
    ) -> Self {
        let id = digest(&[
            b"tenantry/idempotency/1",
            actor.tenant.as_uuid().as_bytes(),
            actor.kind.as_str().as_bytes(),
            actor.id.as_bytes(),
            route.as_bytes(),
            key.0.as_bytes(),
        ]);
        let RequestDigests { now, before } = request.into();
        Self { tenant, id, request: now, before }
    }

    /// Whether a request with this digest is this one.
    pub fn is_of(&self, request: Hash) -> bool {
        self.request == request || self.before == Some(request)
    }
}

type Record = dyn Fn(&dyn Any) -> Result<Sealed> + Send + Sync;

/// A mark to be left by a change, in the change's own transaction, with the answer that a
/// repetition gets. The answer is made there, from what the change led to.
#[derive(Clone)]
pub struct Idempotency {
    mark: Mark,
    record: Arc<Record>,
}

impl fmt::Debug for Idempotency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Idempotency").field(&self.mark).finish()
    }
}

impl Idempotency {
    /// The mark of a request whose change leads to a `T`, and how that is answered, sealed. A
    /// store may run `record` on any thread; it must be quick and must not call the store.
    pub fn new<T: 'static>(
        mark: Mark,
        record: impl Fn(&T) -> Result<Sealed> + Send + Sync + 'static,
    ) -> Self {
        let record = move |outcome: &dyn Any| match outcome.downcast_ref() {
            Some(outcome) => record(outcome),
            None => Err(Error::internal("a change led to something that has no answer")),
        };
        Self { mark, record: Arc::new(record) }
    }

    /// The same mark for a change that leads to an `S`, of which `complete` makes what is
    /// answered: with a secret, say, that the store never sees.
    #[must_use]
    pub fn completed_by<S: 'static, T: 'static>(
        &self,
        complete: impl Fn(&S) -> Result<T> + Send + Sync + 'static,
    ) -> Self {
        let record = Arc::clone(&self.record);
        Self::new(self.mark, move |outcome: &S| record(&complete(outcome)?))
    }

    /// The mark.
    pub fn mark(&self) -> &Mark {
        &self.mark
    }

    /// The answer to a change that led to this, sealed.
    ///
    /// # Errors
    /// [`Error::Internal`] if the answer was to be made of something else.
    pub fn record<T: 'static>(&self, outcome: &T) -> Result<Sealed> {
        (self.record)(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{ActorInfo, ActorKind};

    #[test]
    fn a_key_is_visible_ascii() {
        for text in ["a", "8e03978e-40d5-43dd-bc93-6894a57f9324", "~!\"#", &"x".repeat(255)] {
            assert!(text.parse::<IdempotencyKey>().is_ok(), "{text}");
        }
        for text in ["", " ", "a b", "a\t", "ä", "\u{7f}", &"x".repeat(256)] {
            assert_eq!(text.parse::<IdempotencyKey>(), Err(NotAKey), "{text}");
        }
    }

    #[test]
    fn a_mark_depends_on_everything_that_it_is_scoped_to() {
        let actor = |tenant, kind, id: &str| Actor {
            tenant,
            kind,
            id: id.to_owned(),
            info: ActorInfo::default(),
        };
        let key = |text: &str| text.parse::<IdempotencyKey>().unwrap();
        let (home, other) = (TenantId::PLATFORM, TenantId::from_uuid(uuid::Uuid::from_u128(7)));
        let request = Hash::default();
        let id = |actor: &Actor, route, text| {
            let mark = Mark::new(home, actor, route, &key(text), request);
            assert_eq!((mark.tenant, mark.request), (home, request));
            mark.id
        };
        let ann = actor(home, ActorKind::User, "ann");
        let mark = id(&ann, "POST /a", "k");
        assert_eq!(id(&ann, "POST /a", "k"), mark);
        for changed in [
            id(&actor(other, ActorKind::User, "ann"), "POST /a", "k"),
            id(&actor(home, ActorKind::Operator, "ann"), "POST /a", "k"),
            id(&actor(home, ActorKind::User, "ben"), "POST /a", "k"),
            id(&ann, "POST /b", "k"),
            id(&ann, "POST /a", "K"),
            id(&ann, "POST /", "ak"),
        ] {
            assert_ne!(changed, mark);
        }
    }

    #[test]
    fn a_request_depends_on_everything_it_says() {
        let digest = request_digest("POST", "/a", b"b");
        assert_eq!(request_digest("POST", "/a", b"b"), digest);
        for (method, target, body) in
            [("PUT", "/a", b"b".as_slice()), ("POST", "/a?b", b"b"), ("POST", "/a", b"b ")]
        {
            assert_ne!(request_digest(method, target, body), digest);
        }
        assert_ne!(request_digest("POST", "/ab", b""), digest);
    }

    #[test]
    fn an_answer_is_made_of_the_outcome() {
        let (id, request) = (Hash([1; 32]), Hash([2; 32]));
        let mark = Mark { tenant: TenantId::PLATFORM, id, request, before: None };
        let idempotency =
            Idempotency::new(mark, |text: &String| Ok(Sealed(text.clone().into_bytes())));
        assert_eq!(idempotency.record(&"done".to_owned()).unwrap().0, b"done");
        assert!(matches!(idempotency.record(&7), Err(Error::Internal(_))));
        let completed = idempotency.completed_by(|number: &u8| Ok(format!("done {number}")));
        assert_eq!(completed.record(&7_u8).unwrap().0, b"done 7");
        assert_eq!(completed.mark(), &mark);
    }
}
