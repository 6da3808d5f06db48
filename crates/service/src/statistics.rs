//! The headline: a tenant's statistics.

use std::net::IpAddr;
use std::sync::Arc;

use tenantry_domain::access::{Principal, TenantAccess};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::Counts;
use tenantry_domain::error::{Error, Missing, Result};
use tenantry_domain::id::TenantId;
use tenantry_domain::scope::Scope;
use tenantry_domain::stats::Statistics;
use tenantry_domain::usage::Call;

use crate::Service;

impl Service {
    /// The statistics of `target` for a principal that acts in `acting_in`. One trip to the store
    /// reads both what the caller is worth now and the numbers.
    ///
    /// # Errors
    /// `Unauthenticated`, `TooManyRequests`, `Denied` and `NotFound`, in this order.
    pub async fn statistics(
        &self,
        principal: &Principal,
        ip: Option<IpAddr>,
        call: &Arc<Call>,
        acting_in: TenantId,
        target: TenantId,
    ) -> Result<Statistics> {
        let (state, statistics) = self.store.statistics(&principal.probe(), target).await?;
        let caller = self.judge(principal, &state, ip, Some(Arc::clone(call)))?;
        let access = caller.authorize(acting_in, target, Scope::StatsRead)?;
        let statistics = statistics.open(&access)?.ok_or(Error::NotFound(Missing::Tenant))?;
        self.tell_of_statistics(principal, &access).await?;
        Ok(statistics)
    }

    /// The counts as they were at an instant; `None` before the tenant was made.
    ///
    /// # Errors
    /// `Invalid` for an instant in the future.
    pub async fn counts_at(&self, access: &TenantAccess, at: Timestamp) -> Result<Option<Counts>> {
        if at > self.now() {
            return Err(Error::invalid("asOf", "must not be in the future"));
        }
        self.store.counts_at(access, at).await
    }
}
