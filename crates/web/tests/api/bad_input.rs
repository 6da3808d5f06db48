//! What cannot be served is refused with a reason, and changes nothing.

use serde_json::{Value, json};
use tenantry_domain::id::TenantId;
use tenantry_testkit::{Answer, Bearer, TestApp};

struct Fixture {
    app: TestApp,
    tenant: TenantId,
    users: String,
    before: Value,
}

impl Fixture {
    async fn new() -> Self {
        let app = TestApp::start().await;
        let tenant = app.tenant("Acme").await;
        app.user(tenant, "taken@example.com", true).await;
        let users = format!("/api/v1/admin/tenants/{tenant}/users");
        let mut fixture = Self { app, tenant, users, before: Value::Null };
        fixture.before = fixture.state().await;
        fixture
    }

    /// Everything a refused request could have changed.
    async fn state(&self) -> Value {
        let get = async |path: &str| {
            let answer = self.send("GET", path, None).await.expect(200);
            answer.data()
        };
        let tenant = get(&format!("/api/v1/admin/tenants/{}", self.tenant)).await;
        let users = get(&self.users).await;
        let log = get(&format!("/api/v1/admin/audit-logs?tenantId={}", self.tenant)).await;
        // What a super admin reads is told there, and changes nothing else.
        let is_change = |entry: &&Value| {
            let action = entry.get("action").and_then(Value::as_str);
            action.is_some_and(|action| !["USERS_READ", "AUDIT_LOG_READ"].contains(&action))
        };
        let log = log.get("items").and_then(Value::as_array);
        let log: Vec<_> = log.into_iter().flatten().filter(is_change).collect();
        assert!(!log.is_empty());
        json!([tenant, users, log])
    }

    async fn send(&self, method: &str, path: &str, body: Option<(&str, Vec<u8>)>) -> Answer {
        let request = self
            .app
            .request(method, path)
            .bearer(&self.app.token(Bearer::SUPER_ADMIN))
            .header("x-tenantid", &self.tenant.to_string());
        match body {
            Some((content_type, body)) => request.body(content_type, body).send().await,
            None => request.send().await,
        }
    }

    async fn post_user(&self, body: &str) -> Answer {
        self.send("POST", &self.users, Some(("application/json", body.into()))).await
    }

    async fn done(self) {
        assert_eq!(self.state().await, self.before, "a refused request changed something");
        self.app.stop().await;
    }
}

#[tokio::test]
async fn what_is_not_json_is_400() {
    let fixture = Fixture::new().await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for body in [
        "",
        "{",
        "null x",
        r#"{"email": "a@example.com"} {}"#,
        r#"{"email": "a@example.com", "email": "b@example.com"}"#,
        r#"{"email": "a@example.com",}"#,
        "{'email': 'a@example.com'}",
        r#"{"email": "\ud800@example.com"}"#,
        &deep,
    ] {
        let answer = fixture.post_user(body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "MALFORMED_REQUEST"),
            "{body:.40}"
        );
    }
    let bytes = [b"{\"email\": \"".as_slice(), &[0xff, 0xfe], b"\"}"].concat();
    let answer = fixture.send("POST", &fixture.users, Some(("application/json", bytes))).await;
    assert_eq!(answer.status, 400);
    fixture.done().await;
}

#[tokio::test]
async fn what_is_too_large_is_413_and_of_another_type_415() {
    let fixture = Fixture::new().await;
    let large = format!(r#"{{"email": "{}@example.com"}}"#, "a".repeat(2 * 1024 * 1024));
    let answer = fixture.post_user(&large).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "PAYLOAD_TOO_LARGE"));
    let body = br#"{"email": "new@example.com"}"#.to_vec();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
        let answer = fixture.send("POST", &fixture.users, Some((content_type, body.clone()))).await;
        assert_eq!((answer.status, answer.code().as_str()), (415, "UNSUPPORTED_MEDIA_TYPE"));
    }
    fixture.done().await;
}

#[tokio::test]
async fn every_wrong_member_is_named_in_one_answer() {
    let fixture = Fixture::new().await;
    let named = async |body: Value| fixture.post_user(&body.to_string()).await.fields();
    assert_eq!(named(json!({})).await, ["email"]);
    assert_eq!(
        named(json!({
            "email": "nobody", "name": "", "status": "asleep", "roles": ["owner"], "nickname": "x"
        }))
        .await,
        ["email", "name", "nickname", "roles", "status"]
    );
    assert_eq!(
        named(json!({"email": 1, "name": [], "status": true, "roles": "member"})).await,
        ["email", "name", "roles", "status"]
    );
    assert_eq!(named(json!({"email": null})).await, ["email"]);
    assert_eq!(named(json!({"email": "a@example.com", "roles": ["super_admin"]})).await, ["roles"]);
    assert_eq!(named(json!({"email": "a@example.com", "password": "short"})).await, ["password"]);
    let external = named(json!({"email": "a@example.com", "externalId": {"realm": "x"}})).await;
    assert!(external.iter().all(|field| field.starts_with("externalId")), "{external:?}");
    for array in ["[]", "1", "\"text\"", "null"] {
        let answer = fixture.post_user(array).await;
        assert_eq!(answer.status, 422, "{array}");
    }
    fixture.done().await;
}

