//! Passwords: what they must be, and how they are kept.

use std::fmt;
use std::sync::Arc;

use argon2::password_hash::Error as HashError;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use tenantry_domain::entropy::Entropy;
use tenantry_domain::error::{Error, Result};
use tokio::sync::Semaphore;

use crate::secret::SecretText;

/// 19 MiB, two passes, one lane, as OWASP's password storage cheat sheet recommends. A test holds
/// the library's default to that.
const PARAMS: Params = Params::DEFAULT;
const SALT_LEN: usize = 16;

/// What a password is compared with when there is none: a hash of the same cost, which no password
/// is known to have.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA\
                     $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// How many characters a password has.
pub const LENGTH: std::ops::RangeInclusive<usize> = 12..=256;

/// Whether a text will do as a password: it has 12 to 256 characters, of any kind that a person can
/// type. Length is what counts, and rules about the kinds of characters do harm (NIST SP 800-63B);
/// control characters are no part of a password (RFC 8265, section 4.2.1).
///
/// # Errors
/// What would be right, to follow the field's name.
pub fn check_password(password: &SecretText) -> Result<(), String> {
    let text = password.expose();
    if LENGTH.contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        Ok(())
    } else {
        let (least, most) = (LENGTH.start(), LENGTH.end());
        Err(format!("must have {least} to {most} characters and no control characters"))
    }
}

/// Hashes passwords with Argon2id (RFC 9106). One hash takes tens of milliseconds of a core and
/// 19 MiB, so only so many are made at once, on threads of their own, and only so many callers
/// wait for their turn.
pub struct Passwords {
    argon2: Argon2<'static>,
    entropy: Arc<dyn Entropy>,
    /// Those who work or wait.
    admitted: Arc<Semaphore>,
    /// Those who work.
    working: Arc<Semaphore>,
}

impl Passwords {
    /// At most `workers` hashes (at least one) are made at once, and at most `waiting` callers
    /// wait.
    pub fn new(entropy: Arc<dyn Entropy>, workers: usize, waiting: usize) -> Self {
        let workers = workers.clamp(1, Semaphore::MAX_PERMITS);
        let admitted = workers.saturating_add(waiting).min(Semaphore::MAX_PERMITS);
        Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, PARAMS),
            entropy,
            admitted: Arc::new(Semaphore::new(admitted)),
            working: Arc::new(Semaphore::new(workers)),
        }
    }

    /// The hash to keep, a PHC string: `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if too many callers are waiting.
    pub async fn hash(&self, password: SecretText) -> Result<String> {
        let salt: [u8; SALT_LEN] = self.entropy.bytes();
        self.work(move |argon2| {
            argon2
                .hash_password_with_salt(password.expose().as_bytes(), &salt)
                .map(|hash| hash.to_string())
                .map_err(Error::internal)
        })
        .await
    }

    /// Whether a password is the one that was hashed. Without a hash it does the same work and
    /// answers `false`, so that the time it takes does not tell whether there is one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if too many callers are waiting; [`Error::Internal`] if the hash is
    /// not one of Argon2.
    pub async fn verify(&self, password: SecretText, hash: Option<&str>) -> Result<bool> {
        let known = hash.is_some();
        let hash = hash.unwrap_or(DECOY).to_owned();
        self.work(move |argon2| {
            match argon2.verify_password(password.expose().as_bytes(), hash.as_str()) {
                Ok(()) => Ok(known),
                Err(HashError::PasswordInvalid) => Ok(false),
                Err(error) => Err(Error::internal(error)),
            }
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        task: impl FnOnce(Argon2<'static>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let busy = |_| Error::Unavailable("too many passwords are being checked".to_owned());
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(busy)?;
        let working = Arc::clone(&self.working).acquire_owned().await.map_err(Error::internal)?;
        let argon2 = self.argon2.clone();
        // The permits go with the work: it goes on even if the caller has left.
        tokio::task::spawn_blocking(move || {
            let _permits = (admitted, working);
            task(argon2)
        })
        .await
        .map_err(Error::internal)?
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passwords(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::SeededEntropy;

    fn passwords(workers: usize, waiting: usize) -> Passwords {
        Passwords::new(Arc::new(SeededEntropy::new(1)), workers, waiting)
    }

    fn secret(text: &str) -> SecretText {
        SecretText::new(text.to_owned())
    }

    /// What a future answers without waiting; else it is dropped.
    async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = std::future::ready(()) => None,
        }
    }

    #[test]
    fn length_counts_and_every_character_can_be_typed() {
        for (length, good) in [(0, false), (11, false), (12, true), (256, true), (257, false)] {
            assert_eq!(check_password(&secret(&"ä".repeat(length))).is_ok(), good, "{length}");
        }
        for control in ['\0', '\n', '\u{9f}'] {
            let text = format!("correct horse{control}");
            assert!(check_password(&secret(&text)).is_err(), "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_hash_fits_its_password_alone() {
        let passwords = passwords(2, 2);
        let hash = passwords.hash(secret("correct horse battery")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(!hash.contains("horse"));
        let again = passwords.hash(secret("correct horse battery")).await.unwrap();
        assert_ne!(hash, again);

        let verify = |text, hash| passwords.verify(secret(text), hash);
        assert!(verify("correct horse battery", Some(hash.as_str())).await.unwrap());
        assert!(!verify("correct horse batterz", Some(hash.as_str())).await.unwrap());
        assert!(!verify("", Some(hash.as_str())).await.unwrap());
        assert!(!verify("correct horse battery", None).await.unwrap());
    }

    #[tokio::test]
    async fn a_damaged_hash_is_an_error_and_not_a_wrong_password() {
        for damaged in ["", "plain", "$argon2id$v=19$m=19456,t=2,p=1$!$!", "$scrypt$ln=1$AAAA$AAAA"]
        {
            let verified = passwords(1, 0).verify(secret("whatever it is"), Some(damaged)).await;
            assert!(matches!(verified, Err(Error::Internal(_))), "{damaged}");
        }
    }

    #[test]
    fn without_a_hash_the_work_is_the_same() {
        let hash = argon2::PasswordHash::new(DECOY).unwrap();
        assert_eq!(Params::try_from(&hash).unwrap(), Params::new(19_456, 2, 1, Some(32)).unwrap());
        assert_eq!(hash.salt.unwrap().len(), SALT_LEN);
    }

    #[tokio::test]
    async fn only_so_many_wait() {
        let passwords = passwords(1, 1);
        let work = || passwords.hash(secret("correct horse battery"));
        // The one worker is busy: two are admitted and wait for it, a third is turned away.
        let busy = Arc::clone(&passwords.working).acquire_owned().await.unwrap();
        let (first, second, third) = tokio::join!(biased; work(), work(), async {
            let third = at_once(work()).await;
            drop(busy);
            third
        });
        assert!(first.is_ok() && second.is_ok());
        assert!(matches!(third, Some(Err(Error::Unavailable(_)))));
        assert!(work().await.is_ok());
    }

    #[tokio::test]
    async fn who_leaves_the_queue_makes_room() {
        let passwords = passwords(1, 0);
        let work = || passwords.hash(secret("correct horse battery"));
        let busy = Arc::clone(&passwords.working).acquire_owned().await.unwrap();
        assert!(at_once(work()).await.is_none());
        drop(busy);
        assert!(work().await.is_ok());
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", passwords(1, 1)), "Passwords(…)");
    }
}
