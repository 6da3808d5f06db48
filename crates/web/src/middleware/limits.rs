//! What keeps requests from harming each other: how many there are at once, how long one may take,
//! and panics that end with it.

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tenantry_domain::error::Error;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;
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
pub(crate) async fn time_limit(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    tokio::time::timeout(app.config.limits.request_timeout, next.run(request))
        .await
        .map_err(|_| ApiError::TimedOut)
}

/// Answers 500 when a handler panics.
pub(crate) fn catch_panics() -> CatchPanicLayer<fn(Box<dyn Any + Send>) -> Response> {
    CatchPanicLayer::custom(panicked as fn(Box<dyn Any + Send>) -> Response)
}

/// The panic's message is the panic hook's to tell: it may hold what no log should.
fn panicked(_message: Box<dyn Any + Send>) -> Response {
    ApiError::from(Error::internal("a handler panicked")).into_response()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::routing::get;
    use tower::ServiceExt as _;

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
        async fn fails() -> StatusCode {
            panic!("a secret")
        }
        let router = Router::new().route("/", get(fails)).layer(catch_panics());
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let error = response.extensions().get::<ApiError>().unwrap();
        assert_eq!(error.code(), crate::error::Code::Internal);
        assert!(!error.to_string().contains("a secret"));
    }
}
