//! What there is once for all tenants.

use async_trait::async_trait;
use tenantry_domain::access::TenantAccess;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::Result;
use tenantry_domain::signing_key::StoredSigningKey;

/// What there is once for all tenants.
#[async_trait]
pub trait Installation: Send + Sync {
    /// Whether the store can read and write now.
    async fn ping(&self) -> Result<()>;

    /// The signing keys, oldest first.
    async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>>;

    /// Keeps a first signing key. Does nothing if there is one: of two processes that start at
    /// once, one is first.
    async fn add_first_signing_key(&self, key: StoredSigningKey) -> Result<()>;

    /// Keeps one more signing key, if the newest one is still `newest`; answers whether it is. The
    /// authority is over the platform's own tenant, whose ledger says so.
    async fn add_signing_key(
        &self,
        access: &TenantAccess,
        key: StoredSigningKey,
        newest: &str,
    ) -> Result<bool>;

    /// Has a signing key stay at least until then; answers whether it is still there.
    async fn keep_signing_key(&self, kid: &str, until: Timestamp) -> Result<bool>;

    /// Removes a signing key, unless it is the newest one; answers whether it was there. The next
    /// request with a token that it has signed is refused, in every process. The authority is over
    /// the platform's own tenant, whose ledger says so.
    async fn retire_signing_key(&self, access: &TenantAccess, kid: &str) -> Result<bool>;
}
