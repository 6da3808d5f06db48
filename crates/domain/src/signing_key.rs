//! A signing key of the built-in realm, as it is kept, and what becomes of it as newer ones come.

use crate::clock::Timestamp;
use crate::credential::Sealed;

/// How old a key is before it signs: by then every process knows it, and everybody who verifies
/// tokens elsewhere has had the time to fetch it.
pub const KNOWN_AFTER_MS: i64 = 10 * 60 * 1_000;

/// The longest that a token may be valid without its key being asked to stay for it.
pub const ORDINARY_TTL_MS: i64 = 24 * 60 * 60 * 1_000;

/// A signing key whose private part is under the master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSigningKey {
    /// The key's id, the `kid` of its tokens.
    pub kid: String,
    /// Its algorithm, as JOSE names it.
    pub algorithm: String,
    /// Its private part, sealed.
    pub sealed: Sealed,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the last token ends that it has signed for longer than [`ORDINARY_TTL_MS`].
    pub needed_until: Option<Timestamp>,
}

impl StoredSigningKey {
    /// From when on it signs, unless there is a newer one by then that does.
    pub fn signs_from(&self) -> Timestamp {
        self.created_at.plus_millis(KNOWN_AFTER_MS)
    }

    /// From when on no token that it has signed is valid, if this key was made after it. A process
    /// whose clock or knowledge is behind may sign with it for a while longer than it should.
    pub fn verifies_until(&self, next: &Self) -> Timestamp {
        let ordinary = next.created_at.plus_millis(2 * KNOWN_AFTER_MS + ORDINARY_TTL_MS);
        self.needed_until.map_or(ordinary, |needed| needed.max(ordinary))
    }
}

/// Which of the keys signs now; they come oldest first. It is the newest one that is known
/// everywhere; while none is, the oldest.
pub fn signer<K>(keys: &[K], created_at: impl Fn(&K) -> Timestamp, now: Timestamp) -> Option<&K> {
    let is_known = |key: &&K| created_at(key).plus_millis(KNOWN_AFTER_MS) <= now;
    keys.iter().rev().find(is_known).or(keys.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(minutes: i64) -> Timestamp {
        Timestamp::from_millis(1_752_157_800_000 + minutes * 60_000)
    }

    #[test]
    fn the_newest_key_signs_that_is_known_everywhere() {
        let signer = |keys: &[i64], now: i64| {
            signer(keys, |created| minutes(*created), minutes(now)).copied()
        };
        assert_eq!(signer(&[], 0), None);
        assert_eq!(signer(&[0], 0), Some(0));
        assert_eq!(signer(&[0, 5], 14), Some(0));
        assert_eq!(signer(&[0, 5], 15), Some(5));
        assert_eq!(signer(&[0, 5, 6], 15), Some(5));
        // A clock that steps back.
        assert_eq!(signer(&[0, 5], -60), Some(0));
    }

    #[test]
    fn a_key_stays_while_something_that_it_has_signed_is_valid() {
        let key = |created: i64, needed_until: Option<i64>| StoredSigningKey {
            kid: String::new(),
            algorithm: String::new(),
            sealed: Sealed(Vec::new()),
            created_at: minutes(created),
            needed_until: needed_until.map(minutes),
        };
        let next = key(100, None);
        let ordinary = 100 + 20 + 24 * 60;
        assert_eq!(key(0, None).verifies_until(&next), minutes(ordinary));
        assert_eq!(key(0, Some(ordinary - 1)).verifies_until(&next), minutes(ordinary));
        assert_eq!(key(0, Some(ordinary + 1)).verifies_until(&next), minutes(ordinary + 1));
    }
}
