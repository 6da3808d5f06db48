//! The ledger, as the audit log.

use tenantry_domain::access::TenantAccess;
use tenantry_domain::error::Result;
use tenantry_store::{Entries, EntryFilter};

use crate::Service;

impl Service {
    /// Entries of the tenant's ledger, newest first. If they are shown to somebody of the platform, the next
    /// ones tell so.
    pub async fn list_entries(
        &self,
        access: &TenantAccess,
        filter: &EntryFilter,
        limit: u32,
        offset: u64,
    ) -> Result<Entries> {
        let entries = self.store.list_entries(access, filter, limit, offset).await?;
        self.tell_of_audit_log(access).await?;
        Ok(entries)
    }
}
