//! The port between the use cases and a database.
//!
//! One method is one use case and one transaction: exactness needs the row, the ledger and the
//! counts together. Every store behaves as the suite in `conformance` says, faults included: the
//! same fault is the same [`Error`](tenantry_domain::error::Error) from every store.
//!
//! A change may carry a mark
//! ([`TenantAccess::idempotency`]): the store looks for it in the transaction of the change, before
//! the change, and keeps it there, afterwards, with the answer that it
//! [records](tenantry_domain::idempotency::Idempotency::record). If the mark is there, not yet
//! [24 hours](tenantry_domain::idempotency::RETENTION_MS) old, nothing is done: it fails with
//! [`Error::Repeated`](tenantry_domain::error::Error) if the request is the same, else with
//! [`Error::IdempotencyKeyReused`](tenantry_domain::error::Error). A change that fails leaves no
//! mark. The mark stays when the person that its answer tells of is erased, and the answer does not:
//! then it fails with [`Error::NotFound`](tenantry_domain::error::Error).
//!
//! Of a thing that is there already, a change asks [`TenantAccess::check_match`] once nothing else
//! is wrong with it; of what is gone and can be changed all the same, [`TenantAccess::check_no_match`].
//!
//! A store reads the clock it was made with, under the lock of the tenant that it changes, so that
//! the order of a ledger's entries is the order of their instants. It takes no step back that the
//! clock takes: what it has shown once stays shown.

use std::sync::Arc;

use async_trait::async_trait;
use tenantry_domain::access::{CallerProbe, CallerState, PlatformAccess, TenantAccess};
use tenantry_domain::api_key::{
    ApiKey, ApiKeyDetails, ApiKeyFilter, NewApiKey, RotatedApiKey, Rotation, SecretHash,
};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::Counts;
use tenantry_domain::credential::{
    Credential, CredentialFilter, CredentialPatch, IntegrationId, NewCredential, Sealed,
};
use tenantry_domain::error::Result;
use tenantry_domain::guarded::Guarded;
use tenantry_domain::id::{ApiKeyId, CredentialId, OauthClientId, TenantId, UserId};
use tenantry_domain::idempotency::Mark;
use tenantry_domain::ledger::{Action, Entry};
use tenantry_domain::oauth_client::{
    NewOauthClient, OauthClient, OauthClientFilter, OauthClientPatch,
};
use tenantry_domain::page::{Page, PageRequest};
use tenantry_domain::stats::Statistics;
use tenantry_domain::tenant::{Governance, NewTenant, Tenant, TenantFilter, TenantPatch};
use tenantry_domain::token::EndedToken;
use tenantry_domain::usage::{Tally, UsageEvent, UsageOutcome};
use tenantry_domain::user::{
    Collision, Erased, Identity, NewUser, User, UserFilter, UserPatch, Warned,
};

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod copying;
mod installation;
pub mod list;
pub mod posting;
mod purge;
mod realms;
mod recounts;
pub mod repeats;
mod seals;
mod sign_ins;
pub mod verify;

pub use crate::installation::Installation;
pub use crate::purge::{Purge, Purged};
pub use crate::realms::{RealmBy, Realms};
pub use crate::recounts::{Pair, Recount, Recounts};
pub use crate::seals::{Found, Resealed, Resealing, Seals, Shelf};
pub use crate::sign_ins::{Sessions, SignIns};

/// A database, as the use cases see it.
pub trait Store:
    Installation
    + Seals
    + Statistician
    + Tenants
    + Users
    + ApiKeys
    + OauthClients
    + Credentials
    + Realms
    + AuditLog
    + Usage
    + Expiries
    + Marks
    + Tokens
    + Sessions
    + SignIns
    + Recounts
    + Purge
{
}

impl<T> Store for T where
    T: Installation
        + Seals
        + Statistician
        + Tenants
        + Users
        + ApiKeys
        + OauthClients
        + Credentials
        + Realms
        + AuditLog
        + Usage
        + Expiries
        + Marks
        + Tokens
        + Sessions
        + SignIns
        + Recounts
        + Purge
{
}

