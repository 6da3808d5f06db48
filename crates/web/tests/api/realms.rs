//! External realms over HTTP, from their making to their end.

use serde_json::{Value, json};
use tenantry_domain::id::TenantId;
use tenantry_testkit::{Answer, Bearer, TestApp};

const REALMS: &str = "/api/v1/admin/realms";

async fn send(app: &TestApp, method: &str, path: &str, body: Option<Value>) -> Answer {
    let request = app.request_by(Bearer::SUPER_ADMIN, method, path);
    match body {
        Some(body) => request.json(&body).send().await,
        None => request.send().await,
    }
}

/// The actions and resources of the platform's audit log, oldest first.
async fn log(app: &TestApp) -> Vec<(String, String, Value)> {
    let log = send(app, "GET", "/api/v1/admin/audit-logs", None).await.expect(200).data();
    let entries = log["items"].as_array().unwrap().iter().rev();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    entries
        .map(|entry| {
            let resource =
                format!("{} {}", text(&entry["resource"]["type"]), text(&entry["resource"]["id"]));
            (text(&entry["action"]), resource, entry["details"].clone())
        })
        .collect()
}

#[tokio::test]
async fn a_realm_from_its_making_to_its_end() {
    let app = TestApp::start().await;
    let body = json!({
        "name": "corp",
        "issuer": "https://id.example.com/realms/corp",
        "jwksUri": "https://id.example.com/realms/corp/keys?x=1",
        "audience": "tenantry-api",
        "algorithms": ["RS256", "EdDSA"],
        "tenantClaim": "https://tenantry.example/tenant",
        "rolesClaim": "realm_access.roles",
        "roleMapping": {"boss": "tenant_admin", "everybody": "member"},
        "leewaySeconds": 60,
        "platform": true
    });
    let made = send(&app, "POST", REALMS, Some(body.clone())).await.expect(201);
    let path = made.header("location").unwrap().to_owned();
    assert_eq!(path, format!("{REALMS}/corp"));
    let mut expected = body;
    expected["createdAt"] = json!("2025-07-10T14:30:00.000Z");
    expected["updatedAt"] = expected["createdAt"].clone();
    assert_eq!(made.data(), expected);
    assert_eq!(send(&app, "GET", &path, None).await.expect(200).data(), expected);
    let list = send(&app, "GET", REALMS, None).await.expect(200).data();
    assert_eq!((&list["items"], &list["total"]), (&json!([expected]), &json!(1)));

    app.clock.advance(1_000);
    let patch = json!({
        "jwksUri": null, "roleMapping": {"boss": null, "owner": "super_admin"}, "platform": false
    });
    let changed = send(&app, "PATCH", &path, Some(patch)).await.expect(200).data();
    expected["jwksUri"] = Value::Null;
    expected["roleMapping"] = json!({"everybody": "member", "owner": "super_admin"});
    expected["platform"] = json!(false);
    expected["updatedAt"] = json!("2025-07-10T14:30:01.000Z");
    assert_eq!(changed, expected);
    let patch = json!({"roleMapping": null});
    let changed = send(&app, "PATCH", &path, Some(patch)).await.expect(200).data();
    expected["roleMapping"] = Value::Null;
    assert_eq!(changed, expected);

    assert_eq!(send(&app, "DELETE", &path, None).await.expect(200).data(), expected);
    for method in ["GET", "DELETE"] {
        assert_eq!(send(&app, method, &path, None).await.expect(404).code(), "REALM_NOT_FOUND");
    }
    let told = log(&app).await;
    let actions: Vec<_> = told.iter().map(|(action, ..)| action.as_str()).collect();
    assert_eq!(
        actions,
        ["TENANT_CREATED", "REALM_CREATED", "REALM_UPDATED", "REALM_UPDATED", "REALM_DELETED"]
    );
    assert!(told[1..].iter().all(|(_, resource, _)| resource == "realm corp"));
    assert_eq!(told[2].2["platform"], json!({"from": true, "to": false}));
    app.stop().await;
}

