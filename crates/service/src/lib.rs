//! The use cases: validate, call the port, and what runs beside them.
//!
//! A use case takes the authority to do what it does as a value
//! ([`TenantAccess`](tenantry_domain::access::TenantAccess)), which only a [`Caller`] that the
//! store has confirmed can give.
//!
//! [`Caller`]: tenantry_domain::access::Caller

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use tenantry_domain::clock::{Clock, Timestamp};
use tenantry_domain::entropy::Entropy;
use tenantry_domain::error::{Error, Result};
use tenantry_domain::realm_rules::Reach;
use tenantry_security::password::Passwords;
use tenantry_security::realm::Realm;
use tenantry_security::vault::Vault;
use tenantry_store::Store;

use crate::idempotency::InFlight;
use crate::meter::Meter;
use crate::rates::Rates;
use crate::realms::Registry;
use crate::signing_keys::Looks;
use crate::transparency::Told;

mod api_keys;
mod audit;
mod callers;
mod credentials;
mod idempotency;
mod imports;
mod invitations;
pub mod master_keys;
pub mod meter;
mod oauth;
mod oauth_clients;
mod rates;
mod realms;
mod sessions;
pub mod settler;
mod setup;
pub mod signing_keys;
mod statistics;
mod tenants;
mod tokens;
mod transparency;
mod usage;
mod users;

pub use crate::api_keys::{ApiKeyDraft, IssuedApiKey, KeyValidation, ReissuedApiKey};
pub use crate::credentials::{CredentialDraft, CredentialSecret, RevealedCredential};
pub use crate::idempotency::{Claim, OneAnswer};
pub use crate::imports::{IMPORT_MAX, PROBLEMS_TOLD, UserImport};
pub use crate::invitations::IssuedInvitation;
pub use crate::master_keys::{
    MasterKeyPurpose, MasterKeyStanding, Progress, Rewrapped, RotationError,
};
pub use crate::oauth::{ClientProof, ClientToken, OauthError, ProvenClient};
pub use crate::oauth_clients::{IssuedOauthClient, OauthClientDraft};
pub use crate::sessions::SignedIn;
pub use crate::setup::{SetupError, Wiring};
pub use crate::signing_keys::{KeyPurpose, RotatedKeys, SigningKeyStanding};
pub use crate::users::UserDraft;

/// The use cases over one store.
pub struct Service {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    realm: Realm,
    reach: Reach,
    external: Registry,
    vault: Arc<Vault>,
    /// When the master keys were last read, in milliseconds since 1970-01-01T00:00:00Z.
    master_keys_read_at: AtomicI64,
    passwords: Passwords,
    rates: Rates,
    told: Told,
    meter: Meter,
    in_flight: InFlight,
    looks: Looks,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Service")
    }
}

impl Service {
    /// The present instant, by the injected clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Where chance comes from, for ids that other layers make.
    pub fn entropy(&self) -> &dyn Entropy {
        &*self.entropy
    }

    /// The built-in realm.
    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// The meter of calls.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The store, for what looks at all of it: the settler, the verification.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Whether requests can be served now, and counted.
    pub async fn ready(&self) -> Result<()> {
        self.meter.check_open()?;
        self.store.ping().await?;
        self.know_master_key().await
    }

    /// The instant, if it is to come.
    ///
    /// # Errors
    /// What would be right, to follow the field's name.
    pub fn future(&self, at: Timestamp) -> Result<Timestamp, String> {
        if at > self.clock.now() { Ok(at) } else { Err("must be in the future".to_owned()) }
    }

    /// Refuses an instant that is over already.
    fn require_future(&self, field: &str, at: Option<Timestamp>) -> Result<()> {
        at.map_or(Ok(()), |at| {
            self.future(at).map(drop).map_err(|problem| Error::invalid(field, problem))
        })
    }
}