/// The hot path: who calls, and the numbers.
#[async_trait]
pub trait Statistician: Send + Sync {
    /// What a caller is worth now.
    async fn caller_state(&self, probe: &CallerProbe) -> Result<CallerState>;

    /// What a caller is worth now and a tenant's statistics, in one trip and from one snapshot.
    /// `None` for a tenant that does not exist. Nobody can open them before the caller's state
    /// was judged.
    async fn statistics(
        &self,
        probe: &CallerProbe,
        tenant: TenantId,
    ) -> Result<(CallerState, Guarded<Option<Statistics>>)>;

    /// The counts as they were at an instant that is not in the future; `None` before the tenant
    /// was made.
    async fn counts_at(&self, access: &TenantAccess, at: Timestamp) -> Result<Option<Counts>>;
}

/// Tenants.
#[async_trait]
pub trait Tenants: Send + Sync {
    /// Makes a tenant. [`Conflict::TenantId`](tenantry_domain::error::Conflict) if its id is
    /// taken or was ever used.
    async fn create_tenant(&self, access: &PlatformAccess, new: NewTenant) -> Result<Tenant>;

    /// The tenant.
    async fn tenant(&self, access: &TenantAccess) -> Result<Tenant>;

    /// A page of the tenants.
    async fn list_tenants(
        &self,
        access: &PlatformAccess,
        filter: &TenantFilter,
        page: &PageRequest<Tenant>,
    ) -> Result<Page<Tenant>>;

    /// Changes the tenant.
    async fn update_tenant(&self, access: &TenantAccess, patch: TenantPatch) -> Result<Tenant>;

    /// Suspends, activates or deletes the tenant. A deleted one is gone at once; its ledger stays
    /// and its id is never used again. Answers the tenant as it is then, or was.
    async fn govern_tenant(&self, access: &TenantAccess, act: Governance) -> Result<Tenant>;
}

/// Users.
#[async_trait]
pub trait Users: Send + Sync {
    /// Makes a user.
    async fn create_user(&self, access: &TenantAccess, new: NewUser) -> Result<User>;

    /// A user.
    async fn user(&self, access: &TenantAccess, id: UserId) -> Result<User>;

    /// A page of the users.
    async fn list_users(
        &self,
        access: &TenantAccess,
        filter: &UserFilter,
        page: &PageRequest<User>,
    ) -> Result<Page<User>>;

    /// Changes a user.
    async fn update_user(
        &self,
        access: &TenantAccess,
        id: UserId,
        patch: UserPatch,
    ) -> Result<Warned<User>>;

    /// Removes a user; answers what it was.
    async fn delete_user(&self, access: &TenantAccess, id: UserId) -> Result<Warned<User>>;

    /// Which of these have what a user of the tenant has already, in their order.
    async fn taken(
        &self,
        access: &TenantAccess,
        identities: Vec<Identity>,
    ) -> Result<Vec<Collision>>;

    /// Makes many users, as one entry of the ledger; or none of them, and answers which collide
    /// with a user that is there or with one before them.
    async fn import_users(
        &self,
        access: &TenantAccess,
        users: Vec<NewUser>,
    ) -> Result<Vec<Collision>>;

    /// Removes a user, if it is still there, and everything personal that the tenant's ledger
    /// tells of it: the details of entries about it, and who it is in entries by it. An entry
    /// says so, unless there was nothing left to remove.
    ///
    /// [`Missing::User`](tenantry_domain::error::Missing) if the tenant never had such a user;
    /// a super admin can also have removed what it tells of a user of the platform's tenant.
    async fn erase_user(&self, access: &TenantAccess, id: UserId) -> Result<Warned<Erased>>;
}

/// API keys.
#[async_trait]
pub trait ApiKeys: Send + Sync {
    /// Makes an API key.
    async fn create_api_key(&self, access: &TenantAccess, new: NewApiKey) -> Result<ApiKey>;

