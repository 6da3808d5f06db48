//! A full disk: who is answered what meanwhile, that nothing is half there and nothing acknowledged
//! is lost, and that the server goes on by itself once there is room again.
//!
//! The system is told to let the process write no file beyond a size. What is written there fails as
//! on a full disk, in the midst of a commit, in one file or in both.

use std::fs;

use serde_json::json;
use tenantry_testkit::Locked;

use crate::site::{DATABASE, STATISTICS, Site, refused, within};
use crate::support::{DataDir, PLATFORM, SERVE, run};

const CALLS: &str = "tenantry.calls.db-wal";

/// Within this, a process is told that a file grew too large, rather than ended by it.
const TOLD: &[&str] = &["sh", "-c", r#"trap "" XFSZ; exec "$0" "$@""#];

#[tokio::test]
async fn no_room_at_all() {
    let mut site = Site::within(TOLD);
    site.changes().await;
    site.reads().await;
    let marked = |site: &Site| site.new_key().header("idempotency-key", "once");
    site.limit(Some(0));
    for _ in 0..3 {
        refused(marked(&site)).await;
        refused(site.get(STATISTICS)).await;
        assert!(!site.server.is_ready().await);
    }
    site.limit(None);
    site.is_exact().await;
    // What was refused left no mark: it is done now, and once.
    for replayed in [false, true] {
        let answer = marked(&site).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        assert_eq!(answer.headers().contains_key("idempotent-replayed"), replayed);
        site.calls += 1;
    }
    site.keys += 1;
    site.limit(None);
    site.recovers("a group of writes failed").await;
}

/// Calls go on being counted while no change can be made.
#[tokio::test]
async fn no_room_for_the_database() {
    let mut site = Site::within(TOLD);
    let log = site.fills_log().await;
    site.limit(Some(site.size(DATABASE)));
    assert!(site.size(CALLS) + 200_000 < site.size(DATABASE));
    for _ in 0..3 {
        refused(site.new_key()).await;
        site.reads().await;
        assert!(!site.server.is_ready().await);
    }
    site.limit(None);
    drop(log);
    site.recovers("a group of writes failed").await;
}

/// Changes of one's own tenant go on being made, with their calls, while no other call is answered.
#[tokio::test]
async fn no_room_for_the_calls() {
    let mut site = Site::within(TOLD);
    site.changes().await;
    // Until there is room for some changes below the size of the file of calls.
    while site.size(CALLS) < site.size(DATABASE) + 1_000_000 {
        site.reads().await;
    }
    site.limit(Some(site.size(CALLS)));
    for _ in 0..3 {
        refused(site.get(STATISTICS)).await;
        site.changes().await;
        assert!(!site.server.is_ready().await);
    }
    // A change of another tenant is made before its call is counted, and asking again tells so.
    let body = json!({"name": "Acme"});
    let tenant = |site: &Site| site.post("/admin/tenants", &body).header("idempotency-key", "acme");
    refused(tenant(&site)).await;
    site.limit(None);
    let answer = tenant(&site).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    assert!(answer.headers().contains_key("idempotent-replayed"));
    site.calls += 1;
    site.limit(None);
    site.recovers("a batch of calls was not counted").await;
}

/// Many changes share one commit, and that one fails: nobody's is made, also of those that would
/// have been refused. With room again, the same are made, but for those.
#[tokio::test]
async fn no_room_for_a_group() {
    let mut site = Site::within(TOLD);
    let path = format!("/admin/tenants/{PLATFORM}/users");
    let log = site.fills_log().await;
    site.reads().await;
    for room in [false, true] {
        let other = Locked::new(&site.directory.path(), "tenantry.db");
        let posts: Vec<_> = (0..20)
            // Of each address two.
            .map(|place| json!({"email": format!("user-{}@example.com", place / 2)}))
            .map(|body| tokio::spawn(site.post(&path, &body).send()))
            .collect();
        // All of them wait for the one writer, and itself is one.
        while site.server.metric("tenantry_requests_in_flight").await < 20 {
            tokio::task::yield_now().await;
        }
        site.limit((!room).then_some(site.size(DATABASE)));
        drop(other);
        let mut statuses = Vec::new();
        for post in posts {
            statuses.push(post.await.unwrap().unwrap().status().as_u16());
        }
        statuses.sort_unstable();
        let expected = if room { [[201; 10], [409; 10]] } else { [[503; 10]; 2] }.concat();
        assert_eq!(statuses, expected);
        site.calls += if room { 20 } else { 0 };
        site.reads().await;
        let users = site.server.data(&path, &site.token, PLATFORM).await;
        site.calls += 1;
        assert_eq!(users["total"], if room { 10 } else { 0 });
    }
    drop(log);
    site.limit(None);
    site.recovers("a group of writes failed").await;
}

/// The log is a file on the disk that is full: its lines are lost, and nothing else.
#[tokio::test]
async fn no_room_for_the_log() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let shell = format!(r#"trap "" XFSZ; exec "$0" "$@" 2>"{}""#, log.path().display());
    let site = Site::within(&["sh", "-c", &shell]);
    site.limit(Some(0));
    for _ in 0..3 {
        refused(site.new_key()).await;
        refused(site.get(STATISTICS)).await;
    }
    assert_eq!(fs::read_to_string(&log).unwrap(), "");
    site.limit(None);
    site.recovers("").await;
}

#[test]
fn no_room_from_the_start() {
    let directory = DataDir::new();
    directory.run("migrate").succeeded();
    let shell = r#"trap "" XFSZ; exec prlimit --fsize=0: "$0" "$@""#;
    let mut command = within(&["sh", "-c", shell], &directory.command(SERVE));
    run(&mut command).failed_with(&["tenantry.db", "room"]);
    directory.run("verify").succeeded();
}
