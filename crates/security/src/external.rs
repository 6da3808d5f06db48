//! Tokens of external realms: read as strictly as RFC 8725 (best current practices) asks, and judged by
//! what the realm is set up with.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use tenantry_domain::access::{ExternalPrincipal, Principal, PrincipalKind, Role};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::AuthFailure;
use tenantry_domain::id::TenantId;
use tenantry_domain::json;
use tenantry_domain::realm::Realm;
use tenantry_domain::text::line;
use tenantry_domain::user::{ExternalId, SUBJECT_MAX};

use crate::claims::instant;
use crate::jws::decode;
use crate::provider_keys::KeySet;

/// The longest token that is looked at, in bytes: some providers list every group somebody is in.
const MAX_LEN: usize = 16 * 1024;
/// How deep a header or the claims may be nested; a flat object is one level.
const MAX_DEPTH: usize = 16;
/// The types of token that are taken: a plain JWT, and an access token (RFC 9068). Every other kind (a
/// logout token, a proof of possession…) says so, and is none.
const TYPES: [&str; 3] = ["JWT", "at+jwt", "application/at+jwt"];
/// Members of a header that bring a key, point to one, or ask for something to be understood. The
/// realm's keys are the only ones there are, and no extension is understood.
const FORBIDDEN: [&str; 7] = ["jwk", "jku", "x5c", "x5u", "crit", "b64", "zip"];

/// A token that could be read. Nobody vouches for anything in it yet.
pub struct Unverified<'a> {
    pub(crate) algorithm: String,
    pub(crate) kid: Option<String>,
    pub(crate) claims: Map<String, Value>,
    pub(crate) issuer: String,
    pub(crate) message: &'a [u8],
    pub(crate) signature: Vec<u8>,
}

impl fmt::Debug for Unverified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unverified(…)")
    }
}

/// What remains to know of a token once its signature and its claims were found right.
#[derive(Debug, Clone)]
pub struct Vouched {
    principal: Principal,
    not_before: Option<Timestamp>,
    expires_at: Timestamp,
    leeway_ms: i64,
}

