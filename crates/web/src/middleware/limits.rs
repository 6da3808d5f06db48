//! What keeps requests from harming each other: how many there are at once, how long one may take,
//! and panics that end with it.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use tenantry_domain::error::Error;

use crate::app::AppState;
use crate::error::ApiError;

/// What is answered however many requests are under way: whoever watches over the server must be
/// able to.
const ALWAYS_ANSWERED: &[&str] = &["/health/live", "/health/ready", "/metrics"];

/// The requests under way, up to a number.
#[derive(Debug)]
pub(crate) struct Underway {
    requests: AtomicUsize,
    most: usize,
}

/// A request under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    underway: &'a Underway,
    /// Whether there is room for it.
    room: bool,
}

impl Underway {
    /// None, of this many at most.
    pub(crate) const fn new(most: usize) -> Self {
        Self { requests: AtomicUsize::new(0), most }
    }

    /// Counts a request as being under way until the guard is dropped.
    pub(crate) fn enter(&self) -> Entered<'_> {
        let others = self.requests.fetch_add(1, Ordering::Relaxed);
        Entered { underway: self, room: others < self.most }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Entered<'_> {
    /// Whether a request for this route is to be served, rather than turned away at once.
    pub(crate) fn may_go_on(&self, route: &str) -> bool {
        self.room || ALWAYS_ANSWERED.contains(&route)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.underway.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers 503 when a request takes too long.
pub(super) async fn time_limit(app: &AppState, answer: impl Future<Output = Response>) -> Response {
    tokio::time::timeout(app.config.limits.request_timeout, answer)
        .await
        .unwrap_or_else(|_| ApiError::TimedOut.into_response())
}

/// Answers 500 when a handler panics. The panic's message is the panic hook's to tell: it may hold
/// what no log should.
pub(super) async fn catch_panics(answer: impl Future<Output = Response>) -> Response {
    // Nothing that outlives the request is shared with it but through locks, which know.
    AssertUnwindSafe(answer)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| ApiError::from(Error::internal("a handler panicked")).into_response())
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn there_is_room_for_so_many_requests_and_no_more() {
        let underway = Underway::new(2);
        let first = underway.enter();
        let second = underway.enter();
        let third = underway.enter();
        assert!(first.may_go_on("/a") && second.may_go_on("/a"));
        assert!(!third.may_go_on("/a"));
        assert!(third.may_go_on("/health/live"));
        assert_eq!(underway.count(), 3);
        drop((first, third));
        assert!(underway.enter().may_go_on("/a"));
        assert_eq!(underway.count(), 1);
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_like_any_other() {
        let response = catch_panics(async { panic!("a secret") }).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let error = response.extensions().get::<ApiError>().unwrap();
        assert_eq!(error.code(), crate::error::Code::Internal);
        assert!(!error.to_string().contains("a secret"));
    }
}
