//! The gate of the API: nobody passes without a valid token, but to the few paths that are for those
//! who have none, and whoever passed is counted before the answer leaves.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tenantry_domain::access::{Principal, PrincipalKind};
use tenantry_domain::error::{Error, Result};
use tenantry_domain::usage::Call;

use super::bearer::{ExternalToken, Presented, presented};
use crate::app::AppState;
use crate::error::ApiError;
use crate::extract::client_ip::client_ip;
use crate::extract::scope::Gated;
use crate::extract::visitor::Visitor;
use crate::router::{API, PUBLIC};

/// Lets a request under [`API`] pass if a realm vouches for its token.
pub(super) async fn gate(
    app: &AppState,
    mut request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let path = below_api(request.uri().path()).filter(|_| request.method() != Method::OPTIONS);
    let Some(path) = path else { return next(request).await };
    let received = app.service.now();
    let activity = is_activity(path);
    let ip = client_ip(&request, &app.config.trusted_proxies);
    if PUBLIC.contains(&path) {
        request.extensions_mut().insert(Visitor { ip });
        return uncached(next(request).await);
    }
    let response = match authenticate(app, request.headers()).await {
        Ok((principal, external)) => {
            let call = Arc::new(Call::new(principal.tenant, received, activity));
            let gated = Gated { principal, external, ip, call: Arc::clone(&call) };
            request.extensions_mut().insert(gated);
            let response = next(request).await;
            count(app, &call, response).await
        }
        Err(error) => ApiError::from(error).into_response(),
    };
    uncached(response)
}

/// What is exact and current now is neither in a moment, and secrets are to be kept nowhere.
fn uncached(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Who calls, and what of the headers says so if an external realm vouches for it.
async fn authenticate(
    app: &AppState,
    headers: &HeaderMap,
) -> Result<(Principal, Option<ExternalToken>)> {
    match presented(headers).map_err(Error::Unauthenticated)? {
        Presented::Token { token, realm } => {
            let principal = app.service.authenticate(token, realm).await?;
            let is_external = matches!(principal.kind, PrincipalKind::External(_));
            let external = if is_external { ExternalToken::of(headers) } else { None };
            Ok((principal, external))
        }
        Presented::ApiKey(text) => Ok((app.service.authenticate_key(text)?, None)),
    }
}

/// Counts the call if its answer is one that counts. If it cannot be counted it is not answered.
async fn count(app: &AppState, call: &Call, response: Response) -> Response {
    let status = response.status();
    let free = status == StatusCode::UNAUTHORIZED
        || status == StatusCode::TOO_MANY_REQUESTS
        || status.is_server_error();
    if free {
        return response;
    }
    match app.service.meter().count(call).await {
        Ok(()) => {
            app.metrics.call_counted();
            response
        }
        Err(error) => ApiError::from(error).into_response(),
    }
}

/// The rest of a path that lies under [`API`].
fn below_api(path: &str) -> Option<&str> {
    path.strip_prefix(API).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a call makes its tenant look alive: reading statistics, `…/stats` and everything under
/// it, does not.
fn is_activity(path: &str) -> bool {
    let tenant_path = path.strip_prefix("/admin/tenants/");
    tenant_path.and_then(|rest| rest.split('/').nth(1)) != Some("stats")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_under_the_api() {
        assert_eq!(below_api("/api/v1"), Some(""));
        assert_eq!(below_api("/api/v1/nothing"), Some("/nothing"));
        assert_eq!(below_api("/api/v10/admin"), None);
        assert_eq!(below_api("/health/live"), None);
    }

    #[test]
    fn reading_statistics_is_no_activity() {
        assert!(!is_activity("/admin/tenants/1/stats"));
        assert!(!is_activity("/admin/tenants/1/stats/history"));
        assert!(is_activity("/admin/tenants/1"));
        assert!(is_activity("/admin/tenants/stats"));
        assert!(is_activity("/admin/tenants/1/users"));
        assert!(is_activity("/admin/tenants/1/statistics"));
    }
}
