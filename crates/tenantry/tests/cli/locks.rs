//! Another program holds a file for longer than anybody waits.

use tenantry_testkit::Locked;

use crate::site::{STATISTICS, Site, refused};

#[tokio::test]
async fn the_database_is_locked() {
    let mut site = Site::within(&["env"]);
    site.changes().await;
    let other = Locked::new(&site.directory.path(), "tenantry.db");
    refused(site.new_key()).await;
    assert!(!site.server.is_ready().await);
    site.reads().await;
    drop(other);
    site.recovers("database is locked").await;
}

#[tokio::test]
async fn the_calls_are_locked() {
    let mut site = Site::within(&["env"]);
    site.changes().await;
    site.reads().await;
    let other = Locked::new(&site.directory.path(), "tenantry.calls.db");
    for _ in 0..2 {
        refused(site.get(STATISTICS)).await;
        site.changes().await;
        assert!(!site.server.is_ready().await);
    }
    drop(other);
    site.recovers("database is locked").await;
}

#[tokio::test]
async fn both_are_locked() {
    let mut site = Site::within(&["env"]);
    let locks =
        ["tenantry.db", "tenantry.calls.db"].map(|file| Locked::new(&site.directory.path(), file));
    refused(site.new_key()).await;
    refused(site.get(STATISTICS)).await;
    assert!(!site.server.is_ready().await);
    drop(locks);
    site.reads().await;
    site.recovers("database is locked").await;
}
