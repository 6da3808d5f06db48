//! OAuth 2.0 for clients of the built-in realm. Its bodies are those of its RFCs, not the API's.

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, HOST, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};
use tenantry_domain::error::{AuthFailure, Error};
use tenantry_domain::realm::Algorithm;
use tenantry_domain::scope::Scope;
use tenantry_domain::session::ACCESS_TOKEN_SECONDS;
use tenantry_security::secret::{SecretBytes, SecretText};
use tenantry_service::{ClientProof, OauthError, ProvenClient};

use super::oauth_bodies::{
    FailureBody, IntrospectionBody, TokenBody, TokenForm, TokenInQuestionForm,
};
use crate::app::{App, AppState};
use crate::envelope::json_response;
use crate::error::ApiError;
use crate::extract::form::{Fields, FormBody, Twice};

const TOKEN: &str = "/oauth/token";
const INTROSPECT: &str = "/oauth/introspect";
const REVOKE: &str = "/oauth/revoke";
/// The one type of assertion (RFC 7523, section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Room for an answer, so that its buffer does not grow.
const USUAL_SIZE: usize = 2048;

/// What went wrong.
struct Failure {
    status: StatusCode,
    error: &'static str,
    description: String,
    retry_after: Option<u64>,
    /// Why the client is not known.
    reason: Option<AuthFailure>,
}

impl Failure {
    fn new(error: &'static str, description: impl Into<String>) -> Self {
        let (status, description) = (StatusCode::BAD_REQUEST, description.into());
        Self { status, error, description, retry_after: None, reason: None }
    }

    fn invalid_request(description: impl Into<String>) -> Self {
        Self::new("invalid_request", description)
    }

    fn invalid_client(reason: AuthFailure) -> Self {
        let description = "the client is not known, or did not prove who it is";
        let status = StatusCode::UNAUTHORIZED;
        Self { status, reason: Some(reason), ..Self::new("invalid_client", description) }
    }

    fn respond(self, app: &AppState) -> Response {
        let body = FailureBody { error: self.error, error_description: self.description };
        let mut response =
            json_response(self.status, serde_json::to_vec(&body).unwrap_or_default());
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(reason) = self.reason {
            app.metrics.auth_failed(reason);
            tracing::debug!(reason = reason.as_str(), "a client was not known");
            let challenge = HeaderValue::from_static(r#"Basic realm="tenantry""#);
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Twice> for Failure {
    fn from(Twice(name): Twice) -> Self {
        Self::invalid_request(format!("{name} is there more than once"))
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::UseCase(error) => OauthError::Failed(error).into(),
            other => {
                let status = other.code().status();
                Self { status, ..Self::invalid_request(other.details()) }
            }
        }
    }
}

impl From<OauthError> for Failure {
    fn from(error: OauthError) -> Self {
        match error {
            OauthError::InvalidClient(reason) => Self::invalid_client(reason),
            OauthError::UnauthorizedClient => {
                Self::new("unauthorized_client", "the client may not ask for this")
            }
            OauthError::InvalidGrant => Self::new(
                "invalid_grant",
                "the refresh token is none, was used before, or is not the client's",
            ),
            OauthError::InvalidScope => {
                Self::new("invalid_scope", "there is no such scope, or the client does not have it")
            }
            OauthError::Failed(Error::Malformed(problem)) => Self::invalid_request(problem),
            OauthError::Failed(error @ (Error::Unavailable(_) | Error::ClockDiffers(_))) => {
                tracing::warn!(%error, "the request could not be served now");
                let status = StatusCode::SERVICE_UNAVAILABLE;
                let failure = Self::new("temporarily_unavailable", "try again shortly");
                Self { status, retry_after: Some(1), ..failure }
            }
            OauthError::Failed(error) => {
                tracing::error!(%error, "the request failed");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                let description = "the cause is in the server's log under the request's id";
                Self { status, ..Self::new("server_error", description) }
            }
        }
    }
}

/// Give a client a token
///
/// For what it may do itself (`client_credentials`), or the next pair for a refresh token, which is good
/// once (`refresh_token`). The client proves itself in one of three ways:
/// HTTP Basic authentication, `client_id` and `client_secret` in the form, or `client_assertion`
/// (`private_key_jwt`, good once).
#[utoipa::path(
    post,
    path = "/oauth/token",
    operation_id = "issueToken",
    tag = "OAuth",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A token.", body = TokenBody<'_>),
    ),
    extensions(("x-tenantry-access" = json!("client")))
)]
pub(crate) async fn token(State(app): State<App>, form: FormBody) -> Response {
    let answer = async {
        let (client, mut fields) = proven(&app, form, TOKEN).await?;
        let grant = fields.take("grant_type")?;
        let scope = fields.take("scope")?;
        let scope = scope.as_ref().map(SecretText::expose);
        let issued = match grant.as_ref().map(SecretText::expose) {
            None => return Err(Failure::invalid_request("grant_type is missing")),
            Some("client_credentials") => app.service.client_token(&client, scope).await?,
            Some("refresh_token") => {
                let missing = || Failure::invalid_request("refresh_token is missing");
                let refresh_token = fields.take("refresh_token")?.ok_or_else(missing)?;
                app.service.refresh_client(&client, &refresh_token, scope).await?
            }
            Some(_) => {
                let description = "grant_type must be client_credentials or refresh_token";
                return Err(Failure::new("unsupported_grant_type", description));
            }
        };
        let body = TokenBody {
            access_token: issued.token.text.expose(),
            token_type: "Bearer",
            expires_in: ACCESS_TOKEN_SECONDS,
            scope: issued.scopes.to_line(),
            refresh_token: issued.refresh_token.as_ref().map(SecretText::expose),
        };
        secret(&body)
    };
    answered(&app, answer.await)
}

