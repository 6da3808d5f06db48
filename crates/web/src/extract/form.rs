//! A form (`application/x-www-form-urlencoded`), as the OAuth endpoints take it.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use tenantry_security::secret::SecretText;

use super::body::{collect, media_type};
use super::client_ip::client_ip;
use crate::app::{App, AppState};
use crate::error::ApiError;

/// A form nobody has read yet, with what came beside it.
#[derive(Debug)]
pub(crate) struct FormBody {
    pub(crate) headers: HeaderMap,
    /// Where the request comes from.
    pub(crate) ip: Option<std::net::IpAddr>,
    body: Body,
}

impl FromRequest<App> for FormBody {
    type Rejection = Infallible;

    async fn from_request(request: Request, app: &App) -> Result<Self, Infallible> {
        let ip = client_ip(&request, &app.config.trusted_proxies);
        let (parts, body) = request.into_parts();
        Ok(Self { headers: parts.headers, ip, body })
    }
}

impl FormBody {
    /// Reads its fields.
    ///
    /// # Errors
    /// What is wrong with it: nothing in it can be relied on then.
    pub(crate) async fn read(self, app: &AppState) -> Result<Fields, ApiError> {
        const KIND: &str = "application/x-www-form-urlencoded";
        if !media_type(&self.headers).is_some_and(|kind| kind.eq_ignore_ascii_case(KIND)) {
            return Err(ApiError::UnsupportedMediaType(KIND));
        }
        let limit = app.config.limits.max_body_size;
        let bytes = collect(app, &self.headers, None, self.body, limit).await?;
        let fields: Vec<(String, SecretText)> =
            serde_urlencoded::from_bytes(&bytes).unwrap_or_default();
        Ok(Fields(fields))
    }
}

/// The fields of a form. Any of them can be a secret.
#[derive(Debug)]
pub(crate) struct Fields(Vec<(String, SecretText)>);

/// A field is there more than once, which no field may be (RFC 6749, section 3.2).
#[derive(Debug)]
pub(crate) struct Twice(pub(crate) &'static str);

impl Fields {
    /// Takes a field out; `None` if it is not there, or empty, which is the same (RFC 6749, section
    /// 3.2).
    pub(crate) fn take(&mut self, name: &'static str) -> Result<Option<SecretText>, Twice> {
        let mut found = None;
        while let Some(place) = self.0.iter().position(|(it, _)| it == name) {
            let (_, value) = self.0.swap_remove(place);
            if found.replace(value).is_some() {
                return Err(Twice(name));
            }
        }
        Ok(found.filter(|value| !value.expose().is_empty()))
    }
}
