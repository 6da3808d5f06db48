//! What a mark that is found says about the request that has it.

use tenantry_domain::credential::Sealed;
use tenantry_domain::error::{Error, Missing, Result};
use tenantry_domain::idempotency::Mark;
use tenantry_domain::ledger::Hash;

/// A mark that is kept and has not had its time.
#[derive(Debug)]
pub struct KeptMark {
    /// Which request left it.
    pub request: Hash,
    /// What was answered; nothing once the person that it told of is erased.
    pub answer: Sealed,
}

/// Fails as a request with this mark must, if one with it took effect before.
pub fn require_new(mark: &Mark, found: Option<KeptMark>) -> Result<()> {
    match found {
        None => Ok(()),
        Some(KeptMark { request, .. }) if !mark.is_of(request) => Err(Error::IdempotencyKeyReused),
        Some(KeptMark { answer: Sealed(answer), .. }) if answer.is_empty() => {
            Err(Error::NotFound(Missing::User))
        }
        Some(KeptMark { answer, .. }) => Err(Error::Repeated(answer)),
    }
}
