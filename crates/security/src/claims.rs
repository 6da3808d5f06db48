//! What a token of the built-in realm says, and what it must say to be believed.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use tenantry_domain::access::{Principal, PrincipalKind, Role};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::AuthFailure;
use tenantry_domain::id::TenantId;
use uuid::Uuid;

/// The subject of an operator without a user row.
pub(crate) const OPERATOR: &str = "operator";
/// How far another machine's clock may be ahead, for `iat` and `nbf`. `exp` has no such leeway.
const LEEWAY_MS: i64 = 5_000;

/// The claims (RFC 7519, RFC 9068). Instants are seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) aud: Audience,
    /// A user's id or [`OPERATOR`].
    pub(crate) sub: String,
    pub(crate) jti: String,
    pub(crate) iat: i64,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) nbf: Option<i64>,
    pub(crate) exp: i64,
    pub(crate) tenant: TenantId,
    pub(crate) roles: Vec<Role>,
}

/// One audience, or a list.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(String),
    List(Vec<String>),
}

impl Audience {
    /// Whether it is this one and no other.
    fn is(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::List(list) => matches!(list.as_slice(), [one] if one == name),
        }
    }
}

/// A claim that may be absent, but not `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    i64::deserialize(deserializer).map(Some)
}

/// What remains to know of a token once its signature and its claims were found right.
#[derive(Debug, Clone)]
pub(crate) struct Verified {
    pub(crate) principal: Principal,
    not_before: Timestamp,
    expires_at: Timestamp,
}

impl Claims {
    /// Checks everything that does not depend on the time.
    pub(crate) fn check(self, issuer: &str, audience: &str) -> Result<Verified, AuthFailure> {
        if self.iss != issuer {
            return Err(AuthFailure::UnknownRealm);
        }
        if !self.aud.is(audience) {
            return Err(AuthFailure::WrongAudience);
        }
        if self.exp <= self.iat {
            return Err(AuthFailure::BadClaims);
        }
        let not_before = self.nbf.map_or(self.iat, |nbf| nbf.max(self.iat));
        let verified = || {
            Some(Verified {
                principal: Principal {
                    tenant: self.tenant,
                    kind: kind(&self.sub, &self.jti, self.roles.iter().copied().max()?)?,
                },
                not_before: instant(not_before)?,
                expires_at: instant(self.exp)?,
            })
        };
        verified().ok_or(AuthFailure::BadClaims)
    }
}

impl Verified {
    /// The principal, if the token is valid now.
    pub(crate) fn at(self, now: Timestamp) -> Result<Principal, AuthFailure> {
        if now >= self.expires_at {
            Err(AuthFailure::Expired)
        } else if now.plus_millis(LEEWAY_MS) < self.not_before {
            Err(AuthFailure::NotYetValid)
        } else {
            Ok(self.principal)
        }
    }
}

fn kind(sub: &str, jti: &str, role: Role) -> Option<PrincipalKind> {
    // An operator is known by the token's id in the audit log, so that has one spelling.
    Uuid::try_parse(jti).ok().filter(|id| id.to_string() == jti)?;
    if sub == OPERATOR {
        Some(PrincipalKind::Operator { token: Arc::from(jti), role })
    } else {
        sub.parse().ok().map(|id| PrincipalKind::User { id, role })
    }
}

/// The instant that a number of seconds names, if it can be written.
pub(crate) fn instant(seconds: i64) -> Option<Timestamp> {
    let millis = seconds.checked_mul(1_000)?;
    let instant = Timestamp::from_millis(millis);
    (instant.as_millis() == millis).then_some(instant)
}
