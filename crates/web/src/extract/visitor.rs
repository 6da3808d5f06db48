//! Somebody who comes without a token, to a path that takes none.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tenantry_domain::error::Error;

use super::accept::accepts_json;
use crate::app::App;
use crate::error::ApiError;

/// A request that the gate lets pass without a token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visitor {
    /// Where it comes from.
    pub(crate) ip: Option<IpAddr>,
}

impl FromRequestParts<App> for Visitor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, ApiError> {
        if !accepts_json(&parts.headers) {
            return Err(ApiError::NotAcceptable);
        }
        let visitor = parts.extensions.get::<Self>().copied();
        visitor.ok_or_else(|| Error::internal("a public route lies outside of the gate").into())
    }
}
