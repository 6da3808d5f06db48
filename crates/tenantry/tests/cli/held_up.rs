//! A server that is stopped (SIGSTOP) in the middle of what it does for all tenants: the others on its
//! database are not held up.

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::postgres::{Installation, post};
use crate::support::{ACME, PLATFORM, Server};

const GONE: &str = "6f0d9f4e-4d0e-4b5e-9d63-0b9f2f0c8a11";
/// How often it is stopped, each time somewhere else.
const TIMES: u64 = 25;

/// A server that is stopped until this is dropped.
struct Stopped(String);

impl Stopped {
    fn stop(server: &Server) -> Self {
        let stopped = Self(server.id().to_string());
        stopped.signal("-STOP");
        stopped
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.0]).status().unwrap().success());
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

/// Lets a server go on for a while, not always as long.
async fn go_on(time: u64) {
    sleep(Duration::from_millis(20 + 7 * time % 40)).await;
}

fn end(servers: [Server; 2]) {
    for server in servers {
        server.terminate();
        assert_eq!(server.end().code, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_counted_while_a_server_that_purges_is_stopped() {
    let installation = Installation::new();
    let [one, other] = [installation.serve(), installation.serve()];
    let operator = installation.operator();
    for id in [ACME, GONE] {
        let tenant = json!({"id": id, "name": "Tenant"});
        post(&one, "/admin/tenants", &operator, PLATFORM, &tenant).await;
    }
    let admin = installation.admin(ACME);
    // More than is purged in all that time, and slowly, so that it is mostly under way.
    installation.0.run(&format!(
        "INSERT INTO usage_events (tenant_id, source, event_id, received_at)
             SELECT '{GONE}', 'gateway', event::text, 0 FROM generate_series(1, 100000) event;
         CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql
             AS $$ BEGIN PERFORM pg_sleep(0.03); RETURN NULL; END $$;
         CREATE TRIGGER dawdle BEFORE DELETE ON usage_events EXECUTE FUNCTION dawdle()"
    ));
    let path = format!("/admin/tenants/{GONE}");
    let answer = one.request("DELETE", &path, &operator, PLATFORM).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let stats = format!("/admin/tenants/{ACME}/stats");
    for time in 0..TIMES {
        go_on(time).await;
        let stopped = Stopped::stop(&one);
        let data = other.data(&stats, &admin, ACME).await;
        assert_eq!(data["usage"]["apiCallsThisMonth"], time);
        drop(stopped);
    }
    let left = || installation.0.run("SELECT count(*) FROM purges");
    assert_eq!(left(), "1");
    installation.0.run(&format!("DELETE FROM usage_events WHERE tenant_id = '{GONE}'"));
    while left() != "0" {
        sleep(Duration::from_millis(10)).await;
    }
    end([one, other]);
    installation.run("verify").succeeded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_ready_while_one_that_says_so_is_stopped() {
    let installation = Installation::new();
    let [one, other] = [installation.serve(), installation.serve()];
    // It is asked all the while.
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let ready = one.caller("", PLATFORM).request("GET", "/../../health/ready");
        asking.spawn(async move {
            loop {
                let answer = ready.try_clone().unwrap().send().await.unwrap();
                assert_eq!(answer.status(), 200);
            }
        });
    }
    for time in 0..TIMES {
        go_on(time).await;
        let stopped = Stopped::stop(&one);
        assert!(other.is_ready().await);
        drop(stopped);
    }
    assert!(asking.try_join_next().is_none());
    asking.shutdown().await;
    end([one, other]);
}
