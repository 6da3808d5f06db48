//! Whether the server is there.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::Answer;
use crate::app::App;
use crate::envelope::json_response;

/// The state of the server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    status: &'static str,
}

const OK: &str = r#"{"status":"ok"}"#;

/// Whether the process runs
#[utoipa::path(
    get,
    path = "/health/live",
    operation_id = "getLiveness",
    tag = "Server",
    responses((status = 200, description = "It does.", body = Health)),
    extensions(("x-tenantry-access" = json!("public")))
)]
pub(crate) async fn live() -> Response {
    json_response(StatusCode::OK, OK)
}

/// Whether requests can be served now
#[utoipa::path(
    get,
    path = "/health/ready",
    operation_id = "getReadiness",
    tag = "Server",
    responses((status = 200, description = "They can.", body = Health)),
    extensions(("x-tenantry-access" = json!("public")))
)]
pub(crate) async fn ready(State(app): State<App>) -> Answer {
    app.service.ready().await?;
    Ok(json_response(StatusCode::OK, OK))
}
