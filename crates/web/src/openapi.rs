//! The OpenAPI document, from the code.

use utoipa::openapi::{Info, OpenApi};

/// The OpenAPI document, pretty-printed.
pub fn openapi_json() -> String {
    crate::router::documented().into_openapi().to_pretty_json().unwrap_or_default() + "\n"
}

pub(crate) fn preamble() -> OpenApi {
    OpenApi::new(Info::new("Tenantry", env!("CARGO_PKG_VERSION")), utoipa::openapi::Paths::new())
}
