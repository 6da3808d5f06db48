//! Signing in with a password: what slows down whoever guesses, and what sets a password.

use crate::api_key::SecretHash;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::{TenantId, UserId};
use crate::text::Email;
use crate::user::{PasswordHash, User};

/// How long an invitation is good, in milliseconds.
pub const INVITATION_MS: i64 = 72 * 60 * 60 * 1_000;
/// How long failures are remembered, in milliseconds.
pub const FAILURES_KEPT_MS: i64 = 24 * 60 * 60 * 1_000;
/// How long somebody has to wait at most, in seconds.
const LONGEST_DELAY: i64 = 15 * 60;

/// Whom or what failures are counted for, as a digest: nothing is told of who tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject(pub [u8; 32]);

/// An attempt to sign in.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The tenant among whose failures it counts.
    pub tenant: TenantId,
    /// Which of its users it is about; nobody if the tenant that was named is none.
    pub email: Option<Email>,
    /// The account that was named, whether there is one or not.
    pub account: Subject,
    /// Where it comes from.
    pub address: Subject,
}

/// How failures slow down the next attempt.
#[derive(Debug, Clone, Copy)]
pub struct Brake {
    /// So many failures cost nothing.
    free: u32,
}

impl Brake {
    /// Of one account: a person mistypes a few times.
    pub const ACCOUNT: Self = Self { free: 4 };
    /// Of one address within a tenant: many people can share one.
    pub const ADDRESS: Self = Self { free: 20 };

    /// After how many seconds the next attempt may come: 1, 2, 4, … once the free ones are used up.
    fn delay(self, failures: u32) -> i64 {
        match failures.checked_sub(self.free).and_then(|beyond| beyond.checked_sub(1)) {
            None => 0,
            Some(doublings) => 1_i64.checked_shl(doublings.min(32)).unwrap_or(LONGEST_DELAY),
        }
        .min(LONGEST_DELAY)
    }

    /// How many failures there are if one more attempt begins at `at`.
    ///
    /// # Errors
    /// After how many seconds one may begin, if none may now.
    pub fn count(self, before: Failures, at: Timestamp) -> Result<u32, u64> {
        let since = at.as_millis().saturating_sub(before.last_at.as_millis());
        if since >= FAILURES_KEPT_MS {
            return Ok(1);
        }
        let left = self.delay(before.number).saturating_mul(1_000).saturating_sub(since.max(0));
        if left > 0 {
            return Err(u64::try_from(left).unwrap_or_default().div_ceil(1_000));
        }
        Ok(before.number.saturating_add(1))
    }
}

/// Attempts that have failed, or have begun and not come to anything.
#[derive(Debug, Clone, Copy)]
pub struct Failures {
    /// How many.
    pub number: u32,
    /// When the last one began.
    pub last_at: Timestamp,
}

/// Counts an attempt for its address and for its account, before anything is known of it.
///
/// # Errors
/// [`Error::TooManyRequests`] if it comes too early for either; then it does not count.
pub fn count_attempt(address: Failures, account: Failures, at: Timestamp) -> Result<[u32; 2]> {
    match (Brake::ADDRESS.count(address, at), Brake::ACCOUNT.count(account, at)) {
        (Ok(address), Ok(account)) => Ok([address, account]),
        (one, other) => {
            let seconds = one.err().max(other.err()).unwrap_or(1);
            Err(Error::TooManyRequests { seconds })
        }
    }
}

/// The user whose e-mail was given, and what its password is compared with.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The user.
    pub id: UserId,
    /// The hash of its password, if it has one.
    pub password_hash: Option<PasswordHash>,
}

/// A password that was found to be right.
#[derive(Debug, Clone)]
pub struct ProvenPassword {
    /// What it was compared with: one that was set meanwhile is another one.
    pub hash: PasswordHash,
    /// The attempt, which has not failed.
    pub attempt: Attempt,
}

/// A user who may set its password with a one-time token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The user.
    pub user: User,
    /// From when on the token is no good.
    pub expires_at: Timestamp,
}

/// A password that is set with a one-time token.
#[derive(Debug, Clone)]
pub struct NewPassword {
    /// The hash of the token.
    pub token: SecretHash,
    /// Whose it is.
    pub user: UserId,
    /// The hash of the password.
    pub hash: PasswordHash,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn delays_double_up_to_a_quarter_of_an_hour() {
        let delays = |brake: Brake, failures: [u32; 4]| failures.map(|it| brake.delay(it));
        assert_eq!(delays(Brake::ACCOUNT, [0, 4, 5, 6]), [0, 0, 1, 2]);
        assert_eq!(delays(Brake::ACCOUNT, [14, 15, 40, u32::MAX]), [512, 900, 900, 900]);
        assert_eq!(delays(Brake::ADDRESS, [20, 21, 22, 23]), [0, 1, 2, 4]);
    }

    #[test]
    fn an_attempt_that_comes_too_early_does_not_count() {
        let before = Failures { number: 6, last_at: at(10_000) };
        assert_eq!(Brake::ACCOUNT.count(before, at(10_000)), Err(2));
        assert_eq!(Brake::ACCOUNT.count(before, at(11_001)), Err(1));
        assert_eq!(Brake::ACCOUNT.count(before, at(12_000)), Ok(7));
        // A clock that stands behind does not make it longer.
        assert_eq!(Brake::ACCOUNT.count(before, at(0)), Err(2));
    }

    #[test]
    fn failures_are_forgotten_after_a_day() {
        let before = Failures { number: 40, last_at: at(0) };
        assert_eq!(Brake::ACCOUNT.count(before, at(FAILURES_KEPT_MS - 1)), Ok(41));
        assert_eq!(Brake::ACCOUNT.count(before, at(FAILURES_KEPT_MS)), Ok(1));
    }

    #[test]
    fn the_longer_delay_is_told() {
        let none = Failures { number: 0, last_at: at(0) };
        let some = |number| Failures { number, last_at: at(0) };
        assert_eq!(count_attempt(none, none, at(0)), Ok([1, 1]));
        let refused = |address, account| count_attempt(some(address), some(account), at(0));
        assert_eq!(refused(0, 8), Err(Error::TooManyRequests { seconds: 8 }));
        assert_eq!(refused(25, 8), Err(Error::TooManyRequests { seconds: 16 }));
    }
}
