//! The one place that turns what went wrong into a status.

use std::borrow::Cow;
use std::fmt;

use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::{
    AuthFailure, Conflict, Denied, Error, FieldError, LineError, Missing,
};
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;

use crate::api::schemas::words;

macro_rules! codes {
    ($(#[doc = $meaning:literal] $variant:ident = $name:literal, $status:ident, $message:literal;)+) => {
        /// What went wrong, in a word that does not change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code { $(#[doc = $meaning] $variant),+ }

        impl Code {
            /// All of them.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable name.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What it means, for the document.
            pub(crate) const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning.trim_ascii()),+ }
            }

            /// The status it is answered with.
            pub(crate) const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }

            /// The message it is answered with.
            pub(crate) const fn message(self) -> &'static str {
                match self { $(Self::$variant => $message),+ }
            }
        }
    };
}

codes! {
    /// A tenant id of the request is missing or not a UUID.
    InvalidTenantId = "INVALID_TENANT_ID", BAD_REQUEST, "Invalid tenant ID";
    /// The body cannot be read as JSON.
    MalformedRequest = "MALFORMED_REQUEST", BAD_REQUEST, "Malformed request";
    /// The caller is not known.
    Unauthenticated = "UNAUTHENTICATED", UNAUTHORIZED, "Authentication failed";
    /// The caller is known and may not.
    InsufficientPermissions = "INSUFFICIENT_PERMISSIONS", FORBIDDEN, "Insufficient permissions";
    /// The caller's tenant is suspended, and the request would change something.
    TenantSuspended = "TENANT_SUSPENDED", FORBIDDEN, "Tenant suspended";
    /// The platform's own tenant can be neither suspended nor deleted.
    PlatformProtected = "PLATFORM_PROTECTED", FORBIDDEN, "Platform tenant is protected";
    /// There is no such path.
    NotFound = "NOT_FOUND", NOT_FOUND, "Not found";
    /// There is no such tenant.
    TenantNotFound = "TENANT_NOT_FOUND", NOT_FOUND, "Tenant not found";
    /// The tenant has no such user.
    UserNotFound = "USER_NOT_FOUND", NOT_FOUND, "User not found";
    /// The tenant has no such API key.
    ApiKeyNotFound = "API_KEY_NOT_FOUND", NOT_FOUND, "API key not found";
    /// The tenant has no such OAuth client.
    OauthClientNotFound = "OAUTH_CLIENT_NOT_FOUND", NOT_FOUND, "OAuth client not found";
    /// The tenant has no such credential.
    CredentialNotFound = "CREDENTIAL_NOT_FOUND", NOT_FOUND, "Credential not found";
    /// There is no such realm.
    RealmNotFound = "REALM_NOT_FOUND", NOT_FOUND, "Realm not found";
    /// The path has no such method; `Allow` says which it has.
    MethodNotAllowed = "METHOD_NOT_ALLOWED", METHOD_NOT_ALLOWED, "Method not allowed";
    /// No range of `Accept` covers `application/json`.
    NotAcceptable = "NOT_ACCEPTABLE", NOT_ACCEPTABLE, "Not acceptable";
    /// The body stopped coming.
    RequestTimeout = "REQUEST_TIMEOUT", REQUEST_TIMEOUT, "Request timeout";
    /// The tenant's id is taken, or was used before.
    TenantIdTaken = "TENANT_ID_TAKEN", CONFLICT, "Tenant ID taken";
    /// Another user of the tenant has the e-mail.
    EmailTaken = "EMAIL_TAKEN", CONFLICT, "Email taken";
    /// Another user of the tenant has the external id.
    ExternalIdTaken = "EXTERNAL_ID_TAKEN", CONFLICT, "External ID taken";
    /// The API key is revoked already.
    AlreadyRevoked = "ALREADY_REVOKED", CONFLICT, "API key already revoked";
    /// The API key has expired.
    ApiKeyExpired = "API_KEY_EXPIRED", CONFLICT, "API key expired";
    /// The user is neither invited nor active, so nobody is to let it in.
    UserNotInvitable = "USER_NOT_INVITABLE", CONFLICT, "User not invitable";
    /// The OAuth client is public and has no secret.
    PublicClient = "PUBLIC_CLIENT", CONFLICT, "Public client";
    /// Another realm has the name.
    RealmNameTaken = "REALM_NAME_TAKEN", CONFLICT, "Realm name taken";
    /// Another realm has the issuer.
    IssuerTaken = "ISSUER_TAKEN", CONFLICT, "Issuer taken";
    /// A request with the same idempotency key is being served.
    IdempotencyInFlight = "IDEMPOTENCY_IN_FLIGHT", CONFLICT, "Request in flight";
    /// The thing is not in the state that `If-Match` names.
    PreconditionFailed = "PRECONDITION_FAILED", PRECONDITION_FAILED, "Precondition failed";
    /// The body is longer than the server takes.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE", PAYLOAD_TOO_LARGE, "Payload too large";
    /// The body is of another type than the operation takes.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", UNSUPPORTED_MEDIA_TYPE, "Unsupported media type";
    /// The request breaks rules; `error.fields`, or `error.lines` of an import, says which and where.
    ValidationFailed = "VALIDATION_FAILED", UNPROCESSABLE_ENTITY, "Validation failed";
    /// Another request has had this idempotency key.
    IdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED", UNPROCESSABLE_ENTITY, "Idempotency key reused";
    /// The caller has called as often as it may; `Retry-After` says when it may again.
    TooManyRequests = "TOO_MANY_REQUESTS", TOO_MANY_REQUESTS, "Too many requests";
    /// Anything unexpected.
    Internal = "INTERNAL", INTERNAL_SERVER_ERROR, "Server error";
    /// The server cannot answer now and may be able to soon.
    Unavailable = "UNAVAILABLE", SERVICE_UNAVAILABLE, "Service unavailable";
}

