//! What keeps one request from harming the others: a time limit, and panics that end with it.

use std::any::Any;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tenantry_domain::error::Error;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;
use crate::error::ApiError;

/// Answers 503 when a request takes too long.
pub(crate) async fn time_limit(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    tokio::time::timeout(app.config.request_timeout, next.run(request))
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
