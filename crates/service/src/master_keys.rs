//! The master keys: how one replaces another while servers run.
//!
//! The installation is bound to the new key first, and both keys are kept, each sealed under the other
//! ([`MasterKeys`]): a process learns the one that it was not given
//! when it meets something that is sealed under it, or by and by. Then everything is sealed anew. The old
//! key opens something until it is retired, so until then servers can be started with either.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tenantry_domain::clock::Timestamp;
use tenantry_domain::credential::Sealed;
use tenantry_domain::error::{Error, Result};
use tenantry_domain::ledger::{Action, ActorKind};
use tenantry_domain::sealing::{MasterKeys, SealedFor};
use tenantry_security::master_key::MasterKey;
use tenantry_store::verify::all_tenants;
use tenantry_store::{Note, Shelf};

use crate::Service;
use crate::idempotency::lock;
use crate::signing_keys::access;

/// Things that are sealed anew in one transaction.
const PAGE: u32 = 500;
/// How long others have the store to themselves between two of them.
const PAUSE: Duration = Duration::from_millis(5);
/// How often to look whether there is another master key.
const LOOK_AGAIN: Duration = Duration::from_secs(20);
/// For how long what was read of the master keys is good enough to seal something, in milliseconds.
const STALE_MS: i64 = 30_000;
/// How long after a rotation every process that runs knows of it: it has looked three times.
const KNOWN_AFTER_MS: i64 = 60_000;

/// A master key, and what it is for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterKeyStanding {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub purpose: MasterKeyPurpose,
}

/// What a master key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MasterKeyPurpose {
    /// Everything is sealed under it.
    Seals,
    /// It is being replaced, since then: servers can still be started with it.
    ReplacedSince(Timestamp),
    /// It is retired. What was sealed under it late opens with the key that came after.
    Retired,
}

/// Why a master key cannot be rotated or retired now.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The last rotation is not over.
    #[error("master key {0} is still being replaced: retire it first")]
    UnderWay(String),
    /// The next key is one that there is, or was.
    #[error("the next master key must be a new one, not {0}")]
    NotNew(String),
    /// There is no key to retire.
    #[error("no master key is being replaced")]
    NothingToRetire,
    /// Somebody else was faster.
    #[error("the master key was changed by somebody else meanwhile")]
    Changed,
    /// Not every process can know the new key yet.
    #[error("servers learn of a new master key within a minute: retire the old one after {0}")]
    TooEarly(Timestamp),
    /// Something cannot be sealed anew.
    #[error("the old master key stays: {} secrets do not open", .0.len())]
    Unopened(Vec<SealedFor>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// How far sealing anew has come.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// How many tenants are done.
    pub tenants_done: u64,
    /// How many there are.
    pub tenants: u64,
    /// How many things are sealed anew.
    pub sealed: u64,
}

/// What was sealed anew.
#[derive(Debug, Default)]
pub struct Rewrapped {
    /// How many signing keys.
    pub signing_keys: u64,
    /// How many secrets of credentials.
    pub credentials: u64,
    /// How many answers that are kept for repeated requests.
    pub answers: u64,
    /// What does not open, and stays as it is.
    pub unopened: Vec<SealedFor>,
}

impl Service {
    /// The master keys, the one that seals first.
    ///
    /// # Errors
    /// What the store fails with.
    pub async fn master_keys(&self) -> Result<Vec<MasterKeyStanding>> {
        let stored = self.store.master_keys().await?;
        self.vault.learn(&stored)?;
        let replaced = stored.succession();
        let standing = self.vault.key_ids().into_iter().map(|id| {
            let purpose = match replaced {
                _ if Some(&id) == stored.bound.as_ref() => MasterKeyPurpose::Seals,
                Some(wrapped) if wrapped.under == id => {
                    MasterKeyPurpose::ReplacedSince(wrapped.created_at)
                }
                _ => MasterKeyPurpose::Retired,
            };
            MasterKeyStanding { id, purpose }
        });
        Ok(standing.collect())
    }

    /// Takes over the master keys of the installation, if they are others than before; answers whether
    /// they are.
    ///
    /// # Errors
    /// [`Error::UnknownMasterKey`] if this process can no longer know them: it was given a key that is
    /// retired.
    pub async fn learn_master_keys(&self) -> Result<bool> {
        let now = self.now();
        let is_new = self.vault.learn(&self.store.master_keys().await?)?;
        self.master_keys_read_at.store(now.as_millis(), Ordering::Relaxed);
        Ok(is_new)
    }

    /// Whoever seals something asks for this first. A process that was held up reads the master keys before
    /// it goes on: what it seals under one that was retired meanwhile might open for nobody.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if this process can no longer know the master key.
    pub(crate) async fn know_master_key(&self) -> Result<()> {
        let since = self.now().as_millis() - self.master_keys_read_at.load(Ordering::Relaxed);
        if (0..STALE_MS).contains(&since) {
            return Ok(());
        }
        match self.learn_master_keys().await {
            Err(Error::UnknownMasterKey) => {
                Err(Error::Unavailable("the master key of this process is retired".to_owned()))
            }
            learnt => learnt.map(drop),
        }
    }

    /// Binds the installation to another master key. The old one is good until it is retired.
    ///
    /// # Errors
    /// See [`RotationError`].
    pub async fn rotate_master_key(&self, next: MasterKey) -> Result<(), RotationError> {
        let stored = self.store.master_keys().await?;
        self.vault.learn(&stored)?;
        if let Some(wrapped) = stored.succession() {
            return Err(RotationError::UnderWay(wrapped.under.clone()));
        }
        let id = next.id();
        if self.vault.key_ids().contains(&id) {
            return Err(RotationError::NotNew(id));
        }
        let keys = self.vault.succeed(next, self.now())?;
        self.replace(&stored, keys, Action::MasterKeyRotated, id).await
    }

