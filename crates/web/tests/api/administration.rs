//! Tenants, users and the audit log over HTTP, with the statistics beside them.

use serde_json::{Value, json};
use tenantry_domain::id::TenantId;
use tenantry_testkit::{Answer, Bearer, TestApp};

async fn send(app: &TestApp, method: &str, path: &str, body: Option<Value>) -> Answer {
    let request = app.request_by(Bearer::SUPER_ADMIN, method, path);
    match body {
        Some(body) => request.json(&body).send().await,
        None => request.send().await,
    }
}

async fn stats(app: &TestApp, tenant: &str) -> Value {
    let path = format!("/api/v1/admin/tenants/{tenant}/stats");
    send(app, "GET", &path, None).await.expect(200).data()
}

#[tokio::test]
async fn a_tenant_from_its_making_to_its_end() {
    let app = TestApp::start().await;
    let made = send(
        &app,
        "POST",
        "/api/v1/admin/tenants",
        Some(json!({
            "id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
            "name": "Acme Corporation",
            "displayName": "Acme",
            "serverUrl": "https://acme.example.com",
            "realmName": "acme",
            "settings": {"theme": "dark", "nested": {"a": 1, "b": 2}},
            "subscription": {"plan": "enterprise", "usersLimit": 500,
                             "expiresAt": "2026-07-10T14:30:00+02:00"},
            "storageQuotaMB": 10000
        })),
    )
    .await
    .expect(201);
    let path = "/api/v1/admin/tenants/3fa85f64-5717-4562-b3fc-2c963f66afa6";
    assert_eq!(made.header("location"), Some(path));
    let expected = json!({
        "id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
        "name": "Acme Corporation",
        "displayName": "Acme",
        "serverUrl": "https://acme.example.com",
        "realmName": "acme",
        "status": "active",
        "settings": {"theme": "dark", "nested": {"a": 1, "b": 2}},
        "subscription": {"plan": "enterprise", "usersLimit": 500,
                         "expiresAt": "2026-07-10T12:30:00.000Z"},
        "storageQuotaMB": 10000,
        "createdAt": "2025-07-10T14:30:00.000Z",
        "updatedAt": "2025-07-10T14:30:00.000Z"
    });
    assert_eq!(made.data(), expected);
    assert_eq!(send(&app, "GET", path, None).await.expect(200).data(), expected);

    app.clock.advance(1_000);
    let patch = json!({
        "displayName": null, "storageQuotaMB": 2500.5,
        "settings": {"nested": {"a": null}}, "subscription": {"plan": null}
    });
    let patched = send(&app, "PATCH", path, Some(patch)).await.expect(200).data();
    assert_eq!(patched["displayName"], Value::Null);
    assert_eq!(patched["storageQuotaMB"], 2500.5);
    assert_eq!(patched["settings"], json!({"theme": "dark", "nested": {"b": 2}}));
    assert_eq!(patched["subscription"]["plan"], Value::Null);
    assert_eq!(patched["subscription"]["usersLimit"], 500);
    assert_eq!(patched["updatedAt"], "2025-07-10T14:30:01.000Z");

    let suspended = send(&app, "POST", &format!("{path}/suspend"), None).await.expect(200);
    assert_eq!(suspended.data()["status"], "suspended");
    let active = send(&app, "POST", &format!("{path}/activate"), None).await.expect(200);
    assert_eq!(active.data()["status"], "active");
    let deleted = send(&app, "DELETE", path, None).await.expect(200);
    assert_eq!(deleted.data()["name"], "Acme Corporation");
    for method in ["GET", "DELETE"] {
        send(&app, method, path, None).await.expect(404);
    }
    // Its id is never used again.
    let again = json!({"id": "3fa85f64-5717-4562-b3fc-2c963f66afa6", "name": "Another"});
    let again = send(&app, "POST", "/api/v1/admin/tenants", Some(again)).await.expect(409);
    assert_eq!(again.code(), "TENANT_ID_TAKEN");
    app.stop().await;
}