/// Why a request was not served. As a response it is only a status until the outermost middleware,
/// which knows the request's id, writes the body.
#[derive(Debug, Clone)]
pub(crate) enum ApiError {
    /// A use case failed, or a request could not be read into one.
    UseCase(Error),
    /// No route has this path.
    UnknownPath,
    /// The path has no such method.
    MethodNotAllowed,
    /// The caller takes no JSON.
    NotAcceptable,
    /// The body is longer than this many bytes.
    PayloadTooLarge(usize),
    /// The body is not of this type.
    UnsupportedMediaType(&'static str),
    /// The body brought nothing for longer than it may.
    BodyTimedOut,
    /// The request took longer than it may.
    TimedOut,
    /// More requests, or more of their bodies, are under way than may be.
    Overloaded,
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::UseCase(error)
    }
}

impl fmt::Display for ApiError {
    /// The cause, for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UseCase(error) => error.fmt(f),
            other => f.write_str(&other.details()),
        }
    }
}

impl ApiError {
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::UseCase(error) => use_case_code(error),
            Self::UnknownPath => Code::NotFound,
            Self::MethodNotAllowed => Code::MethodNotAllowed,
            Self::NotAcceptable => Code::NotAcceptable,
            Self::PayloadTooLarge(_) => Code::PayloadTooLarge,
            Self::UnsupportedMediaType(_) => Code::UnsupportedMediaType,
            Self::BodyTimedOut => Code::RequestTimeout,
            Self::TimedOut | Self::Overloaded => Code::Unavailable,
        }
    }

    /// Why the caller is not known, if that is what went wrong.
    pub(crate) fn auth_failure(&self) -> Option<AuthFailure> {
        match self {
            Self::UseCase(Error::Unauthenticated(reason)) => Some(*reason),
            _ => None,
        }
    }

    /// After how many seconds the request may succeed, if it may then.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::UseCase(Error::TooManyRequests { seconds }) => Some(*seconds),
            _ => (self.code() == Code::Unavailable).then_some(1),
        }
    }

    /// What helps a person, and gives nothing away.
    pub(crate) fn details(&self) -> Cow<'static, str> {
        match self {
            Self::UseCase(error) => use_case_details(error),
            Self::UnknownPath => "nothing is served under this path".into(),
            Self::MethodNotAllowed => "the Allow header names the methods of this path".into(),
            Self::NotAcceptable => "the answer is application/json".into(),
            Self::PayloadTooLarge(limit) => format!("the limit is {limit} bytes").into(),
            Self::UnsupportedMediaType(expected) => format!("the body must be {expected}").into(),
            Self::BodyTimedOut => "the body stopped coming; nothing was done".into(),
            Self::TimedOut => "the request took too long; it may have taken effect".into(),
            Self::Overloaded => "the server has too much to do; nothing was done".into(),
        }
    }

    fn fields(&self) -> Option<&[FieldError]> {
        match self {
            Self::UseCase(Error::Invalid(fields)) => Some(fields),
            _ => None,
        }
    }

    /// What is wrong with the lines of an import, and how much there is of it.
    fn lines(&self) -> Option<(&[LineError], u64)> {
        match self {
            Self::UseCase(Error::InvalidLines { lines, total }) => Some((lines, *total)),
            _ => None,
        }
    }

    /// The contract's body.
    pub(crate) fn failure<'a>(&'a self, request_id: &'a str, now: Timestamp) -> Failure<'a> {
        let code = self.code();
        Failure {
            success: false,
            message: code.message(),
            error: FailureDetail {
                code: code.as_str(),
                details: self.details(),
                fields: self.fields(),
                lines: self.lines().map(|(lines, _)| lines),
                lines_total: self.lines().map(|(_, total)| total),
            },
            request_id,
            timestamp: now,
        }
    }

    /// Writes the contract's body into the response that this error became.
    pub(crate) fn render(&self, response: Response, request_id: &str, now: Timestamp) -> Response {
        let json = serde_json::to_vec(&self.failure(request_id, now)).unwrap_or_default();
        let (mut parts, _) = response.into_parts();
        parts.headers.remove(CONTENT_LENGTH);
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(reason) = self.auth_failure() {
            parts.headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge(reason)));
        }
        if let Some(seconds) = self.retry_after() {
            parts.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        Response::from_parts(parts, json.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.code().status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// RFC 6750, section 3: no error code for a request that carried no token.
fn challenge(reason: AuthFailure) -> &'static str {
    match reason {
        AuthFailure::Missing => r#"Bearer realm="tenantry""#,
        _ => r#"Bearer realm="tenantry", error="invalid_token""#,
    }
}

fn use_case_code(error: &Error) -> Code {
    match error {
        Error::Unauthenticated(_) => Code::Unauthenticated,
        Error::InvalidTenantId(_) => Code::InvalidTenantId,
        Error::Malformed(_) => Code::MalformedRequest,
        Error::Denied(Denied::InsufficientPermissions) => Code::InsufficientPermissions,
        Error::Denied(Denied::TenantSuspended) => Code::TenantSuspended,
        Error::Denied(Denied::PlatformProtected) => Code::PlatformProtected,
        Error::NotFound(Missing::Tenant) => Code::TenantNotFound,
        Error::NotFound(Missing::User) => Code::UserNotFound,
        Error::NotFound(Missing::ApiKey) => Code::ApiKeyNotFound,
        Error::NotFound(Missing::OauthClient) => Code::OauthClientNotFound,
        Error::NotFound(Missing::Credential) => Code::CredentialNotFound,
        Error::NotFound(Missing::Realm) => Code::RealmNotFound,
        Error::Conflict(Conflict::RealmName) => Code::RealmNameTaken,
        Error::Conflict(Conflict::Issuer) => Code::IssuerTaken,
        Error::Conflict(Conflict::TenantId) => Code::TenantIdTaken,
        Error::Conflict(Conflict::Email) => Code::EmailTaken,
        Error::Conflict(Conflict::ExternalId) => Code::ExternalIdTaken,
        Error::Conflict(Conflict::AlreadyRevoked) => Code::AlreadyRevoked,
        Error::Conflict(Conflict::ApiKeyExpired) => Code::ApiKeyExpired,
        Error::Conflict(Conflict::PublicClient) => Code::PublicClient,
        Error::Conflict(Conflict::UserNotInvitable) => Code::UserNotInvitable,
        Error::Invalid(_) | Error::InvalidLines { .. } => Code::ValidationFailed,
        Error::Conflict(Conflict::InFlight) => Code::IdempotencyInFlight,
        Error::PreconditionFailed => Code::PreconditionFailed,
        Error::IdempotencyKeyReused => Code::IdempotencyKeyReused,
        Error::TooManyRequests { .. } => Code::TooManyRequests,
        Error::Unavailable(_) | Error::ClockDiffers(_) => Code::Unavailable,
        // A repetition is answered as the first request was, where the change was begun.
        Error::UnknownMasterKey | Error::Internal(_) | Error::Repeated(_) => Code::Internal,
    }
}

fn use_case_details(error: &Error) -> Cow<'static, str> {
    match error {
        Error::Unauthenticated(AuthFailure::WrongPassword) => {
            "there is no such user, its password is another one, or it may not sign in".into()
        }
        Error::Unauthenticated(_) => "a valid bearer token is required".into(),
        Error::InvalidTenantId(_) | Error::ClockDiffers(_) => error.to_string().into(),
        Error::Malformed(problem) => problem.clone().into(),
        Error::Denied(Denied::InsufficientPermissions) => {
            "the caller lacks the role, or the tenant is not the caller's".into()
        }
        Error::Denied(Denied::TenantSuspended) => {
            "nothing can be changed by the principals of a suspended tenant".into()
        }
        Error::Denied(Denied::PlatformProtected) => {
            "the platform's own tenant can be neither suspended nor deleted".into()
        }
        Error::NotFound(_) => "it does not exist, or no longer".into(),
        Error::Conflict(Conflict::TenantId) => "the id is taken, or was used before".into(),
        Error::Conflict(Conflict::Email) => "another user of the tenant has this email".into(),
        Error::Conflict(Conflict::ExternalId) => {
            "another user of the tenant has this externalId".into()
        }
        Error::Conflict(Conflict::AlreadyRevoked) => "a key is revoked once, for good".into(),
        Error::Conflict(Conflict::ApiKeyExpired) => "an expired key gets no new secret".into(),
        Error::Conflict(Conflict::PublicClient) => "a public client has no secret".into(),
        Error::Conflict(Conflict::RealmName) => "another realm has this name".into(),
        Error::Conflict(Conflict::Issuer) => "another realm has this issuer".into(),
        Error::Conflict(Conflict::UserNotInvitable) => {
            "the user's status is neither invited nor active".into()
        }
        Error::Invalid(_) => "error.fields names every offending field".into(),
        Error::InvalidLines { .. } => {
            "nothing was imported; error.lines names the bad lines".into()
        }
        Error::Conflict(Conflict::InFlight) => {
            "a request with this key is being served: ask again when it can be done".into()
        }
        Error::PreconditionFailed => {
            "it was changed meanwhile: read it again, and give its ETag in If-Match".into()
        }
        Error::IdempotencyKeyReused => {
            "another request has had this key: a new request takes a new key".into()
        }
        Error::TooManyRequests { seconds } => format!("try again in {seconds} s").into(),
        Error::Unavailable(_) => "try again shortly".into(),
        Error::UnknownMasterKey | Error::Internal(_) | Error::Repeated(_) => {
            "the cause is in the server's log under the requestId".into()
        }
    }
}

