//! What is sealed, and the master keys that it is sealed under.

use std::sync::{Arc, Mutex};

use tenantry_domain::access::Authority as _;
use tenantry_domain::api_key::ApiKey;
use tenantry_domain::credential::{CredentialPatch, Sealed};
use tenantry_domain::error::Error;
use tenantry_domain::id::TenantId;
use tenantry_domain::idempotency::{Idempotency, Mark, RETENTION_MS};
use tenantry_domain::ledger::{Action, Hash};
use tenantry_domain::sealing::{MasterKeys, SealedFor, WrappedKey};

use super::builders::{integration, system};
use super::harness::Fixture;
use crate::{Note, Resealed, Resealing, Shelf};

fn wrapped(f: &Fixture, key_id: &str, under: &str) -> WrappedKey {
    let (key_id, under) = (key_id.to_owned(), under.to_owned());
    WrappedKey { sealed: Sealed(key_id.clone().into_bytes()), key_id, under, created_at: f.now() }
}

async fn replace(f: &Fixture, bound: &str, keys: &MasterKeys) -> bool {
    let note = Note {
        action: Action::MasterKeyRotated,
        resource_id: keys.bound.clone().unwrap(),
        details: serde_json::json!({}),
    };
    let access = system(TenantId::PLATFORM);
    f.store.replace_master_keys(&access, bound, keys.clone(), note).await.unwrap()
}

/// An installation is bound to the first master key it meets.
pub async fn the_first_master_key_binds(f: &Fixture) {
    assert_eq!(f.store.master_keys().await.unwrap(), MasterKeys::default());
    assert_eq!(f.store.bind_master_key("first").await.unwrap(), "first");
    assert_eq!(f.store.bind_master_key("second").await.unwrap(), "first");
    assert_eq!(f.store.bind_master_key("first").await.unwrap(), "first");
    let keys = MasterKeys { bound: Some("first".to_owned()), wrapped: Vec::new() };
    assert_eq!(f.store.master_keys().await.unwrap(), keys);
}

/// The master keys are replaced as a whole, by whoever knows which one is bound, and the platform's ledger
/// tells it.
pub async fn a_master_key_follows_the_one_that_is_meant(f: &Fixture) {
    f.store.bind_master_key("one").await.unwrap();
    let one = f.store.master_keys().await.unwrap();
    let wrapped = |key_id: &str, under: &str| wrapped(f, key_id, under);
    let pair = vec![wrapped("one", "two"), wrapped("two", "one")];
    let two = MasterKeys { bound: Some("two".to_owned()), wrapped: pair };
    let before = f.entries(TenantId::PLATFORM).await;
    assert!(!replace(f, "another", &two).await);
    assert_eq!(f.store.master_keys().await.unwrap(), one);
    assert_eq!(f.entries(TenantId::PLATFORM).await, before);

    assert!(replace(f, "one", &two).await);
    assert_eq!(f.store.master_keys().await.unwrap(), two);
    assert_eq!(f.store.bind_master_key("one").await.unwrap(), "two");
    let entry = f.newest_entry(TenantId::PLATFORM).await;
    assert_eq!((entry.action, &*entry.resource_id), (Action::MasterKeyRotated, "two"));
    assert_eq!(f.entries(TenantId::PLATFORM).await.len(), before.len() + 1);
    assert!(!replace(f, "one", &two).await);
    assert!(replace(f, "two", &two.without_succession().unwrap()).await);
    assert_eq!(f.store.master_keys().await.unwrap().wrapped, [wrapped("one", "two")]);
}

/// Goes through a shelf, so many at a time, and notes what is found; `change` says what becomes of it.
async fn go_through(
    f: &Fixture,
    shelf: Shelf,
    limit: u32,
    change: impl Fn(&Sealed) -> Option<Sealed> + Send + Sync + 'static,
) -> (u64, Vec<(SealedFor, Sealed)>) {
    let found = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&found);
    let reseal: Resealing = Arc::new(move |sealed_for, sealed| {
        seen.lock().unwrap().push((sealed_for.clone(), sealed.clone()));
        Ok(change(sealed))
    });
    let (mut rest, mut resealed) = (Some(shelf), 0);
    while let Some(shelf) = rest {
        let part = f.store.reseal(shelf, limit, Arc::clone(&reseal)).await.unwrap();
        (rest, resealed) = (part.rest, resealed + part.count);
    }
    let found = found.lock().unwrap().clone();
    (resealed, found)
}

/// The same, marked as sealed anew.
fn anew(Sealed(sealed): &Sealed) -> Sealed {
    Sealed([sealed.as_slice(), b" anew"].concat())
}

/// A mark of a change of this tenant, and a change that leaves it with this answer.
async fn leave_mark(f: &Fixture, tenant: TenantId, id: u8, answer: &'static [u8]) -> Mark {
    let (id, request) = (Hash([id; 32]), Hash([id + 100; 32]));
    let mark = Mark { tenant, id, request, before: None };
    let record = move |_: &ApiKey| Ok(Sealed(answer.to_vec()));
    let access = system(tenant).with_idempotency(Idempotency::new(mark, record));
    f.store.create_api_key(&access, f.new_api_key(None)).await.unwrap();
    mark
}

