//! Erasing a person, and what an administrator is warned about, over HTTP.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tenantry_domain::access::Role;
use tenantry_domain::id::TenantId;
use tenantry_domain::user::User;
use tenantry_testkit::{Answer, Bearer, TestApp, on_disk};

async fn send(app: &TestApp, method: &str, path: &str, body: Option<Value>) -> Answer {
    let request = app.request_by(Bearer::SUPER_ADMIN, method, path);
    match body {
        Some(body) => request.json(&body).send().await,
        None => request.send().await,
    }
}

fn path_of(tenant: TenantId, user: &Value) -> String {
    format!("/api/v1/admin/tenants/{tenant}/users/{}", user["id"].as_str().unwrap())
}

async fn log(app: &TestApp, tenant: TenantId) -> Vec<Value> {
    let path = format!("/api/v1/admin/audit-logs?tenantId={tenant}&limit=500");
    let data = send(app, "GET", &path, None).await.expect(200).data();
    data["items"].as_array().unwrap().clone()
}

/// A tenant with an administrator who was made, changed, and changed somebody else.
async fn adele(app: &TestApp) -> (TenantId, Value) {
    let tenant = app.tenant("Acme").await;
    let users = format!("/api/v1/admin/tenants/{tenant}/users");
    let made = json!({
        "email": "adele.dazeem@example.com", "name": "Adele Dazeem",
        "roles": ["tenant_admin"], "externalId": {"realm": "acme", "subject": "dazeem-7"},
    });
    let adele = send(app, "POST", &users, Some(made)).await.expect(201).data();
    let path = path_of(tenant, &adele);
    let renamed = json!({"name": "Adele Dazeem-Menzel"});
    send(app, "PATCH", &path, Some(renamed)).await.expect(200);
    let bearer = Bearer {
        tenant,
        subject: Some(adele["id"].as_str().unwrap().parse().unwrap()),
        role: Role::TenantAdmin,
    };
    let request = app.request_by(bearer, "POST", &users).json(&json!({"email": "ben@example.com"}));
    request.send().await.expect(201);
    (tenant, adele)
}

#[tokio::test]
async fn an_erased_person_is_nowhere() {
    let app = TestApp::start().await;
    let (tenant, adele) = adele(&app).await;
    let path = path_of(tenant, &adele);
    let erased = send(&app, "DELETE", &format!("{path}?erase=true"), None).await.expect(200);
    assert_eq!(erased.data(), json!({"id": adele["id"], "entriesErased": 3}));
    assert_eq!(erased.json()["warnings"][0]["code"], "NO_ACTIVE_TENANT_ADMIN");
    send(&app, "GET", &path, None).await.expect(404);

    let log = log(&app, tenant).await;
    assert!(!json!(log).to_string().to_lowercase().contains("dazeem"));
    let actions: Vec<_> = log.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(
        actions,
        ["USER_ERASED", "USER_CREATED", "USER_UPDATED", "USER_CREATED", "TENANT_CREATED"]
    );
    assert_eq!(log[0]["details"], json!({"entries": 3}));
    let nobody = json!({"type": "user", "id": adele["id"], "name": null, "email": null,
                        "ipAddress": null});
    assert_eq!(log[1]["actor"], nobody);
    assert_eq!(log[1]["details"]["email"], "ben@example.com");
    for entry in [&log[2], &log[3]] {
        assert_eq!((&entry["details"], &entry["resource"]["id"]), (&Value::Null, &adele["id"]));
        // Who did it is another person.
        assert_eq!(entry["actor"]["ipAddress"], "127.0.0.1");
    }
    // Once more changes nothing, and a stranger is not found.
    let again = send(&app, "DELETE", &format!("{path}?erase=true"), None).await.expect(200);
    assert_eq!(again.data()["entriesErased"], 0);
    assert_eq!(again.json().get("warnings"), None);
    let stranger = json!({"id": "0197f0aa-0000-7000-8000-000000000000"});
    let stranger = path_of(tenant, &stranger);
    let missing = send(&app, "DELETE", &format!("{stranger}?erase=true"), None).await.expect(404);
    assert_eq!(missing.code(), "USER_NOT_FOUND");
    app.stop().await;
}

