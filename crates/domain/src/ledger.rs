//! An entry of a tenant's ledger: its canonical bytes and its hash.
//!
//! Each entry's hash covers the entry before it (a chain), the counts after the change, and
//! digests of what is personal. The personal text lies beside the digest with the salt that went
//! into it: erase both, and the chain still verifies while nobody can guess the text from the
//! digest.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use crate::action::{Action, ActorKind, ResourceKind};
use crate::clock::Timestamp;
use crate::counts::{Change, Counts, Drift};
use crate::entropy::Entropy;
use crate::id::{EntryId, TenantId};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is personal about an actor.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActorInfo {
    /// Its name.
    pub name: Option<String>,
    /// Its e-mail address.
    pub email: Option<String>,
    /// The address it called from.
    pub ip_address: Option<IpAddr>,
}

/// JSON text that can be erased, beside the digest that cannot.
#[derive(Clone, PartialEq, Eq)]
pub struct Erasable {
    /// The text and its salt; `None` once erased.
    pub clear: Option<Clear>,
    /// The digest of salt and text.
    pub digest: Hash,
}

/// The clear text of an [`Erasable`].
#[derive(Clone, PartialEq, Eq)]
pub struct Clear {
    /// Random, so that the digest of a short text cannot be searched for.
    pub salt: [u8; 16],
    /// JSON.
    pub json: String,
}

impl Erasable {
    /// Takes a JSON text and a fresh salt.
    pub fn new(json: String, entropy: &dyn Entropy) -> Self {
        let clear = Clear { salt: entropy.bytes(), json };
        let digest = clear.digest();
        Self { clear: Some(clear), digest }
    }

    /// Whether the text, unless erased, is the one that the digest was made from.
    pub fn is_intact(&self) -> bool {
        self.clear.as_ref().is_none_or(|clear| clear.digest() == self.digest)
    }
}

impl fmt::Debug for Erasable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Erasable({})", self.digest)
    }
}

impl Clear {
    fn digest(&self) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(b"tenantry/erasable/1\0");
        hasher.update(self.salt);
        hasher.update(self.json.as_bytes());
        Hash(hasher.finalize().into())
    }
}

/// The newest state of a tenant's ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number of entries; the newest one's number.
    pub seq: u64,
    /// The newest entry's hash.
    pub hash: Hash,
    /// The newest entry's instant.
    pub at: Timestamp,
    /// The counts after it.
    pub counts: Counts,
    /// The newest change by one of the tenant's own principals.
    pub last_activity: Option<Timestamp>,
}

impl Head {
    /// The ledger of a tenant that has none yet.
    pub const EMPTY: Self = Self {
        seq: 0,
        hash: Hash([0; 32]),
        at: Timestamp::MIN,
        counts: Counts {
            users_active: 0,
            users_inactive: 0,
            admins: 0,
            credentials_active: 0,
            credentials_expired: 0,
            api_keys_active: 0,
            api_keys_expired: 0,
            api_keys_revoked: 0,
            oauth_clients_active: 0,
            oauth_clients_disabled: 0,
        },
        last_activity: None,
    };

    /// The next entry, and the head after it. The caller has locked the head, and `at` is not
    /// before [`Head::at`].
    ///
    /// # Errors
    /// [`Drift`] if the change does not fit the counts.
    pub fn append(&self, event: Event, entropy: &dyn Entropy) -> Result<(Entry, Self), Drift> {
        let counts = self.counts.after(&event.change, event.at)?;
        let mut entry = Entry {
            id: EntryId::generate(event.at, entropy),
            tenant: event.tenant,
            seq: self.seq + 1,
            at: event.at,
            action: event.action,
            actor_kind: event.actor_kind,
            actor_id: event.actor_id,
            actor_info: Erasable::new(to_json(&event.actor_info), entropy),
            resource_id: event.resource_id,
            rows: event.rows,
            details: Erasable::new(event.details.to_string(), entropy),
            counts,
            hash: Hash::default(),
        };
        entry.hash = entry.chained_to(&self.hash);
        let head = Self {
            seq: entry.seq,
            hash: entry.hash,
            at: entry.at,
            counts,
            last_activity: if event.own { Some(entry.at) } else { self.last_activity },
        };
        Ok((entry, head))
    }
}

fn to_json(info: &ActorInfo) -> String {
    serde_json::json!({
        "name": info.name,
        "email": info.email,
        "ipAddress": info.ip_address,
    })
    .to_string()
}

/// Something that happens to a tenant, before it is an entry.
#[derive(Debug, Clone)]
pub struct Event {
    /// The tenant it happens to.
    pub tenant: TenantId,
    /// When.
    pub at: Timestamp,
    /// What.
    pub action: Action,
    /// How it moves the counts.
    pub change: Change,
    /// Who did it.
    pub actor_kind: ActorKind,
    /// The id of who did it.
    pub actor_id: String,
    /// What is personal about who did it.
    pub actor_info: ActorInfo,
    /// Whether who did it is one of the tenant's own principals.
    pub own: bool,
    /// The thing it happened to.
    pub resource_id: String,
    /// How many things it happened to.
    pub rows: u64,
    /// A JSON object with what else is worth knowing; never a secret.
    pub details: serde_json::Value,
}

