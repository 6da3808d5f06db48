//! The body of an import, read when the caller has been found to be allowed to send it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;

use super::body::{collect, media_type};
use super::terms::Keyed;
use crate::app::{App, AppState};
use crate::error::ApiError;

/// A body nobody has read yet.
#[derive(Debug)]
pub(crate) struct ImportBody {
    headers: HeaderMap,
    keyed: Option<Arc<Keyed>>,
    body: Body,
}

/// How the things of an import are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// A JSON object on each line.
    Ndjson,
    /// Comma-separated values (RFC 4180) with a header.
    Csv,
}

impl Format {
    const EXPECTED: &'static str =
        "application/x-ndjson, application/ndjson or text/csv in UTF-8, not encoded";

    fn of(kind: &str) -> Option<Self> {
        let is = |name: &str| kind.eq_ignore_ascii_case(name);
        if is("application/x-ndjson") || is("application/ndjson") {
            Some(Self::Ndjson)
        } else {
            is("text/csv").then_some(Self::Csv)
        }
    }
}

impl FromRequest<App> for ImportBody {
    type Rejection = Infallible;

    async fn from_request(request: Request, _app: &App) -> Result<Self, Infallible> {
        let (mut parts, body) = request.into_parts();
        let keyed = Keyed::of(&mut parts);
        Ok(Self { headers: parts.headers, keyed, body })
    }
}

impl ImportBody {
    /// Reads it.
    pub(crate) async fn read(self, app: &AppState) -> Result<(Format, Bytes), ApiError> {
        let format = media_type(&self.headers)
            .and_then(Format::of)
            .ok_or(ApiError::UnsupportedMediaType(Format::EXPECTED))?;
        let (limit, keyed) = (app.config.limits.max_import_size, self.keyed.as_deref());
        let bytes = collect(app, &self.headers, keyed, self.body, limit).await?;
        Ok((format, bytes))
    }
}
