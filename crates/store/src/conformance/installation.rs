//! What there is once for all tenants.

use tenantry_domain::credential::Sealed;

use super::harness::Fixture;
use tenantry_domain::signing_key::StoredSigningKey;

/// The store says that it is there.
pub async fn a_store_answers(f: &Fixture) {
    f.store.ping().await.unwrap();
}

/// An installation is bound to the first master key it meets.
pub async fn the_first_master_key_binds(f: &Fixture) {
    assert_eq!(f.store.master_key_id().await.unwrap(), None);
    assert_eq!(f.store.bind_master_key("first").await.unwrap(), "first");
    assert_eq!(f.store.bind_master_key("second").await.unwrap(), "first");
    assert_eq!(f.store.bind_master_key("first").await.unwrap(), "first");
    assert_eq!(f.store.master_key_id().await.unwrap().as_deref(), Some("first"));
}

/// There is one first signing key, also if two processes bring theirs at once.
pub async fn there_is_one_first_signing_key(f: &Fixture) {
    assert_eq!(f.store.signing_keys().await.unwrap(), []);
    let key = |kid: &str| StoredSigningKey {
        kid: kid.to_owned(),
        algorithm: "EdDSA".to_owned(),
        sealed: Sealed(kid.as_bytes().to_vec()),
        created_at: f.now(),
    };
    let (one, two) = (key("one"), key("two"));
    let (first, second) = tokio::join!(
        f.store.add_first_signing_key(one.clone()),
        f.store.add_first_signing_key(two.clone())
    );
    first.unwrap();
    second.unwrap();
    let kept = f.store.signing_keys().await.unwrap();
    assert!(kept == [one] || kept == [two], "{kept:?}");
    f.store.add_first_signing_key(key("three")).await.unwrap();
    assert_eq!(f.store.signing_keys().await.unwrap(), kept);
}
