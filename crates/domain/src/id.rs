//! Ids that cannot be mistaken for each other.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::entropy::Entropy;

/// The text was not a UUID in its usual form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a UUID")]
pub struct NotAUuid;

/// A UUID of version 7 (RFC 9562): it sorts by the instant it was made at.
pub fn uuid_v7(now: Timestamp, entropy: &dyn Entropy) -> Uuid {
    let millis = u64::try_from(now.as_millis()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &entropy.bytes()).into_uuid()
}

/// Reads the 36-character form alone: what is stored, shown and compared has one spelling.
fn parse(text: &str) -> Result<Uuid, NotAUuid> {
    if text.len() == 36 { Uuid::try_parse(text).map_err(|_| NotAUuid) } else { Err(NotAUuid) }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, sortable by the instant it was made at.
            pub fn generate(now: Timestamp, entropy: &dyn Entropy) -> Self {
                Self(uuid_v7(now, entropy))
            }

            /// An id that is known already.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID behind it.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.as_hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAUuid;

            fn from_str(text: &str) -> Result<Self, NotAUuid> {
                parse(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

ids! {
    /// A tenant.
    TenantId,
    /// A user of a tenant.
    UserId,
    /// An API key.
    ApiKeyId,
    /// An OAuth client. Not the `clientId` that it presents.
    OauthClientId,
    /// A credential of the vault.
    CredentialId,
    /// An external realm. Nobody outside is told it.
    RealmId,
    /// An entry of a tenant's ledger.
    EntryId,
    /// A token of the built-in realm: its `jti`.
    TokenId,
    /// What a person or a client has begun and goes on with by refreshing: the `sid` of its tokens.
    SessionId,
}

impl TenantId {
    /// The platform's own tenant, there from the first migration.
    pub const PLATFORM: Self = Self(Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0000));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_only() {
        let id = "3fa85f64-5717-4562-b3fc-2c963f66afa6";
        assert_eq!(id.parse::<TenantId>().unwrap().to_string(), id);
        assert_eq!(id.to_uppercase().parse::<TenantId>().unwrap().to_string(), id);
        for text in [
            "3fa85f6457174562b3fc2c963f66afa6",
            "{3fa85f64-5717-4562-b3fc-2c963f66afa6}",
            "urn:uuid:3fa85f64-5717-4562-b3fc-2c963f66afa6",
            "3fa85f64-5717-4562-b3fc-2c963f66afag",
            "",
        ] {
            assert_eq!(text.parse::<TenantId>(), Err(NotAUuid), "{text}");
        }
    }

    #[test]
    fn the_platform_has_its_documented_id() {
        assert_eq!(TenantId::PLATFORM.to_string(), "00000000-0000-7000-8000-000000000000");
    }
}
