//! A clock moved by hand and randomness that repeats.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tenantry_domain::clock::{Clock, Timestamp};
use tenantry_domain::entropy::Entropy;
use uuid::Uuid;

pub(crate) struct ManualClock(AtomicI64);

impl ManualClock {
    pub(crate) fn at(text: &str) -> Self {
        Self(AtomicI64::new(text.parse::<Timestamp>().unwrap().as_millis()))
    }

    /// Moves it on, or back if negative.
    pub(crate) fn advance_millis(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// `SplitMix64`: anything but secret.
pub(crate) struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
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
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

pub(crate) fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(number)
}
