//! Bringing the use cases up: the master key, the realm's signing keys, the meter.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use tenantry_domain::clock::Clock;
use tenantry_domain::entropy::Entropy;
use tenantry_domain::error::Error;
use tenantry_domain::realm_rules::Reach;
use tenantry_security::master_key::MasterKey;
use tenantry_security::password::Passwords;
use tenantry_security::realm::Realm;
use tenantry_security::vault::Vault;
use tenantry_store::Store;

use crate::Service;
use crate::idempotency::InFlight;
use crate::meter::Meter;
use crate::rates::Rates;
use crate::realms::{Http, Means, Registry};
use crate::signing_keys::{Looks, first_keys};
use crate::transparency::Told;

/// Verified tokens that are remembered.
const TOKEN_CACHE: usize = 65_536;
/// Passwords hashed at once: each takes 19 MiB and a core for tens of milliseconds.
const PASSWORD_WORKERS: usize = 2;
/// Callers that may wait for a password to be hashed.
const PASSWORD_QUEUE: usize = 64;

/// What a [`Service`] is made of.
pub struct Wiring {
    /// The database.
    pub store: Arc<dyn Store>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where chance comes from.
    pub entropy: Arc<dyn Entropy>,
    /// The key of vault and signing keys.
    pub master_key: MasterKey,
    /// The `iss` of the built-in realm's tokens.
    pub issuer: String,
    /// Where the providers of external realms may be.
    pub reach: Reach,
}

impl std::fmt::Debug for Wiring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wiring")
    }
}

/// Why the use cases cannot be brought up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The installation's secrets are under another key.
    #[error(
        "the master key does not match this installation, whose key has the id {bound}: give that \
         one in TENANTRY_MASTER_KEY"
    )]
    WrongMasterKey {
        /// The id of the key it is bound to.
        bound: String,
    },
    /// The store failed.
    #[error("the database cannot be used")]
    Store(#[from] Error),
}

impl Service {
    /// Brings the use cases up. Must run inside a Tokio runtime, which runs the meter.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub async fn start(wiring: Wiring) -> Result<Self, SetupError> {
        let Wiring { store, clock, entropy, master_key, issuer, reach } = wiring;
        let bound = store.bind_master_key(&master_key.id()).await?;
        let vault = Arc::new(Vault::new(master_key, Arc::clone(&entropy)));
        match vault.learn(&store.master_keys().await?) {
            Err(Error::UnknownMasterKey) => return Err(SetupError::WrongMasterKey { bound }),
            learnt => learnt?,
        };
        let keys = match first_keys(&*store, &vault, &*clock, &*entropy).await {
            // It was replaced just now.
            Err(Error::UnknownMasterKey) => {
                vault.learn(&store.master_keys().await?)?;
                first_keys(&*store, &vault, &*clock, &*entropy).await?
            }
            keys => keys?,
        };
        let realm =
            Realm::new(issuer, keys, Arc::clone(&clock), Arc::clone(&entropy), TOKEN_CACHE)?;
        let means = Means { fetch: Arc::new(Http::default()), clock: Arc::clone(&clock), reach };
        let external = Registry::new(Arc::clone(&store) as _, means, TOKEN_CACHE);
        let master_keys_read_at = AtomicI64::new(clock.now().as_millis());
        let passwords = Passwords::new(Arc::clone(&entropy), PASSWORD_WORKERS, PASSWORD_QUEUE);
        let meter = Meter::start(Arc::clone(&store));
        let rates = Rates::new(Arc::clone(&clock));
        let in_flight = InFlight::default();
        Ok(Self {
            store,
            clock,
            entropy,
            realm,
            reach,
            external,
            vault,
            master_keys_read_at,
            passwords,
            rates,
            told: Told::new(),
            meter,
            in_flight,
            looks: Looks::default(),
        })
    }
}