    /// An API key, with its texts.
    async fn api_key(&self, access: &TenantAccess, id: ApiKeyId) -> Result<ApiKeyDetails>;

    /// A page of the API keys.
    async fn list_api_keys(
        &self,
        access: &TenantAccess,
        filter: ApiKeyFilter,
        page: &PageRequest<ApiKey>,
    ) -> Result<Page<ApiKey>>;

    /// Revokes an API key, with every secret it has, for good.
    /// [`Conflict::AlreadyRevoked`](tenantry_domain::error::Conflict) the second time.
    async fn revoke_api_key(&self, access: &TenantAccess, id: ApiKeyId) -> Result<ApiKey>;

    /// Gives an API key a new secret. The one before stays good for the grace that is asked for,
    /// and one that was in its own grace already ends now.
    /// [`Conflict::AlreadyRevoked`](tenantry_domain::error::Conflict) and
    /// [`Conflict::ApiKeyExpired`](tenantry_domain::error::Conflict) for a key that is over.
    async fn rotate_api_key(
        &self,
        access: &TenantAccess,
        id: ApiKeyId,
        rotation: Rotation,
    ) -> Result<RotatedApiKey>;
}

/// An OAuth client, and what is kept of its secret.
#[derive(Debug, Clone)]
pub struct KeptClient {
    /// The client.
    pub client: OauthClient,
    /// The hash of its secret, if it has one.
    pub secret_hash: Option<SecretHash>,
}

/// OAuth clients.
#[async_trait]
pub trait OauthClients: Send + Sync {
    /// Makes an OAuth client.
    async fn create_oauth_client(
        &self,
        access: &TenantAccess,
        new: NewOauthClient,
    ) -> Result<OauthClient>;

    /// An OAuth client.
    async fn oauth_client(&self, access: &TenantAccess, id: OauthClientId) -> Result<OauthClient>;

    /// A page of the OAuth clients.
    async fn list_oauth_clients(
        &self,
        access: &TenantAccess,
        filter: OauthClientFilter,
        page: &PageRequest<OauthClient>,
    ) -> Result<Page<OauthClient>>;

    /// Changes an OAuth client.
    async fn update_oauth_client(
        &self,
        access: &TenantAccess,
        id: OauthClientId,
        patch: OauthClientPatch,
    ) -> Result<OauthClient>;

    /// Gives a confidential OAuth client a new secret; the one before ends at once.
    /// [`Conflict::PublicClient`](tenantry_domain::error::Conflict) if it has none.
    async fn rotate_oauth_client_secret(
        &self,
        access: &TenantAccess,
        id: OauthClientId,
        secret_hash: SecretHash,
    ) -> Result<OauthClient>;

    /// The client of a tenant that presents itself so. For finding out whether it is the one: nobody
    /// has any authority yet.
    async fn kept_client(&self, tenant: TenantId, client_id: &str) -> Result<Option<KeptClient>>;

    /// Removes an OAuth client; answers what it was.
    async fn delete_oauth_client(
        &self,
        access: &TenantAccess,
        id: OauthClientId,
    ) -> Result<OauthClient>;
}

/// Opens a credential's sealed secret and puts it where the caller finds it. A store may run it on
/// any thread, and more than once; it must be quick and must not call the store.
pub type Opening = Arc<dyn Fn(&Credential, &Sealed) -> Result<()> + Send + Sync>;

/// Credentials. Each is named by its integration and its id; both must match.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// Puts a credential into the vault.
    async fn create_credential(
        &self,
        access: &TenantAccess,
        new: NewCredential,
    ) -> Result<Credential>;

    /// A credential without its secret.
    async fn credential(
        &self,
        access: &TenantAccess,
        integration: &IntegrationId,
        id: CredentialId,
    ) -> Result<Credential>;

    /// A page of the credentials.
    async fn list_credentials(
        &self,
        access: &TenantAccess,
        filter: &CredentialFilter,
        page: &PageRequest<Credential>,
    ) -> Result<Page<Credential>>;

    /// Changes a credential.
    async fn update_credential(
        &self,
        access: &TenantAccess,
        integration: &IntegrationId,
        id: CredentialId,
        patch: CredentialPatch,
    ) -> Result<Credential>;

    /// Removes a credential; answers what it was.
    async fn delete_credential(
        &self,
        access: &TenantAccess,
        integration: &IntegrationId,
        id: CredentialId,
    ) -> Result<Credential>;

    /// Opens a credential's secret and leaves an entry in the ledger that says so, in one
    /// transaction. What does not open leaves none.
    async fn reveal_credential(
        &self,
        access: &TenantAccess,
        integration: &IntegrationId,
        id: CredentialId,
        open: Opening,
    ) -> Result<Credential>;
}

