//! A provider that is a map of documents, and a store that is one realm: what is fetched, and when.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tenantry_domain::access::{PlatformAccess, Principal, PrincipalKind, Role};
use tenantry_domain::clock::Clock as _;
use tenantry_domain::error::{AuthFailure, Error};
use tenantry_domain::id::{RealmId, TenantId};
use tenantry_domain::page::{Page, PageRequest};
use tenantry_domain::realm::{Algorithm, NewRealm, Realm, RealmName, RealmPatch};
use tenantry_domain::realm_rules::{ClaimPath, Reach};
use tenantry_security::api_key::sha256;
use tenantry_security::external::Unverified;
use tenantry_security::realm::{TokenBearer, TokenRequest};
use tenantry_security::signing_key::SigningKey;
use tenantry_store::conformance::{ManualClock, SeededEntropy};
use tenantry_store::{RealmBy, Realms};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::keys::{AGAIN_MS, DUE_MS, FRESH_MS, Means, STALE_MS};
use super::provider::Fetch;
use super::registry::Registry;

const ISSUER: &str = "https://id.example.com";
const DISCOVERY: &str = "https://id.example.com/.well-known/openid-configuration";
const KEYS: &str = "https://id.example.com/keys";
const TENANT: TenantId = TenantId::from_uuid(Uuid::from_u128(7));

/// What providers answer.
struct Net {
    documents: Mutex<HashMap<String, String>>,
    asked: Mutex<Vec<String>>,
    is_down: AtomicBool,
    /// A permit for each answer, if answers are held up.
    held_up: AtomicBool,
    permits: Semaphore,
}

#[async_trait]
impl Fetch for Net {
    async fn fetch(&self, url: &str) -> Result<Vec<u8>, String> {
        self.asked.lock().unwrap().push(url.to_owned());
        if self.held_up.load(Ordering::SeqCst) {
            self.permits.acquire().await.unwrap().forget();
        }
        if self.is_down.load(Ordering::SeqCst) {
            return Err("down".to_owned());
        }
        let document = self.documents.lock().unwrap().get(url).cloned();
        document.map(String::into_bytes).ok_or_else(|| "answered 404".to_owned())
    }
}

/// The realms there are.
#[derive(Default)]
struct Shelf(Mutex<Vec<Realm>>);

#[async_trait]
impl Realms for Shelf {
    async fn find_realm(&self, by: &RealmBy) -> Result<Option<Realm>, Error> {
        let is_meant = |realm: &&Realm| match by {
            RealmBy::Name(name) => realm.name == *name,
            RealmBy::Issuer(issuer) => realm.issuer == *issuer,
        };
        Ok(self.0.lock().unwrap().iter().find(is_meant).cloned())
    }

    async fn create_realm(&self, _: &PlatformAccess, _: NewRealm) -> Result<Realm, Error> {
        unreachable!()
    }

    async fn realm(&self, _: &PlatformAccess, _: &RealmName) -> Result<Realm, Error> {
        unreachable!()
    }

    async fn list_realms(
        &self,
        _: &PlatformAccess,
        _: &PageRequest<Realm>,
    ) -> Result<Page<Realm>, Error> {
        unreachable!()
    }

    async fn update_realm(
        &self,
        _: &PlatformAccess,
        _: &RealmName,
        _: RealmPatch,
    ) -> Result<Realm, Error> {
        unreachable!()
    }

    async fn delete_realm(&self, _: &PlatformAccess, _: &RealmName) -> Result<Realm, Error> {
        unreachable!()
    }
}

/// What comes of something, which takes far less than this.
async fn soon<T>(coming: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), coming).await.unwrap()
}

/// What the use case does.
async fn authenticate(
    registry: &Registry,
    token: &str,
    named: Option<&str>,
) -> Result<Principal, Error> {
    let digest = sha256(token.as_bytes());
    match registry.recall(&digest, named).await? {
        Some(known) => Ok(known),
        None => registry.verify(&Unverified::read(token).unwrap(), digest, named).await,
    }
}

struct Fixture {
    clock: Arc<ManualClock>,
    net: Arc<Net>,
    shelf: Arc<Shelf>,
    registry: Arc<Registry>,
}

/// A provider is a realm of our own kind, under another name.
fn provider(clock: &Arc<ManualClock>, issuer: &str, key: u64) -> tenantry_security::realm::Realm {
    let entropy = Arc::new(SeededEntropy::new(key));
    let key = SigningKey::generate(&*entropy, clock.now()).unwrap();
    let clock = Arc::clone(clock) as _;
    tenantry_security::realm::Realm::new(issuer.to_owned(), vec![key], clock, entropy, 1).unwrap()
}

