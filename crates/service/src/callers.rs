//! Who calls: from the text of a token to a caller that the store has confirmed.

use std::net::IpAddr;
use std::sync::Arc;

use tenantry_domain::access::{Caller, CallerState, Principal, PrincipalKind};
use tenantry_domain::error::{AuthFailure, Error, Result};
use tenantry_domain::usage::Call;
use tenantry_security::api_key::parse_api_key;

use crate::Service;

impl Service {
    /// Who a bearer token says is calling. Touches no store: what can change about the principal
    /// is looked at by [`Service::admit`] or together with what it asks for.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`].
    pub fn authenticate(&self, bearer: &str, realm: Option<&str>) -> Result<Principal> {
        self.realm.verify(bearer, realm)
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
