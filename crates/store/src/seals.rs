//! What is sealed, and the master keys that it is sealed under.

use std::sync::Arc;

use async_trait::async_trait;
use tenantry_domain::access::TenantAccess;
use tenantry_domain::credential::Sealed;
use tenantry_domain::error::Result;
use tenantry_domain::id::{CredentialId, TenantId};
use tenantry_domain::ledger::Hash;
use tenantry_domain::sealing::{MasterKeys, SealedFor};

use crate::Note;

/// Says what a secret is sealed as from now on; nothing: it stays as it is. It must be quick and must not
/// call the store, and can be asked again.
pub type Resealing = Arc<dyn Fn(&SealedFor, &Sealed) -> Result<Option<Sealed>> + Send + Sync>;

/// A place where sealed things are, and up to where it was gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// The signing keys.
    SigningKeys,
    /// The secrets of a tenant's credentials, after this one.
    Credentials(TenantId, Option<CredentialId>),
    /// The answers that are kept for repeated requests about a tenant, after the mark with this id.
    Answers(TenantId, Option<Hash>),
}

/// Something that is sealed, as a store finds it on a shelf.
#[derive(Debug)]
pub struct Found {
    /// What it is sealed for.
    pub sealed_for: SealedFor,
    /// How it is sealed.
    pub sealed: Sealed,
    /// Up to where the shelf is gone through with it.
    pub until: Shelf,
}

impl Shelf {
    /// Where to go on after what was found, which is as much as was asked for unless that was the end. The
    /// shelf of signing keys is short: it is gone through at once.
    pub fn rest(self, found: &[Found], limit: u32) -> Option<Self> {
        let is_full = u32::try_from(found.len()).is_ok_and(|found| found >= limit);
        found.last().map(|last| last.until).filter(|rest| is_full && *rest != self)
    }
}

/// What has been gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resealed {
    /// How many are sealed anew.
    pub count: u64,
    /// Where to go on, unless that was the end of the shelf.
    pub rest: Option<Shelf>,
}

/// What is sealed.
#[async_trait]
pub trait Seals: Send + Sync {
    /// Binds the installation to a master key by that key's id, unless it is bound already.
    /// Answers the id it is bound to.
    async fn bind_master_key(&self, key_id: &str) -> Result<String>;

    /// The master keys of the installation.
    async fn master_keys(&self) -> Result<MasterKeys>;

    /// Has these be the master keys, if the installation is still bound to the one with the id `bound`;
    /// answers whether it is. The authority is over the platform's own tenant, whose ledger gets the note.
    async fn replace_master_keys(
        &self,
        access: &TenantAccess,
        bound: &str,
        keys: MasterKeys,
        note: Note,
    ) -> Result<bool>;

    /// Goes through so many of the things on a shelf, and seals anew what `reseal` says. What was changed
    /// meanwhile stays as it was changed. No ledger tells of it: what is sealed is the same.
    async fn reseal(&self, shelf: Shelf, limit: u32, reseal: Resealing) -> Result<Resealed>;
}
