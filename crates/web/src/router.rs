//! Every route.

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use crate::api::{
    api_keys, audit_logs, auth, credentials, health, invitations, meta, oauth, oauth_clients,
    realms, statistics, tenants, user_imports, users,
};
use crate::app::App;
use crate::docs;
use crate::error::ApiError;
use crate::extract::scope::{Gated, admitted};
use crate::middleware::Passage;
use crate::openapi;

/// What everything that takes a token lies under.
pub(crate) const API: &str = "/api/v1";

/// What lies under [`API`] and takes none: each of these begins with somebody whom nobody knows yet, or
/// ends what is known by a secret of its own.
pub(crate) const PUBLIC: &[&str] =
    &["/auth/login", "/auth/refresh", "/auth/logout", "/auth/password"];

/// The whole HTTP surface over the use cases.
pub(crate) fn router(state: App) -> Router {
    let (routes, _) = documented().split_for_parts();
    routes
        .route("/metrics", get(meta::metrics))
        .merge(docs::parts())
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(Passage(Arc::clone(&state)))
        .with_state(state)
}

/// The routes that the OpenAPI document tells of, and the document.
pub(crate) fn documented() -> OpenApiRouter<App> {
    let api = [
        routes!(statistics::tenant_statistics),
        routes!(tenants::create, tenants::list),
        routes!(tenants::read, tenants::update, tenants::delete),
        routes!(tenants::suspend),
        routes!(tenants::activate),
        routes!(realms::create, realms::list),
        routes!(realms::read, realms::update, realms::delete),
        routes!(users::create, users::list),
        routes!(users::read, users::update, users::delete),
        routes!(user_imports::import),
        routes!(invitations::create),
        routes!(auth::sign_in),
        routes!(auth::refresh),
        routes!(auth::sign_out),
        routes!(auth::set_password),
        routes!(audit_logs::list),
        routes!(api_keys::create, api_keys::list),
        routes!(api_keys::read, api_keys::revoke),
        routes!(api_keys::rotate),
        routes!(api_keys::validate),
        routes!(oauth_clients::create, oauth_clients::list),
        routes!(oauth_clients::read, oauth_clients::update, oauth_clients::delete),
        routes!(oauth_clients::rotate_secret),
        routes!(credentials::create, credentials::list),
        routes!(credentials::read, credentials::update, credentials::delete),
        routes!(credentials::reveal),
    ];
    let others = [
        routes!(health::live),
        routes!(health::ready),
        routes!(docs::page),
        routes!(meta::openapi),
        routes!(meta::jwks),
        routes!(oauth::metadata),
        routes!(oauth::token),
        routes!(oauth::introspect),
        routes!(oauth::revoke),
    ];
    others
        .into_iter()
        .chain(api.into_iter().map(below_api))
        .fold(OpenApiRouter::with_openapi(openapi::preamble()), OpenApiRouter::routes)
}

/// Puts operations under [`API`]. A nested router would have every request's path taken apart and
/// put together again.
fn below_api(
    (schemas, mut operations, routes): UtoipaMethodRouter<App>,
) -> UtoipaMethodRouter<App> {
    let paths = std::mem::take(&mut operations.paths);
    operations.paths = paths.into_iter().map(|(path, it)| (format!("{API}{path}"), it)).collect();
    (schemas, operations, routes)
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
