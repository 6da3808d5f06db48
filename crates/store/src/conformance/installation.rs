//! What there is once for all tenants.

use super::harness::Fixture;

/// The store says that it is there.
pub async fn a_store_answers(f: &Fixture) {
    f.store.ping().await.unwrap();
}
