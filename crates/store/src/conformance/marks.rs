//! Requests that arrive twice take effect once.

use std::sync::Arc;

use tenantry_domain::access::{Authority as _, TenantAccess};
use tenantry_domain::api_key::{ApiKey, RotatedApiKey, Rotation, SecretHash};
use tenantry_domain::credential::{Credential, Sealed};
use tenantry_domain::error::{Conflict, Error, Missing};
use tenantry_domain::id::TenantId;
use tenantry_domain::idempotency::{Idempotency, Mark, RETENTION_MS};
use tenantry_domain::ledger::Hash;
use tenantry_domain::oauth_client::OauthClient;
use tenantry_domain::tenant::{Governance, Tenant};
use tenantry_domain::user::{Collision, User};
use tokio::task::JoinSet;

use super::builders::{own, platform, system};
use super::harness::Fixture;

fn mark(tenant: TenantId, id: u8) -> Mark {
    Mark { tenant, id: Hash([id; 32]), request: Hash([1; 32]), before: None }
}

fn another_request(mark: Mark) -> Mark {
    Mark { request: Hash([2; 32]), ..mark }
}

/// A mark of a change that leads to a `T`, whose answer is this.
fn answered<T: 'static>(mark: Mark, answer: &str) -> Idempotency {
    let answer = answer.as_bytes().to_vec();
    Idempotency::new(mark, move |_: &T| Ok(Sealed(answer.clone())))
}

fn marked<T: 'static>(access: TenantAccess, mark: Mark) -> TenantAccess {
    access.with_idempotency(answered::<T>(mark, "done"))
}

fn repeated(answer: &str) -> Error {
    Error::Repeated(Sealed(answer.as_bytes().to_vec()))
}

async fn keys(f: &Fixture, tenant: TenantId) -> u64 {
    f.counts(tenant).await.api_keys_active
}

/// A repetition gets the answer that was made of the first one, and changes nothing.
pub async fn a_repetition_gets_the_first_answer(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let mark = mark(tenant, 1);
    let access = |answer: &'static str| {
        let record = move |user: &User| Ok(Sealed(format!("{answer} {}", user.id).into_bytes()));
        system(tenant).with_idempotency(Idempotency::new(mark, record))
    };
    f.store.check_mark(&mark).await.unwrap();
    let new = f.new_user("ann@example.com");
    let user = f.store.create_user(&access("first"), new.clone()).await.unwrap();
    let before = f.entries(tenant).await;
    let first = repeated(&format!("first {}", user.id));
    f.clock.advance(10);
    for new in [new, f.new_user("ben@example.com")] {
        let again = f.store.create_user(&access("second"), new).await;
        assert_eq!(again.unwrap_err(), first);
    }
    assert_eq!(f.store.check_mark(&mark).await.unwrap_err(), first);
    assert_eq!(f.entries(tenant).await, before);
}

/// Another request with the same mark is refused, and takes nothing from the first.
pub async fn another_request_is_refused(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let first = mark(tenant, 1);
    let other = another_request(first);
    let create = async |mark| {
        let access = marked::<ApiKey>(system(tenant), mark);
        f.store.create_api_key(&access, f.new_api_key(None)).await
    };
    create(first).await.unwrap();
    assert_fault!(create(other).await, Error::IdempotencyKeyReused);
    assert_fault!(f.store.check_mark(&other).await, Error::IdempotencyKeyReused);
    assert_eq!(create(first).await.unwrap_err(), repeated("done"));
    assert_eq!(keys(f, tenant).await, 1);
}

/// Marks of another tenant, or with another id (another principal, route or key), are others.
pub async fn other_marks_are_other_requests(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    for mark in [mark(tenant, 1), mark(tenant, 2), mark(other, 1)] {
        let access = marked::<ApiKey>(system(mark.tenant), mark);
        f.store.create_api_key(&access, f.new_api_key(None)).await.unwrap();
    }
    assert_eq!((keys(f, tenant).await, keys(f, other).await), (2, 1));
}