    /// Seals everything anew that is not sealed under the bound master key, tenant by tenant; `progress` is
    /// told after each page. Cut off, it goes on where it is called again.
    ///
    /// # Errors
    /// What the store fails with.
    pub async fn rewrap(&self, mut progress: impl FnMut(Progress) + Send) -> Result<Rewrapped> {
        self.learn_master_keys().await?;
        let unopened = Arc::default();
        let tenants = all_tenants(&*self.store).await?;
        let mut at = Progress { tenants: tenants.len() as u64, ..Progress::default() };
        let mut on_page = |tenants_done, sealed| {
            at.tenants_done = tenants_done;
            at.sealed += sealed;
            progress(at);
        };
        let mut reseal =
            async |done, shelf| self.reseal(shelf, &unopened, |sealed| on_page(done, sealed)).await;
        let mut rewrapped = Rewrapped {
            signing_keys: reseal(0, Shelf::SigningKeys).await?,
            ..Rewrapped::default()
        };
        for (done, tenant) in (0..).zip(tenants) {
            rewrapped.credentials += reseal(done, Shelf::Credentials(tenant, None)).await?;
            rewrapped.answers += reseal(done + 1, Shelf::Answers(tenant, None)).await?;
        }
        rewrapped.unopened = std::mem::take(&mut *lock(&unopened));
        Ok(rewrapped)
    }

    /// Seals anew what is left, and has the key before open nothing any more: servers cannot be started
    /// with it from then on. Answers its id. Those that run have known the new one for a while, or else
    /// `now` says that it does not matter.
    ///
    /// # Errors
    /// See [`RotationError`].
    pub async fn retire_master_key(
        &self,
        now: bool,
        progress: impl FnMut(Progress) + Send,
    ) -> Result<String, RotationError> {
        let stored = self.store.master_keys().await?;
        let wrapped = stored.succession().ok_or(RotationError::NothingToRetire)?;
        let from = wrapped.created_at.plus_millis(KNOWN_AFTER_MS);
        if !now && self.now() < from {
            return Err(RotationError::TooEarly(from));
        }
        let unopened = self.rewrap(progress).await?.unopened;
        if !unopened.is_empty() {
            return Err(RotationError::Unopened(unopened));
        }
        let keys = stored.without_succession().ok_or(RotationError::NothingToRetire)?;
        let retired = wrapped.under.clone();
        self.replace(&stored, keys, Action::MasterKeyRetired, retired.clone()).await?;
        Ok(retired)
    }

    /// Tries once more what has met a master key that was not known: it is known then, or somebody else has
    /// learnt of it meanwhile, or that fails.
    pub(crate) async fn with_master_keys<T, F>(&self, attempt: impl Fn() -> F + Send) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
        T: Send,
    {
        match attempt().await {
            Err(Error::UnknownMasterKey) => {
                self.learn_master_keys().await?;
                attempt().await
            }
            outcome => outcome,
        }
    }

    async fn replace(
        &self,
        stored: &MasterKeys,
        keys: MasterKeys,
        action: Action,
        resource_id: String,
    ) -> Result<(), RotationError> {
        let access = access(ActorKind::CommandLine, "tenantry vault");
        let note = Note { action, resource_id, details: serde_json::json!({}) };
        let bound = stored.bound.as_deref().unwrap_or_default();
        let replaced = self.store.replace_master_keys(&access, bound, keys.clone(), note).await?;
        // What was replaced when the connection was lost is not replaced again.
        if !replaced && self.store.master_keys().await? != keys {
            return Err(RotationError::Changed);
        }
        self.vault.learn(&keys)?;
        Ok(())
    }

    /// Seals anew what is on a shelf; answers how many things that were.
    async fn reseal(
        &self,
        shelf: Shelf,
        unopened: &Arc<Mutex<Vec<SealedFor>>>,
        mut on_page: impl FnMut(u64) + Send,
    ) -> Result<u64> {
        let (vault, unopened) = (Arc::clone(&self.vault), Arc::clone(unopened));
        let reseal = Arc::new(move |sealed_for: &SealedFor, sealed: &Sealed| {
            let resealed = vault.reseal(sealed_for, sealed);
            Ok(resealed.unwrap_or_else(|_| {
                let mut unopened = lock(&unopened);
                if !unopened.contains(sealed_for) {
                    unopened.push(sealed_for.clone());
                }
                None
            }))
        });
        let (mut count, mut rest) = (0, Some(shelf));
        while let Some(shelf) = rest {
            let resealed = self.store.reseal(shelf, PAGE, Arc::clone(&reseal) as _).await?;
            (count, rest) = (count + resealed.count, resealed.rest);
            on_page(resealed.count);
            if resealed.count > 0 && rest.is_some() {
                // Others want to change something, too.
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(count)
    }
}

/// Learns of a new master key by and by, until it is dropped: what is sealed from then on is sealed under
/// it.
pub async fn run(service: Arc<Service>) {
    loop {
        match service.learn_master_keys().await {
            Ok(false) => {}
            Ok(true) => tracing::info!("the master keys have changed"),
            Err(error) => {
                tracing::error!(%error, "the master keys could not be read; those known stay in use");
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