/// One entry of a tenant's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: EntryId,
    /// Whose ledger it is in.
    pub tenant: TenantId,
    /// Its number there, from 1 without a gap.
    pub seq: u64,
    /// When it happened; never before the entry before it.
    pub at: Timestamp,
    /// What happened.
    pub action: Action,
    /// Who did it.
    pub actor_kind: ActorKind,
    /// The id of who did it.
    pub actor_id: String,
    /// What is personal about who did it.
    pub actor_info: Erasable,
    /// The thing it happened to.
    pub resource_id: String,
    /// How many things it happened to.
    pub rows: u64,
    /// What else is worth knowing.
    pub details: Erasable,
    /// The counts after it.
    pub counts: Counts,
    /// Covers all of the above and the hash of the entry before.
    pub hash: Hash,
}

impl Entry {
    /// The hash that this entry must have after one with the hash `previous`.
    pub fn chained_to(&self, previous: &Hash) -> Hash {
        let mut bytes = Canonical(Vec::with_capacity(512));
        bytes.part(b"tenantry/ledger/1");
        bytes.part(&previous.0);
        bytes.part(self.tenant.as_uuid().as_bytes());
        bytes.number(self.seq);
        bytes.part(self.id.as_uuid().as_bytes());
        bytes.part(&self.at.as_millis().to_be_bytes());
        bytes.part(self.action.as_str().as_bytes());
        bytes.part(self.actor_kind.as_str().as_bytes());
        bytes.part(self.actor_id.as_bytes());
        bytes.part(&self.actor_info.digest.0);
        bytes.part(self.action.resource().as_str().as_bytes());
        bytes.part(self.resource_id.as_bytes());
        bytes.number(self.rows);
        bytes.part(&self.details.digest.0);
        for number in self.counts.to_array() {
            bytes.number(number);
        }
        Hash(Sha256::digest(&bytes.0).into())
    }

    /// What is wrong with this entry after the one before it; `None` if nothing is.
    pub fn flaw_after(&self, previous: &Head) -> Option<&'static str> {
        if self.seq != previous.seq + 1 {
            Some("an entry is missing before it")
        } else if self.at < previous.at {
            Some("it is older than the entry before it")
        } else if self.chained_to(&previous.hash) != self.hash {
            Some("its hash does not follow from the entry before it")
        } else if !self.details.is_intact() || !self.actor_info.is_intact() {
            Some("its text is not the one that was signed for")
        } else {
            None
        }
    }
}

/// Bytes that can be read in one way only: every part carries its length.
struct Canonical(Vec<u8>);

impl Canonical {
    fn part(&mut self, part: &[u8]) {
        self.number(part.len() as u64);
        self.0.extend_from_slice(part);
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counts::UserFacts;

    struct Fixed;

    impl Entropy for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(7);
        }
    }

    fn event(at: i64) -> Event {
        Event {
            tenant: TenantId::PLATFORM,
            at: Timestamp::from_millis(at),
            action: Action::UserCreated,
            change: Change::User {
                before: None,
                after: Some(UserFacts { active: true, admin: false }),
            },
            actor_kind: ActorKind::Operator,
            actor_id: "op".to_owned(),
            actor_info: ActorInfo {
                email: Some("op@example.com".to_owned()),
                ..Default::default()
            },
            own: true,
            resource_id: "user".to_owned(),
            rows: 1,
            details: serde_json::json!({"email": "ann@example.com"}),
        }
    }

    #[test]
    fn erasing_keeps_the_chain_and_changing_breaks_it() {
        let (first, head) = Head::EMPTY.append(event(5), &Fixed).unwrap();
        let (second, _) = head.append(event(6), &Fixed).unwrap();
        assert_eq!(first.flaw_after(&Head::EMPTY), None);
        assert_eq!(second.flaw_after(&head), None);

        let mut erased = second.clone();
        erased.details.clear = None;
        erased.actor_info.clear = None;
        assert_eq!(erased.flaw_after(&head), None);

        let mut forged = second.clone();
        forged.counts.admins = 1;
        assert!(forged.flaw_after(&head).is_some());
        let mut rewritten = second.clone();
        rewritten.details.clear.as_mut().unwrap().json = "{}".to_owned();
        assert!(rewritten.flaw_after(&head).is_some());
        assert!(second.flaw_after(&Head::EMPTY).is_some());
    }

    #[test]
    fn the_canonical_bytes_never_change() {
        let (entry, _) = Head::EMPTY.append(event(5), &Fixed).unwrap();
        assert_eq!(
            entry.hash.to_string(),
            "db6beb9896c7a5e4f7bb96ad7c334df36f8c370d56412d11ca5527e535efeb29"
        );
    }

    #[test]
    fn action_names_read_back() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse::<Action>().unwrap(), *action);
        }
    }
}