#[tokio::test]
async fn the_platforms_tenant_is_protected() {
    let app = TestApp::start().await;
    let path = format!("/api/v1/admin/tenants/{}", TenantId::PLATFORM);
    assert_eq!(send(&app, "GET", &path, None).await.expect(200).data()["name"], "Platform");
    for (method, path) in [("DELETE", path.clone()), ("POST", format!("{path}/suspend"))] {
        let refused = send(&app, method, &path, None).await.expect(403);
        assert_eq!(refused.code(), "PLATFORM_PROTECTED");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_tenant_admin_changes_its_own_business_and_no_more() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let path = format!("/api/v1/admin/tenants/{tenant}");
    let patch = async |body: Value| {
        app.request_by(Bearer::admin_of(tenant), "PATCH", &path).json(&body).send().await
    };
    let own = json!({"displayName": "A", "serverUrl": "https://a.example", "settings": {"x": 1}});
    patch(own).await.expect(200);
    for body in [
        json!({"name": "Mine"}),
        json!({"realmName": "mine"}),
        json!({"storageQuotaMB": null}),
        json!({"subscription": {"usersLimit": 1_000_000}}),
        json!({"displayName": "B", "storageQuotaMB": 1}),
    ] {
        let refused = patch(body).await.expect(403);
        assert_eq!(refused.code(), "INSUFFICIENT_PERMISSIONS");
    }
    let now = send(&app, "GET", &path, None).await.data();
    assert_eq!((&now["displayName"], &now["name"]), (&json!("A"), &json!("Acme")));
    app.stop().await;
}

#[tokio::test]
async fn a_user_from_its_making_to_its_end() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await.to_string();
    let users = format!("/api/v1/admin/tenants/{tenant}/users");
    let made = send(
        &app,
        "POST",
        &users,
        Some(json!({
            "email": "Ann@Example.com", "name": "Ann Dahl", "status": "invited",
            "roles": ["member", "tenant_admin"],
            "externalId": {"realm": "acme", "subject": "ann-1"},
            "password": "correct horse battery staple"
        })),
    )
    .await
    .expect(201);
    assert!(!made.text.contains("correct horse"));
    let user = made.data();
    let path = format!("{users}/{}", user["id"].as_str().unwrap());
    assert_eq!(made.header("location"), Some(path.as_str()));
    let expected = json!({
        "id": user["id"],
        "externalId": {"realm": "acme", "subject": "ann-1"},
        "email": "Ann@Example.com",
        "name": "Ann Dahl",
        "status": "invited",
        "roles": ["tenant_admin", "member"],
        "createdAt": "2025-07-10T14:30:00.000Z",
        "updatedAt": "2025-07-10T14:30:00.000Z",
        "lastLoginAt": null
    });
    assert_eq!(user, expected);
    assert_eq!(
        stats(&app, &tenant).await["users"],
        json!({"total": 1, "active": 0, "inactive": 1, "admins": 1})
    );
    // A merge patch changes what it names, within objects too.
    for (patch, external) in [
        (json!({"externalId": {}}), json!({"realm": "acme", "subject": "ann-1"})),
        (json!({"externalId": {"subject": "ann-2"}}), json!({"realm": "acme", "subject": "ann-2"})),
    ] {
        let patched = send(&app, "PATCH", &path, Some(patch)).await.expect(200).data();
        assert_eq!(patched["externalId"], external);
    }
    let patch = json!({"status": "active", "roles": [], "name": null, "externalId": null});
    let patched = send(&app, "PATCH", &path, Some(patch)).await.expect(200).data();
    assert_eq!(patched["status"], "active");
    assert_eq!(patched["roles"], json!([]));
    assert_eq!((&patched["name"], &patched["externalId"]), (&Value::Null, &Value::Null));
    let half = json!({"externalId": {"subject": "ann-3"}});
    let half = send(&app, "PATCH", &path, Some(half)).await.expect(422).json();
    assert_eq!(half["error"]["fields"][0]["field"], "externalId.realm");
    assert_eq!(
        stats(&app, &tenant).await["users"],
        json!({"total": 1, "active": 1, "inactive": 0, "admins": 0})
    );
    assert_eq!(send(&app, "DELETE", &path, None).await.expect(200).data(), patched);
    send(&app, "GET", &path, None).await.expect(404);
    assert_eq!(stats(&app, &tenant).await["users"]["total"], 0);
    // A user has what is given unless more is said.
    let plain = json!({"email": "ben@example.com"});
    let plain = send(&app, "POST", &users, Some(plain)).await.expect(201).data();
    assert_eq!((&plain["status"], &plain["roles"]), (&json!("active"), &json!(["member"])));
    app.stop().await;
}

