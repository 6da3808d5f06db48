//! How often an API key may call, where that is limited.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::{Quota, RateLimiter, clock, middleware, state};
use quick_cache::sync::Cache;
use tenantry_domain::access::{Bearer, CallerState};
use tenantry_domain::api_key::PresentedKey;
use tenantry_domain::clock::Clock;
use tenantry_domain::error::{Error, Result};
use tenantry_domain::id::ApiKeyId;

/// Keys whose calls are remembered at once. One that is forgotten begins with a full bucket.
const REMEMBERED: usize = 65_536;

/// Each limited key's bucket: it holds as many calls as the key has a minute, and fills at this rate
/// (the generic cell rate algorithm). Every server has buckets of its own.
pub(crate) struct Rates {
    clock: Ticks,
    /// A key whose limit were another would have another bucket.
    buckets: Cache<(ApiKeyId, NonZeroU32), Arc<Bucket>>,
}

type Bucket =
    RateLimiter<state::NotKeyed, state::InMemoryState, Ticks, middleware::NoOpMiddleware<Duration>>;

/// The injected clock, as time since 1970.
#[derive(Clone)]
struct Ticks(Arc<dyn Clock>);

impl clock::Clock for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.now().as_millis()).unwrap_or_default())
    }
}

impl Rates {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock: Ticks(clock), buckets: Cache::new(REMEMBERED) }
    }

    /// Takes a call out of its caller's bucket, if it has one.
    ///
    /// # Errors
    /// [`Error::TooManyRequests`] if that is empty.
    pub(crate) fn take(&self, state: &CallerState) -> Result<()> {
        let Some(Bearer::ApiKey { key, .. }) = &state.bearer else { return Ok(()) };
        key.rate_limit.map_or(Ok(()), |limit| self.take_of(key, limit))
    }

    fn take_of(&self, key: &PresentedKey, limit: NonZeroU32) -> Result<()> {
        let new = || {
            let quota = Quota::per_minute(limit);
            Ok(Arc::new(RateLimiter::direct_with_clock(quota, self.clock.clone())))
        };
        let bucket = self.buckets.get_or_insert_with(&(key.id, limit), new)?;
        bucket.check().map_err(|not_until| {
            let wait = not_until.wait_time_from(clock::Clock::now(&self.clock));
            // In whole seconds, and not too early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            Error::TooManyRequests { seconds }
        })
    }
}

impl fmt::Debug for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rates").field("remembered", &self.buckets.len()).finish_non_exhaustive()
    }
}
