//! What the random sequences drive: a store, or whatever stands above one.

use tenantry_domain::api_key::{ApiKeyFilter, KeyRefusal};
use tenantry_domain::credential::CredentialFilter;
use tenantry_domain::id::TenantId;
use tenantry_domain::oauth_client::OauthClientFilter;
use tenantry_domain::stats::Statistics;
use tenantry_domain::text::Name;
use tenantry_domain::user::UserFilter;
use uuid::Uuid;

use super::harness::ManualClock;
use super::steps::Change;
use crate::Store;

/// Carries out what a sequence says, and shows what came of it. It never knows what should have.
#[expect(async_fn_in_trait, reason = "a sequence awaits one thing at a time, on one thread")]
pub trait Driver {
    /// Whether it is asked by requests. Then each of them is a call, also one that changes nothing,
    /// and one that would make something with an expiry that is over is refused.
    const REQUESTS: bool;

    /// The store behind it, for what nobody asks for: the ledger, and the passing of time.
    fn store(&self) -> &dyn Store;

    /// Its clock.
    fn clock(&self) -> &ManualClock;

    /// Makes a tenant.
    async fn create_tenant(&self, name: &Name) -> TenantId;

    /// Removes a tenant. Fails the test unless it is nobody's afterwards.
    async fn delete_tenant(&self, tenant: TenantId);

    /// Makes a change of a tenant, by one of its own administrators or by the platform, of the
    /// thing with this id where it is about one.
    async fn change(&self, tenant: TenantId, own: bool, change: &Change, id: Uuid) -> Outcome;

    /// Calls by the tenant's own principals, which are activity or not.
    async fn call(&self, tenant: TenantId, calls: u64, activity: bool);

    /// Fails the test unless these are the statistics that are shown.
    async fn assert_statistics(&self, expected: &Statistics);

    /// The total of a list, which fits into one page. Fails the test unless that page holds as many.
    async fn total(&self, tenant: TenantId, list: &List) -> u64;

    /// Comes to an end. Fails the test unless a recount finds everything right.
    async fn end(self);
}

/// What came of a change.
#[derive(Debug)]
pub struct Outcome {
    /// The ids of what was made, or why nothing was.
    pub result: Result<Vec<Uuid>, Refusal>,
    /// Whether the change counted its call itself, where that can be told.
    pub counted: Option<bool>,
}

/// Why a change was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is not the tenant's own business.
    InsufficientPermissions,
    /// The tenant is suspended.
    TenantSuspended,
    /// The expiry is not in the future.
    NotInTheFuture,
    /// The API key is revoked.
    AlreadyRevoked,
    /// The API key has expired.
    ApiKeyExpired,
    /// The OAuth client has no secret.
    PublicClient,
    /// The text is not a key that is good now.
    NoGoodKey(KeyRefusal),
}

/// A list, filtered in a way.
#[derive(Debug)]
#[expect(missing_docs, reason = "each says what is listed")]
pub enum List {
    Users(UserFilter),
    ApiKeys(ApiKeyFilter),
    OauthClients(OauthClientFilter),
    Credentials(CredentialFilter),
}
