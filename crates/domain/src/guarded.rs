//! What was read before anyone could decide whether its reader may see it.

use crate::access::TenantAccess;
use crate::error::{Denied, Error, Result};
use crate::id::TenantId;

/// Something read from the store together with the caller's state, before anyone could decide
/// whether the caller may see it. Only authority over the same tenant opens it.
#[derive(Debug)]
pub struct Guarded<T> {
    tenant: TenantId,
    value: T,
}

impl<T> Guarded<T> {
    /// Closes a value of one tenant.
    pub fn new(tenant: TenantId, value: T) -> Self {
        Self { tenant, value }
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`Denied::InsufficientPermissions`] if the authority is over another tenant.
    pub fn open(self, access: &TenantAccess) -> Result<T> {
        if self.tenant == access.tenant() {
            Ok(self.value)
        } else {
            Err(Error::Denied(Denied::InsufficientPermissions))
        }
    }
}