#[tokio::test]
async fn hostile_names_are_refused() {
    let fixture = Fixture::new().await;
    for name in ["a\0b", "a\u{202e}b", "a\u{200b}b", "line\nbreak", " padded ", &"x".repeat(201)] {
        let body = json!({"email": "a@example.com", "name": name});
        assert_eq!(fixture.post_user(&body.to_string()).await.fields(), ["name"], "{name:?}");
    }
    for email in [
        "a\0@example.com",
        "a b@example.com",
        "@example.com",
        &format!("{}@example.com", "x".repeat(65)),
        &format!("a@{}.com", "x".repeat(300)),
    ] {
        let body = json!({ "email": email });
        assert_eq!(fixture.post_user(&body.to_string()).await.fields(), ["email"], "{email:?}");
    }
    fixture.done().await;
}

#[tokio::test]
async fn a_taken_email_is_409() {
    let fixture = Fixture::new().await;
    for email in ["taken@example.com", "TAKEN@Example.Com"] {
        let answer = fixture.post_user(&json!({ "email": email }).to_string()).await;
        assert_eq!((answer.status, answer.code().as_str()), (409, "EMAIL_TAKEN"));
    }
    fixture.done().await;
}

#[tokio::test]
async fn what_another_tenant_has_is_not_here() {
    let fixture = Fixture::new().await;
    let other = fixture.app.tenant("Other").await;
    let user = fixture.app.user(other, "ann@example.com", false).await;
    let path = |id: &str| format!("{}/{id}", fixture.users);
    let nobodys = ["not-an-id", "%ff"].map(str::to_owned);
    for id in nobodys.into_iter().chain([user.id.to_string(), TenantId::PLATFORM.to_string()]) {
        for (method, body) in [("GET", None), ("DELETE", None), ("PATCH", Some("{}"))] {
            let body = body.map(|body| ("application/json", body.into()));
            let answer = fixture.send(method, &path(&id), body).await;
            assert_eq!((answer.status, answer.code().as_str()), (404, "USER_NOT_FOUND"));
        }
    }
    fixture.done().await;
}

#[tokio::test]
async fn queries_are_strict() {
    let fixture = Fixture::new().await;
    let users = fixture.users.clone();
    for (query, named) in [
        ("limit=0", vec!["limit"]),
        ("limit=501", vec!["limit"]),
        ("limit=ten", vec!["limit"]),
        ("limit=", vec!["limit"]),
        ("offset=-1", vec!["offset"]),
        ("status=asleep", vec!["status"]),
        ("role=super_admin", vec!["role"]),
        ("q=", vec!["q"]),
        ("cursor=nonsense", vec!["cursor"]),
        ("colour=red", vec!["colour"]),
        ("limit=0&offset=x&colour=red", vec!["colour", "limit", "offset"]),
        ("limit=1&limit=2", vec!["limit"]),
    ] {
        let answer = fixture.send("GET", &format!("{users}?{query}"), None).await;
        assert_eq!(answer.fields(), named, "{query}");
    }
    for (query, named) in [
        ("from=2025-02-30T00:00:00Z", vec!["from"]),
        ("to=tomorrow", vec!["to"]),
        ("action=USER_TELEPORTED", vec!["action"]),
    ] {
        let answer = fixture.send("GET", &format!("/api/v1/admin/audit-logs?{query}"), None).await;
        assert_eq!(answer.fields(), named, "{query}");
    }
    let backwards = "/api/v1/admin/audit-logs?from=2025-07-02T00:00:00Z&to=2025-07-01T00:00:00Z";
    assert!(!fixture.send("GET", backwards, None).await.fields().is_empty());
    fixture.done().await;
}

#[tokio::test]
async fn patches_are_strict() {
    let fixture = Fixture::new().await;
    let list = fixture.send("GET", &fixture.users, None).await.data();
    let user = format!("{}/{}", fixture.users, list["items"][0]["id"].as_str().unwrap());
    let tenant = format!("/api/v1/admin/tenants/{}", fixture.tenant);
    for (path, body, named) in [
        (&user, json!({"email": null}), vec!["email"]),
        (&user, json!({"status": null, "roles": null}), vec!["roles", "status"]),
        (&user, json!({"id": "x"}), vec!["id"]),
        (&user, json!({"password": "correct horse battery staple"}), vec!["password"]),
        (&tenant, json!({"name": null}), vec!["name"]),
        (&tenant, json!({"status": "suspended"}), vec!["status"]),
        (&tenant, json!({"serverUrl": "javascript:alert(1)"}), vec!["serverUrl"]),
        (&tenant, json!({"serverUrl": "/relative"}), vec!["serverUrl"]),
        (&tenant, json!({"storageQuotaMB": -1}), vec!["storageQuotaMB"]),
        (&tenant, json!({"storageQuotaMB": 0.000_000_1}), vec!["storageQuotaMB"]),
        (&tenant, json!({"storageQuotaMB": "100"}), vec!["storageQuotaMB"]),
        (&tenant, json!({"settings": []}), vec!["settings"]),
        (&tenant, json!({"settings": {"x": "y".repeat(17_000)}}), vec!["settings"]),
    ] {
        let body_text = body.to_string().into_bytes();
        let answer =
            fixture.send("PATCH", path, Some(("application/merge-patch+json", body_text))).await;
        assert_eq!(answer.fields(), named, "{body:.60}");
    }
    let subscription = json!({"subscription": {
        "usersLimit": -1, "expiresAt": "2025-02-30T00:00:00Z", "seats": 1
    }});
    let body = Some(("application/json", subscription.to_string().into_bytes()));
    let named = fixture.send("PATCH", &tenant, body).await.fields();
    assert_eq!(named, ["subscription.expiresAt", "subscription.seats", "subscription.usersLimit"]);
    fixture.done().await;
}