/// Each thing that is sealed is shown once with what it is sealed for, and what is given for it is kept.
pub async fn everything_that_is_sealed_is_gone_through(f: &Fixture) {
    for kid in ["one", "two"] {
        let newest = f.store.signing_keys().await.unwrap().pop().map(|key| key.kid);
        let key = f.signing_key(kid);
        match newest {
            None => f.store.add_first_signing_key(key).await.unwrap(),
            Some(newest) => {
                f.clock.advance(1);
                let access = system(TenantId::PLATFORM);
                assert!(f.store.add_signing_key(&access, key, &newest).await.unwrap());
            }
        }
    }
    let (acme, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    let (mut credentials, mut answers) = (Vec::new(), Vec::new());
    for number in 0..5_u8 {
        // Ids are in the order of their instants.
        f.clock.advance(1);
        let mut new = f.new_credential(None);
        new.secret = Sealed(vec![number; 3]);
        let made = f.store.create_credential(&system(acme), new).await.unwrap();
        credentials.push((SealedFor::Credential(acme, made.id), Sealed(vec![number; 3])));
        let mark = leave_mark(f, acme, number, b"answer").await;
        answers.push((SealedFor::Answer(mark), Sealed(b"answer".to_vec())));
    }
    f.credential(other, None).await;
    // One that was erased, or that nobody asked for.
    leave_mark(f, acme, 50, b"").await;
    let entries = f.entries(acme).await;

    let mut keys = f.store.signing_keys().await.unwrap();
    keys.sort_by(|one, other| one.kid.cmp(&other.kid));
    let keys = keys.into_iter().map(|key| (SealedFor::SigningKey(key.kid), key.sealed));
    for (shelf, expected) in [
        (Shelf::SigningKeys, keys.collect()),
        (Shelf::Credentials(acme, None), credentials),
        (Shelf::Answers(acme, None), answers),
    ] {
        for limit in [1, 2, 5, 6] {
            // Nothing is changed unless that is wanted.
            let (count, found) = go_through(f, shelf, limit, |_| None).await;
            assert_eq!((count, &found), (0, &expected), "{shelf:?} by {limit}");
        }
        let total = expected.len() as u64;
        assert_eq!(go_through(f, shelf, 2, |it| Some(anew(it))).await, (total, expected.clone()));
        let renewed: Vec<_> = expected.iter().map(|(it, was)| (it.clone(), anew(was))).collect();
        assert_eq!(go_through(f, shelf, 2, |_| None).await, (0, renewed));
    }
    let nothing = Resealed { count: 0, rest: None };
    for shelf in [Shelf::Answers(other, None), Shelf::Credentials(TenantId::PLATFORM, None)] {
        let reseal: Resealing = Arc::new(|_, _| panic!("there is nothing"));
        assert_eq!(f.store.reseal(shelf, 2, reseal).await.unwrap(), nothing);
    }
    // What was changed is what was sealed, and no ledger tells of it.
    assert_eq!(f.entries(acme).await, entries);
    let SealedFor::Credential(_, id) = credentials_of(f, acme).await[0].0 else { panic!() };
    assert_eq!(f.reveal(acme, id).await.unwrap().1, anew(&Sealed(vec![0; 3])));
    let (id, request) = (Hash([1; 32]), Hash([101; 32]));
    let again = f.store.check_mark(&Mark { tenant: acme, id, request, before: None }).await;
    assert_eq!(again, Err(Error::Repeated(Sealed(b"answer anew".to_vec()))));
}

async fn credentials_of(f: &Fixture, tenant: TenantId) -> Vec<(SealedFor, Sealed)> {
    go_through(f, Shelf::Credentials(tenant, None), 100, |_| None).await.1
}

/// Secrets that are changed while all are sealed anew are the changed ones afterwards.
pub async fn what_changes_meanwhile_stays(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let made = f.credential(tenant, None).await;
    let (access, integration) = (system(tenant), integration());
    for round in 0..20_u8 {
        let secret = Some(Sealed(vec![round; 4]));
        let patch = CredentialPatch { secret, ..CredentialPatch::default() };
        let (changed, (resealed, _)) = tokio::join!(
            f.store.update_credential(&access, &integration, made.id, patch),
            go_through(f, Shelf::Credentials(tenant, None), 10, |it| Some(anew(it))),
        );
        changed.unwrap();
        let found = credentials_of(f, tenant).await.remove(0).1;
        let expected = [Sealed(vec![round; 4]), anew(&Sealed(vec![round; 4]))];
        assert!(expected.contains(&found), "round {round}, {resealed} anew: {found:?}");
    }
}

/// A request that is repeated after the master key was replaced is still the same one.
pub async fn a_request_is_known_by_its_digest_under_the_key_before(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let left = leave_mark(f, tenant, 1, b"answer").await;
    let [now, other] = [Hash([7; 32]), Hash([8; 32])];
    let repeated = Err(Error::Repeated(Sealed(b"answer".to_vec())));
    for (request, before, expected) in [
        (left.request, None, repeated.clone()),
        (now, Some(left.request), repeated.clone()),
        (left.request, Some(other), repeated),
        (now, Some(other), Err(Error::IdempotencyKeyReused)),
        (now, None, Err(Error::IdempotencyKeyReused)),
    ] {
        let mark = Mark { request, before, ..left };
        assert_eq!(f.store.check_mark(&mark).await, expected);
        let record = |_: &ApiKey| Ok(Sealed(b"again".to_vec()));
        let access = system(tenant).with_idempotency(Idempotency::new(mark, record));
        let made = f.store.create_api_key(&access, f.new_api_key(None)).await;
        assert_eq!(made.map(drop), expected);
    }
    assert_eq!(f.counts(tenant).await.api_keys_active, 1);
    f.clock.advance(RETENTION_MS);
    assert_eq!(f.store.check_mark(&left).await, Ok(()));
}
