//! What every request can reach.

use std::sync::Arc;

use axum::body::Bytes;
use tenantry_service::Service;

use crate::config::WebConfig;
use crate::metrics::Metrics;
use crate::middleware::limits::Underway;
use crate::openapi;

/// The state of the router.
pub(crate) type App = Arc<AppState>;

#[derive(Debug)]
pub(crate) struct AppState {
    pub(crate) service: Arc<Service>,
    pub(crate) config: WebConfig,
    pub(crate) metrics: Metrics,
    /// The requests under way.
    pub(crate) underway: Underway,
    /// The OpenAPI document, as it is sent.
    pub(crate) openapi: Bytes,
}

impl AppState {
    /// What a server starts with.
    pub(crate) fn new(service: Arc<Service>, config: WebConfig) -> Self {
        let underway = Underway::new(config.limits.max_requests);
        let openapi = openapi::openapi_json().into();
        Self { service, config, metrics: Metrics::new(), underway, openapi }
    }
}
