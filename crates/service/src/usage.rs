//! Usage that other services report.

use tenantry_domain::access::TenantAccess;
use tenantry_domain::error::Result;
use tenantry_domain::usage::{UsageEvent, UsageOutcome};

use crate::Service;

impl Service {
    /// Counts reported usage: what happened to each event, in their order.
    pub async fn report_usage(
        &self,
        access: &TenantAccess,
        events: Vec<UsageEvent>,
    ) -> Result<Vec<UsageOutcome>> {
        self.store.report_usage(access, events).await
    }
}