/// Which entries of a ledger to list.
#[derive(Debug, Clone, Default)]
pub struct EntryFilter {
    /// Those that say this happened.
    pub action: Option<Action>,
    /// Those by this actor.
    pub actor_id: Option<String>,
    /// Those not before this instant.
    pub from: Option<Timestamp>,
    /// Those before this instant.
    pub to: Option<Timestamp>,
}

/// Some entries of a ledger, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Entries {
    /// The entries.
    pub items: Vec<Entry>,
    /// How many there are on all pages together.
    pub total: u64,
}

/// Something worth an entry that changes no row.
#[derive(Debug, Clone)]
pub struct Note {
    /// What happened.
    pub action: Action,
    /// What it happened to.
    pub resource_id: String,
    /// What else is worth knowing; never a secret.
    pub details: serde_json::Value,
}

/// The ledger, as the audit log.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Entries of the tenant's ledger, newest first.
    async fn list_entries(
        &self,
        access: &TenantAccess,
        filter: &EntryFilter,
        limit: u32,
        offset: u64,
    ) -> Result<Entries>;

    /// Appends an entry that changes no row.
    async fn record(&self, access: &TenantAccess, note: Note) -> Result<Entry>;
}

/// Calls and storage.
#[async_trait]
pub trait Usage: Send + Sync {
    /// Counts calls, and notes which API keys were used. Both survive the death of the process; a
    /// power cut may lose the last ones.
    async fn count_calls(&self, calls: Tally) -> Result<()>;

    /// Counts usage that another service reports: what happened to each event, in their order.
    /// The mark that tells a repeat and the number it adds to are one transaction.
    async fn report_usage(
        &self,
        access: &TenantAccess,
        events: Vec<UsageEvent>,
    ) -> Result<Vec<UsageOutcome>>;
}

/// How far the ledgers have caught up with the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// How many entries were appended.
    pub entries: u64,
    /// The next instant, anywhere, at which something expires and has no entry yet. Not after the
    /// clock if there was more to do than was asked for; after it if no entry was appended, so that
    /// whoever comes again then does not come in vain.
    pub next_due: Option<Timestamp>,
}

/// Time as a writer.
#[async_trait]
pub trait Expiries: Send + Sync {
    /// Appends entries for what has expired, at most this many instants of it, and of each tenant no
    /// more than its share while others wait. Reads are exact without it; it keeps them, and the next
    /// change of each tenant, cheap.
    async fn settle(&self, limit: usize) -> Result<Settled>;
}

/// Tokens that are ended before their time.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Ends something of the tenant, from the next request on. Answers whether it is new: of two
    /// who end the same thing one is told so.
    async fn end_token(&self, access: &TenantAccess, token: EndedToken) -> Result<bool>;

    /// Removes what has ended by itself since, at most this many. Answers how many.
    async fn forget_ended_tokens(&self, limit: u32) -> Result<u32>;
}

/// Marks of requests that may be repeated.
#[async_trait]
pub trait Marks: Send + Sync {
    /// Fails as a change with this mark would fail now because of the mark, if it would: so that a
    /// repetition need not be prepared in vain. The change itself looks again.
    async fn check_mark(&self, mark: &Mark) -> Result<()>;

    /// Removes marks that have had their 24 hours, and the answers with them; at most this many.
    /// Answers how many.
    async fn forget_marks(&self, limit: u32) -> Result<u32>;
}
