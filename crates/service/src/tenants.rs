//! Tenants.

use tenantry_domain::access::{PlatformAccess, Role, TenantAccess};
use tenantry_domain::error::{Denied, Error, Result};
use tenantry_domain::id::TenantId;
use tenantry_domain::page::{Page, PageRequest};
use tenantry_domain::tenant::{Governance, NewTenant, Tenant, TenantFilter, TenantPatch};

use crate::Service;

impl Service {
    /// An id for a tenant whose maker has not chosen one.
    pub fn new_tenant_id(&self) -> TenantId {
        TenantId::generate(self.now(), self.entropy())
    }

    /// Makes a tenant.
    pub async fn create_tenant(&self, access: &PlatformAccess, new: NewTenant) -> Result<Tenant> {
        self.store.create_tenant(access, new).await
    }

    /// The tenant.
    pub async fn tenant(&self, access: &TenantAccess) -> Result<Tenant> {
        self.store.tenant(access).await
    }

    /// A page of the tenants.
    pub async fn list_tenants(
        &self,
        access: &PlatformAccess,
        filter: &TenantFilter,
        page: &PageRequest<Tenant>,
    ) -> Result<Page<Tenant>> {
        self.store.list_tenants(access, filter, page).await
    }

    /// Changes the tenant. What is not its own business takes a super admin.
    pub async fn update_tenant(&self, access: &TenantAccess, patch: TenantPatch) -> Result<Tenant> {
        if access.role() != Role::SuperAdmin && !patch.is_own_business() {
            return Err(Error::Denied(Denied::InsufficientPermissions));
        }
        self.store.update_tenant(access, patch).await
    }

    /// Suspends, activates or deletes the tenant.
    pub async fn govern_tenant(&self, access: &TenantAccess, act: Governance) -> Result<Tenant> {
        act.check(access.tenant())?;
        self.store.govern_tenant(access, act).await
    }
}
