//! An external realm: an `OpenID` provider whose tokens are taken, and what is read out of them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::access::Role;
use crate::action::words;
use crate::clock::Timestamp;
use crate::error::{Conflict, Error, Result};
use crate::id::{RealmId, TenantId};
use crate::patch::Patch;
use crate::realm_rules::ClaimPath;
use crate::sort::sort_fields;
use crate::text::fold;

/// The name of the realm of Tenantry's own tokens, which no other realm has.
pub const BUILT_IN: &str = "tenantry";

/// The most characters of a realm's name.
pub const NAME_MAX: usize = 64;

/// The name of a realm: what `realmname` says, and what a tenant and a user's external id name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RealmName(String);

impl RealmName {
    /// Reads a name.
    ///
    /// # Errors
    /// What would be right, to follow the field's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fits = (1..=NAME_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("must be 1 to {NAME_MAX} of A-Z, a-z, 0-9, '.', '_', '-'"))
        }
    }

    /// A name that a store kept.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it is sorted by: the name without regard to case.
    pub fn key(&self) -> String {
        fold(&self.0)
    }

    /// Whether it is the built-in realm's, in whatever case.
    pub fn is_built_in(&self) -> bool {
        self.0.eq_ignore_ascii_case(BUILT_IN)
    }
}

impl fmt::Display for RealmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for RealmName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

words! {
    /// An algorithm of signatures, as JOSE names it (RFC 7518, RFC 8037). All are asymmetric: whoever
    /// can verify one cannot make one.
    Algorithm {
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        Rs256 = "RS256",
        /// RSASSA-PKCS1-v1_5 with SHA-384.
        Rs384 = "RS384",
        /// RSASSA-PKCS1-v1_5 with SHA-512.
        Rs512 = "RS512",
        /// RSASSA-PSS with SHA-256.
        Ps256 = "PS256",
        /// RSASSA-PSS with SHA-384.
        Ps384 = "PS384",
        /// RSASSA-PSS with SHA-512.
        Ps512 = "PS512",
        /// ECDSA on P-256 with SHA-256.
        Es256 = "ES256",
        /// ECDSA on P-384 with SHA-384.
        Es384 = "ES384",
        /// ECDSA on P-521 with SHA-512.
        Es512 = "ES512",
        /// Ed25519.
        EdDsa = "EdDSA",
    }
}

/// What the realm's own words for roles mean here. Without it, ours are meant where it says ours.
pub type RoleMapping = BTreeMap<String, Role>;

/// An external realm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Realm {
    /// Its id, which nobody outside is told.
    #[serde(skip)]
    pub id: RealmId,
    /// Its name, which does not change.
    pub name: RealmName,
    /// The `iss` of its tokens, to the letter. No two realms have the same.
    pub issuer: String,
    /// Where its keys are; `None`: where its discovery document says.
    pub jwks_uri: Option<String>,
    /// What its tokens must be meant for.
    pub audience: String,
    /// With what they may be signed.
    pub algorithms: Vec<Algorithm>,
    /// Where they name the tenant.
    pub tenant_claim: ClaimPath,
    /// Where they name the roles.
    pub roles_claim: ClaimPath,
    /// What those mean here.
    pub role_mapping: Option<RoleMapping>,
    /// How far its clock may be off.
    pub leeway_seconds: u32,
    /// Whether it vouches for principals of the platform's own tenant, super admins among them.
    pub platform: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The entry of the platform's ledger that made it what it is: no two states of any realms share
    /// one, not even of realms that have the same name one after the other.
    #[serde(skip)]
    pub revision: u64,
}

impl Realm {
    /// The most that it can say somebody of a tenant is.
    pub fn highest_role_in(&self, tenant: TenantId) -> Role {
        self.standing().highest_role_in(tenant)
    }

    /// What matters of it on every request.
    pub fn standing(&self) -> RealmStanding {
        RealmStanding { revision: self.revision, platform: self.platform }
    }

    /// Where its keys come from: two states of a realm that say the same here have the same keys.
    pub fn key_source(&self) -> (&str, Option<&str>) {
        (&self.issuer, self.jwks_uri.as_deref())
    }
}

/// What matters of a realm on every request of somebody it vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RealmStanding {
    /// Which state of it this is.
    pub revision: u64,
    /// Whether it vouches for principals of the platform's own tenant.
    pub platform: bool,
}

impl RealmStanding {
    /// The most that it can say somebody of a tenant is: only a realm with the flag can assert that
    /// somebody is a super admin, and only of the platform's own tenant.
    pub fn highest_role_in(self, tenant: TenantId) -> Role {
        if self.platform && tenant == TenantId::PLATFORM {
            Role::SuperAdmin
        } else {
            Role::TenantAdmin
        }
    }
}

/// A realm to be made.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the field of `Realm` of the same name")]
pub struct NewRealm {
    pub id: RealmId,
    pub name: RealmName,
    pub issuer: String,
    pub jwks_uri: Option<String>,
    pub audience: String,
    pub algorithms: Vec<Algorithm>,
    pub tenant_claim: ClaimPath,
    pub roles_claim: ClaimPath,
    pub role_mapping: Option<RoleMapping>,
    pub leeway_seconds: u32,
    pub platform: bool,
}