/// A mark is good for 24 hours to the instant, and then for 24 hours more.
pub async fn a_mark_lasts_a_day(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let start = f.now();
    let create = async |mark, answer| {
        let access = system(tenant).with_idempotency(answered::<ApiKey>(mark, answer));
        f.store.create_api_key(&access, f.new_api_key(None)).await
    };
    let first = mark(tenant, 1);
    create(first, "first").await.unwrap();
    f.clock.set(start.plus_millis(RETENTION_MS - 1));
    assert_eq!(create(first, "second").await.unwrap_err(), repeated("first"));
    f.clock.set(start.plus_millis(RETENTION_MS));
    f.store.check_mark(&first).await.unwrap();
    // By then it may also be another request.
    let second = another_request(first);
    create(second, "second").await.unwrap();
    f.clock.set(start.plus_millis(2 * RETENTION_MS - 1));
    assert_eq!(create(second, "third").await.unwrap_err(), repeated("second"));
    assert_eq!(keys(f, tenant).await, 2);
}

/// A change that fails leaves no mark, and one whose answer cannot be made is not made.
pub async fn what_fails_leaves_no_mark(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    f.user(tenant, "ann@example.com").await;
    let before = f.entries(tenant).await;
    let mark = mark(tenant, 1);
    let create = async |idempotency, address| {
        let access = system(tenant).with_idempotency(idempotency);
        f.store.create_user(&access, f.new_user(address)).await
    };
    let taken = create(answered::<User>(mark, "done"), "ann@example.com").await;
    assert_fault!(taken, Error::Conflict(Conflict::Email));
    let unanswered = create(answered::<Tenant>(mark, "done"), "ben@example.com").await;
    assert_fault!(unanswered, Error::Internal(_));
    assert_eq!(f.entries(tenant).await, before);
    assert_eq!(f.counts(tenant).await.users(), 1);
    f.store.check_mark(&another_request(mark)).await.unwrap();
    create(answered::<User>(another_request(mark), "done"), "ben@example.com").await.unwrap();
}

/// Of many at once one takes effect, and the others get its answer.
pub async fn of_many_at_once_one_takes_effect(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let mut tasks = JoinSet::new();
    for number in 0..20 {
        let (store, new) = (Arc::clone(&f.store), f.new_api_key(None));
        let idempotency = answered::<ApiKey>(mark(tenant, 1), &number.to_string());
        let access = system(tenant).with_idempotency(idempotency);
        tasks.spawn(async move { (number, store.create_api_key(&access, new).await) });
    }
    let (won, lost): (Vec<_>, Vec<_>) =
        tasks.join_all().await.into_iter().partition(|(_, result)| result.is_ok());
    assert_eq!(won.len(), 1);
    let first = repeated(&won[0].0.to_string());
    assert!(lost.into_iter().all(|(_, result)| result.unwrap_err() == first));
    assert_eq!(keys(f, tenant).await, 1);
}

/// A tenant is made once too. Its mark is one of the platform's.
pub async fn a_tenant_is_made_once(f: &Fixture) {
    let mark = mark(TenantId::PLATFORM, 1);
    let create = async |mark| {
        let access = platform().with_idempotency(answered::<Tenant>(mark, "done"));
        f.store.create_tenant(&access, f.new_tenant("Acme")).await
    };
    create(mark).await.unwrap();
    let before = f.store.tenant_ids(None, 10).await.unwrap();
    assert_eq!(create(mark).await.unwrap_err(), repeated("done"));
    assert_fault!(create(another_request(mark)).await, Error::IdempotencyKeyReused);
    assert_eq!(f.store.tenant_ids(None, 10).await.unwrap(), before);
}

/// Every kind of change that a `POST` can ask for leaves its mark.
pub async fn every_kind_of_change_leaves_its_mark(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let (store, key) = (&f.store, f.api_key(tenant, None).await.id);
    let client = f.oauth_client(tenant).await.id;
    let secret_hash = SecretHash([7; 32]);
    let rotation = Rotation { prefix: "tnt_x".to_owned(), secret_hash, grace_seconds: 0 };
    let mut ids = 1..;
    let mut next = || mark(tenant, ids.next().unwrap());
    let mut left = Vec::new();
    macro_rules! leave {
        ($outcome:ty, $method:ident, $($argument:expr),+) => {{
            let mark = next();
            let access = marked::<$outcome>(system(tenant), mark);
            store.$method(&access, $($argument),+).await.unwrap();
            left.push(mark);
        }};
    }
    leave!(User, create_user, f.new_user("ann@example.com"));
    leave!(Vec<Collision>, import_users, vec![f.new_user("ben@example.com")]);
    leave!(ApiKey, create_api_key, f.new_api_key(None));
    leave!(RotatedApiKey, rotate_api_key, key, rotation);
    leave!(OauthClient, create_oauth_client, f.new_oauth_client());
    leave!(OauthClient, rotate_oauth_client_secret, client, secret_hash);
    leave!(Credential, create_credential, f.new_credential(None));
    leave!(Tenant, govern_tenant, Governance::Suspend);
    // Also one that finds nothing to change.
    leave!(Tenant, govern_tenant, Governance::Suspend);
    leave!(Tenant, govern_tenant, Governance::Activate);
    for mark in left {
        assert_eq!(store.check_mark(&mark).await.unwrap_err(), repeated("done"));
    }
}

