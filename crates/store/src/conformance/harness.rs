//! What a case runs on: a fresh store, a clock that is moved by hand, chance from a seed.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use async_trait::async_trait;
use tenantry_domain::clock::{Clock, Timestamp};
use tenantry_domain::entropy::Entropy;

use crate::{Store, verify};

/// Where every [`ManualClock`] starts unless told otherwise: `2025-07-10T14:30:00.000Z`.
pub const START: Timestamp = Timestamp::from_millis(1_752_157_800_000);

/// A clock that is moved by hand, also back.
#[derive(Debug)]
pub struct ManualClock {
    millis: AtomicI64,
    /// How far it goes on by itself once it has been read.
    tick: AtomicI64,
}

impl ManualClock {
    /// A clock that shows this instant.
    pub const fn new(at: Timestamp) -> Self {
        Self { millis: AtomicI64::new(at.as_millis()), tick: AtomicI64::new(0) }
    }

    /// Sets it to an instant.
    pub fn set(&self, at: Timestamp) {
        self.millis.store(at.as_millis(), Ordering::SeqCst);
    }

    /// Moves it this many milliseconds on, or back if negative.
    pub fn advance(&self, millis: i64) {
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }

    /// Has it go on by this many milliseconds each time it has been read: whatever an instant was
    /// read for, it is over when that is done.
    pub fn tick(&self, millis: i64) {
        self.tick.store(millis, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new(START)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let tick = self.tick.load(Ordering::SeqCst);
        Timestamp::from_millis(self.millis.fetch_add(tick, Ordering::SeqCst))
    }
}

/// Chance that repeats itself: the `SplitMix64` generator from a seed. Predictable, so for tests
/// alone.
#[derive(Debug)]
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    /// The generator from this seed.
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Default for SeededEntropy {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        for chunk in buffer.chunks_mut(8) {
            let state = self.0.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let bytes = (mixed ^ (mixed >> 31)).to_le_bytes();
            chunk.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        }
    }
}

/// A store under test, and what it was opened with.
pub struct Fixture {
    /// The store: migrated, with nothing in it but the platform's own tenant.
    pub store: Arc<dyn Store>,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    /// Its chance.
    pub entropy: Arc<SeededEntropy>,
    /// What must live as long as the store. Dropped last: fields drop in their order.
    _keepalive: Box<dyn Any + Send>,
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl Fixture {
    /// A store that was opened with this clock and this chance. `keepalive` (a temporary
    /// directory, say) is dropped after the store.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<ManualClock>,
        entropy: Arc<SeededEntropy>,
        keepalive: impl Any + Send,
    ) -> Self {
        Self { store, clock, entropy, _keepalive: Box::new(keepalive) }
    }

    /// What the clock shows.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Makes stores to be tested.
#[async_trait]
pub trait Factory: Send + Sync {
    /// A fresh store, opened with a clock and chance of its own.
    async fn fixture(&self) -> Fixture;

    /// How many random sequences are tried on it: fewer where each takes long.
    fn sequences(&self) -> u32 {
        128
    }
}

/// Runs one case on a fresh store, and recounts everything at its end.
pub fn run(factory: &dyn Factory, case: impl AsyncFnOnce(&Fixture)) {
    runtime().block_on(async {
        let fixture = factory.fixture().await;
        case(&fixture).await;
        assert_exact(&fixture).await;
    });
}

/// A runtime as in production, with more than one thread.
pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Recounts every tenant and walks every ledger. Panics with whatever does not fit.
pub async fn assert_exact(fixture: &Fixture) {
    let store = fixture.store.as_ref();
    let mut after = None;
    loop {
        // Few at a time, so that the pages are tested too.
        let tenants = store.tenant_ids(after, 2).await.unwrap();
        assert!(tenants.is_sorted_by(|one, next| one < next), "unordered: {tenants:?}");
        for tenant in &tenants {
            assert!(after < Some(*tenant), "{tenant} is not after {after:?}");
            let report = verify::verify(store, *tenant).await.unwrap().unwrap();
            assert!(report.flaws.is_empty(), "{tenant}: {:#?}", report.flaws);
        }
        match tenants.last() {
            Some(last) => after = Some(*last),
            None => return,
        }
    }
}
