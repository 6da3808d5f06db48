//! What a token of the built-in realm says, and what it must say to be believed.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use tenantry_domain::access::{Principal, PrincipalKind, Role, TokenIds};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::AuthFailure;
use tenantry_domain::id::{SessionId, TenantId, TokenId};
use tenantry_domain::scope::Scopes;

/// The subject of an operator without a user row.
pub(crate) const OPERATOR: &str = "operator";
/// How far another machine's clock may be ahead, for `iat` and `nbf`. `exp` has no such leeway.
pub(crate) const LEEWAY_MS: i64 = 5_000;

/// The claims (RFC 7519, RFC 9068). Instants are seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) aud: Audience,
    /// A user's id, a client's (not what it presents itself as), or [`OPERATOR`].
    pub(crate) sub: String,
    pub(crate) jti: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) sid: Option<SessionId>,
    pub(crate) iat: i64,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) nbf: Option<i64>,
    pub(crate) exp: i64,
    pub(crate) tenant: TenantId,
    /// Of people and operators.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) roles: Option<Vec<Role>>,
    /// Of clients: scopes, one space between them (RFC 6749, section 3.3).
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<String>,
    /// Of clients.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
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
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// What remains to know of a token once its signature and its claims were found right.
#[derive(Debug, Clone)]
pub(crate) struct Verified {
    pub(crate) principal: Principal,
    not_before: Timestamp,
    expires_at: Timestamp,
}

impl Claims {
    /// Checks everything that does not depend on the time. `key` has signed them.
    pub(crate) fn check(
        self,
        issuer: &str,
        audience: &str,
        key: Arc<str>,
    ) -> Result<Verified, AuthFailure> {
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
            let token = TokenIds { id: self.jti.parse().ok()?, session: self.sid, key };
            Some(Verified {
                principal: Principal {
                    tenant: self.tenant,
                    kind: self.kind()?,
                    token: Some(token),
                },
                not_before: instant(not_before)?,
                expires_at: instant(self.exp)?,
            })
        };
        verified().ok_or(AuthFailure::BadClaims)
    }

    fn kind(&self) -> Option<PrincipalKind> {
        // A token is known by its id in the audit log, so that has one spelling.
        self.jti.parse::<TokenId>().ok().filter(|id| id.to_string() == self.jti)?;
        match (&self.roles, &self.scope, &self.client_id) {
            (Some(roles), None, None) => {
                let role = roles.iter().copied().max()?;
                if self.sub == OPERATOR {
                    let token = Arc::from(self.jti.as_str());
                    return Some(PrincipalKind::Operator { token, role });
                }
                self.sub.parse().ok().map(|id| PrincipalKind::User { id, role })
            }
            (None, Some(scope), Some(_)) => {
                let names = scope.split(' ').filter(|name| !name.is_empty());
                let scopes = Scopes::parse(names).ok()?;
                self.sub.parse().ok().map(|id| PrincipalKind::Client { id, scopes })
            }
            _ => None,
        }
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

/// The instant that a number of seconds names, if it can be written.
pub(crate) fn instant(seconds: i64) -> Option<Timestamp> {
    let millis = seconds.checked_mul(1_000)?;
    let instant = Timestamp::from_millis(millis);
    (instant.as_millis() == millis).then_some(instant)
}
