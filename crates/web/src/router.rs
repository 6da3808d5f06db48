//! Every route.

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::{
    api_keys, audit_logs, credentials, health, meta, oauth_clients, statistics, tenants,
    user_imports, users,
};
use crate::app::App;
use crate::docs;
use crate::error::ApiError;
use crate::extract::scope::{Gated, admitted};
use crate::middleware::{gate, limits, observe};
use crate::openapi;

/// What everything that takes a token lies under.
pub(crate) const API: &str = "/api/v1";

/// The whole HTTP surface over the use cases.
pub(crate) fn router(state: App) -> Router {
    let (routes, _) = documented().split_for_parts();
    let with = |state: &App| Arc::clone(state);
    // The layer that is added last is the outermost. The time limit is inside the gate: a request that
    // took too long is not counted.
    routes
        .route("/metrics", get(meta::metrics))
        .merge(docs::parts())
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(axum::middleware::from_fn_with_state(with(&state), limits::time_limit))
        .layer(axum::middleware::from_fn_with_state(with(&state), gate::gate))
        .layer(limits::catch_panics())
        .layer(axum::middleware::from_fn_with_state(with(&state), observe::observe))
        .with_state(state)
}

/// The routes that the OpenAPI document tells of, and the document.
pub(crate) fn documented() -> OpenApiRouter<App> {
    let api = OpenApiRouter::new()
        .routes(routes!(statistics::tenant_statistics))
        .routes(routes!(tenants::create, tenants::list))
        .routes(routes!(tenants::read, tenants::update, tenants::delete))
        .routes(routes!(tenants::suspend))
        .routes(routes!(tenants::activate))
        .routes(routes!(users::create, users::list))
        .routes(routes!(users::read, users::update, users::delete))
        .routes(routes!(user_imports::import))
        .routes(routes!(audit_logs::list))
        .routes(routes!(api_keys::create, api_keys::list))
        .routes(routes!(api_keys::read, api_keys::revoke))
        .routes(routes!(api_keys::rotate))
        .routes(routes!(api_keys::validate))
        .routes(routes!(oauth_clients::create, oauth_clients::list))
        .routes(routes!(oauth_clients::read, oauth_clients::update, oauth_clients::delete))
        .routes(routes!(oauth_clients::rotate_secret))
        .routes(routes!(credentials::create, credentials::list))
        .routes(routes!(credentials::read, credentials::update, credentials::delete))
        .routes(routes!(credentials::reveal));
    OpenApiRouter::with_openapi(openapi::preamble())
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(docs::page))
        .routes(routes!(meta::openapi))
        .routes(routes!(meta::jwks))
        .nest(API, api)
}

async fn unknown_path(app: axum::extract::State<App>, gated: Option<Gated>) -> ApiError {
    admitted(&app, gated, ApiError::UnknownPath).await
}

async fn unknown_method(
    app: axum::extract::State<App>,
    gated: Option<Gated>,
    method: Method,
) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    admitted(&app, gated, ApiError::MethodNotAllowed).await.into_response()
}