/// Ask about a token
///
/// Whether it is good now, looked at as if it called: a client asks about tokens of its own tenant,
/// one of the platform's about all.
#[utoipa::path(
    post,
    path = "/oauth/introspect",
    operation_id = "introspectToken",
    tag = "OAuth",
    request_body(content = TokenInQuestionForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What it says.", body = IntrospectionBody),
    ),
    extensions(("x-tenantry-access" = json!("client")))
)]
pub(crate) async fn introspect(State(app): State<App>, form: FormBody) -> Response {
    let answer = async {
        let (client, mut fields) = proven(&app, form, INTROSPECT).await?;
        let token = in_question(&mut fields)?;
        let token = app.service.introspect(&client, &token).await?;
        secret(&token.map_or_else(IntrospectionBody::default, IntrospectionBody::from))
    };
    answered(&app, answer.await)
}

/// End a token
///
/// From the next request on, at every server. Only a client's own token; what is no token, or over, is
/// none any more.
#[utoipa::path(
    post,
    path = "/oauth/revoke",
    operation_id = "revokeToken",
    tag = "OAuth",
    request_body(content = TokenInQuestionForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "It is no good from now on."),
    ),
    extensions(("x-tenantry-access" = json!("client")))
)]
pub(crate) async fn revoke(State(app): State<App>, form: FormBody) -> Response {
    let answer = async {
        let (client, mut fields) = proven(&app, form, REVOKE).await?;
        let token = in_question(&mut fields)?;
        app.service.revoke(&client, &token).await?;
        Ok(Response::new(axum::body::Body::empty()))
    };
    answered(&app, answer.await)
}

