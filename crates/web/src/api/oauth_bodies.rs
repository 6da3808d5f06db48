//! The bodies of OAuth: forms that are sent, and what is answered.

use serde::Serialize;
use tenantry_domain::access::PrincipalKind;
use tenantry_security::realm::{ExaminedToken, Realm};
use utoipa::ToSchema;

/// Why a request failed (RFC 6749, section 5.2).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OauthFailure)]
pub(crate) struct FailureBody {
    /// `invalid_request`, `invalid_client`, `invalid_grant`, `unauthorized_client`,
    /// `unsupported_grant_type`, `invalid_scope`, `temporarily_unavailable` or `server_error`.
    #[schema(max_length = 64)]
    pub(super) error: &'static str,
    /// For a person.
    #[schema(max_length = 256)]
    pub(super) error_description: String,
}

/// What a client asks for a token with (RFC 6749, section 4.4). It proves itself by HTTP Basic
/// authentication, by `client_id` and `client_secret`, or by `client_assertion`.
#[derive(ToSchema)]
#[schema(as = TokenRequest)]
#[expect(dead_code, reason = "this is how the document tells it; `token` reads it")]
pub(crate) struct TokenForm {
    /// `client_credentials` or `refresh_token`.
    grant_type: String,
    /// With `refresh_token`: the one to be used up.
    #[schema(nullable = false)]
    refresh_token: Option<String>,
    /// Scopes, one space between them; all that the client may unless given.
    #[schema(nullable = false)]
    scope: Option<String>,
    #[schema(nullable = false)]
    client_id: Option<String>,
    #[schema(nullable = false)]
    client_secret: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`.
    #[schema(nullable = false)]
    client_assertion_type: Option<String>,
    /// A JWT (RFC 7523).
    #[schema(nullable = false)]
    client_assertion: Option<String>,
}

/// A token that is asked about, or to be ended. The client proves itself as for a token.
#[derive(ToSchema)]
#[schema(as = TokenInQuestion)]
#[expect(dead_code, reason = "this is how the document tells it; the handlers read it")]
pub(crate) struct TokenInQuestionForm {
    token: String,
    /// Not needed: there is one kind of token.
    #[schema(nullable = false)]
    token_type_hint: Option<String>,
    #[schema(nullable = false)]
    client_id: Option<String>,
    #[schema(nullable = false)]
    client_secret: Option<String>,
    #[schema(nullable = false)]
    client_assertion_type: Option<String>,
    #[schema(nullable = false)]
    client_assertion: Option<String>,
}

/// A token (RFC 6749, section 5.1).
#[derive(Serialize, ToSchema)]
#[schema(as = OauthToken)]
pub(crate) struct TokenBody<'a> {
    pub(super) access_token: &'a str,
    /// `Bearer`.
    pub(super) token_type: &'static str,
    /// In how many seconds it ends.
    pub(super) expires_in: u64,
    /// What it is for: scopes, one space between them.
    pub(super) scope: String,
    /// To be given for the next pair, once; of a client that is registered for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) refresh_token: Option<&'a str>,
}

/// What a token says (RFC 7662, section 2.2). Of one that is not good, or none of the client's
/// business, only that it is not active.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = IntrospectedToken)]
pub(crate) struct IntrospectionBody {
    /// Whether it is good now.
    pub(super) active: bool,
    /// Scopes, of a client's token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) scope: Option<String>,
    /// What the client presents itself as, of a client's token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) client_id: Option<String>,
    /// `Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) token_type: Option<&'static str>,
    /// When it ends, in seconds since 1970-01-01T00:00:00Z.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) exp: Option<i64>,
    /// When it was issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) iat: Option<i64>,
    /// The id of whoever it is for: a user's, a client's, or `operator`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) sub: Option<String>,
    /// `tenantry`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) aud: Option<&'static str>,
    /// Who has issued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) iss: Option<String>,
    /// Its own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) jti: Option<String>,
    /// The tenant of whoever it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) tenant: Option<String>,
    /// The role, of a person's token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) role: Option<&'static str>,
}

impl From<ExaminedToken> for IntrospectionBody {
    fn from(token: ExaminedToken) -> Self {
        let principal = token.principal;
        let (sub, scope, role) = match &principal.kind {
            PrincipalKind::Client { id, scopes } => {
                (Some(id.to_string()), Some(scopes.to_line()), None)
            }
            PrincipalKind::User { id, role } => (Some(id.to_string()), None, Some(role.as_str())),
            PrincipalKind::Operator { role, .. } => {
                (Some("operator".to_owned()), None, Some(role.as_str()))
            }
            // None of the built-in realm's tokens.
            PrincipalKind::ApiKey(_) | PrincipalKind::External(_) | PrincipalKind::Invited(_) => {
                (None, None, None)
            }
        };
        Self {
            active: true,
            scope,
            client_id: token.client_id,
            token_type: Some("Bearer"),
            exp: Some(token.expires_at),
            iat: Some(token.issued_at),
            sub,
            aud: Some(Realm::AUDIENCE),
            iss: Some(token.issuer),
            jti: principal.token.as_ref().map(|ids| ids.id.to_string()),
            tenant: Some(principal.tenant.to_string()),
            role,
        }
    }
}
