//! What a store counts anew, for whoever compares it with the books.

use async_trait::async_trait;
use tenantry_domain::counts::Counts;
use tenantry_domain::error::Result;
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::{Entry, Head};

/// Everything of a tenant counted anew, beside what the books say. All of it is one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recount {
    /// Whether the tenant was deleted: then its rows are purged, and only its ledger counts.
    pub deleted: bool,
    /// Whether the store knows that there may be rows of it to purge.
    pub purge_due: bool,
    /// Rows of whatever kind that are left of a deleted tenant.
    pub remains: u64,
    /// The ledger's newest state.
    pub head: Head,
    /// The counts, from the rows, at the instant of the head.
    pub rows: Counts,
    /// Expiries after the instant of the head: according to the schedule, and from the rows.
    pub expiries: Pair,
    /// Instants at which schedule and rows differ.
    pub expiry_mismatches: u64,
    /// Calls: the sum of the months, and the sum of the hours.
    pub calls: Pair,
    /// Bytes: the total that is kept, and the sum over the sources.
    pub storage: Pair,
}

/// A number in the books, and the same number counted anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// What the books say.
    pub books: u64,
    /// What counting says.
    pub counted: u64,
}

/// What [`verify`](crate::verify) reads. These calls look at every tenant and are for whoever holds the data.
#[async_trait]
pub trait Recounts: Send + Sync {
    /// Ids of tenants, deleted ones too, in their order, after this one.
    async fn tenant_ids(&self, after: Option<TenantId>, limit: u32) -> Result<Vec<TenantId>>;

    /// Counts everything of a tenant anew; `None` if there never was such a tenant.
    async fn recount(&self, tenant: TenantId) -> Result<Option<Recount>>;

    /// Entries of a tenant's ledger in their order, after this number.
    async fn entries_after(&self, tenant: TenantId, seq: u64, limit: u32) -> Result<Vec<Entry>>;
}
