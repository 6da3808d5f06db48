//! Who a token of an external realm says is calling: the realms that were asked for, their keys, and the
//! tokens that were found right.
//!
//! What is remembered of a realm may be out of date: another process may have changed it. So nobody is
//! turned away by what is remembered alone, and whoever is let in is let in for that state of the
//! realm, which the store compares with the present one when it confirms the caller.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use quick_cache::sync::Cache;
use tenantry_domain::access::{ExternalPrincipal, Principal};
use tenantry_domain::error::{AuthFailure, Error, Result};
use tenantry_domain::realm::{Realm, RealmName};
use tenantry_security::api_key::sha256;
use tenantry_security::external::{Unverified, Vouched};
use tenantry_store::{RealmBy, Realms};

use super::keys::{Means, ProviderKeys};
use super::provider::Source;

/// The realms, as this process knows them.
pub(crate) struct Registry {
    store: Arc<dyn Realms>,
    means: Means,
    known: RwLock<Known>,
    /// By the SHA-256 of the token, so that no token lies in memory.
    verified: Cache<[u8; 32], Remembered>,
}

#[derive(Default)]
struct Known {
    by_name: HashMap<RealmName, Arc<Loaded>>,
    by_issuer: HashMap<String, RealmName>,
}

/// A realm in one of its states, with the keys of its provider.
struct Loaded {
    realm: Realm,
    keys: Arc<ProviderKeys>,
}

/// A token that was found right, by this state of its realm and by these keys.
#[derive(Clone)]
struct Remembered {
    loaded: Arc<Loaded>,
    generation: u64,
    vouched: Vouched,
}

impl Registry {
    /// At most about `cache_capacity` verified tokens are remembered.
    pub(crate) fn new(store: Arc<dyn Realms>, means: Means, cache_capacity: usize) -> Self {
        let verified = Cache::new(cache_capacity);
        Self { store, means, known: RwLock::default(), verified }
    }

    /// Who a token that was found right before says is calling, if that counts still. If a realm is
    /// named it must be the token's.
    pub(crate) async fn recall(
        &self,
        digest: &[u8; 32],
        named: Option<&str>,
    ) -> Result<Option<Principal>> {
        let Some(known) = self.verified.get(digest) else { return Ok(None) };
        let is_meant = named.is_none_or(|name| name == known.loaded.realm.name.as_str());
        if !is_meant || !self.is_known(&known.loaded) {
            return Ok(None);
        }
        let held = known.loaded.keys.current(&self.means).await?;
        if held.generation != known.generation {
            return Ok(None);
        }
        // One that is over by what is remembered is judged by what the realm is now.
        Ok(self.now(&known.vouched).ok())
    }

    /// Who the token says is calling by what the realm is now, if it is another than the one that
    /// vouched for `principal`; `None` if it is the same.
    pub(crate) async fn authenticate_anew(
        &self,
        token: &str,
        named: Option<&str>,
        principal: &ExternalPrincipal,
    ) -> Result<Option<Principal>> {
        let name = RealmName::from_stored(principal.id.realm.clone());
        let loaded = self.load(&RealmBy::Name(name)).await?;
        if loaded.is_some_and(|loaded| loaded.realm.revision == principal.revision) {
            return Ok(None);
        }
        let read = Unverified::read(token).map_err(Error::Unauthenticated)?;
        self.verify(&read, sha256(token.as_bytes()), named).await.map(Some)
    }