impl Fixture {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::default());
        let net = Arc::new(Net {
            documents: Mutex::default(),
            asked: Mutex::default(),
            is_down: AtomicBool::new(false),
            held_up: AtomicBool::new(false),
            permits: Semaphore::new(0),
        });
        let shelf = Arc::new(Shelf::default());
        let means = Means {
            fetch: Arc::clone(&net) as _,
            clock: Arc::clone(&clock) as _,
            reach: Reach::Encrypted,
        };
        let registry = Arc::new(Registry::new(Arc::clone(&shelf) as _, means, 100));
        let fixture = Self { clock, net, shelf, registry };
        fixture.put(realm("corp", ISSUER, 1));
        let discovery = serde_json::json!({"issuer": ISSUER, "jwks_uri": KEYS});
        fixture.publish(DISCOVERY, &discovery);
        fixture.show(&[1]);
        fixture
    }

    fn put(&self, realm: Realm) {
        let mut realms = self.shelf.0.lock().unwrap();
        realms.retain(|it| it.name != realm.name);
        realms.push(realm);
    }

    fn publish(&self, url: &str, document: &serde_json::Value) {
        self.net.documents.lock().unwrap().insert(url.to_owned(), document.to_string());
    }

    /// Has the provider show these keys.
    fn show(&self, keys: &[u64]) {
        let shown: Vec<_> = keys
            .iter()
            .map(|key| provider(&self.clock, ISSUER, *key).jwks()["keys"][0].clone())
            .collect();
        self.publish(KEYS, &serde_json::json!({ "keys": shown }));
    }

    fn token(&self, issuer: &str, key: u64) -> String {
        let request = TokenRequest {
            tenant: TENANT,
            bearer: TokenBearer::Person { id: None, role: Role::TenantAdmin },
            session: None,
            ttl_seconds: 1_000_000,
        };
        let issued = provider(&self.clock, issuer, key).issue(&request).unwrap();
        issued.text.expose().to_owned()
    }

    async fn authenticate(&self, token: &str, named: Option<&str>) -> Result<Principal, Error> {
        authenticate(&self.registry, token, named).await
    }

    async fn ask(&self, token: &str) -> Result<u64, Error> {
        let principal = self.authenticate(token, None).await?;
        let PrincipalKind::External(external) = principal.kind else { panic!("{principal:?}") };
        Ok(external.revision)
    }

    /// How often the keys were asked for, or were to be, since this was asked last.
    fn fetched(&self) -> usize {
        let asked = std::mem::take(&mut *self.net.asked.lock().unwrap());
        asked.iter().filter(|url| *url == DISCOVERY).count()
    }

    /// Waits until the keys were asked for in the background.
    async fn fetched_beside(&self) {
        soon(async {
            while self.fetched() == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
}

fn realm(name: &str, issuer: &str, revision: u64) -> Realm {
    let at = tenantry_store::conformance::START;
    Realm {
        id: RealmId::from_uuid(Uuid::from_u128(1)),
        name: RealmName::parse(name).unwrap(),
        issuer: issuer.to_owned(),
        jwks_uri: None,
        audience: "tenantry".to_owned(),
        algorithms: Algorithm::ALL.to_vec(),
        tenant_claim: ClaimPath::parse("tenant").unwrap(),
        roles_claim: ClaimPath::parse("roles").unwrap(),
        role_mapping: None,
        leeway_seconds: 0,
        platform: false,
        created_at: at,
        updated_at: at,
        revision,
    }
}

fn refused(reason: AuthFailure) -> Result<u64, Error> {
    Err(Error::Unauthenticated(reason))
}

#[tokio::test]
async fn however_many_come_at_once_the_keys_are_fetched_once() {
    let f = Fixture::new();
    f.net.held_up.store(true, Ordering::SeqCst);
    let mut asking = JoinSet::new();
    for _ in 0..50 {
        let (registry, token) = (Arc::clone(&f.registry), f.token(ISSUER, 1));
        asking.spawn(async move { authenticate(&registry, &token, None).await });
    }
    while f.net.asked.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    f.net.permits.add_permits(2);
    assert!(soon(asking.join_all()).await.into_iter().all(|it| it.is_ok()));
    assert_eq!(f.fetched(), 1);
}

#[tokio::test]
async fn whoever_gives_up_waiting_ends_nothing() {
    let f = Fixture::new();
    f.net.held_up.store(true, Ordering::SeqCst);
    let (registry, token) = (Arc::clone(&f.registry), f.token(ISSUER, 1));
    let gone = tokio::spawn(async move { authenticate(&registry, &token, None).await });
    while f.net.asked.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    gone.abort();
    f.net.permits.add_permits(2);
    assert_eq!(soon(f.ask(&f.token(ISSUER, 1))).await, Ok(1));
    assert_eq!(f.fetched(), 1);
}

#[tokio::test]
async fn keys_are_fetched_anew_before_they_are_old() {
    let f = Fixture::new();
    let token = f.token(ISSUER, 1);
    assert_eq!(f.ask(&token).await, Ok(1));
    assert_eq!(f.fetched(), 1);
    f.clock.advance(FRESH_MS - 1);
    assert_eq!(f.ask(&token).await, Ok(1));
    assert_eq!(f.fetched(), 0);
    // Beside the request, which does not wait: the provider does not answer.
    f.clock.advance(1);
    f.net.held_up.store(true, Ordering::SeqCst);
    assert_eq!(f.ask(&token).await, Ok(1));
    assert_eq!(f.ask(&token).await, Ok(1));
    f.net.permits.add_permits(100);
    f.fetched_beside().await;
    assert_eq!(f.ask(&token).await, Ok(1));
    assert_eq!(f.fetched(), 0);
    // So long after the last one that it is waited for.
    f.clock.advance(DUE_MS);
    assert_eq!(f.ask(&token).await, Ok(1));
    assert_eq!(f.fetched(), 1);
}

#[tokio::test]
async fn a_key_that_is_gone_is_good_for_nothing_soon() {
    let f = Fixture::new();
    let token = f.token(ISSUER, 1);
    assert_eq!(f.ask(&token).await, Ok(1));
    f.show(&[2]);
    f.clock.advance(DUE_MS);
    // The token was remembered, by keys that are not the provider's any more.
    assert_eq!(f.ask(&token).await, refused(AuthFailure::UnknownKey));
    assert_eq!(f.ask(&f.token(ISSUER, 2)).await, Ok(1));
}

#[tokio::test]
async fn an_unknown_key_has_them_fetched_once_in_a_while() {
    let f = Fixture::new();
    assert_eq!(f.ask(&f.token(ISSUER, 1)).await, Ok(1));
    assert_eq!(f.fetched(), 1);
    // The provider rotates, and its next token is good at once.
    f.show(&[1, 2]);
    assert_eq!(f.ask(&f.token(ISSUER, 2)).await, Ok(1));
    assert_eq!(f.ask(&f.token(ISSUER, 1)).await, Ok(1));
    assert_eq!(f.fetched(), 1);
    // Somebody makes keys up.
    for _ in 0..20 {
        assert_eq!(f.ask(&f.token(ISSUER, 3)).await, refused(AuthFailure::UnknownKey));
    }
    assert_eq!(f.fetched(), 0);
    f.clock.advance(AGAIN_MS);
    for _ in 0..20 {
        assert_eq!(f.ask(&f.token(ISSUER, 3)).await, refused(AuthFailure::UnknownKey));
    }
    assert_eq!(f.fetched(), 1);
}

#[tokio::test]
async fn while_the_provider_is_down_its_keys_serve() {
    let f = Fixture::new();
    let (token, mut age) = (f.token(ISSUER, 1), 0);
    assert_eq!(f.ask(&token).await, Ok(1));
    f.net.is_down.store(true, Ordering::SeqCst);
    f.fetched();
    for step in [FRESH_MS, DUE_MS - FRESH_MS, STALE_MS - DUE_MS - 1] {
        f.clock.advance(step);
        age += step;
        assert_eq!(f.ask(&token).await, Ok(1), "after {age} ms");
        f.fetched_beside().await;
        // It is not asked again at once.
        assert_eq!(f.ask(&token).await, Ok(1));
        assert_eq!(f.fetched(), 0);
    }
    // Not for ever.
    f.clock.advance(1);
    assert!(matches!(f.ask(&token).await, Err(Error::Unavailable(_))));
    f.net.is_down.store(false, Ordering::SeqCst);
    f.clock.advance(AGAIN_MS);
    assert_eq!(f.ask(&token).await, Ok(1));
}

#[tokio::test]
async fn without_keys_nobody_is_known_and_nobody_is_refused() {
    let f = Fixture::new();
    f.net.is_down.store(true, Ordering::SeqCst);
    for _ in 0..20 {
        assert!(matches!(f.ask(&f.token(ISSUER, 1)).await, Err(Error::Unavailable(_))));
    }
    assert_eq!(f.net.asked.lock().unwrap().len(), 1);
    f.net.is_down.store(false, Ordering::SeqCst);
    f.clock.advance(AGAIN_MS);
    assert_eq!(f.ask(&f.token(ISSUER, 1)).await, Ok(1));
}

#[tokio::test]
async fn a_provider_vouches_for_itself_alone() {
    for (discovery, why) in [
        (serde_json::json!({"issuer": "https://evil.example", "jwks_uri": KEYS}), "issuer"),
        (serde_json::json!({"issuer": "https://id.example.com/", "jwks_uri": KEYS}), "letter"),
        (serde_json::json!({"jwks_uri": KEYS}), "no issuer"),
        (serde_json::json!({"issuer": ISSUER}), "no keys"),
        (serde_json::json!({"issuer": ISSUER, "jwks_uri": "http://id.example.com/keys"}), "http"),
        (serde_json::json!({"issuer": ISSUER, "jwks_uri": "http://127.0.0.1/keys"}), "loopback"),
        (serde_json::json!({"issuer": ISSUER, "jwks_uri": "file:///etc/keys"}), "file"),
        (serde_json::json!([]), "no object"),
    ] {
        let f = Fixture::new();
        f.publish(DISCOVERY, &discovery);
        assert!(matches!(f.ask(&f.token(ISSUER, 1)).await, Err(Error::Unavailable(_))), "{why}");
        assert_eq!(*f.net.asked.lock().unwrap(), [DISCOVERY], "{why}");
    }
    // What is no key set is none.
    let f = Fixture::new();
    f.publish(KEYS, &serde_json::json!({"keys": []}));
    assert!(matches!(f.ask(&f.token(ISSUER, 1)).await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn no_realm_s_keys_are_tried_on_another_s_token() {
    let f = Fixture::new();
    f.put(Realm { jwks_uri: Some(KEYS.to_owned()), ..realm("other", "https://other.example", 2) });
    let named = async |token: &str, name: &str| f.authenticate(token, Some(name)).await.map(|_| ());
    let corp = f.token(ISSUER, 1);
    assert_eq!(named(&corp, "corp").await, Ok(()));
    let unknown = Err(Error::Unauthenticated(AuthFailure::UnknownRealm));
    // Although it has the same keys.
    assert_eq!(named(&corp, "other").await, unknown);
    assert_eq!(named(&f.token("https://other.example", 1), "other").await, Ok(()));
    for name in ["none", "Corp", "", "a b", "tenantry"] {
        assert_eq!(named(&corp, name).await, unknown, "{name}");
    }
    assert_eq!(
        f.ask(&f.token("https://none.example", 1)).await,
        refused(AuthFailure::UnknownRealm)
    );
}

#[tokio::test]
async fn what_another_process_has_changed_counts() {
    let f = Fixture::new();
    let token = f.token(ISSUER, 1);
    assert_eq!(f.ask(&token).await, Ok(1));
    // What is remembered lets the token in, for a state that the store does not have any more.
    f.put(Realm { leeway_seconds: 1, ..realm("corp", ISSUER, 2) });
    assert_eq!(f.ask(&token).await, Ok(1));
    let principal = f.authenticate(&token, None).await.unwrap();
    let PrincipalKind::External(external) = &principal.kind else { panic!("{principal:?}") };
    let anew = f.registry.authenticate_anew(&token, None, external).await.unwrap().unwrap();
    let PrincipalKind::External(external) = &anew.kind else { panic!("{anew:?}") };
    assert_eq!(external.revision, 2);
    assert_eq!(f.registry.authenticate_anew(&token, None, external).await, Ok(None));
    assert_eq!(f.ask(&token).await, Ok(2));
    // The keys are still the same.
    assert_eq!(f.fetched(), 1);

    // What is remembered turns nobody away that the store would let in.
    f.put(Realm { audience: "another".to_owned(), ..realm("corp", ISSUER, 3) });
    let anew = f.registry.authenticate_anew(&token, None, external).await;
    assert_eq!(anew, Err(Error::Unauthenticated(AuthFailure::WrongAudience)));
    assert_eq!(f.ask(&token).await, refused(AuthFailure::WrongAudience));
    f.put(realm("corp", ISSUER, 4));
    assert_eq!(f.ask(&token).await, Ok(4));

    // Another issuer is another provider, and the one before is nobody.
    f.put(Realm { jwks_uri: Some(KEYS.to_owned()), ..realm("corp", "https://new.example", 5) });
    assert_eq!(f.ask(&f.token("https://new.example", 1)).await, Ok(5));
    assert_eq!(f.ask(&token).await, refused(AuthFailure::UnknownRealm));
    f.shelf.0.lock().unwrap().clear();
    let anew = f.registry.authenticate_anew(&token, None, external).await;
    assert_eq!(anew, Err(Error::Unauthenticated(AuthFailure::UnknownRealm)));
}

#[tokio::test]
async fn a_remembered_token_ends_with_its_time() {
    let f = Fixture::new();
    let token = f.token(ISSUER, 1);
    assert_eq!(f.ask(&token).await, Ok(1));
    f.clock.advance(1_000_000_000);
    assert_eq!(f.ask(&token).await, refused(AuthFailure::Expired));
}
