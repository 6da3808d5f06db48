//! The built-in realm: issues access tokens and verifies them.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use quick_cache::sync::Cache;
use serde_json::json;
use tenantry_domain::access::{Principal, Role};
use tenantry_domain::clock::{Clock, Timestamp};
use tenantry_domain::entropy::Entropy;
use tenantry_domain::error::{AuthFailure, Error, Result};
use tenantry_domain::id::{OauthClientId, SessionId, TenantId, TokenId, UserId};
use tenantry_domain::scope::Scopes;
use tenantry_domain::signing_key::signer;

use crate::api_key::sha256;
use crate::claims::{Audience, Claims, OPERATOR, Verified, instant};
use crate::jws;
use crate::secret::SecretText;
use crate::signing_key::SigningKey;

/// The realm of Tenantry's own tokens. They follow RFC 9068 (access tokens) and are verified as RFC
/// 8725 (best current practices) asks.
///
/// Verified tokens are remembered, since a signature costs far more than all else that a request
/// needs. What is remembered is what can never change: which key has signed a token, and what it
/// says. The times are compared with the clock again on every use, and whether there still is the
/// key is looked at with whether the token was ended.
pub struct Realm {
    issuer: String,
    /// Oldest first; never none.
    keys: RwLock<Arc<[SigningKey]>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// By the SHA-256 of the token, so that no token lies in memory.
    verified: Cache<[u8; 32], Verified>,
}

/// What a token is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// The principal's tenant.
    pub tenant: TenantId,
    /// Whom it is for.
    pub bearer: TokenBearer,
    /// The session that it is issued in, if there is one.
    pub session: Option<SessionId>,
    /// For how many seconds it is valid; at least one.
    pub ttl_seconds: u64,
}

/// Whom a token is for, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenBearer {
    /// A user; an operator of the tenant without a user row if there is no id.
    Person {
        /// Which user.
        id: Option<UserId>,
        /// What it may do.
        role: Role,
    },
    /// An OAuth client.
    Client {
        /// Which one.
        id: OauthClientId,
        /// What it presents itself as.
        client_id: String,
        /// What it may do.
        scopes: Scopes,
    },
}

/// A new token.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token itself.
    pub text: SecretText,
    /// Its id, to name it by.
    pub id: TokenId,
    /// The `kid` of the key that has signed it.
    pub key: Arc<str>,
    /// From this instant on it is not valid.
    pub expires_at: Timestamp,
}

/// What a token says that is valid.
#[derive(Debug)]
pub struct ExaminedToken {
    /// Who calls with it.
    pub principal: Principal,
    /// Who has issued it.
    pub issuer: String,
    /// What the client it is for presents itself as, if it is for one.
    pub client_id: Option<String>,
    /// When it was issued, in seconds since 1970-01-01T00:00:00Z.
    pub issued_at: i64,
    /// From when on it is not valid, in seconds since then.
    pub expires_at: i64,
}

impl Realm {
    /// The realm's name.
    pub const NAME: &'static str = "tenantry";
    /// The audience of its tokens.
    pub const AUDIENCE: &'static str = "tenantry";

    /// A realm. The newest of `keys` that is known everywhere signs, all of them verify; they come
    /// oldest first. At most about `cache_capacity` verified tokens are remembered.
    ///
    /// # Errors
    /// [`Error::Internal`] without a key.
    pub fn new(
        issuer: String,
        keys: Vec<SigningKey>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        cache_capacity: usize,
    ) -> Result<Self> {
        let keys = RwLock::new(some(keys)?);
        Ok(Self { issuer, keys, clock, entropy, verified: Cache::new(cache_capacity) })
    }