impl NewRealm {
    /// Refuses what is the built-in realm's, whose issuer this is.
    ///
    /// # Errors
    /// [`Conflict::RealmName`], [`Conflict::Issuer`].
    pub fn check_built_in(&self, issuer: &str) -> Result<()> {
        if self.name.is_built_in() {
            return Err(Error::Conflict(Conflict::RealmName));
        }
        check_issuer(&self.issuer, issuer)
    }

    /// The realm, made at `at` by this entry of the platform's ledger.
    pub fn into_realm(self, at: Timestamp, revision: u64) -> Realm {
        Realm {
            id: self.id,
            name: self.name,
            issuer: self.issuer,
            jwks_uri: self.jwks_uri,
            audience: self.audience,
            algorithms: self.algorithms,
            tenant_claim: self.tenant_claim,
            roles_claim: self.roles_claim,
            role_mapping: self.role_mapping,
            leeway_seconds: self.leeway_seconds,
            platform: self.platform,
            created_at: at,
            updated_at: at,
            revision,
        }
    }
}

fn check_issuer(issuer: &str, built_in: &str) -> Result<()> {
    if issuer == built_in { Err(Error::Conflict(Conflict::Issuer)) } else { Ok(()) }
}

/// A change of a realm.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each is the field of `Realm` of the same name")]
pub struct RealmPatch {
    pub issuer: Option<String>,
    pub jwks_uri: Patch<String>,
    pub audience: Option<String>,
    pub algorithms: Option<Vec<Algorithm>>,
    pub tenant_claim: Option<ClaimPath>,
    pub roles_claim: Option<ClaimPath>,
    /// Of each word what it is to mean, `None` to forget it.
    pub role_mapping: Patch<BTreeMap<String, Option<Role>>>,
    pub leeway_seconds: Option<u32>,
    pub platform: Option<bool>,
}

impl RealmPatch {
    /// Refuses what is the built-in realm's, whose issuer this is.
    ///
    /// # Errors
    /// [`Conflict::Issuer`].
    pub fn check_built_in(&self, issuer: &str) -> Result<()> {
        self.issuer.as_ref().map_or(Ok(()), |given| check_issuer(given, issuer))
    }

    /// The realm after the change. Its revision is the one before.
    ///
    /// # Errors
    /// [`Error::Invalid`] if its mapping has too many words then.
    pub fn apply(self, before: &Realm, at: Timestamp) -> Result<Realm> {
        let mut realm = before.clone();
        realm.issuer = self.issuer.unwrap_or(realm.issuer);
        self.jwks_uri.apply(&mut realm.jwks_uri);
        realm.audience = self.audience.unwrap_or(realm.audience);
        realm.algorithms = self.algorithms.unwrap_or(realm.algorithms);
        realm.tenant_claim = self.tenant_claim.unwrap_or(realm.tenant_claim);
        realm.roles_claim = self.roles_claim.unwrap_or(realm.roles_claim);
        match self.role_mapping {
            Patch::Keep => {}
            Patch::Clear => realm.role_mapping = None,
            Patch::Set(changes) => {
                let mapping = realm.role_mapping.get_or_insert_default();
                for (word, role) in changes {
                    match role {
                        Some(role) => drop(mapping.insert(word, role)),
                        None => drop(mapping.remove(&word)),
                    }
                }
                crate::realm_rules::check_mapping(mapping)
                    .map_err(|problem| Error::invalid("roleMapping", problem))?;
            }
        }
        realm.leeway_seconds = self.leeway_seconds.unwrap_or(realm.leeway_seconds);
        realm.platform = self.platform.unwrap_or(realm.platform);
        if realm != *before {
            realm.updated_at = at;
        }
        Ok(realm)
    }
}

sort_fields! {
    /// What realms are sorted by.
    RealmField of Realm in "realms" {
        /// When it was made.
        CreatedAt = "createdAt": Instant,
        /// When it was last changed.
        UpdatedAt = "updatedAt": Instant,
        /// Its name.
        Name = "name": Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        assert!(RealmName::parse("corp-1.Example_x").is_ok());
        assert!(RealmName::parse(&"x".repeat(NAME_MAX)).is_ok());
        for name in ["", "a b", "a/b", "ä", &"x".repeat(NAME_MAX + 1)] {
            assert!(RealmName::parse(name).is_err(), "{name}");
        }
        assert!(RealmName::parse("Tenantry").unwrap().is_built_in());
        assert!(!RealmName::parse("tenantry-2").unwrap().is_built_in());
    }

    #[test]
    fn every_algorithm_is_asymmetric() {
        for algorithm in Algorithm::ALL {
            assert!(!algorithm.as_str().starts_with("HS"), "{algorithm:?}");
        }
        for name in ["none", "None", "HS256", "rs256", "RS1", ""] {
            assert!(name.parse::<Algorithm>().is_err(), "{name}");
        }
    }
}
