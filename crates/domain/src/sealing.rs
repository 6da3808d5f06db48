//! What is sealed at rest, and the master keys that it is sealed under.

use std::fmt;

use crate::clock::Timestamp;
use crate::credential::Sealed;
use crate::id::{CredentialId, TenantId};
use crate::idempotency::Mark;

/// What something is sealed for: it opens for nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealedFor {
    /// The secret of a tenant's credential.
    Credential(TenantId, CredentialId),
    /// The private part of the signing key with this id.
    SigningKey(String),
    /// The answer to a request, kept for its repetition.
    Answer(Mark),
    /// The master key with this id, under another one.
    MasterKey(String),
}

impl fmt::Display for SealedFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credential(tenant, id) => write!(f, "credential {id} of tenant {tenant}"),
            Self::SigningKey(kid) => write!(f, "signing key {kid}"),
            Self::Answer(mark) => {
                write!(f, "the answer kept for request {} of tenant {}", mark.id, mark.tenant)
            }
            Self::MasterKey(id) => write!(f, "master key {id}"),
        }
    }
}

/// A master key as it is kept: sealed under another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// The key's id.
    pub key_id: String,
    /// The id of the key that opens it.
    pub under: String,
    /// The key.
    pub sealed: Sealed,
    /// When it was wrapped.
    pub created_at: Timestamp,
}

/// The master keys of an installation.
///
/// Everything is to be sealed under the one that the installation is bound to. While that replaces
/// another one, each of the two is kept sealed under the other, so a process that was given either knows
/// both. Afterwards the old one is only kept under the new one: whoever has the old one has nothing, and
/// what was sealed under it late still opens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MasterKeys {
    /// The id of the one that the installation is bound to; nothing before its first start.
    pub bound: Option<String>,
    /// What is kept of them.
    pub wrapped: Vec<WrappedKey>,
}

impl MasterKeys {
    /// How the bound key is kept for those who know the one before alone, while it replaces that.
    pub fn succession(&self) -> Option<&WrappedKey> {
        self.wrapped.iter().find(|key| Some(&key.key_id) == self.bound.as_ref())
    }

    /// What is kept once the key before opens nothing any more: itself, for those who know the bound one.
    /// `None` if the bound key replaces none.
    #[must_use]
    pub fn without_succession(&self) -> Option<Self> {
        let before = &self.succession()?.under;
        let is_kept =
            |key: &&WrappedKey| Some(&key.under) == self.bound.as_ref() && key.key_id == *before;
        let wrapped = self.wrapped.iter().filter(is_kept).cloned().collect();
        Some(Self { bound: self.bound.clone(), wrapped })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(key_id: &str, under: &str) -> WrappedKey {
        WrappedKey {
            key_id: key_id.to_owned(),
            under: under.to_owned(),
            sealed: Sealed(vec![1]),
            created_at: Timestamp::from_millis(7),
        }
    }

    fn keys(bound: &str, pairs: &[(&str, &str)]) -> MasterKeys {
        let wrapped = pairs.iter().map(|(key_id, under)| wrapped(key_id, under)).collect();
        MasterKeys { bound: Some(bound.to_owned()), wrapped }
    }

    #[test]
    fn the_key_before_is_kept_under_the_new_one_alone() {
        let open = keys("c", &[("b", "c"), ("a", "c"), ("c", "b")]);
        assert_eq!(open.succession(), Some(&wrapped("c", "b")));
        let closed = open.without_succession().unwrap();
        assert_eq!(closed, keys("c", &[("b", "c")]));
        assert_eq!(closed.succession(), None);
        assert_eq!(closed.without_succession(), None);
        assert_eq!(MasterKeys::default().without_succession(), None);
    }
}
