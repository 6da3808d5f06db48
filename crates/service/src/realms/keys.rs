//! The keys of a provider, as they are held: fetched when they are first needed, fetched anew before
//! they are old, and used on while the provider is not to be reached.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tenantry_domain::clock::{Clock, Timestamp};
use tenantry_domain::error::{Error, Result};
use tenantry_domain::realm_rules::Reach;
use tenantry_security::api_key::sha256;
use tenantry_security::provider_keys::KeySet;

use super::provider::{Fetch, Source};

/// Keys that are not older than this are used as they are.
pub(crate) const FRESH_MS: i64 = 5 * 60 * 1_000;
/// Older ones are used while they are fetched anew; from this age on that is waited for.
pub(crate) const DUE_MS: i64 = 15 * 60 * 1_000;
/// The oldest that are used while the provider is not to be reached.
pub(crate) const STALE_MS: i64 = 24 * 60 * 60 * 1_000;
/// How soon after a failure, and after an unknown key, the provider is asked again.
pub(crate) const AGAIN_MS: i64 = 10_000;

/// With what keys are fetched.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) fetch: Arc<dyn Fetch>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) reach: Reach,
}

/// Keys, and which ones these are among all that were ever held of the same provider.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) keys: Arc<KeySet>,
    pub(crate) generation: u64,
}

/// What is held of a provider.
#[derive(Debug)]
pub(crate) struct ProviderKeys {
    pub(crate) source: Source,
    state: Mutex<State>,
    /// Held by whoever fetches; the others wait for what comes of it.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<(Held, Timestamp)>,
    /// What the keys were read from, to tell whether they are others.
    digest: [u8; 32],
    /// How often was fetched, whatever came of it.
    attempts: u64,
    under_way: bool,
    failed_at: Option<Timestamp>,
    renewed_at: Option<Timestamp>,
}

/// How old the keys are.
enum Age {
    /// There are none that could be used.
    None,
    Fresh,
    /// To be fetched anew, which need not be waited for.
    Aging,
    /// To be fetched anew first.
    Due,
}

impl ProviderKeys {
    pub(crate) fn of(source: Source) -> Arc<Self> {
        Arc::new(Self { source, state: Mutex::default(), fetching: tokio::sync::Mutex::default() })
    }

    /// The keys to verify with now.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there are none, and the provider is not to be reached.
    pub(crate) async fn current(self: &Arc<Self>, means: &Means) -> Result<Held> {
        let now = means.clock.now();
        let (age, attempts, may_try, has_failed) = {
            let state = self.state();
            let age = state.age(now);
            if let (Age::Fresh, Some((held, _))) = (&age, &state.held) {
                return Ok(held.clone());
            }
            (age, state.attempts, !state.failed_since(now), state.failed_at.is_some())
        };
        match age {
            _ if !may_try => {}
            Age::Fresh => {}
            // Nobody waits, again and again, for a provider that is known to be down.
            Age::Aging => self.begin(means, attempts),
            Age::Due if has_failed => self.begin(means, attempts),
            Age::None | Age::Due => self.fetched(means, attempts).await,
        }
        let state = self.state();
        match (state.age(means.clock.now()), &state.held) {
            (Age::Fresh | Age::Aging | Age::Due, Some((held, _))) => Ok(held.clone()),
            _ => Err(Error::Unavailable("the keys of a realm are not to be had".to_owned())),
        }
    }

    /// The keys, after these had not the one that was looked for: fetched anew, unless that was done
    /// just now.
    pub(crate) async fn renewed(self: &Arc<Self>, means: &Means, than: &Held) -> Result<Held> {
        let now = means.clock.now();
        let attempts = {
            let mut state = self.state();
            match &state.held {
                Some((held, _)) if held.generation != than.generation => return Ok(held.clone()),
                _ if within(state.renewed_at, now) || state.failed_since(now) => None,
                _ => {
                    state.renewed_at = Some(now);
                    Some(state.attempts)
                }
            }
        };
        if let Some(attempts) = attempts {
            self.fetched(means, attempts).await;
        }
        self.current(means).await
    }

    /// Fetches in the background, unless that is under way.
    fn begin(self: &Arc<Self>, means: &Means, attempts: u64) {
        if !std::mem::replace(&mut self.state().under_way, true) {
            drop(self.spawn(means, attempts));
        }
    }

    /// Fetches, once for all who wait; whoever gives up waiting ends nothing.
    async fn fetched(self: &Arc<Self>, means: &Means, attempts: u64) {
        // It does not panic, and is not aborted.
        let _ = self.spawn(means, attempts).await;
    }

    fn spawn(self: &Arc<Self>, means: &Means, attempts: u64) -> tokio::task::JoinHandle<()> {
        let (this, means) = (Arc::clone(self), means.clone());
        tokio::spawn(async move { this.fetch(&means, attempts).await })
    }

    async fn fetch(&self, means: &Means, attempts: u64) {
        let _turn = self.fetching.lock().await;
        {
            let mut state = self.state();
            if state.attempts != attempts {
                state.under_way = false;
                return;
            }
        }
        // Before it is asked: what it answers is not older.
        let now = means.clock.now();
        let outcome = self.source.keys(&*means.fetch, means.reach).await;
        let mut state = self.state();
        state.attempts += 1;
        state.under_way = false;
        match outcome {
            Ok((keys, text)) => state.take(keys, sha256(&text), now),
            Err(cause) => {
                tracing::warn!(cause, "the keys of a realm could not be fetched");
                state.failed_at = Some(now);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What the lock guards is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn age(&self, now: Timestamp) -> Age {
        let age = self.held.as_ref().map(|(_, at)| now.as_millis() - at.as_millis());
        match age {
            Some(..FRESH_MS) => Age::Fresh,
            Some(..DUE_MS) => Age::Aging,
            Some(..STALE_MS) => Age::Due,
            Some(_) | None => Age::None,
        }
    }

    fn failed_since(&self, now: Timestamp) -> bool {
        within(self.failed_at, now)
    }

    fn take(&mut self, keys: KeySet, digest: [u8; 32], now: Timestamp) {
        self.failed_at = None;
        let before = self.held.take().map(|(held, _)| held);
        let same = before.filter(|_| self.digest == digest);
        let generation = self.attempts;
        let held = same.unwrap_or_else(|| Held { keys: Arc::new(keys), generation });
        self.digest = digest;
        self.held = Some((held, now));
    }
}

/// Whether an instant is so shortly before another one that nobody is asked again. (A clock that was
/// set back holds nobody up.)
fn within(at: Option<Timestamp>, now: Timestamp) -> bool {
    at.is_some_and(|at| (0..AGAIN_MS).contains(&(now.as_millis() - at.as_millis())))
}