#[tokio::test]
async fn totals_of_lists_are_the_statistics() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await.to_string();
    let users = format!("/api/v1/admin/tenants/{tenant}/users");
    let statuses = ["active", "disabled", "locked", "invited"];
    for number in 0..23 {
        let body = json!({
            "email": format!("user{number}@example.com"),
            "name": if number % 5 == 0 { "Zoë 100%" } else { "Plain" },
            "status": statuses[number % 4],
            "roles": if number % 3 == 0 { json!(["tenant_admin"]) } else { json!(["member"]) },
        });
        send(&app, "POST", &users, Some(body)).await.expect(201);
        app.clock.advance(i64::try_from(number % 2).unwrap());
    }
    let list = async |query: &str| {
        send(&app, "GET", &format!("{users}?{query}"), None).await.expect(200).data()
    };
    let counts = stats(&app, &tenant).await["users"].clone();
    for (query, total) in [
        ("", &counts["total"]),
        ("status=active", &counts["active"]),
        ("status=inactive", &counts["inactive"]),
        ("role=tenant_admin", &counts["admins"]),
        ("status=locked", &json!(6)),
        ("role=member&status=active", &json!(4)),
        ("q=ZO%C3%8B", &json!(5)),
        ("q=100%25", &json!(5)),
        ("q=_", &json!(0)),
        ("q=user1", &json!(11)),
    ] {
        let data = list(query).await;
        assert_eq!(&data["total"], total, "{query}");
        assert_eq!(data["items"].as_array().unwrap().len() as u64, total.as_u64().unwrap());
    }
    // Every page together is everything once, by offset and by cursor.
    let everything = list("limit=500").await["items"].clone();
    let (mut by_offset, mut by_cursor) = (Vec::new(), Vec::new());
    for offset in [0, 7, 14, 21] {
        let data = list(&format!("limit=7&offset={offset}")).await;
        assert_eq!((&data["limit"], &data["offset"]), (&json!(7), &json!(offset)));
        by_offset.extend(data["items"].as_array().unwrap().clone());
    }
    let mut next = String::new();
    loop {
        let data = list(&format!("limit=7{next}")).await;
        assert_eq!(data["total"], 23);
        by_cursor.extend(data["items"].as_array().unwrap().clone());
        match data["nextCursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(json!(by_offset), everything);
    assert_eq!(json!(by_cursor), everything);
    // A page out of range is empty and keeps its total.
    let far = list("offset=1000").await;
    assert_eq!((&far["items"], &far["total"]), (&json!([]), &json!(23)));
    app.stop().await;
}

#[tokio::test]
async fn tenants_are_listed_for_super_admins() {
    let app = TestApp::start().await;
    for name in ["Acme", "Beta", "Gamma"] {
        app.tenant(name).await;
    }
    let list = async |query: &str| {
        let path = format!("/api/v1/admin/tenants?{query}");
        send(&app, "GET", &path, None).await.expect(200).data()
    };
    let all = list("").await;
    assert_eq!(all["total"], 4);
    let beta = &list("q=bet").await["items"][0];
    assert_eq!(beta["name"], "Beta");
    let path = format!("/api/v1/admin/tenants/{}/suspend", beta["id"].as_str().unwrap());
    send(&app, "POST", &path, None).await.expect(200);
    assert_eq!(list("status=suspended").await["total"], 1);
    assert_eq!(list("status=active").await["total"], 3);
    let path = format!("/api/v1/admin/tenants/{}", beta["id"].as_str().unwrap());
    send(&app, "DELETE", &path, None).await.expect(200);
    assert_eq!(list("").await["total"], 3);
    app.stop().await;
}

#[tokio::test]
async fn the_audit_log_tells_who_did_what_and_the_counts_after_it() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let admin = app.user(tenant, "admin@example.com", true).await;
    let bearer = Bearer {
        tenant,
        subject: Some(admin.id),
        role: tenantry_domain::access::Role::TenantAdmin,
    };
    app.clock.advance(60_000);
    let users = format!("/api/v1/admin/tenants/{tenant}/users");
    let made = app
        .request_by(bearer, "POST", &users)
        .json(&json!({"email": "ben@example.com"}))
        .send()
        .await
        .expect(201)
        .data();
    let log = async |query: &str| {
        let path = format!("/api/v1/admin/audit-logs?{query}");
        app.request_by(bearer, "GET", &path).send().await.expect(200).data()
    };
    let all = log("").await;
    assert_eq!(all["total"], 3);
    let entry = &all["items"][0];
    assert_eq!(entry["seq"], 3);
    assert_eq!(entry["at"], "2025-07-10T14:31:00.000Z");
    assert_eq!((&entry["action"], &entry["category"]), (&json!("USER_CREATED"), &json!("user")));
    assert_eq!(
        entry["actor"],
        json!({"type": "user", "id": admin.id.to_string(), "name": null,
               "email": "admin@example.com", "ipAddress": "127.0.0.1"})
    );
    assert_eq!(entry["resource"], json!({"type": "user", "id": made["id"]}));
    assert_eq!(entry["details"]["email"], "ben@example.com");
    assert_eq!(
        entry["counts"]["users"],
        json!({"total": 2, "active": 2, "inactive": 0, "admins": 1})
    );
    for (query, total) in [
        ("action=USER_CREATED".to_owned(), 2),
        ("action=TENANT_CREATED".to_owned(), 1),
        (format!("actorId={}", admin.id), 1),
        ("from=2025-07-10T14:31:00Z".to_owned(), 1),
        ("to=2025-07-10T14:31:00Z".to_owned(), 2),
        ("limit=1&offset=2".to_owned(), 3),
        (format!("tenantId={tenant}"), 3),
    ] {
        assert_eq!(log(&query).await["total"], total, "{query}");
    }
    // Another tenant's log is not theirs to read, and a super admin's to choose.
    let other = app.tenant("Other").await;
    let path = format!("/api/v1/admin/audit-logs?tenantId={other}");
    app.request_by(bearer, "GET", &path).send().await.expect(403);
    assert_eq!(send(&app, "GET", &path, None).await.expect(200).data()["total"], 1);
    let bad = send(&app, "GET", "/api/v1/admin/audit-logs?tenantId=x", None).await.expect(400);
    assert_eq!(bad.code(), "INVALID_TENANT_ID");
    app.stop().await;
}

