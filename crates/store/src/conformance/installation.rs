//! What there is once for all tenants.

use super::harness::Fixture;

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
