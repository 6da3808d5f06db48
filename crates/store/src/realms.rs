//! The port's part for external realms.

use async_trait::async_trait;
use tenantry_domain::access::PlatformAccess;
use tenantry_domain::error::Result;
use tenantry_domain::page::{Page, PageRequest};
use tenantry_domain::realm::{NewRealm, Realm, RealmName, RealmPatch};

/// External realms, which there are once for all tenants. Changes of them stand in the ledger of the
/// platform's own tenant.
#[async_trait]
pub trait Realms: Send + Sync {
    /// Makes a realm. [`Conflict::RealmName`](tenantry_domain::error::Conflict) and
    /// [`Conflict::Issuer`](tenantry_domain::error::Conflict) if another realm has the same.
    async fn create_realm(&self, access: &PlatformAccess, new: NewRealm) -> Result<Realm>;

    /// A realm.
    async fn realm(&self, access: &PlatformAccess, name: &RealmName) -> Result<Realm>;

    /// A page of the realms.
    async fn list_realms(
        &self,
        access: &PlatformAccess,
        page: &PageRequest<Realm>,
    ) -> Result<Page<Realm>>;

    /// Changes a realm. [`Conflict::Issuer`](tenantry_domain::error::Conflict) if another has the
    /// same.
    async fn update_realm(
        &self,
        access: &PlatformAccess,
        name: &RealmName,
        patch: RealmPatch,
    ) -> Result<Realm>;

    /// Removes a realm; answers what it was.
    async fn delete_realm(&self, access: &PlatformAccess, name: &RealmName) -> Result<Realm>;

    /// The realm that a token names, if there is one: for whoever has to tell who calls.
    async fn find_realm(&self, by: &RealmBy) -> Result<Option<Realm>>;
}

/// By what a realm is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RealmBy {
    /// Its name.
    Name(RealmName),
    /// The issuer of its tokens.
    Issuer(String),
}
