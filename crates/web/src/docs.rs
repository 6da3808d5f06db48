//! The page that people browse the API on and try it from. All of it is in the binary: nothing is
//! fetched from anywhere else, when the page is built or when it is read.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LOCATION,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tenantry_domain::error::Error;
use tenantry_domain::etag::ETag;

use crate::api::Answer;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::terms::known;

/// Where the page is. What it is made of lies under it.
const PAGE: &str = "/docs";

/// Scripts, styles and requests of this server alone, no script or style within the page, and the
/// page in nobody's frame. The pictures of Swagger UI's style are part of the style: `data:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 4] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    // It may be kept, and is asked for anew: another version of the server has another one.
    (CACHE_CONTROL, "no-cache"),
];

/// A part of the page.
struct Part {
    name: &'static str,
    content_type: &'static str,
    content: Bytes,
    gzipped: bool,
    tag: ETag,
}

/// The parts, the page itself first.
static PARTS: LazyLock<Result<Vec<Part>, Error>> = LazyLock::new(|| {
    let own = [
        ("", "text/html; charset=utf-8", include_str!("../static/docs/index.html")),
        ("page.js", "text/javascript; charset=utf-8", include_str!("../static/docs/page.js")),
        ("page.css", "text/css; charset=utf-8", include_str!("../static/docs/page.css")),
        ("icon.svg", "image/svg+xml", include_str!("../static/docs/icon.svg")),
    ];
    let own = own.map(|(name, content_type, text)| {
        part(name, content_type, Bytes::from_static(text.as_bytes()), false)
    });
    let libraries = [
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("swagger-ui.css", "text/css; charset=utf-8"),
    ];
    let libraries = libraries.map(|(name, content_type)| {
        let config = Arc::new(utoipa_swagger_ui::Config::default());
        let file = utoipa_swagger_ui::serve(name, config).map_err(Error::internal)?;
        let file = file.ok_or_else(|| Error::internal("Swagger UI lacks a file"))?;
        part(name, content_type, file.bytes.into_owned().into(), file.gzpipped)
    });
    own.into_iter().chain(libraries).collect()
});

fn part(
    name: &'static str,
    content_type: &'static str,
    content: Bytes,
    gzipped: bool,
) -> Result<Part, Error> {
    let tag = ETag::of(&&*content)?;
    Ok(Part { name, content_type, content, gzipped, tag })
}

/// What belongs to the page and is not documented itself.
pub(crate) fn parts() -> Router<App> {
    let without_slash = || async { (StatusCode::PERMANENT_REDIRECT, [(LOCATION, "../docs")]) };
    Router::new()
        .route(&format!("{PAGE}/"), get(without_slash))
        .route(&format!("{PAGE}/{{part}}"), get(named))
}

/// A page to browse the API on and try it from
#[utoipa::path(
    get,
    path = "/docs",
    operation_id = "getDocs",
    tag = "Server",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html")),
    extensions(("x-tenantry-access" = json!("public")))
)]
pub(crate) async fn page(headers: HeaderMap) -> Answer {
    answer("", &headers)
}

async fn named(name: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Answer {
    let Path(name) = name.map_err(|_| ApiError::UnknownPath)?;
    answer(&name, &headers)
}

/// A part of the page. The large ones are kept packed and sent so: every browser unpacks them.
fn answer(name: &str, headers: &HeaderMap) -> Answer {
    let parts = PARTS.as_ref().map_err(Error::clone)?;
    let part = parts.iter().find(|part| part.name == name).ok_or(ApiError::UnknownPath)?;
    let mut response = if known(headers).is_some_and(|tags| tags.has_weakly(part.tag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(part.content.clone()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(part.content_type));
        if part.gzipped {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    };
    let headers = response.headers_mut();
    let tag = HeaderValue::try_from(part.tag.to_string()).map_err(Error::internal)?;
    headers.insert(ETAG, tag);
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}