#[tokio::test]
async fn what_is_not_said_is_as_usual() {
    let app = TestApp::start().await;
    let body = json!({"name": "corp", "issuer": "https://id.example.com", "audience": "a"});
    let made = send(&app, "POST", REALMS, Some(body)).await.expect(201).data();
    for (member, value) in [
        ("jwksUri", Value::Null),
        ("tenantClaim", json!("tenant")),
        ("rolesClaim", json!("roles")),
        ("roleMapping", Value::Null),
        ("leewaySeconds", json!(5)),
        ("platform", json!(false)),
    ] {
        assert_eq!(made[member], value, "{member}");
    }
    assert_eq!(made["algorithms"].as_array().unwrap().len(), 10);
    app.stop().await;
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_by_name() {
    let app = TestApp::start().await;
    let good = json!({"name": "corp", "issuer": "https://id.example.com", "audience": "a"});
    send(&app, "POST", REALMS, Some(good.clone())).await.expect(201);
    for (member, value) in [
        ("name", json!("a b")),
        ("name", json!("")),
        ("issuer", json!("http://id.example.com")),
        ("issuer", json!("https://id.example.com/?a=b")),
        ("issuer", json!("https://id.example.com/#a")),
        ("issuer", json!("https://user@id.example.com/")),
        ("issuer", json!("id.example.com")),
        ("issuer", json!("file:///etc/passwd")),
        ("jwksUri", json!("http://169.254.169.254/latest")),
        ("audience", json!("")),
        ("algorithms", json!([])),
        ("algorithms", json!(["none"])),
        ("algorithms", json!(["HS256"])),
        ("algorithms", json!(["RS256", "RS256"])),
        ("tenantClaim", json!("")),
        ("rolesClaim", json!("a\nb")),
        ("roleMapping", json!({"boss": "root"})),
        ("roleMapping", json!({"": "member"})),
        ("roleMapping", json!(["member"])),
        ("leewaySeconds", json!(301)),
        ("leewaySeconds", json!(-1)),
        ("leewaySeconds", json!(1.5)),
        ("platform", json!("true")),
        ("secret", json!("x")),
    ] {
        let mut body = good.clone();
        body["name"] = json!("other");
        body["issuer"] = json!("https://other.example.com");
        body[member] = value.clone();
        let refused = send(&app, "POST", REALMS, Some(body)).await;
        assert_eq!(refused.status, 422, "{member} {value}: {}", refused.text);
        assert_eq!(refused.fields(), [member], "{value}");
        let path = format!("{REALMS}/corp");
        let refused = send(&app, "PATCH", &path, Some(json!({member: value}))).await;
        assert_eq!((refused.status, refused.fields()), (422, vec![member.to_owned()]));
    }
    let full: serde_json::Map<_, _> =
        (0..100).map(|word| (word.to_string(), json!("member"))).collect();
    let path = format!("{REALMS}/corp");
    send(&app, "PATCH", &path, Some(json!({"roleMapping": full}))).await.expect(200);
    let refused = send(&app, "PATCH", &path, Some(json!({"roleMapping": {"one": "member"}}))).await;
    assert_eq!((refused.status, refused.fields()), (422, vec!["roleMapping".to_owned()]));
    let nothing = send(&app, "POST", REALMS, Some(json!({}))).await;
    assert_eq!(nothing.fields(), ["audience", "issuer", "name"]);
    assert_eq!(log(&app).await.len(), 3);
    app.stop().await;
}

#[tokio::test]
async fn what_another_realm_has_is_taken() {
    let app = TestApp::start().await;
    let body = |name: &str, issuer: &str| json!({"name": name, "issuer": issuer, "audience": "a"});
    let post = async |name, issuer| send(&app, "POST", REALMS, Some(body(name, issuer))).await;
    post("one", "https://one.example.com").await.expect(201);
    post("two", "https://two.example.com").await.expect(201);
    for (name, issuer, code) in [
        ("one", "https://three.example.com", "REALM_NAME_TAKEN"),
        ("three", "https://one.example.com", "ISSUER_TAKEN"),
        // The built-in realm's.
        ("tenantry", "https://three.example.com", "REALM_NAME_TAKEN"),
        ("Tenantry", "https://three.example.com", "REALM_NAME_TAKEN"),
    ] {
        assert_eq!(post(name, issuer).await.expect(409).code(), code, "{name} {issuer}");
    }
    let patch = json!({"issuer": "https://one.example.com"});
    let taken = send(&app, "PATCH", &format!("{REALMS}/two"), Some(patch)).await.expect(409);
    assert_eq!(taken.code(), "ISSUER_TAKEN");
    app.stop().await;
}

/// Whether or not there is a realm of the name, a tenant can name it: either may come first.
#[tokio::test]
async fn a_tenant_can_name_a_realm_before_it_is_there_and_after() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let bind = async |realm: Value| {
        let path = format!("/api/v1/admin/tenants/{tenant}");
        let request = app.request_by(Bearer::SUPER_ADMIN, "PATCH", &path);
        let request = request.json(&json!({"realmName": realm}));
        request.send().await.expect(200).data()["realmName"].clone()
    };
    assert_eq!(bind(json!("corp")).await, "corp");
    app.realm("corp", "https://id.example.com").await;
    send(&app, "DELETE", &format!("{REALMS}/corp"), None).await.expect(200);
    let read = send(&app, "GET", &format!("/api/v1/admin/tenants/{tenant}"), None).await;
    assert_eq!(read.expect(200).data()["realmName"], "corp");
    assert_eq!(bind(Value::Null).await, Value::Null);
    app.stop().await;
}

#[tokio::test]
async fn an_administrator_of_a_tenant_has_no_business_with_realms() {
    let app = TestApp::start().await;
    for bearer in [
        Bearer::admin_of(app.tenant("Acme").await),
        Bearer::admin_of(TenantId::PLATFORM),
        Bearer::member_of(TenantId::PLATFORM),
    ] {
        for (method, path) in [("GET", REALMS), ("GET", "/api/v1/admin/realms/none")] {
            app.request_by(bearer, method, path).send().await.expect(403);
        }
    }
    app.stop().await;
}
