//! External realms: their administration, and what their providers are asked for.

use tenantry_domain::access::PlatformAccess;
use tenantry_domain::error::Result;
use tenantry_domain::id::RealmId;
use tenantry_domain::page::{Page, PageRequest};
use tenantry_domain::realm::{NewRealm, Realm, RealmName, RealmPatch};
use tenantry_domain::realm_rules::Reach;

use crate::Service;

mod http;
mod keys;
mod provider;
mod registry;

pub(crate) use http::Http;
pub(crate) use keys::Means;
pub(crate) use registry::Registry;

impl Service {
    /// Where providers may be.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// An id for a realm.
    pub fn new_realm_id(&self) -> RealmId {
        RealmId::generate(self.now(), self.entropy())
    }

    /// Makes a realm.
    ///
    /// # Errors
    /// `Conflict` for a name or an issuer that another realm has, the built-in one among them.
    pub async fn create_realm(&self, access: &PlatformAccess, new: NewRealm) -> Result<Realm> {
        new.check_built_in(self.realm.issuer())?;
        self.store.create_realm(access, new).await
    }

    /// A realm.
    pub async fn realm_named(&self, access: &PlatformAccess, name: &RealmName) -> Result<Realm> {
        self.store.realm(access, name).await
    }

    /// A page of the realms.
    pub async fn list_realms(
        &self,
        access: &PlatformAccess,
        page: &PageRequest<Realm>,
    ) -> Result<Page<Realm>> {
        self.store.list_realms(access, page).await
    }

    /// Changes a realm.
    ///
    /// # Errors
    /// As [`Service::create_realm`].
    pub async fn update_realm(
        &self,
        access: &PlatformAccess,
        name: &RealmName,
        patch: RealmPatch,
    ) -> Result<Realm> {
        patch.check_built_in(self.realm.issuer())?;
        self.store.update_realm(access, name, patch).await
    }

    /// Removes a realm; answers what it was. Its tokens are no good from now on.
    pub async fn delete_realm(&self, access: &PlatformAccess, name: &RealmName) -> Result<Realm> {
        self.store.delete_realm(access, name).await
    }
}

#[cfg(test)]
mod tests;