    /// The `iss` of its tokens.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Has these be its keys from now on, oldest first. Nothing stays remembered of what others
    /// have signed.
    ///
    /// # Errors
    /// [`Error::Internal`] without a key; then those before stay.
    pub fn replace_keys(&self, keys: Vec<SigningKey>) -> Result<()> {
        let keys = some(keys)?;
        let before = {
            // What the lock guards is whole between any two statements.
            let mut held = self.keys.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *held, Arc::clone(&keys))
        };
        let is_gone = |key: &SigningKey| keys.iter().all(|it| it.kid() != key.kid());
        if before.iter().any(is_gone) {
            self.verified.clear();
        }
        Ok(())
    }

    /// Its keys, oldest first.
    pub fn keys(&self) -> Arc<[SigningKey]> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The public keys, as a JSON Web Key Set (RFC 7517).
    pub fn jwks(&self) -> serde_json::Value {
        let keys: Vec<_> = self.keys().iter().map(SigningKey::jwk).collect();
        json!({ "keys": keys })
    }

    /// How many verified tokens are remembered.
    pub fn cached_tokens(&self) -> usize {
        self.verified.len()
    }

    /// Issues a token, valid from now on.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a time to live of zero or beyond the last instant there is.
    pub fn issue(&self, request: &TokenRequest) -> Result<IssuedToken> {
        let (keys, now) = (self.keys(), self.clock.now());
        let key = signer(&keys, SigningKey::created_at, now).ok_or_else(no_key)?;
        let iat = now.as_seconds();
        let expiry = i64::try_from(request.ttl_seconds)
            .ok()
            .filter(|ttl| *ttl > 0)
            .and_then(|ttl| iat.checked_add(ttl))
            .and_then(instant);
        let Some(expires_at) = expiry else {
            return Err(Error::invalid("ttl", "must be at least one second, and end before 9999"));
        };
        let id = TokenId::generate(now, &*self.entropy);
        let (sub, roles, scope, client_id) = match &request.bearer {
            TokenBearer::Person { id, role } => {
                let sub = id.map_or_else(|| OPERATOR.to_owned(), |user| user.to_string());
                (sub, Some(vec![*role]), None, None)
            }
            TokenBearer::Client { id, client_id, scopes } => {
                (id.to_string(), None, Some(scopes.to_line()), Some(client_id.clone()))
            }
        };
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: Audience::One(Self::AUDIENCE.to_owned()),
            sub,
            jti: id.to_string(),
            sid: request.session,
            iat,
            nbf: None,
            exp: expires_at.as_seconds(),
            tenant: request.tenant,
            roles,
            scope,
            client_id,
        };
        let text = jws::sign(key, &claims).map_err(Error::internal)?;
        Ok(IssuedToken { text: SecretText::new(text), id, key: key.shared_kid(), expires_at })
    }

    /// Who a token that was found right before says is calling, by its digest.
    pub fn recall(&self, digest: &[u8; 32]) -> Option<Result<Principal>> {
        let verified = self.verified.get(digest)?;
        Some(verified.at(self.clock.now()).map_err(Error::Unauthenticated))
    }

    /// Who a token says is calling. `realm` is the realm that the caller names, if it names one.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] with the reason, which is not for the caller to know.
    pub fn verify(&self, token: &str, realm: Option<&str>) -> Result<Principal> {
        self.principal(token, realm).map_err(Error::Unauthenticated)
    }

    /// The same, with when the token was issued and when it ends.
    ///
    /// # Errors
    /// As [`Realm::verify`].
    pub fn examine(&self, token: &str) -> Result<ExaminedToken> {
        let principal = self.verify(token, None)?;
        let (claims, _): (Claims, _) =
            jws::verify(token, &self.keys()).map_err(Error::Unauthenticated)?;
        Ok(ExaminedToken {
            principal,
            issuer: claims.iss,
            client_id: claims.client_id,
            issued_at: claims.iat,
            expires_at: claims.exp,
        })
    }

    fn principal(&self, token: &str, realm: Option<&str>) -> Result<Principal, AuthFailure> {
        if realm.is_some_and(|name| name != Self::NAME) {
            return Err(AuthFailure::UnknownRealm);
        }
        if token.len() > jws::MAX_LEN {
            return Err(AuthFailure::Malformed);
        }
        let digest = sha256(token.as_bytes());
        if let Some(verified) = self.verified.get(&digest) {
            return verified.at(self.clock.now());
        }
        let (claims, key): (Claims, _) = jws::verify(token, &self.keys())?;
        let verified = claims.check(&self.issuer, Self::AUDIENCE, key)?;
        let principal = verified.clone().at(self.clock.now())?;
        self.verified.insert(digest, verified);
        Ok(principal)
    }
}

impl fmt::Debug for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Realm").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

fn some(keys: Vec<SigningKey>) -> Result<Arc<[SigningKey]>> {
    if keys.is_empty() { Err(no_key()) } else { Ok(keys.into()) }
}

fn no_key() -> Error {
    Error::internal("the built-in realm has no signing key")
}

#[cfg(test)]
mod tests;
