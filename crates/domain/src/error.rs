//! The one error type of the use cases. `web` alone turns it into a status.

use std::fmt;

use crate::credential::Sealed;

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// The field as the caller knows it: `email`, `subscription.expiresAt`, `limit`.
    pub field: String,
    /// What would be right, continuing the field's name: "must be a UUID".
    pub problem: String,
}

/// What is wrong with one line of an import.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LineError {
    /// The line, from 1, as a text editor counts.
    pub line: u64,
    /// The field or the column; `line` where it is the line as a whole.
    pub field: String,
    /// What would be right, continuing the field's name: "must be a UUID".
    pub problem: String,
}

/// The things a request can name and that can be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// A tenant.
    #[error("Tenant not found")]
    Tenant,
    /// A user.
    #[error("User not found")]
    User,
    /// An API key.
    #[error("API key not found")]
    ApiKey,
    /// An OAuth client.
    #[error("OAuth client not found")]
    OauthClient,
    /// A credential.
    #[error("Credential not found")]
    Credential,
    /// An external realm.
    #[error("Realm not found")]
    Realm,
}

/// What a request collides with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The tenant's id is taken, or was used before.
    #[error("the tenant's id is taken, or was used before")]
    TenantId,
    /// Another user of the tenant has this e-mail.
    #[error("another user of the tenant has this e-mail")]
    Email,
    /// Another user of the tenant has this external id.
    #[error("another user of the tenant has this external id")]
    ExternalId,
    /// The API key is revoked already.
    #[error("the API key is revoked already")]
    AlreadyRevoked,
    /// The API key has expired.
    #[error("the API key has expired")]
    ApiKeyExpired,
    /// The user is neither invited nor active, so nobody is to let it in.
    #[error("the user is neither invited nor active")]
    UserNotInvitable,
    /// The OAuth client is public and has no secret.
    #[error("the OAuth client is public and has no secret")]
    PublicClient,
    /// Another realm has this name.
    #[error("another realm has this name")]
    RealmName,
    /// Another realm has this issuer.
    #[error("another realm has this issuer")]
    Issuer,
    /// A request with the same idempotency key is being served.
    #[error("a request with the same idempotency key is being served")]
    InFlight,
}

/// Why a valid caller may not do what it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The caller lacks the role, or names a tenant that is not its own.
    #[error("the role or the tenant of the caller does not allow this")]
    InsufficientPermissions,
    /// The caller's tenant is suspended and the request would change something.
    #[error("the tenant is suspended: it can be read and not changed")]
    TenantSuspended,
    /// The platform's own tenant can be neither suspended nor deleted.
    #[error("the platform's own tenant can be neither suspended nor deleted")]
    PlatformProtected,
}

/// Why a token was not accepted. For logs and metrics; a caller never learns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthFailure {
    /// No bearer token was sent.
    Missing,
    /// More than one kind of credential, or several `Authorization` headers.
    Ambiguous,
    /// Not a token of the form that realms issue.
    Malformed,
    /// The realm named, or the token's issuer, is not known, or they differ.
    UnknownRealm,
    /// No key of the realm made the signature.
    UnknownKey,
    /// The signature does not match.
    BadSignature,
    /// A claim is absent or not what it must be.
    BadClaims,
    /// The token is for another audience.
    WrongAudience,
    /// The token has expired.
    Expired,
    /// The token is not valid yet.
    NotYetValid,
    /// The principal is gone, or may not act now.
    Revoked,
    /// The principal is not to be used from where the request comes from.
    ForeignAddress,
    /// The realm is not what it was when it vouched for the principal.
    RealmChanged,
    /// The tenant that the token names takes no tokens of its realm.
    ForeignTenant,
    /// There is no such user, its password is another one, or it may not sign in.
    WrongPassword,
    /// The refresh token was used before.
    Reused,
}

impl AuthFailure {
    /// A stable name for a metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Ambiguous => "ambiguous",
            Self::Malformed => "malformed",
            Self::UnknownRealm => "unknown_realm",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::BadClaims => "bad_claims",
            Self::WrongAudience => "wrong_audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Revoked => "revoked",
            Self::ForeignAddress => "foreign_address",
            Self::RealmChanged => "realm_changed",
            Self::ForeignTenant => "foreign_tenant",
            Self::WrongPassword => "wrong_password",
            Self::Reused => "reused",
        }
    }
}

/// Everything a use case can fail with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The caller is not known.
    #[error("authentication failed: {}", .0.as_str())]
    Unauthenticated(AuthFailure),
    /// A tenant id of the request, in the named place, is missing or not a UUID.
    #[error("{0} must be a UUID")]
    InvalidTenantId(&'static str),
    /// The request cannot be read at all.
    #[error("{0}")]
    Malformed(String),
    /// The caller is known and may not.
    #[error("{0}")]
    Denied(Denied),
    /// What the request names is not there.
    #[error("{0}")]
    NotFound(Missing),
    /// The request collides with what is there.
    #[error("{0}")]
    Conflict(Conflict),
    /// The request can be read and breaks rules; every offending field is named.
    #[error("{}", Fields(.0))]
    Invalid(Vec<FieldError>),
    /// An import has bad lines, and nothing of it was taken.
    #[error("{total} problems in the lines of an import")]
    InvalidLines {
        /// The first of the problems, in the order of their lines.
        lines: Vec<LineError>,
        /// How many there are.
        total: u64,
    },
    /// The thing to be changed is not in the state that the caller means.
    #[error("the thing is not in the state that If-Match names")]
    PreconditionFailed,
    /// Another request has had this idempotency key.
    #[error("another request has had this idempotency key")]
    IdempotencyKeyReused,
    /// The request took effect before, under the same idempotency key: what was answered then.
    #[error("the request took effect before")]
    Repeated(Sealed),
    /// The caller has called as often as it may.
    #[error("too many requests")]
    TooManyRequests {
        /// After how many seconds it may again.
        seconds: u64,
    },
    /// The store cannot answer now and may be able to soon; nothing was changed.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The clock of this process is not the database's, by so many milliseconds (ahead, or negative:
    /// behind): what it answers would be true at another instant for other processes.
    #[error(
        "the clock of this server is {} ms {} the database's",
        .0.unsigned_abs(),
        if *.0 > 0 { "ahead of" } else { "behind" }
    )]
    ClockDiffers(i64),
    /// A secret is sealed under a master key that this process does not know.
    #[error("a secret is sealed under a master key that this process does not know")]
    UnknownMasterKey,
    /// Anything unexpected. The text is for the log, never for the caller.
    #[error("internal: {0}")]
    Internal(String),
}

/// The result of a use case.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// One offending field.
    pub fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { field: field.into(), problem: problem.into() }])
    }

    /// Anything unexpected, for the log.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::Internal(cause.to_string())
    }
}

struct Fields<'a>(&'a [FieldError]);

impl fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(f, "{separator}{} {}", error.field, error.problem)?;
        }
        Ok(())
    }
}

/// Collects what is wrong with a request, so that one answer names every offending field.
#[derive(Debug, Default)]
pub struct Problems(Vec<FieldError>);

impl Problems {
    /// Notes that a field is wrong.
    pub fn add(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.0.push(FieldError { field: field.into(), problem: problem.into() });
    }

    /// The value, or `None` and a note about the field.
    pub fn take<T, E: fmt::Display>(
        &mut self,
        field: &str,
        result: std::result::Result<T, E>,
    ) -> Option<T> {
        result.map_err(|problem| self.add(field, problem.to_string())).ok()
    }

    /// Fails with everything that was noted, if anything was.
    pub fn check(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }
}
