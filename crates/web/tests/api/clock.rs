//! A clock that steps back, in the process that goes on and in the next one.

use serde_json::{Value, json};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::id::TenantId;
use tenantry_testkit::{Bearer, TestApp};

const STEP_BACK: i64 = -3_600_000;

/// What an administrator of the tenant reads; its own call is counted.
async fn read(app: &TestApp, tenant: TenantId) -> Value {
    let path = format!("/api/v1/admin/tenants/{tenant}/stats");
    app.request_by(Bearer::admin_of(tenant), "GET", &path).send().await.expect(200).data()
}

fn instant(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// The instants of the ledger's entries, oldest first.
async fn ledger(app: &TestApp, tenant: TenantId) -> Vec<Timestamp> {
    let entries = app.service.store().entries_after(tenant, 0, 1_000).await.unwrap();
    entries.iter().map(|entry| entry.at).collect()
}

async fn create(app: &TestApp, tenant: TenantId, expires_at: Timestamp) {
    let body = json!({"integrationId": "github", "credentialName": "short",
        "authType": "api_key", "apiKey": "third-party", "expiresAt": expires_at});
    let request = app.request_by(Bearer::admin_of(tenant), "POST", "/api/v1/credentials");
    request.json(&body).send().await.expect(201);
}

#[tokio::test]
async fn nothing_goes_back_with_the_clock() {
    let mut app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    create(&app, tenant, app.now().plus_millis(1_000)).await;
    create(&app, tenant, app.now().plus_millis(60_000)).await;
    app.clock.advance(2_000);
    let at = app.now();
    // One has expired. Nothing is written of that but the call that has seen it.
    let mut seen = read(&app, tenant).await;
    assert_eq!(seen["credentials"], json!({"total": 2, "active": 1, "expired": 1}));
    assert_eq!(instant(&seen["generatedAt"]), at);
    let (mut calls, mut keys) = (3, 0);
    // At first only the call holds the instant, then the entry of a change, too.
    for restart in [true, false, true] {
        app.clock.advance(STEP_BACK);
        if restart {
            app = app.restart().await;
        }
        // Nothing moves but the calls that are counted meanwhile.
        seen["usage"]["apiCallsThisMonth"] = json!(calls);
        assert_eq!(read(&app, tenant).await, seen, "restarted: {restart}");

        let before = ledger(&app, tenant).await;
        let request = app.request_by(Bearer::admin_of(tenant), "POST", "/api/v1/api-keys");
        let made = request.json(&json!({"name": "a key"})).send().await.expect(201).data();
        (calls, keys) = (calls + 3, keys + 1);
        assert_eq!(instant(&made["createdAt"]), at);
        let after = ledger(&app, tenant).await;
        assert!(after.starts_with(&before) && after.is_sorted(), "{before:?} {after:?}");
        assert_eq!(after.last(), Some(&at));
        seen["apiKeys"] = json!({"total": keys, "active": keys, "revoked": 0});
        seen["lastActivity"] = seen["generatedAt"].clone();
        seen["usage"]["apiCallsThisMonth"] = json!(calls - 1);
        assert_eq!(read(&app, tenant).await, seen, "restarted: {restart}");
    }
    app.stop().await;
}
