//! Access transparency: what the platform's people read of a tenant, its audit log tells.

use serde_json::{Value, json};
use tenantry_domain::id::TenantId;
use tenantry_testkit::{Bearer, TestApp};

/// What the tenant's audit log tells of an action, the newest first.
async fn told(app: &TestApp, tenant: TenantId, action: &str) -> Vec<Value> {
    let path = format!("/api/v1/admin/audit-logs?action={action}");
    let log = app.request_by(Bearer::admin_of(tenant), "GET", &path).send().await.expect(200);
    log.data()["items"].as_array().cloned().unwrap_or_default()
}

async fn get(app: &TestApp, token: &str, acting_in: TenantId, path: &str) -> u16 {
    let request = app.request("GET", path).bearer(token);
    request.header("x-tenantid", &acting_in.to_string()).send().await.status
}

#[tokio::test]
async fn reading_statistics_is_told_once_for_each_actor_and_hour() {
    let app = TestApp::start().await;
    let (tenant, other) = (app.tenant("Acme").await, app.tenant("Other").await);
    let stats = |tenant| format!("/api/v1/admin/tenants/{tenant}/stats");
    let (one, two) = (app.token(Bearer::SUPER_ADMIN), app.token(Bearer::SUPER_ADMIN));
    let own = app.token(Bearer::admin_of(tenant));
    for token in [&one, &one, &own] {
        let acting_in = if *token == own { tenant } else { TenantId::PLATFORM };
        assert_eq!(get(&app, token, acting_in, &stats(tenant)).await, 200);
    }
    let entries = told(&app, tenant, "STATISTICS_READ").await;
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!(entry["actor"]["type"], "operator");
    assert_eq!(entry["resource"], json!({"type": "tenant", "id": tenant.to_string()}));
    // It is nothing that the tenant has done, and changes none of its numbers.
    let seen = app.request_by(Bearer::admin_of(tenant), "GET", &stats(tenant)).send().await;
    assert_eq!(seen.expect(200).data()["lastActivity"], "2025-07-10T14:30:00.000Z");

    // Somebody else, somewhere else, and in another hour.
    assert_eq!(get(&app, &two, TenantId::PLATFORM, &stats(tenant)).await, 200);
    assert_eq!(told(&app, tenant, "STATISTICS_READ").await.len(), 2);
    assert_eq!(told(&app, other, "STATISTICS_READ").await.len(), 0);
    assert_eq!(get(&app, &one, other, &stats(other)).await, 200);
    assert_eq!(told(&app, other, "STATISTICS_READ").await.len(), 1);
    app.clock.advance(30 * 60_000 - 1);
    assert_eq!(get(&app, &one, TenantId::PLATFORM, &stats(tenant)).await, 200);
    assert_eq!(told(&app, tenant, "STATISTICS_READ").await.len(), 2);
    app.clock.advance(1);
    let later = app.token(Bearer::SUPER_ADMIN);
    for token in [&later, &later] {
        assert_eq!(get(&app, token, TenantId::PLATFORM, &stats(tenant)).await, 200);
    }
    assert_eq!(told(&app, tenant, "STATISTICS_READ").await.len(), 3);
    // At home the platform's people are at home, and what is not shown is not told.
    let platform = stats(TenantId::PLATFORM);
    assert_eq!(get(&app, &later, TenantId::PLATFORM, &platform).await, 200);
    assert_eq!(told(&app, TenantId::PLATFORM, "STATISTICS_READ").await.len(), 0);
    assert_eq!(get(&app, &later, other, &stats(tenant)).await, 403);
    app.stop().await;
}

#[tokio::test]
async fn reading_users_is_told_every_time() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let ann = app.user(tenant, "ann@example.com", false).await.id;
    let users = format!("/api/v1/admin/tenants/{tenant}/users");
    let one = format!("{users}/{ann}");
    let operator = app.token(Bearer::SUPER_ADMIN);
    for path in [&users, &users, &one] {
        assert_eq!(get(&app, &operator, TenantId::PLATFORM, path).await, 200);
        let own = app.request_by(Bearer::admin_of(tenant), "GET", path).send().await;
        assert_eq!(own.status, 200);
    }
    let nobody = format!("{users}/{tenant}");
    assert_eq!(get(&app, &operator, TenantId::PLATFORM, &nobody).await, 404);
    let entries = told(&app, tenant, "USERS_READ").await;
    let ids: Vec<_> = entries.iter().map(|entry| entry["resource"]["id"].clone()).collect();
    assert_eq!(entries.len(), 3);
    assert_eq!(ids[0], ann.to_string());
    assert_eq!(entries[1]["details"], json!({"shown": 1}));
    app.stop().await;
}

#[tokio::test]
async fn reading_the_audit_log_is_told_once_for_each_actor_and_hour() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let operator = app.token(Bearer::SUPER_ADMIN);
    let of_tenant = format!("/api/v1/admin/audit-logs?tenantId={tenant}");
    for (acting_in, path) in [
        (TenantId::PLATFORM, of_tenant.as_str()),
        (tenant, "/api/v1/admin/audit-logs"),
        (TenantId::PLATFORM, "/api/v1/admin/audit-logs"),
    ] {
        assert_eq!(get(&app, &operator, acting_in, path).await, 200);
    }
    assert_eq!(told(&app, tenant, "AUDIT_LOG_READ").await.len(), 1);
    assert_eq!(told(&app, TenantId::PLATFORM, "AUDIT_LOG_READ").await.len(), 0);
    app.clock.advance(60 * 60_000);
    let later = app.token(Bearer::SUPER_ADMIN);
    assert_eq!(get(&app, &later, tenant, "/api/v1/admin/audit-logs?limit=1").await, 200);
    assert_eq!(told(&app, tenant, "AUDIT_LOG_READ").await.len(), 2);
    app.stop().await;
}

#[tokio::test]
async fn users_that_are_shown_by_the_way_are_told_of() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let ann = app.user(tenant, "ann@example.com", false).await.id;
    let users = format!("/api/v1/admin/tenants/{tenant}/users");
    let patch = async |bearer, body: Value| {
        let path = format!("{users}/{ann}");
        app.request_by(bearer, "PATCH", &path).json(&body).send().await.expect(200);
    };
    // A change tells itself, and what a tenant does at home is nobody's look.
    patch(Bearer::admin_of(tenant), json!({})).await;
    app.clock.advance(1);
    patch(Bearer::SUPER_ADMIN, json!({"name": "Ann"})).await;
    assert_eq!(told(&app, tenant, "USERS_READ").await.len(), 0);
    app.clock.advance(1);
    for body in [json!({}), json!({"name": "Ann"})] {
        patch(Bearer::SUPER_ADMIN, body).await;
    }
    let entries = told(&app, tenant, "USERS_READ").await;
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0]["resource"]["id"], ann.to_string());

    // Which of many addresses are there already, too; once more under a key that makes it one request.
    let lines = "email\nann@example.com\nben@example.com\nbad\n";
    for key in ["a", "b"] {
        let import = app.request_by(Bearer::SUPER_ADMIN, "POST", &format!("{users}/import"));
        let import = import.header("idempotency-key", key).body("text/csv", lines);
        import.send().await.expect(422);
    }
    let entries = told(&app, tenant, "USERS_READ").await;
    assert_eq!(entries.len(), 4);
    assert_eq!(entries[0]["details"], json!({"shown": 1}));
    app.stop().await;
}
