//! Who calls: from the text of a token to a caller that the store has confirmed.

use std::net::IpAddr;
use std::sync::Arc;

use tenantry_domain::access::{Caller, Principal};
use tenantry_domain::error::Result;
use tenantry_domain::usage::Call;

use crate::Service;

impl Service {
    /// Who a bearer token says is calling. Touches no store: what can change about the principal
    /// is looked at by [`Service::admit`] or together with what it asks for.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`](tenantry_domain::error::Error::Unauthenticated).
    pub fn authenticate(&self, bearer: &str, realm: Option<&str>) -> Result<Principal> {
        self.realm.verify(bearer, realm)
    }

    /// Confirms a principal by what the store knows of it now.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`](tenantry_domain::error::Error::Unauthenticated) if its tenant
    /// or its user is gone or may not sign in.
    pub async fn admit(
        &self,
        principal: &Principal,
        ip: Option<IpAddr>,
        call: Option<Arc<Call>>,
    ) -> Result<Caller> {
        let state = self.store.caller_state(&principal.probe()).await?;
        Caller::admit(principal, &state, ip, call)
    }
}