    /// Who a token says is calling, by the realm that is named, or else by the one whose issuer is the
    /// token's. No other realm's keys are tried.
    pub(crate) async fn verify(
        &self,
        token: &Unverified<'_>,
        digest: [u8; 32],
        named: Option<&str>,
    ) -> Result<Principal> {
        let unknown = || Error::Unauthenticated(AuthFailure::UnknownRealm);
        let by = match named {
            Some(name) => RealmBy::Name(RealmName::parse(name).map_err(|_| unknown())?),
            None => RealmBy::Issuer(token.issuer().to_owned()),
        };
        let known = self.known(&by);
        let loaded = match &known {
            Some(loaded) => Arc::clone(loaded),
            None => self.load(&by).await?.ok_or_else(unknown)?,
        };
        let remembered = match (self.judge(token, loaded).await, known) {
            (Err(Error::Unauthenticated(reason)), Some(known)) => {
                let loaded = self.load(&by).await?.ok_or_else(unknown)?;
                if Arc::ptr_eq(&loaded, &known) {
                    return Err(Error::Unauthenticated(reason));
                }
                self.judge(token, loaded).await?
            }
            (judged, _) => judged?,
        };
        let principal = self.now(&remembered.vouched)?;
        self.verified.insert(digest, remembered);
        Ok(principal)
    }

    /// What a realm says of a token, whatever is remembered of it.
    async fn judge(&self, token: &Unverified<'_>, loaded: Arc<Loaded>) -> Result<Remembered> {
        let mut held = loaded.keys.current(&self.means).await?;
        let mut vouched = token.verify(&loaded.realm, &held.keys);
        if vouched.as_ref().err() == Some(&AuthFailure::UnknownKey) {
            let renewed = loaded.keys.renewed(&self.means, &held).await?;
            if renewed.generation != held.generation {
                held = renewed;
                vouched = token.verify(&loaded.realm, &held.keys);
            }
        }
        let vouched = vouched.map_err(Error::Unauthenticated)?;
        // A realm that was changed may also be more patient now.
        self.now(&vouched)?;
        Ok(Remembered { loaded, generation: held.generation, vouched })
    }

    fn now(&self, vouched: &Vouched) -> Result<Principal> {
        vouched.at(self.means.clock.now()).map_err(Error::Unauthenticated)
    }

    /// The realm, if it was asked for before.
    fn known(&self, by: &RealmBy) -> Option<Arc<Loaded>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let name = match by {
            RealmBy::Name(name) => name,
            RealmBy::Issuer(issuer) => known.by_issuer.get(issuer)?,
        };
        known.by_name.get(name).cloned()
    }

    /// Whether this is what is known of its realm.
    fn is_known(&self, loaded: &Arc<Loaded>) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.by_name.get(&loaded.realm.name).is_some_and(|it| Arc::ptr_eq(it, loaded))
    }

    /// The realm as the store has it now, which is remembered.
    async fn load(&self, by: &RealmBy) -> Result<Option<Arc<Loaded>>> {
        let found = self.store.find_realm(by).await?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let Some(realm) = found else {
            let name = match by {
                RealmBy::Name(name) => Some(name.clone()),
                RealmBy::Issuer(issuer) => known.by_issuer.remove(issuer),
            };
            if let Some(gone) = name.and_then(|name| known.by_name.remove(&name)) {
                known.by_issuer.remove(&gone.realm.issuer);
            }
            return Ok(None);
        };
        Ok(Some(known.take(realm)))
    }
}

impl Known {
    fn take(&mut self, realm: Realm) -> Arc<Loaded> {
        let source = Source::of(&realm);
        let before = self.by_name.get(&realm.name);
        // Somebody can have read a later state meanwhile.
        if let Some(before) = before.filter(|it| it.realm.revision >= realm.revision) {
            return Arc::clone(before);
        }
        let keys = before.filter(|it| it.keys.source == source).map(|it| Arc::clone(&it.keys));
        if let Some(before) = before {
            self.by_issuer.remove(&before.realm.issuer.clone());
        }
        let keys = keys.unwrap_or_else(|| ProviderKeys::of(source));
        self.by_issuer.insert(realm.issuer.clone(), realm.name.clone());
        let loaded = Arc::new(Loaded { realm, keys });
        self.by_name.insert(loaded.realm.name.clone(), Arc::clone(&loaded));
        loaded
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registry")
    }
}
