//! A signing key of the built-in realm, as it is kept.

use crate::clock::Timestamp;
use crate::credential::Sealed;

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
}
