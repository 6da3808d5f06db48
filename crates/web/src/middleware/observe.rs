//! The outermost middleware: gives a request its id, writes the body of a failure, and tells the
//! log and the metrics how it went.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse as _, Response};
use tracing::Instrument as _;

use super::request_id::X_REQUEST_ID;
use crate::app::AppState;
use crate::error::{ApiError, Code};
use crate::metrics::method_label;

/// The route of a request that none matches: a path that callers make up is no label.
const NO_ROUTE: &str = "none";

pub(super) async fn observe(
    app: &AppState,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let started = Instant::now();
    let entered = app.underway.enter();
    let header = app.request_ids.of(request.headers(), app.service.now());
    let id = header.to_str().unwrap_or_default();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let method = method_label(request.method());
    let span = tracing::info_span!("request", request_id = id, method, route);

    let mut response = if entered.may_go_on(route) {
        next(request).instrument(span.clone()).await
    } else {
        ApiError::Overloaded.into_response()
    };
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        span.in_scope(|| explain(app, &error));
        response = error.render(response, id, app.service.now());
    }
    let status = response.status();
    let latency = started.elapsed();
    app.metrics.answered(method, route, status, latency);
    span.in_scope(|| {
        let latency_ms = latency.as_secs_f64() * 1_000.0;
        tracing::info!(status = status.as_u16(), latency_ms, "answered");
    });
    response.headers_mut().insert(X_REQUEST_ID, header);
    response
}

/// Tells the log what the caller is not told.
fn explain(app: &AppState, error: &ApiError) {
    if let Some(reason) = error.auth_failure() {
        app.metrics.auth_failed(reason);
        tracing::debug!(reason = reason.as_str(), "authentication failed");
        return;
    }
    if matches!(error, ApiError::Overloaded) {
        // There can be very many of them.
        app.metrics.turned_away();
        tracing::debug!(%error, "turned away");
        return;
    }
    match error.code() {
        Code::Internal => tracing::error!(%error, "the request failed"),
        Code::Unavailable => tracing::warn!(%error, "the request could not be served now"),
        _ => {}
    }
}
