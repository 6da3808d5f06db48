//! Requests that may arrive twice: one at a time, and each answered as the first was.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tenantry_domain::access::{Authority, Power};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::credential::Sealed;
use tenantry_domain::error::{Conflict, Denied, Error, Result};
use tenantry_domain::id::TenantId;
use tenantry_domain::idempotency::{Idempotency, IdempotencyKey, Mark, RequestDigests};
use tenantry_domain::ledger::Hash;
use tenantry_domain::scope::Scopes;
use tenantry_domain::sealing::SealedFor;
use tenantry_security::secret::SecretBytes;

use crate::Service;

/// The marks of the requests that this process is serving.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashSet<(TenantId, Hash)>>>);

impl InFlight {
    /// Claims a mark for a request of somebody with this power, until the claim is dropped.
    fn claim(&self, mark: Mark, request: Hash, power: Power) -> Result<Claim> {
        if self.marks().insert((mark.tenant, mark.id)) {
            Ok(Claim { mark, request, power, in_flight: self.clone(), made: Arc::default() })
        } else {
            Err(Error::Conflict(Conflict::InFlight))
        }
    }

    fn marks(&self) -> MutexGuard<'_, HashSet<(TenantId, Hash)>> {
        lock(&self.0)
    }
}

/// A request that is being served under its mark: another one with the same is refused meanwhile.
#[derive(Debug)]
pub struct Claim {
    mark: Mark,
    /// What it says, not digested with a key.
    request: Hash,
    power: Power,
    in_flight: InFlight,
    /// What the change is answered with, once it is made.
    made: Arc<Mutex<Option<SecretBytes>>>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.in_flight.marks().remove(&(self.mark.tenant, self.mark.id));
    }
}

/// The answer that a request and its repetitions get.
#[derive(Debug)]
pub struct OneAnswer {
    /// What was made of the change.
    pub bytes: SecretBytes,
    /// Whether the request is a repetition.
    pub replayed: bool,
}

