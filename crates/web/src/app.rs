//! What every request can reach.

use std::sync::Arc;

use axum::body::Bytes;
use tenantry_service::Service;

use crate::config::WebConfig;
use crate::metrics::Metrics;
use crate::middleware::{RequestIds, Underway};
use crate::openapi;
use crate::room::Rooms;

/// The state of the router.
pub(crate) type App = Arc<AppState>;

#[derive(Debug)]
pub(crate) struct AppState {
    pub(crate) service: Arc<Service>,
    pub(crate) config: WebConfig,
    pub(crate) metrics: Metrics,
    pub(crate) request_ids: RequestIds,
    /// The requests under way.
    pub(crate) underway: Underway,
    /// The room for their bodies.
    pub(crate) bodies: Rooms,
    /// The OpenAPI document, as it is sent.
    pub(crate) openapi: Bytes,
}

impl AppState {
    /// What a server starts with.
    pub(crate) fn new(service: Arc<Service>, config: WebConfig) -> Self {
        let limits = &config.limits;
        // The longest body has room when there is no other.
        let bodies = limits.max_body_memory.max(limits.max_body_size).max(limits.max_import_size);
        Self {
            metrics: Metrics::new(),
            request_ids: RequestIds::new(service.entropy()),
            underway: Underway::new(limits.max_requests),
            bodies: Rooms::new(bodies),
            openapi: openapi::openapi_json().into(),
            service,
            config,
        }
    }
}
