//! What the server tells about itself.

use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use tenantry_domain::error::Error;
use utoipa::ToSchema;

use super::Answer;
use crate::app::App;
use crate::envelope::json_response;
use crate::error::ApiError;
use crate::extract::client_ip::client_ip;

/// The media type of the Prometheus text format.
const PROMETHEUS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// This document
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "getOpenApi",
    tag = "Server",
    responses((status = 200, description = "The OpenAPI document.", body = Object)),
    extensions(("x-tenantry-access" = json!("public")))
)]
pub(crate) async fn openapi(State(app): State<App>) -> Response {
    json_response(StatusCode::OK, app.openapi.clone())
}

/// The public keys that tokens are verified with (RFC 7517).
#[derive(ToSchema)]
#[expect(dead_code, reason = "this is how the document tells it; the realm writes it")]
struct JwkSet {
    keys: Vec<Jwk>,
}

/// A public key (RFC 8037).
#[derive(ToSchema)]
#[expect(dead_code, reason = "this is how the document tells it; the realm writes it")]
struct Jwk {
    /// `OKP`
    kty: String,
    /// `Ed25519`
    crv: String,
    /// The key itself, in base64url.
    x: String,
    /// What tokens name the key by.
    kid: String,
    /// `EdDSA`
    alg: String,
    /// `sig`
    r#use: String,
}

/// The public keys of the built-in realm
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    operation_id = "getJwks",
    tag = "Server",
    responses((status = 200, description = "A JSON Web Key Set.", body = JwkSet)),
    extensions(("x-tenantry-access" = json!("public")))
)]
pub(crate) async fn jwks(State(app): State<App>) -> Answer {
    let keys = serde_json::to_vec(&app.service.public_keys().await).map_err(Error::internal)?;
    Ok(json_response(StatusCode::OK, keys))
}

/// The metrics, for whoever may see them: nobody else learns that they are here.
pub(crate) async fn metrics(State(app): State<App>, request: Request) -> Answer {
    let client = client_ip(&request, &app.config.trusted_proxies);
    let near = client.is_some_and(|ip| ip.is_loopback());
    if !near && !app.config.metrics_public {
        return Err(ApiError::UnknownPath);
    }
    let mut response = Response::new(app.metrics.text(app.underway.count())?.into());
    response.headers_mut().insert(CONTENT_TYPE, PROMETHEUS);
    Ok(response)
}
