//! The signing keys of the built-in realm.

use tenantry_domain::access::{
    BearerId, Caller, CallerProbe, Principal, PrincipalKind, Role, TenantAccess, TokenIds,
};
use tenantry_domain::credential::Sealed;
use tenantry_domain::error::{AuthFailure, Error};
use tenantry_domain::id::{TenantId, TokenId};
use tenantry_domain::ledger::Action;
use tenantry_domain::scope::Scope;
use tenantry_domain::signing_key::StoredSigningKey;

use super::Fixture;
use super::builders::system;

const PLATFORM: TenantId = TenantId::PLATFORM;

impl Fixture {
    /// A signing key that is made now.
    pub(super) fn signing_key(&self, kid: &str) -> StoredSigningKey {
        StoredSigningKey {
            kid: kid.to_owned(),
            algorithm: "EdDSA".to_owned(),
            sealed: Sealed(kid.as_bytes().to_vec()),
            created_at: self.now(),
            needed_until: None,
        }
    }

    /// Keeps the first signing key.
    pub(super) async fn first_signing_key(&self, kid: &str) {
        self.store.add_first_signing_key(self.signing_key(kid)).await.unwrap();
    }
}

async fn add(f: &Fixture, kid: &str, newest: &str) -> bool {
    f.clock.advance(1);
    f.store.add_signing_key(&system(PLATFORM), f.signing_key(kid), newest).await.unwrap()
}

async fn retire(f: &Fixture, kid: &str) -> bool {
    f.store.retire_signing_key(&system(PLATFORM), kid).await.unwrap()
}

async fn kids(f: &Fixture) -> Vec<String> {
    f.store.signing_keys().await.unwrap().into_iter().map(|key| key.kid).collect()
}

/// Authority of an operator of the tenant whose token this key has signed.
async fn operator(f: &Fixture, tenant: TenantId, kid: &str) -> TenantAccess {
    let id = TokenId::generate(f.now(), f.entropy.as_ref());
    let principal = Principal {
        tenant,
        kind: PrincipalKind::Operator { token: id.to_string().into(), role: Role::TenantAdmin },
        token: Some(TokenIds { id, session: None, key: kid.into() }),
    };
    let state = f.store.caller_state(&principal.probe()).await.unwrap();
    let caller = Caller::admit(&principal, &state, None, None).unwrap();
    caller.authorize(tenant, tenant, Scope::UsersWrite).unwrap()
}

/// There is one first signing key, also if two processes bring theirs at once.
pub async fn there_is_one_first_key(f: &Fixture) {
    assert_eq!(f.store.signing_keys().await.unwrap(), []);
    let (one, two) = (f.signing_key("one"), f.signing_key("two"));
    let (first, second) = tokio::join!(
        f.store.add_first_signing_key(one.clone()),
        f.store.add_first_signing_key(two.clone())
    );
    first.unwrap();
    second.unwrap();
    let kept = f.store.signing_keys().await.unwrap();
    assert!(kept == [one] || kept == [two], "{kept:?}");
    f.first_signing_key("three").await;
    assert_eq!(f.store.signing_keys().await.unwrap(), kept);
}

/// A key comes after the newest one, and the platform's ledger tells that, and when one goes.
pub async fn each_step_is_told(f: &Fixture) {
    assert!(!add(f, "early", "none").await);
    f.first_signing_key("one").await;
    let one = f.store.signing_keys().await.unwrap();
    let before = f.entries(PLATFORM).await.len();
    assert!(!add(f, "two", "another").await);
    assert_eq!(f.store.signing_keys().await.unwrap(), one);
    assert!(add(f, "two", "one").await);
    let two = f.signing_key("two");
    assert_eq!(f.store.signing_keys().await.unwrap(), [one, vec![two]].concat());
    let entry = f.newest_entry(PLATFORM).await;
    assert_eq!((entry.action, &*entry.resource_id), (Action::SigningKeyRotated, "two"));
    assert!(!add(f, "three", "one").await);

    // The newest one stays.
    assert!(!retire(f, "two").await && !retire(f, "never").await);
    assert_eq!(kids(f).await, ["one", "two"]);
    assert!(retire(f, "one").await);
    assert_eq!(kids(f).await, ["two"]);
    let entry = f.newest_entry(PLATFORM).await;
    assert_eq!((entry.action, &*entry.resource_id), (Action::SigningKeyRetired, "one"));
    assert!(!retire(f, "one").await);
    assert_eq!(f.entries(PLATFORM).await.len(), before + 2);
}

/// Of several processes that find a key old, one makes the next.
pub async fn of_two_at_once_one_is_next(f: &Fixture) {
    f.first_signing_key("one").await;
    f.clock.advance(1);
    let access = system(PLATFORM);
    let (two, three) = (f.signing_key("two"), f.signing_key("three"));
    let (second, third) = tokio::join!(
        f.store.add_signing_key(&access, two, "one"),
        f.store.add_signing_key(&access, three, "one")
    );
    assert_ne!(second.unwrap(), third.unwrap());
    assert_eq!(kids(f).await.len(), 2);
}

/// A key stays as long as the last of its tokens asks for.
pub async fn a_key_is_needed_until_its_last_token_ends(f: &Fixture) {
    f.first_signing_key("one").await;
    for (asked, kept) in [(5, 5), (9, 9), (7, 9)] {
        assert!(f.store.keep_signing_key("one", f.in_millis(asked)).await.unwrap());
        let keys = f.store.signing_keys().await.unwrap();
        assert_eq!(keys[0].needed_until, Some(f.in_millis(kept)));
    }
    assert!(!f.store.keep_signing_key("two", f.in_millis(1)).await.unwrap());
}

/// What a key has signed ends with it, at once, for everybody, and in the transaction of a change.
pub async fn what_a_key_has_signed_ends_with_it(f: &Fixture) {
    f.first_signing_key("one").await;
    let tenant = f.tenant("Acme").await;
    let client = f.store.create_oauth_client(&system(tenant), f.new_oauth_client()).await.unwrap();
    let bearers = [None, Some(BearerId::Client(client.id))];
    let is_ended = async |kid: &str| {
        let mut ended = Vec::new();
        for tenant in [tenant, PLATFORM] {
            for bearer in bearers.clone() {
                let id = TokenId::generate(f.now(), f.entropy.as_ref());
                let token = Some(TokenIds { id, session: None, key: kid.into() });
                let probe = CallerProbe { tenant, bearer, token };
                let state = f.store.caller_state(&probe).await.unwrap();
                let (with_statistics, _) = f.store.statistics(&probe, tenant).await.unwrap();
                assert_eq!(with_statistics, state);
                ended.push(state.is_ended);
            }
        }
        assert!(ended.iter().all(|it| *it == ended[0]), "{kid}: {ended:?}");
        ended[0]
    };
    assert!(!is_ended("one").await && is_ended("two").await);
    assert!(add(f, "two", "one").await);
    assert!(!is_ended("one").await && !is_ended("two").await);

    let operator = operator(f, tenant, "one").await;
    f.store.create_user(&operator, f.new_user("ann@example.com")).await.unwrap();
    assert!(retire(f, "one").await);
    assert!(is_ended("one").await && !is_ended("two").await);
    let refused = f.store.create_user(&operator, f.new_user("bob@example.com")).await;
    assert_fault!(refused, Error::Unauthenticated(AuthFailure::Revoked));
    assert_eq!(f.statistics(tenant).await.counts.users(), 1);
}