/// What clients need to know (RFC 8414).
#[utoipa::path(
    get,
    path = "/.well-known/oauth-authorization-server",
    operation_id = "getOauthMetadata",
    tag = "OAuth",
    responses((status = 200, description = "What there is, and where.", body = Object)),
    extensions(("x-tenantry-access" = json!("public")))
)]
pub(crate) async fn metadata(State(app): State<App>, headers: HeaderMap) -> Response {
    let issuer = app.service.realm().issuer();
    let base = base_url(issuer, &headers);
    let methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
    let algorithms: Vec<_> = Algorithm::ALL.iter().map(|it| it.as_str()).collect();
    let scopes: Vec<_> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    let mut told = json!({
        "issuer": issuer,
        "token_endpoint": format!("{base}{TOKEN}"),
        "jwks_uri": format!("{base}/.well-known/jwks.json"),
        "scopes_supported": scopes,
        // There is no authorization endpoint.
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials", "refresh_token"],
        "service_documentation": format!("{base}/docs"),
    });
    if let Value::Object(told) = &mut told {
        for (endpoint, path) in [("introspection", INTROSPECT), ("revocation", REVOKE)] {
            told.insert(format!("{endpoint}_endpoint"), json!(format!("{base}{path}")));
        }
        for endpoint in ["token", "introspection", "revocation"] {
            told.insert(format!("{endpoint}_endpoint_auth_methods_supported"), json!(methods));
            let algorithms = json!(algorithms);
            told.insert(
                format!("{endpoint}_endpoint_auth_signing_alg_values_supported"),
                algorithms,
            );
        }
    }
    let mut response = json_response(StatusCode::OK, told.to_string());
    if url_of(issuer).is_none() {
        // What one caller was told is not for others.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Where the server is, as its clients know it: what the issuer says, if that is an address.
fn url_of(issuer: &str) -> Option<&str> {
    let is_url = issuer.starts_with("https://") || issuer.starts_with("http://");
    is_url.then(|| issuer.trim_end_matches('/'))
}

/// Where to send requests: to where the server is known to be, else to where this one was sent. That is
/// whatever the caller says, so nothing is to be believed by it.
fn base_url(issuer: &str, headers: &HeaderMap) -> String {
    if let Some(url) = url_of(issuer) {
        return url.to_owned();
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("http://{host}")
}

/// What a client may call the server in an assertion for an endpoint. What the request says of where it was
/// sent is not among it: the assertion can have been made for another server.
fn audiences(issuer: &str, path: &str) -> Vec<String> {
    let url = url_of(issuer);
    let others = url.into_iter().flat_map(|url| [url.to_owned(), format!("{url}{path}")]);
    std::iter::once(issuer.to_owned()).chain(others).collect()
}

/// Finds out which client asks, and what else it says.
async fn proven(
    app: &AppState,
    form: FormBody,
    path: &str,
) -> Result<(ProvenClient, Fields), Failure> {
    let (ip, basic) = (form.ip, basic(&form.headers));
    let mut fields = form.read(app).await?;
    let (id, client_secret) = (fields.take("client_id")?, fields.take("client_secret")?);
    let assertion_type = fields.take("client_assertion_type")?;
    let assertion = fields.take("client_assertion")?;
    let proof = match (basic?, client_secret, assertion) {
        (Some((client_id, secret)), None, None) => {
            if id.is_some_and(|id| id.expose() != client_id) {
                return Err(Failure::invalid_request("client_id is another than in the header"));
            }
            ClientProof::Secret { client_id, secret }
        }
        (None, Some(secret), None) => {
            let missing = || Failure::invalid_request("client_id is missing");
            let client_id = id.ok_or_else(missing)?.expose().to_owned();
            ClientProof::Secret { client_id, secret }
        }
        (None, None, Some(assertion)) => {
            if assertion_type.is_none_or(|it| it.expose() != JWT_BEARER) {
                let problem = format!("client_assertion_type must be {JWT_BEARER}");
                return Err(Failure::invalid_request(problem));
            }
            ClientProof::Assertion {
                text: assertion,
                client_id: id.map(|id| id.expose().to_owned()),
            }
        }
        (None, None, None) => return Err(Failure::invalid_client(AuthFailure::Missing)),
        _ => return Err(Failure::invalid_request("a client proves itself in one way")),
    };
    let audiences = audiences(app.service.realm().issuer(), path);
    Ok((app.service.prove_client(&proof, &audiences, ip).await?, fields))
}

/// The name and the secret of HTTP Basic authentication, each encoded as a form's value is (RFC 6749,
/// section 2.3.1).
fn basic(headers: &HeaderMap) -> Result<Option<(String, SecretText)>, Failure> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let malformed = || Failure::invalid_client(AuthFailure::Malformed);
    if values.next().is_some() {
        return Err(Failure::invalid_client(AuthFailure::Ambiguous));
    }
    let (scheme, encoded) =
        value.to_str().ok().and_then(|it| it.split_once(' ')).ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(malformed());
    }
    let mut decoded = SecretBytes::with_capacity(encoded.len());
    decoded.extend(&STANDARD.decode(encoded.trim()).map_err(|_| malformed())?);
    let text = std::str::from_utf8(decoded.as_ref()).map_err(|_| malformed())?;
    let (id, secret) = text.split_once(':').ok_or_else(malformed)?;
    let read = |text: &str| {
        let pairs: Vec<(String, SecretText)> =
            serde_urlencoded::from_str(&format!("v={text}")).unwrap_or_default();
        let mut values = pairs.into_iter().map(|(_, value)| value);
        values.next().filter(|_| values.next().is_none()).ok_or_else(malformed)
    };
    Ok(Some((read(id)?.expose().to_owned(), read(secret)?)))
}

fn in_question(fields: &mut Fields) -> Result<SecretText, Failure> {
    fields.take("token")?.ok_or_else(|| Failure::invalid_request("token is missing"))
}

/// A body that may hold a secret, whose bytes are wiped once they are sent.
fn secret(body: &impl Serialize) -> Result<Response, Failure> {
    let mut json = SecretBytes::with_capacity(USUAL_SIZE);
    let written = serde_json::to_writer(&mut json, body).map_err(Error::internal);
    written.map_err(OauthError::Failed)?;
    Ok(json_response(StatusCode::OK, axum::body::Bytes::from_owner(json)))
}

fn answered(app: &AppState, answer: Result<Response, Failure>) -> Response {
    match answer {
        Ok(mut response) => {
            let headers = response.headers_mut();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(failure) => failure.respond(app),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assertion_is_for_what_the_issuer_says() {
        assert_eq!(audiences("tenantry", TOKEN), ["tenantry"]);
        assert_eq!(
            audiences("https://id.example.com/", TOKEN),
            [
                "https://id.example.com/",
                "https://id.example.com",
                "https://id.example.com/oauth/token"
            ]
        );
    }
}