#[tokio::test]
async fn what_needs_no_token_answers() {
    let app = TestApp::start().await;
    for path in ["/health/live", "/health/ready"] {
        let answer = app.request("GET", path).send().await.expect(200);
        assert!(answer.header("x-request-id").is_some());
    }
    let keys = app.request("GET", "/.well-known/jwks.json").send().await.expect(200).json();
    assert_eq!(keys["keys"][0]["kty"], "OKP");
    assert_eq!(keys["keys"][0].get("d"), None);
    let metrics = app.request("GET", "/metrics").send().await.expect(200).text;
    assert!(metrics.contains("tenantry_http_requests_total"), "{metrics}");
    app.request("POST", "/health/live").send().await.expect(405);
    app.stop().await;
}

#[tokio::test]
async fn nobody_is_given_what_names_another_user() {
    let app = TestApp::start().await;
    let users = format!("/api/v1/admin/tenants/{}/users", app.tenant("Acme").await);
    let external = json!({"realm": "acme", "subject": "a"});
    let ann = json!({"email": "ann@example.com", "externalId": external});
    send(&app, "POST", &users, Some(ann)).await.expect(201);
    let bob = json!({"email": "bob@example.com"});
    let bob = send(&app, "POST", &users, Some(bob)).await.expect(201).data();
    let bob = format!("{users}/{}", bob["id"].as_str().unwrap());
    for (patch, code) in [
        (json!({"email": "ANN@example.com"}), "EMAIL_TAKEN"),
        (json!({"externalId": external}), "EXTERNAL_ID_TAKEN"),
    ] {
        let refused = send(&app, "PATCH", &bob, Some(patch)).await.expect(409);
        assert_eq!(refused.code(), code);
    }
    app.stop().await;
}