/// The body of every answer to a request that failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Failure)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failure<'a> {
    /// Always false.
    success: bool,
    /// What went wrong, for a person.
    message: &'static str,
    error: FailureDetail<'a>,
    /// What the request is known by in the server's log.
    request_id: &'a str,
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FailureDetail<'a> {
    /// What went wrong, in a word that does not change.
    #[schema(schema_with = code_schema)]
    code: &'static str,
    /// What helps a person; it may change.
    details: Cow<'a, str>,
    /// Every offending field, where the request breaks rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<FieldProblem>>)]
    fields: Option<&'a [FieldError]>,
    /// The problems of an import, in the order of its lines: the first 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<LineProblem>>)]
    lines: Option<&'a [LineError]>,
    /// How many such problems there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    lines_total: Option<u64>,
}

/// What is wrong with one field of a request.
#[derive(ToSchema)]
#[expect(dead_code, reason = "this is how the document tells of the domain's `FieldError`")]
struct FieldProblem {
    /// The parameter or member: `limit`, `subscription.expiresAt`.
    field: String,
    /// What would be right, to follow the field's name.
    problem: String,
}

/// What is wrong with one line of an import.
#[derive(ToSchema)]
#[expect(dead_code, reason = "this is how the document tells of the domain's `LineError`")]
struct LineProblem {
    /// The line, from 1, as a text editor counts.
    line: u64,
    /// The member or column; `line` where it is the line as a whole.
    field: String,
    /// What would be right, to follow the field's name.
    problem: String,
}

fn code_schema() -> Object {
    words(Code::ALL.iter().map(|code| code.as_str()))
}