impl Service {
    /// Begins a request that may be repeated: gives its authority the mark that the change is to
    /// leave. `answer` says how a change that led to a `T`, at that instant, is answered. It must
    /// hold nothing that holds the store, which may be the last to let go of it.
    ///
    /// # Errors
    /// [`Conflict::InFlight`] while another request with the same mark is being served.
    pub fn claim<A: Authority, T: 'static>(
        &self,
        access: A,
        route: &str,
        key: &IdempotencyKey,
        request: Hash,
        answer: impl Fn(Timestamp, &T) -> Result<SecretBytes> + Send + Sync + 'static,
    ) -> Result<(A, Claim)> {
        let digests = self.vault.request_digests(request);
        let mark = Mark::new(access.marks_of(), access.actor(), route, key, digests);
        let power = access.power();
        let claim = self.in_flight.claim(mark, request, power.clone())?;
        let (vault, clock) = (Arc::clone(&self.vault), Arc::clone(&self.clock));
        let made = Arc::clone(&claim.made);
        let idempotency = Idempotency::new(mark, move |outcome: &T| {
            let bytes = answer(clock.now(), outcome)?;
            let sealed_for = SealedFor::Answer(mark);
            let sealed = vault.seal(&sealed_for, with_power(&power, &bytes).as_ref())?;
            *lock(&made) = Some(bytes);
            Ok(sealed)
        });
        Ok((access.with_idempotency(idempotency), claim))
    }

    /// Makes a change unless it was made before, and says what is answered: to a repetition what
    /// was answered first, whatever would be answered now.
    ///
    /// # Errors
    /// What the change fails with; for a repetition by somebody who may do less than whoever was first
    /// [`Denied::InsufficientPermissions`]: it may not be able to ask for such a thing any more.
    pub async fn one_answer<T>(
        &self,
        claim: &Claim,
        making: impl Future<Output = Result<T>>,
    ) -> Result<OneAnswer> {
        self.know_master_key().await?;
        let outcome = match self.store.check_mark(&claim.mark).await {
            Ok(()) => making.await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(_) => {
                let made = lock(&claim.made).take();
                let unmarked = || Error::internal("a change was made without its mark");
                Ok(OneAnswer { bytes: made.ok_or_else(unmarked)?, replayed: false })
            }
            Err(Error::Repeated(sealed)) => {
                let open = || async { self.open_answer(&claim.mark, &sealed) };
                let (power, bytes) = self.with_master_keys(open).await?;
                if !claim.power.includes(&power) {
                    return Err(Error::Denied(Denied::InsufficientPermissions));
                }
                Ok(OneAnswer { bytes, replayed: true })
            }
            // It can be the same one, under a master key that was not known when it came.
            Err(Error::IdempotencyKeyReused) if self.is_digested_otherwise(claim).await? => {
                let cause = "the master key has just been replaced, and the request was repeated";
                Err(Error::Unavailable(cause.to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a request has other digests by now than when it came.
    async fn is_digested_otherwise(&self, claim: &Claim) -> Result<bool> {
        self.learn_master_keys().await?;
        let RequestDigests { now, before } = self.vault.request_digests(claim.request);
        Ok((now, before) != (claim.mark.request, claim.mark.before))
    }

    /// Opens the answer to a request, which was sealed for the digest that the master key of then gave;
    /// answers also what those may do whom it was given to.
    fn open_answer(&self, mark: &Mark, sealed: &Sealed) -> Result<(Power, SecretBytes)> {
        let open = |mark| self.vault.open(&SealedFor::Answer(mark), sealed);
        let kept = match (open(*mark), mark.before) {
            (Err(Error::Internal(_)), Some(request)) => open(Mark { request, ..*mark }),
            (opened, _) => opened,
        };
        let kept = kept?;
        let (power, bytes) = split_power(&kept)?;
        Ok((power, copy_of(&[bytes])))
    }
}

/// What begins the line of somebody who may do some things alone, and has no role.
const SCOPES: &str = "scopes";

/// An answer as it is kept: after a line with what whoever it was given to may do.
fn with_power(power: &Power, answer: &SecretBytes) -> SecretBytes {
    let line = match power {
        Power::Role(role) => role.as_str().to_owned(),
        Power::Scopes(scopes) => format!("{SCOPES} {}", scopes.to_line()),
    };
    copy_of(&[line.as_bytes(), b"\n", answer.as_ref()])
}

fn split_power(kept: &[u8]) -> Result<(Power, &[u8])> {
    let mut parts = kept.splitn(2, |byte| *byte == b'\n');
    let power = parts.next().and_then(|line| read_power(std::str::from_utf8(line).ok()?));
    let unreadable = || Error::internal("an answer that was kept does not say for whom");
    power.zip(parts.next()).ok_or_else(unreadable)
}

fn read_power(line: &str) -> Option<Power> {
    let mut words = line.split_ascii_whitespace().peekable();
    if words.next_if_eq(&SCOPES).is_some() {
        return Scopes::parse(words).ok().map(Power::Scopes);
    }
    line.parse().ok().map(Power::Role)
}

/// The parts in a row, in a buffer of their full size: growing would leave a copy of a secret behind.
fn copy_of(parts: &[&[u8]]) -> SecretBytes {
    let mut bytes = SecretBytes::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        bytes.extend(part);
    }
    bytes
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the locks guard is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tenantry_domain::access::Role;

    use super::*;

    #[test]
    fn one_at_a_time() {
        let in_flight = InFlight::default();
        let (id, request) = (Hash([1; 32]), Hash([2; 32]));
        let mark = Mark { tenant: TenantId::PLATFORM, id, request, before: None };
        let claim = |mark| in_flight.claim(mark, Hash([7; 32]), Power::Role(Role::TenantAdmin));
        let first = claim(mark).unwrap();
        // Whatever the second one says: it is too early to tell.
        for second in [mark, Mark { request: Hash([3; 32]), ..mark }] {
            let refused = claim(second).unwrap_err();
            assert_eq!(refused, Error::Conflict(Conflict::InFlight));
        }
        drop(claim(Mark { id: Hash([9; 32]), ..mark }).unwrap());
        drop(first);
        drop(claim(mark).unwrap());
    }

    #[test]
    fn an_answer_says_for_whom_it_is() {
        let mut answer = SecretBytes::default();
        answer.extend(b"head\nbody");
        let scopes = |names: &[&str]| Scopes::parse(names.iter().copied()).unwrap();
        for power in [
            Power::Role(Role::SuperAdmin),
            Power::Scopes(scopes(&["keys:write", "credentials:reveal"])),
            Power::Scopes(scopes(&[])),
        ] {
            let kept = with_power(&power, &answer);
            assert_eq!(split_power(kept.as_ref()), Ok((power, b"head\nbody".as_slice())));
        }
        for other in
            [b"".as_slice(), b"super_admin", b"nobody\n", b"\n", b"scopes keys:eat\n", b"scope\n"]
        {
            assert!(split_power(other).is_err());
        }
    }
}
