//! What deleted tenants leave behind.

use async_trait::async_trait;
use tenantry_domain::error::Result;

/// How far the rows of deleted tenants are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purged {
    /// How many rows were removed.
    pub rows: u64,
    /// Whether there is more to remove.
    pub more: bool,
}

/// Removing the rows of deleted tenants.
#[async_trait]
pub trait Purge: Send + Sync {
    /// Removes rows of deleted tenants, at most this many, in one transaction. A tenant's own row
    /// and its ledger stay. What is left to remove the store itself knows, also after a restart.
    async fn purge(&self, limit: u32) -> Result<Purged>;
}
