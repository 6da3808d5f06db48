//! What every request can reach.

use std::sync::Arc;

use axum::body::Bytes;
use tenantry_service::Service;

use crate::config::WebConfig;
use crate::metrics::Metrics;

/// The state of the router.
pub(crate) type App = Arc<AppState>;

#[derive(Debug)]
pub(crate) struct AppState {
    pub(crate) service: Arc<Service>,
    pub(crate) config: WebConfig,
    pub(crate) metrics: Metrics,
    /// The OpenAPI document, as it is sent.
    pub(crate) openapi: Bytes,
}
