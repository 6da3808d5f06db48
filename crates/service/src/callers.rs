//! Who calls: from the text of a token to a caller that the store has confirmed.

use std::net::IpAddr;
use std::sync::Arc;

use tenantry_domain::access::{Caller, CallerState, Principal, PrincipalKind};
use tenantry_domain::error::{AuthFailure, Error, Result};
use tenantry_domain::usage::Call;
use tenantry_security::api_key::{parse_api_key, sha256};
use tenantry_security::external::Unverified;
use tenantry_security::realm::Realm;

use crate::Service;

impl Service {
    /// Who a bearer token says is calling. What can change about the principal is looked at by
    /// [`Service::admit`] or together with what it asks for.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`]; [`Error::Unavailable`] if the keys of its realm are not to be had.
    pub async fn authenticate(&self, bearer: &str, realm: Option<&str>) -> Result<Principal> {
        let digest = sha256(bearer.as_bytes());
        let names_built_in = realm.map(|name| name == Realm::NAME);
        if names_built_in != Some(false)
            && let Some(known) = self.realm.recall(&digest)
        {
            return known;
        }
        if names_built_in != Some(true)
            && let Some(known) = self.external.recall(&digest, realm).await?
        {
            return Ok(known);
        }
        let token = Unverified::read(bearer).map_err(Error::Unauthenticated)?;
        let is_built_in = token.issuer() == self.realm.issuer();
        match names_built_in {
            Some(true) if !is_built_in => Err(Error::Unauthenticated(AuthFailure::UnknownRealm)),
            Some(true) => self.verify(bearer).await,
            None if is_built_in => self.verify(bearer).await,
            Some(false) | None => self.external.verify(&token, digest, realm).await,
        }
    }

    /// Who a token of the built-in realm says is calling, by the keys that there are now.
    async fn verify(&self, bearer: &str) -> Result<Principal> {
        match self.realm.verify(bearer, None) {
            Err(Error::Unauthenticated(AuthFailure::UnknownKey)) if self.look_for_key().await? => {
                self.realm.verify(bearer, None)
            }
            verified => verified,
        }
    }

    /// Who the bearer token of a principal that was refused says is calling by what its realm is now:
    /// another process can have changed the realm. `None` if nothing has changed.
    ///
    /// # Errors
    /// As [`Service::authenticate`].
    pub async fn authenticate_anew(
        &self,
        bearer: &str,
        realm: Option<&str>,
        principal: &Principal,
    ) -> Result<Option<Principal>> {
        match &principal.kind {
            PrincipalKind::External(external) => {
                self.external.authenticate_anew(bearer, realm, external).await
            }
            _ => Ok(None),
        }
    }

    /// Who the text of an API key says is calling. Touches no store, as [`Service::authenticate`].
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if the text cannot be a key.
    pub fn authenticate_key(&self, text: &str) -> Result<Principal> {
        let (tenant, secret) =
            parse_api_key(text).ok_or(Error::Unauthenticated(AuthFailure::Malformed))?;
        Ok(Principal { tenant, kind: PrincipalKind::ApiKey(secret), token: None })
    }

    /// Confirms a principal by what the store knows of it now.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if its tenant or its user is gone or may not sign in, or its key
    /// is no good now; [`Error::TooManyRequests`] if the key has called as often as it may.
    pub async fn admit(
        &self,
        principal: &Principal,
        ip: Option<IpAddr>,
        call: Option<Arc<Call>>,
    ) -> Result<Caller> {
        let state = self.store.caller_state(&principal.probe()).await?;
        self.judge(principal, &state, ip, call)
    }

    /// Confirms a principal by what the store was found to know of it, unless it calls too often.
    pub(crate) fn judge(
        &self,
        principal: &Principal,
        state: &CallerState,
        ip: Option<IpAddr>,
        call: Option<Arc<Call>>,
    ) -> Result<Caller> {
        let caller = Caller::admit(principal, state, ip, call)?;
        self.rates.take(state)?;
        Ok(caller)
    }
}