/// A repetition is a call that no change has counted.
pub async fn a_repetition_counts_no_call(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    for counted in [true, false] {
        let call = f.call(tenant);
        let access = marked::<ApiKey>(own(tenant, Some(&call)), mark(tenant, 1));
        let result = f.store.create_api_key(&access, f.new_api_key(None)).await;
        assert_eq!((result.is_ok(), call.is_counted()), (counted, counted));
    }
    assert_eq!(f.statistics(tenant).await.calls_this_month, 1);
}

/// Of a tenant that is gone nothing is told, whatever marks there were.
pub async fn a_deleted_tenant_has_no_marks(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let mark = mark(tenant, 1);
    let access = marked::<ApiKey>(system(tenant), mark);
    f.store.create_api_key(&access, f.new_api_key(None)).await.unwrap();
    f.store.govern_tenant(&system(tenant), Governance::Delete).await.unwrap();
    f.store.check_mark(&mark).await.unwrap();
    let again = f.store.create_api_key(&access, f.new_api_key(None)).await;
    assert_fault!(again, Error::NotFound(_));
}

/// Of who was erased no answer tells any more, and what took effect does not take effect again.
pub async fn no_answer_tells_of_who_was_erased(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let create = async |id, address| {
        let access = marked::<User>(system(tenant), mark(tenant, id));
        f.store.create_user(&access, f.new_user(address)).await
    };
    let ann = create(1, "ann@example.com").await.unwrap();
    let ben = create(2, "ben@example.com").await.unwrap();
    f.store.delete_user(&system(tenant), ben.id).await.unwrap();
    assert_eq!(create(2, "ben@example.com").await.unwrap_err(), repeated("done"));
    f.store.erase_user(&system(tenant), ben.id).await.unwrap();
    let missing = Error::NotFound(Missing::User);
    assert_eq!(create(2, "ben@example.com").await.unwrap_err(), missing);
    assert_eq!(f.store.check_mark(&mark(tenant, 2)).await.unwrap_err(), missing);
    let other = f.store.check_mark(&another_request(mark(tenant, 2))).await;
    assert_fault!(other, Error::IdempotencyKeyReused);
    assert_eq!(create(1, "ann@example.com").await.unwrap_err(), repeated("done"));
    f.store.erase_user(&system(tenant), ann.id).await.unwrap();
    assert_eq!(f.store.check_mark(&mark(tenant, 1)).await.unwrap_err(), missing);
    assert_eq!(f.counts(tenant).await.users(), 0);
}

/// Marks are removed after their time, a few at a time, and not before.
pub async fn old_marks_are_forgotten(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    for (tenant, id) in [(tenant, 1), (other, 2), (tenant, 3)] {
        let access = marked::<ApiKey>(system(tenant), mark(tenant, id));
        f.store.create_api_key(&access, f.new_api_key(None)).await.unwrap();
    }
    f.clock.advance(1);
    let access = marked::<ApiKey>(system(tenant), mark(tenant, 4));
    f.store.create_api_key(&access, f.new_api_key(None)).await.unwrap();
    f.clock.advance(RETENTION_MS - 2);
    assert_eq!(f.store.forget_marks(10).await.unwrap(), 0);
    f.clock.advance(1);
    assert_eq!(f.store.forget_marks(2).await.unwrap(), 2);
    assert_eq!(f.store.forget_marks(2).await.unwrap(), 1);
    assert_eq!(f.store.forget_marks(2).await.unwrap(), 0);
    assert_eq!(f.store.check_mark(&mark(tenant, 4)).await.unwrap_err(), repeated("done"));
}
