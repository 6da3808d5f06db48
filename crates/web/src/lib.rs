//! The HTTP API over the use cases, and its OpenAPI document.

mod api;
mod app;
mod config;
mod docs;
mod envelope;
mod error;
mod extract;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod metrics;
mod middleware;
mod openapi;
mod room;
mod router;
mod serve;

pub use crate::api::statistics::statistics_json;
pub use crate::config::{Limits, WebConfig};
pub use crate::openapi::openapi_json;
pub use crate::serve::serve;
