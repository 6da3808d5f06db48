//! PostgreSQL that crashes (SIGKILL to all of its processes) and is started again, while clients ask
//! two servers: nothing that was acknowledged is lost, of the calls no more than what it had not
//! written yet, and the servers go on by themselves.

use serde_json::Value;
use tenantry_testkit_postgres::{Cluster, Database};

use crate::load::{Load, assert_unavailable};
use crate::postgres::Installation;
use crate::support::{PLATFORM, Server};

const CRASHES: usize = 6;
/// What a server waits for a database that is gone.
const IMPATIENT: &str = "--database-queue-timeout 1s";

/// A server of its own, since the others' would crash too.
fn cluster(settings: &str) -> &'static Cluster {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start()));
    cluster.stop();
    cluster.set(settings);
    cluster.start_again();
    cluster
}

/// Has everything written to disk that was committed so far.
fn write_all(database: &Database) {
    database.run("CHECKPOINT");
}

/// Fails the test unless a server says that it cannot serve now, and lives.
async fn assert_not_ready(server: &Server) {
    let get = |path: &str| server.request("GET", path, "", PLATFORM).send();
    let answer = get("/../../health/ready").await.unwrap();
    assert_eq!(answer.status(), 503);
    let headers = answer.headers().clone();
    assert_unavailable(&headers, &answer.json().await.unwrap());
    assert_eq!(get("/../../health/live").await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_postgresql_crashes_what_was_acknowledged_is_there_once() {
    let cluster = cluster("");
    let installation = Installation(cluster.database());
    let servers = [(); 2].map(|()| installation.serve_with(IMPATIENT));
    let load = Load::forgetful(&installation, &servers).await;
    let clients = load.start(3);
    let mut lost = 0;
    for _ in 0..CRASHES {
        load.more(5, 20).await;
        let kept = load.calls();
        write_all(&installation.0);
        load.more(2, 5).await;
        cluster.kill();
        load.more_refused(4).await;
        for server in &servers {
            assert_not_ready(server).await;
        }
        // Whatever was answered had been committed before.
        lost += load.calls() - kept;
        cluster.start_again();
        load.more(2, 2).await;
        for server in &servers {
            assert!(server.is_ready().await);
        }
    }
    load.end(clients, &installation, lost).await;
    for server in servers {
        server.terminate();
        assert_eq!(server.end().code, Some(0));
    }
    installation.run("verify").succeeded();
}

/// The calls of the last moments are lost with the database's memory. Whoever has counted them knows
/// how many they were, and writes that with the next one.
#[tokio::test]
async fn calls_that_a_crash_has_lost_come_back_with_the_next_one() {
    // It writes late, so that there is something to lose.
    let cluster = cluster("wal_writer_delay = 10s");
    let installation = Installation(cluster.database());
    let server = installation.serve();
    let operator = installation.operator();
    let path = format!("/admin/tenants/{PLATFORM}/stats");
    let counted = async || {
        let data: Value = server.data(&path, &operator, PLATFORM).await;
        data["usage"]["apiCallsThisMonth"].as_u64().unwrap()
    };
    counted().await;
    // The calls are counted in rows that the process has for itself, and it knows that.
    write_all(&installation.0);
    let (mut calls, mut lost) = (1, 0);
    for _ in 0..CRASHES {
        for _ in 0..3 {
            assert_eq!(counted().await, calls);
            calls += 1;
        }
        cluster.kill();
        cluster.start_again();
        let kept = installation.0.run("SELECT sum(calls) FROM usage_months");
        lost += calls - kept.parse::<u64>().unwrap();
        counted().await;
        calls += 1;
        assert_eq!(counted().await, calls);
        calls += 1;
    }
    assert!(lost > 0);
    server.terminate();
    assert_eq!(server.end().code, Some(0));
    installation.run("verify").succeeded();
}