#[tokio::test]
async fn an_erased_person_is_not_on_disk() {
    let app = TestApp::start().await;
    let (tenant, adele) = adele(&app).await;
    let path = path_of(tenant, &adele);
    // Among others, so that pages are shared and split.
    let mut csv = "email,name\n".to_owned();
    for number in 0..2_000 {
        writeln!(csv, "someone.{number}@example.com,Some One").unwrap();
    }
    let import = format!("/api/v1/admin/tenants/{tenant}/users/import");
    app.request_by(Bearer::SUPER_ADMIN, "POST", &import)
        .body("text/csv", csv)
        .send()
        .await
        .expect(200);
    for number in 0..20 {
        let name = json!({"name": format!("Adele Dazeem {}", "x".repeat(1 + number * 9))});
        send(&app, "PATCH", &path, Some(name)).await.expect(200);
    }
    let directory = app.directory();
    assert!(on_disk(&directory, "Dazeem") && on_disk(&directory, "dazeem-7"));
    send(&app, "DELETE", &path, None).await.expect(200);
    send(&app, "DELETE", &format!("{path}?erase=true"), None).await.expect(200);

    let directory = app.close().await;
    for text in ["Dazeem", "dazeem", "DAZEEM"] {
        assert!(!on_disk(directory.path(), text), "{text} is on disk");
    }
    assert!(on_disk(directory.path(), "ben@example.com"));
}

#[tokio::test]
async fn the_last_active_admin_is_warned_about() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let one = app.user(tenant, "one@example.com", true).await;
    let two = app.user(tenant, "two@example.com", true).await;
    let path = |user: &User| format!("/api/v1/admin/tenants/{tenant}/users/{}", user.id);
    let warnings = |answer: &Answer| answer.json().get("warnings").cloned();

    let disabled = json!({"status": "disabled"});
    let answer = send(&app, "PATCH", &path(&one), Some(disabled.clone())).await.expect(200);
    assert_eq!(warnings(&answer), None);
    let answer = send(&app, "PATCH", &path(&two), Some(disabled)).await.expect(200);
    let said = warnings(&answer).unwrap();
    assert_eq!(said[0]["code"], "NO_ACTIVE_TENANT_ADMIN");
    assert!(!said[0]["message"].as_str().unwrap().is_empty());
    assert_eq!(answer.data()["status"], "disabled");

    let answer = send(&app, "PATCH", &path(&two), Some(json!({"status": "active"}))).await;
    assert_eq!(warnings(&answer), None);
    assert_eq!(warnings(&send(&app, "DELETE", &path(&one), None).await.expect(200)), None);
    let answer = send(&app, "DELETE", &path(&two), None).await.expect(200);
    assert_eq!(warnings(&answer).unwrap()[0]["code"], "NO_ACTIVE_TENANT_ADMIN");
    app.stop().await;
}

#[tokio::test]
async fn a_tenant_admin_erases_its_own_people_alone() {
    let app = TestApp::start().await;
    let (tenant, other) = (app.tenant("Acme").await, app.tenant("Other").await);
    let theirs = app.user(other, "ann@example.com", false).await;
    let path = format!("/api/v1/admin/tenants/{other}/users/{}?erase=true", theirs.id);
    app.request_by(Bearer::admin_of(tenant), "DELETE", &path).send().await.expect(403);
    let path = format!("/api/v1/admin/tenants/{tenant}/users/{}?erase=true", theirs.id);
    app.request_by(Bearer::admin_of(tenant), "DELETE", &path).send().await.expect(404);
    let path = format!("/api/v1/admin/tenants/{other}/users/{}", theirs.id);
    for query in ["erase=yes", "erase=", "erase=true&erase=true", "purge=true"] {
        send(&app, "DELETE", &format!("{path}?{query}"), None).await.expect(422);
    }
    let deleted = send(&app, "DELETE", &format!("{path}?erase=false"), None).await.expect(200);
    assert_eq!(deleted.data()["email"], "ann@example.com");
    app.stop().await;
}
