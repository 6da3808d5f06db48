//! People of the built-in realm: signing in, going on, signing out, and setting a password. None of
//! this takes a token, and none of it is a call.

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use serde::Serialize;
use serde_json::Value;
use tenantry_domain::error::Result;
use tenantry_domain::text::Email;
use tenantry_security::password::LENGTH;
use tenantry_security::secret::SecretText;
use tenantry_service::SignedIn;
use utoipa::ToSchema;

use super::users::read_password;
use super::{Answer, schemas};
use crate::app::App;
use crate::envelope::{Success, ok, ok_secret};
use crate::extract::body::{JsonBody, Media};
use crate::extract::members::{Members, string};
use crate::extract::query::Query;
use crate::extract::scope::named_in_header;
use crate::extract::visitor::Visitor;

/// What a person signs in with.
#[derive(ToSchema)]
#[schema(as = SignIn)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "this is how the document tells it; `read_sign_in` reads it")]
pub(super) struct SignInBody {
    #[schema(format = "idn-email", max_length = 254)]
    email: String,
    #[schema(schema_with = schemas::presented)]
    password: String,
}

/// A refresh token.
#[derive(ToSchema)]
#[schema(as = RefreshToken)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "this is how the document tells it; `read_refresh_token` reads it")]
pub(super) struct RefreshTokenBody {
    #[schema(schema_with = schemas::presented)]
    refresh_token: String,
}

/// A password, and the one-time token by which it is set.
#[derive(ToSchema)]
#[schema(as = PasswordSetting)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "this is how the document tells it; `read_setting` reads it")]
pub(super) struct SettingBody {
    #[schema(schema_with = schemas::presented)]
    token: String,
    #[schema(schema_with = schemas::password)]
    password: String,
}

/// What a session goes on with.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionTokens)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokensBody<'a> {
    /// What to call with: a bearer token.
    access_token: &'a str,
    /// To be given for the next pair, once.
    refresh_token: &'a str,
    /// For how many seconds the access token is valid.
    expires_in: u64,
    /// Always `Bearer`.
    token_type: &'static str,
}

impl<'a> From<&'a SignedIn> for TokensBody<'a> {
    fn from(signed_in: &'a SignedIn) -> Self {
        Self {
            access_token: signed_in.access_token.expose(),
            refresh_token: signed_in.refresh_token.expose(),
            expires_in: signed_in.expires_in,
            token_type: "Bearer",
        }
    }
}

/// Nothing that is worth telling.
#[derive(Serialize, ToSchema)]
#[schema(as = Nothing)]
pub(crate) struct NothingBody {}

/// A secret that is presented. What it must be to be good is not told here, but what it cannot be.
fn secret(value: Value) -> Result<SecretText, String> {
    let Value::String(text) = value else { return Err("must be a string".to_owned()) };
    let secret = SecretText::new(text);
    let text = secret.expose();
    if text.chars().count() > *LENGTH.end() || text.chars().any(char::is_control) {
        return Err(format!("must have at most {} characters and no control ones", LENGTH.end()));
    }
    Ok(secret)
}

pub(super) fn read_sign_in(mut body: Members) -> Result<(Email, SecretText)> {
    let email = body.required("email", string(Email::parse));
    let password = body.required("password", secret);
    body.build(email.zip(password))
}

pub(super) fn read_refresh_token(mut body: Members) -> Result<SecretText> {
    let token = body.required("refreshToken", secret);
    body.build(token)
}

pub(super) fn read_setting(mut body: Members) -> Result<(SecretText, SecretText)> {
    let token = body.required("token", secret);
    let password = body.required("password", read_password);
    body.build(token.zip(password))
}

/// Sign in
///
/// Whatever is wrong with them, the answer to an e-mail and a password that do not let in is the same.
/// After a few failures of an account, or many from an address, the next attempt has to wait: 429.
#[utoipa::path(
    post,
    path = "/auth/login",
    operation_id = "signIn",
    tag = "Sign-in",
    request_body(content = SignInBody),
    responses((status = 200, description = "A session.", body = Success<TokensBody<'_>>)),
    extensions(("x-tenantry-access" = json!("public")))
)]
pub(crate) async fn sign_in(
    State(app): State<App>,
    visitor: Visitor,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: JsonBody,
) -> Answer {
    let tenant = named_in_header(&headers)?;
    Query::none(query.as_deref())?;
    let (email, password) = read_sign_in(body.unkeyed().read(&app, Media::Json).await?)?;
    let signed_in = app.service.sign_in(tenant, email, password, visitor.ip).await?;
    ok_secret(&app, "Signed in successfully", TokensBody::from(&signed_in))
}

/// Go on with a session
///
/// A refresh token is good once. Whoever uses one a second time ends the session, since two have it
/// then.
#[utoipa::path(
    post,
    path = "/auth/refresh",
    operation_id = "refreshSession",
    tag = "Sign-in",
    request_body(content = RefreshTokenBody),
    responses((status = 200, description = "The next tokens.", body = Success<TokensBody<'_>>)),
    extensions(("x-tenantry-access" = json!("public")))
)]
pub(crate) async fn refresh(
    State(app): State<App>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
    body: JsonBody,
) -> Answer {
    Query::none(query.as_deref())?;
    let token = read_refresh_token(body.unkeyed().read(&app, Media::Json).await?)?;
    let signed_in = app.service.refresh(token.expose(), visitor.ip).await?;
    ok_secret(&app, "Session refreshed successfully", TokensBody::from(&signed_in))
}

/// Sign out
///
/// Ends the session, with its access tokens. The same is answered if there is nothing to end.
#[utoipa::path(
    post,
    path = "/auth/logout",
    operation_id = "signOut",
    tag = "Sign-in",
    request_body(content = RefreshTokenBody),
    responses((status = 200, description = "The session is over.", body = Success<NothingBody>)),
    extensions(("x-tenantry-access" = json!("public")))
)]
pub(crate) async fn sign_out(
    State(app): State<App>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
    body: JsonBody,
) -> Answer {
    Query::none(query.as_deref())?;
    let token = read_refresh_token(body.unkeyed().read(&app, Media::Json).await?)?;
    app.service.sign_out(token.expose(), visitor.ip).await?;
    ok(&app, "Signed out successfully", NothingBody {})
}

/// Set a password by a one-time token
///
/// The token is used up, and every session of the user ends. One who was invited is active then.
#[utoipa::path(
    post,
    path = "/auth/password",
    operation_id = "setPassword",
    tag = "Sign-in",
    request_body(content = SettingBody),
    responses((status = 200, description = "The password is set.", body = Success<NothingBody>)),
    extensions(("x-tenantry-access" = json!("public")))
)]
pub(crate) async fn set_password(
    State(app): State<App>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
    body: JsonBody,
) -> Answer {
    Query::none(query.as_deref())?;
    let (token, password) = read_setting(body.unkeyed().read(&app, Media::Json).await?)?;
    app.service.set_password(token.expose(), password, visitor.ip).await?;
    ok(&app, "Password set successfully", NothingBody {})
}
