//! What every answer of the API is wrapped in.

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::Error;
use tenantry_domain::etag::ETag;
use tenantry_domain::user::Warning;
use tenantry_security::secret::SecretBytes;
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;

use crate::api::schemas::words;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::terms::Terms;

/// Room for an answer of the usual size, so that its buffer does not grow.
const USUAL_SIZE: usize = 1024;

/// The answer to a request that succeeded.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the contract names the member `success`")]
pub(crate) struct Success<T> {
    /// Always true.
    success: bool,
    /// What was done, for a person.
    message: &'static str,
    /// What was asked for.
    data: T,
    /// The instant of the answer.
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
}

impl<T: Serialize> Success<T> {
    pub(crate) fn new(message: &'static str, data: T, timestamp: Timestamp) -> Self {
        Self { success: true, message, data, timestamp }
    }

    /// The answer, with the status 200.
    pub(crate) fn respond(&self) -> Result<Response, ApiError> {
        let mut json = Vec::with_capacity(USUAL_SIZE);
        serde_json::to_writer(&mut json, self).map_err(Error::internal)?;
        Ok(json_response(StatusCode::OK, json))
    }
}

/// The instant of an answer, or whoever knows it.
pub(crate) trait At {
    fn at(self) -> Timestamp;
}

impl At for &App {
    fn at(self) -> Timestamp {
        self.service.now()
    }
}

impl At for Timestamp {
    fn at(self) -> Timestamp {
        self
    }
}

/// Data with the status 200.
pub(crate) fn ok<T: Serialize>(
    at: impl At,
    message: &'static str,
    data: T,
) -> Result<Response, ApiError> {
    Success::new(message, data, at.at()).respond()
}

/// The answer to a request that succeeded, and what an administrator should know about it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WarnedSuccess<T> {
    #[serde(flatten)]
    success: Success<T>,
    /// There only if there is something to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<WarningBody>,
}

/// What an administrator should know about a change that was made all the same.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Warning)]
struct WarningBody {
    #[schema(schema_with = warning_schema)]
    code: &'static str,
    /// What it means, for a person.
    message: &'static str,
}

impl From<Warning> for WarningBody {
    fn from(warning: Warning) -> Self {
        let message = match warning {
            Warning::NoActiveTenantAdmin => {
                "No active tenant_admin is left: only a super admin can administer the tenant now"
            }
        };
        Self { code: warning.as_str(), message }
    }
}

fn warning_schema() -> Object {
    words(Warning::ALL.iter().map(|warning| warning.as_str()))
}

/// Data with the status 200, and what an administrator should know.
pub(crate) fn ok_warned<T: Serialize>(
    app: &App,
    message: &'static str,
    data: T,
    warnings: Vec<Warning>,
) -> Result<Response, ApiError> {
    let success = Success::new(message, data, app.service.now());
    let warnings = warnings.into_iter().map(WarningBody::from).collect();
    let json = serde_json::to_vec(&WarnedSuccess { success, warnings }).map_err(Error::internal)?;
    Ok(json_response(StatusCode::OK, json))
}

/// What was made, with the status 201 and where to find it.
pub(crate) fn created<T: Serialize>(
    at: impl At,
    message: &'static str,
    data: T,
    location: &str,
) -> Result<Response, ApiError> {
    located(ok(at, message, data)?, location)
}

/// Data that holds a secret, with the status 200. Its bytes are wiped once they are sent.
pub(crate) fn ok_secret<T: Serialize>(
    at: impl At,
    message: &'static str,
    data: T,
) -> Result<Response, ApiError> {
    let mut json = SecretBytes::with_capacity(USUAL_SIZE);
    let success = Success::new(message, data, at.at());
    serde_json::to_writer(&mut json, &success).map_err(Error::internal)?;
    Ok(json_response(StatusCode::OK, Bytes::from_owner(json)))
}

/// What was made and holds a secret, as in [`created`] and [`ok_secret`].
pub(crate) fn created_secret<T: Serialize>(
    at: impl At,
    message: &'static str,
    data: T,
    location: &str,
) -> Result<Response, ApiError> {
    located(ok_secret(at, message, data)?, location)
}

fn located(mut response: Response, location: &str) -> Result<Response, ApiError> {
    *response.status_mut() = StatusCode::CREATED;
    let location = HeaderValue::from_str(location).map_err(Error::internal)?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// An answer about one thing, with the tag of the state that the thing is in.
pub(crate) fn tagged(
    thing: &impl Serialize,
    answer: Result<Response, ApiError>,
) -> Result<Response, ApiError> {
    let mut response = answer?;
    let tag = ETag::of(thing)?.to_string();
    let tag = HeaderValue::try_from(tag).map_err(Error::internal)?;
    response.headers_mut().insert(ETAG, tag);
    Ok(response)
}

/// As [`tagged`], unless the caller knows the state already: then that it is the same.
pub(crate) fn unless_known(
    terms: &Terms,
    thing: &impl Serialize,
    answer: Result<Response, ApiError>,
) -> Result<Response, ApiError> {
    let response = tagged(thing, answer)?;
    let tag = ETag::of(thing)?;
    if !terms.if_none_match.as_ref().is_some_and(|known| known.has_weakly(tag)) {
        return Ok(response);
    }
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(CONTENT_TYPE);
    Ok(Response::from_parts(parts, Body::empty()))
}

/// A response with a JSON text.
pub(crate) fn json_response(status: StatusCode, json: impl Into<Body>) -> Response {
    let mut response = Response::new(json.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
