//! Two processes on one store, of which one is held up while the other replaces the master key.

use std::sync::Arc;

use tenantry_domain::error::Error;
use tenantry_domain::id::{CredentialId, TenantId};
use tenantry_domain::realm_rules::Reach;
use tenantry_security::master_key::MasterKey;
use tenantry_service::{RotationError, Service, SetupError, Wiring};
use tenantry_testkit::{SeededEntropy, TestApp};

/// For how long what is known of the keys is good enough to seal something.
const STALE_MS: i64 = 30_000;
/// How long after a rotation the old key may be retired.
const KNOWN_AFTER_MS: i64 = 60_000;

fn key(seed: u64) -> MasterKey {
    MasterKey::generate(&SeededEntropy::new(seed))
}

/// A process on the store of the app that was given the key of this seed.
async fn start(app: &TestApp, seed: u64) -> Result<Service, SetupError> {
    let wiring = Wiring {
        store: Arc::clone(app.service.store()),
        clock: Arc::clone(&app.clock) as _,
        master_key: key(seed),
        entropy: Arc::new(SeededEntropy::new(100 + seed)),
        issuer: "tenantry".to_owned(),
        reach: Reach::default(),
    };
    Service::start(wiring).await
}

/// Two processes that were given the installation's key, which is that of seed 1.
async fn two(app: &TestApp) -> (Service, Service) {
    app.service.rotate_master_key(key(1)).await.unwrap();
    app.service.retire_master_key(true, |_| {}).await.unwrap();
    (start(app, 1).await.unwrap(), start(app, 1).await.unwrap())
}

/// Has the platform's tenant have a credential with a secret that `service` seals.
async fn keep(service: &Service) -> Result<CredentialId, Error> {
    let draft = super::secrets::credential("a secret");
    let access = TestApp::access(TenantId::PLATFORM);
    service.create_credential(&access, draft).await.map(|made| made.id)
}

async fn opens(service: &Service, id: CredentialId) -> Result<(), Error> {
    let access = TestApp::access(TenantId::PLATFORM);
    let integration = super::secrets::integration();
    service.reveal_credential(&access, &integration, id).await.map(drop)
}

#[tokio::test]
async fn who_is_held_up_seals_nothing_that_nobody_opens() {
    let app = TestApp::start().await;
    let (held_up, other) = two(&app).await;
    other.rotate_master_key(key(2)).await.unwrap();
    // It does not know yet, and what it seals opens all the same.
    let early = keep(&held_up).await.unwrap();
    opens(&other, early).await.unwrap();
    let too_early = other.retire_master_key(false, |_| {}).await;
    assert!(matches!(too_early, Err(RotationError::TooEarly(_))), "{too_early:?}");
    app.clock.advance(KNOWN_AFTER_MS);
    assert_eq!(other.retire_master_key(false, |_| {}).await.unwrap(), key(1).id());

    for refused in [keep(&held_up).await.map(drop), held_up.ready().await] {
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    }
    other.ready().await.unwrap();
    opens(&other, early).await.unwrap();
    let again = start(&app, 2).await.unwrap();
    opens(&again, early).await.unwrap();
    let refused = start(&app, 1).await.unwrap_err();
    assert!(matches!(refused, SetupError::WrongMasterKey { .. }), "{refused}");
    app.stop().await;
}

#[tokio::test]
async fn who_is_held_up_only_a_while_goes_on() {
    let app = TestApp::start().await;
    let (held_up, other) = two(&app).await;
    other.rotate_master_key(key(2)).await.unwrap();
    app.clock.advance(STALE_MS);
    // It looks before it seals something.
    let made = keep(&held_up).await.unwrap();
    assert_eq!(other.rewrap(|_| {}).await.unwrap().credentials, 0);
    app.clock.advance(KNOWN_AFTER_MS);
    other.retire_master_key(false, |_| {}).await.unwrap();
    for service in [&held_up, &other] {
        opens(service, made).await.unwrap();
        keep(service).await.unwrap();
    }
    app.stop().await;
}

#[tokio::test]
async fn what_is_sealed_late_is_sealed_anew_once_more() {
    let app = TestApp::start().await;
    let (held_up, other) = two(&app).await;
    other.rotate_master_key(key(2)).await.unwrap();
    other.retire_master_key(true, |_| {}).await.unwrap();
    let late = keep(&held_up).await.unwrap();
    opens(&other, late).await.unwrap();
    assert_eq!(other.rewrap(|_| {}).await.unwrap().credentials, 1);
    assert_eq!(opens(&held_up, late).await, Err(Error::UnknownMasterKey));
    opens(&other, late).await.unwrap();
    app.stop().await;
}
