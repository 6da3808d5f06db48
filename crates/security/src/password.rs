//! Passwords: what they must be, and how they are kept.

use std::fmt;
use std::sync::Arc;

use argon2::password_hash::Error as HashError;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use tenantry_domain::entropy::Entropy;
use tenantry_domain::error::{Error, Result};
use tokio::sync::Semaphore;

use crate::secret::SecretText;

/// Memory in KiB, passes and lanes: the first choice of OWASP's password storage cheat sheet that
/// needs less than 20 MB.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_LEN: usize = 16;

/// What a password is compared with when there is none: a hash of the same cost, which no password
/// is known to have.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA\
                     $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

const LENGTH: std::ops::RangeInclusive<usize> = 12..=256;

/// Whether a text will do as a password: it has 12 to 256 characters, of any kind (after NIST SP
/// 800-63B, section 3.1.1.2: length counts, composition rules do harm).
///
/// # Errors
/// What would be right, to follow the field's name.
pub fn check_password(password: &SecretText) -> Result<(), String> {
    if LENGTH.contains(&password.expose().chars().count()) {
        Ok(())
    } else {
        Err(format!("must have {} to {} characters", LENGTH.start(), LENGTH.end()))
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
    #[expect(clippy::expect_used, reason = "the parameters are constants that a test has tried")]
    pub fn new(entropy: Arc<dyn Entropy>, workers: usize, waiting: usize) -> Self {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
            .expect("the parameters must be ones that Argon2 allows");
        let workers = workers.clamp(1, Semaphore::MAX_PERMITS);
        let admitted = workers.saturating_add(waiting).min(Semaphore::MAX_PERMITS);
        Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
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