impl<'a> Unverified<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// [`AuthFailure::Malformed`] for what no realm would issue; [`AuthFailure::BadClaims`] for one
    /// that does not say who has.
    pub fn read(token: &'a str) -> Result<Self, AuthFailure> {
        if token.len() > MAX_LEN {
            return Err(AuthFailure::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(AuthFailure::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(AuthFailure::Malformed)?;
        // A further point is no digit of base64url, so it fails here.
        let (signature, claims) = (decode(signature)?, decode(claims)?);
        let mut header = object(&decode(header)?)?;
        let mut claims = object(&claims)?;
        if FORBIDDEN.iter().any(|name| header.contains_key(*name)) {
            return Err(AuthFailure::Malformed);
        }
        if let Some(kind) = text(&mut header, "typ")?
            && !TYPES.iter().any(|known| known.eq_ignore_ascii_case(&kind))
        {
            return Err(AuthFailure::Malformed);
        }
        let algorithm = text(&mut header, "alg")?.ok_or(AuthFailure::Malformed)?;
        let kid = text(&mut header, "kid")?;
        let Some(Value::String(issuer)) = claims.remove("iss") else {
            return Err(AuthFailure::BadClaims);
        };
        Ok(Self { algorithm, kid, claims, issuer, message: message.as_bytes(), signature })
    }

    /// Who it says has issued it: by this a realm is found, and by nothing else in it.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What the realm vouches for, whose keys these are, whatever the time.
    ///
    /// # Errors
    /// Why it does not. [`AuthFailure::UnknownKey`] if the set may have to be fetched anew.
    pub fn verify(&self, realm: &Realm, keys: &KeySet) -> Result<Vouched, AuthFailure> {
        if self.issuer != realm.issuer {
            return Err(AuthFailure::UnknownRealm);
        }
        // `none` and whatever takes a secret is no algorithm here at all.
        let algorithm = realm
            .algorithms
            .iter()
            .find(|it| it.as_str() == self.algorithm)
            .ok_or(AuthFailure::Malformed)?;
        let signed =
            keys.has_signed(self.kid.as_deref(), *algorithm, self.message, &self.signature);
        if !signed.ok_or(AuthFailure::UnknownKey)? {
            return Err(AuthFailure::BadSignature);
        }
        self.judge(realm)
    }

    fn judge(&self, realm: &Realm) -> Result<Vouched, AuthFailure> {
        if !self.is_for(&realm.audience)? {
            return Err(AuthFailure::WrongAudience);
        }
        let (issued_at, not_before) = (self.instant("iat")?, self.instant("nbf")?);
        let expires_at = self.instant("exp")?.ok_or(AuthFailure::BadClaims)?;
        let not_before = issued_at.max(not_before);
        if not_before.is_some_and(|start| start >= expires_at) {
            return Err(AuthFailure::BadClaims);
        }
        let tenant = self.tenant(realm)?;
        let id = ExternalId { realm: realm.name.to_string(), subject: self.subject()? };
        let role = self.role(realm, tenant)?;
        let external = ExternalPrincipal { id: Arc::new(id), revision: realm.revision, role };
        Ok(Vouched {
            principal: Principal { tenant, kind: PrincipalKind::External(external), token: None },
            not_before,
            expires_at,
            leeway_ms: i64::from(realm.leeway_seconds) * 1_000,
        })
    }

    /// Whether it is meant for this audience, alone or beside others (RFC 7519, section 4.1.3).
    pub(crate) fn is_for(&self, audience: &str) -> Result<bool, AuthFailure> {
        match self.claims.get("aud") {
            Some(Value::String(one)) => Ok(one == audience),
            Some(Value::Array(list)) if list.iter().all(Value::is_string) => {
                Ok(list.iter().any(|it| it == audience))
            }
            Some(_) => Err(AuthFailure::BadClaims),
            None => Ok(false),
        }
    }

    /// A date in whole seconds, not before 1970 and not after 9999. (RFC 7519 lets a date have a
    /// fraction; whoever writes one may have meant milliseconds, and no provider does.)
    pub(crate) fn instant(&self, name: &str) -> Result<Option<Timestamp>, AuthFailure> {
        let Some(value) = self.claims.get(name) else { return Ok(None) };
        let seconds = value.as_u64().and_then(|seconds| i64::try_from(seconds).ok());
        seconds.and_then(instant).map(Some).ok_or(AuthFailure::BadClaims)
    }

    /// A realm that vouches for the platform need not name a tenant for the platform's own people.
    fn tenant(&self, realm: &Realm) -> Result<TenantId, AuthFailure> {
        match realm.tenant_claim.find(&self.claims) {
            Some(Value::String(id)) => id.parse().map_err(|_| AuthFailure::BadClaims),
            None if realm.platform => Ok(TenantId::PLATFORM),
            _ => Err(AuthFailure::BadClaims),
        }
    }

    fn subject(&self) -> Result<String, AuthFailure> {
        let subject = self.claims.get("sub").and_then(Value::as_str);
        let subject = subject.and_then(|subject| line(subject, SUBJECT_MAX).ok());
        subject.ok_or(AuthFailure::BadClaims)
    }

    /// The most powerful role that it asserts and the realm can. Somebody without any that means
    /// something here is a member: known, and no administrator.
    fn role(&self, realm: &Realm, tenant: TenantId) -> Result<Role, AuthFailure> {
        let mean = |word: &str| match &realm.role_mapping {
            Some(mapping) => mapping.get(word).copied(),
            None => word.parse().ok(),
        };
        let words: Vec<&str> = match realm.roles_claim.find(&self.claims) {
            None | Some(Value::Null) => Vec::new(),
            // One, or several as in a `scope`.
            Some(Value::String(text)) => {
                std::iter::once(text.as_str()).chain(text.split_whitespace()).collect()
            }
            Some(Value::Array(list)) => {
                let words: Option<_> = list.iter().map(Value::as_str).collect();
                words.ok_or(AuthFailure::BadClaims)?
            }
            // Some providers say of each role who has given it.
            Some(Value::Object(words)) => words.keys().map(String::as_str).collect(),
            Some(_) => return Err(AuthFailure::BadClaims),
        };
        let highest = realm.highest_role_in(tenant);
        let roles = words.into_iter().filter_map(mean).filter(|role| *role <= highest);
        Ok(roles.max().unwrap_or(Role::Member))
    }
}

impl Vouched {
    /// The principal, if the token is valid now.
    ///
    /// # Errors
    /// [`AuthFailure::Expired`], [`AuthFailure::NotYetValid`].
    pub fn at(&self, now: Timestamp) -> Result<Principal, AuthFailure> {
        if now >= self.expires_at.plus_millis(self.leeway_ms) {
            Err(AuthFailure::Expired)
        } else if self.not_before.is_some_and(|start| now.plus_millis(self.leeway_ms) < start) {
            Err(AuthFailure::NotYetValid)
        } else {
            Ok(self.principal.clone())
        }
    }
}

/// Reads a JSON object: no member twice, and not too deep.
fn object(text: &[u8]) -> Result<Map<String, Value>, AuthFailure> {
    match json::parse(text) {
        Ok(Value::Object(members)) if depth(members.values()) < MAX_DEPTH => Ok(members),
        _ => Err(AuthFailure::Malformed),
    }
}

/// How many levels there are in these values. Reading them has bounded that already.
fn depth<'v>(values: impl Iterator<Item = &'v Value>) -> usize {
    let deep = values.map(|value| match value {
        Value::Array(items) => 1 + depth(items.iter()),
        Value::Object(members) => 1 + depth(members.values()),
        _ => 0,
    });
    deep.max().unwrap_or_default()
}

/// A member that is a text if it is there.
fn text(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, AuthFailure> {
    match members.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(AuthFailure::Malformed),
    }
}

#[cfg(test)]
mod tests;
