//! API keys as callers: what a key may is what its scopes say, for as long as it is good.

use serde_json::{Value, json};
use tenantry_domain::access::Role;
use tenantry_domain::id::TenantId;
use tenantry_testkit::{Answer, Bearer, Request, TestApp};

const KEYS: &str = "/api/v1/api-keys";

struct Fixture {
    app: TestApp,
    tenant: TenantId,
}

impl Fixture {
    async fn new() -> Self {
        let app = TestApp::start().await;
        let tenant = app.tenant("Acme").await;
        Self { app, tenant }
    }

    /// A request with a key, in the tenant.
    fn with_key(&self, key: &str, method: &str, path: &str) -> Request {
        let request = self.app.request(method, path).header("x-tenantid", &self.tenant.to_string());
        request.header("x-api-key", key)
    }

    fn by_admin(&self, method: &str, path: &str) -> Request {
        self.app.request_by(Bearer::admin_of(self.tenant), method, path)
    }

    /// A key as it is made over HTTP: its id and its text.
    async fn make(&self, body: Value) -> (String, String) {
        let made = self.by_admin("POST", KEYS).json(&body).send().await.expect(201).data();
        let text = |member: &str| made[member].as_str().unwrap().to_owned();
        (text("id"), text("key"))
    }

    fn stats(&self) -> String {
        format!("/api/v1/admin/tenants/{}/stats", self.tenant)
    }

    async fn reads(&self, key: &str) -> Answer {
        self.with_key(key, "GET", &self.stats()).send().await
    }

    fn users(&self) -> String {
        format!("/api/v1/admin/tenants/{}/users", self.tenant)
    }
}

#[tokio::test]
async fn a_key_for_a_dashboard_is_one_call_away() {
    let f = Fixture::new().await;
    let (id, key) = f.make(json!({"name": "dashboard", "scopes": ["stats:read"]})).await;
    let seen = f.reads(&key).await.expect(200).data();
    assert_eq!(seen["apiKeys"]["active"], 1);
    // Its calls count for its tenant, this one in the next answer.
    let calls = seen["usage"]["apiCallsThisMonth"].as_u64().unwrap();
    let next = f.reads(&key).await.expect(200).data();
    assert_eq!(next["usage"]["apiCallsThisMonth"], calls + 1);
    for (method, path) in [("GET", f.users()), ("GET", KEYS.to_owned()), ("POST", KEYS.to_owned())]
    {
        let refused = f.with_key(&key, method, &path).json(&json!({"name": "x"})).send().await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "INSUFFICIENT_PERMISSIONS"),
            "{path}"
        );
    }
    f.by_admin("DELETE", &format!("{KEYS}/{id}")).send().await.expect(200);
    assert_eq!(f.reads(&key).await.status, 401);
    f.app.stop().await;
}

#[tokio::test]
async fn what_a_key_does_is_in_the_audit_log_under_its_name() {
    let f = Fixture::new().await;
    let (id, key) = f.make(json!({"name": "provisioning", "scopes": ["users:write"]})).await;
    let body = json!({"email": "ann@example.com"});
    let made = f.with_key(&key, "POST", &f.users()).json(&body).send().await.expect(201).data();
    let log = f.by_admin("GET", "/api/v1/admin/audit-logs?limit=1").send().await.expect(200).data();
    let entry = &log["items"][0];
    assert_eq!(entry["action"], "USER_CREATED");
    assert_eq!(entry["resource"]["id"], made["id"]);
    let actor = json!({
        "type": "api_key", "id": id, "name": "provisioning", "email": null,
        "ipAddress": "127.0.0.1"
    });
    assert_eq!(entry["actor"], actor);
    // It is one of the tenant's own principals: what it does is the tenant's activity.
    let seen = f.by_admin("GET", &f.stats()).send().await.expect(200).data();
    assert_eq!(seen["lastActivity"], "2025-07-10T14:30:00.000Z");
    // Who may change something may read it.
    f.with_key(&key, "GET", &f.users()).send().await.expect(200);
    f.app.stop().await;
}

#[tokio::test]
async fn nobody_gives_more_than_their_key_has() {
    let f = Fixture::new().await;
    let scopes = ["keys:write", "users:write", "clients:write", "stats:read"];
    let (_, key) = f.make(json!({"name": "machine", "scopes": scopes})).await;
    let try_to = async |method: &str, path: &str, body: Value| {
        let answer = f.with_key(&key, method, path).json(&body).send().await;
        (answer.status, answer)
    };
    for (given, status) in [
        (json!(["stats:read"]), 201),
        (json!(["users:read"]), 201),
        (json!(["keys:write", "users:write"]), 201),
        (json!([]), 201),
        (json!(["stats:read", "audit:read"]), 403),
        (json!(["credentials:reveal"]), 403),
        (json!(["tenant:read"]), 403),
    ] {
        let body = json!({"name": "another", "scopes": given});
        assert_eq!(try_to("POST", KEYS, body.clone()).await.0, status, "{given}");
        assert_eq!(try_to("POST", "/api/v1/oauth-clients", body).await.0, status, "{given}");
    }
    // A new text for a key that may more would be that key.
    let (stronger, _) = f.make(json!({"name": "stronger", "scopes": ["audit:read"]})).await;
    let rotate = format!("{KEYS}/{stronger}/rotate");
    assert_eq!(try_to("POST", &rotate, json!({})).await.0, 403);

    // Whoever is trusted with some things alone makes no administrators, and leaves them alone.
    let users = f.users();
    let admin = json!({"email": "admin@example.com", "roles": ["tenant_admin"]});
    assert_eq!(try_to("POST", &users, admin).await.0, 403);
    let made = try_to("POST", &users, json!({"email": "ann@example.com"})).await.1.data();
    let member = format!("{users}/{}", made["id"].as_str().unwrap());
    assert_eq!(try_to("PATCH", &member, json!({"roles": ["tenant_admin"]})).await.0, 403);
    assert_eq!(try_to("PATCH", &member, json!({"status": "disabled"})).await.0, 200);
    let boss = f.app.user(f.tenant, "boss@example.com", true).await.id;
    let boss = format!("{users}/{boss}");
    assert_eq!(try_to("PATCH", &boss, json!({"status": "disabled"})).await.0, 403);
    assert_eq!(f.with_key(&key, "DELETE", &boss).send().await.status, 403);
    // Nor does it rule over who comes from elsewhere, and may be an administrator there.
    let external = json!({"realm": "corp", "subject": "boss"});
    let new = json!({"email": "b@example.com", "status": "disabled", "externalId": external});
    assert_eq!(try_to("POST", &users, new.clone()).await.0, 403);
    assert_eq!(try_to("PATCH", &member, json!({"externalId": external})).await.0, 403);
    let line = json!({"email": "b@example.com", "externalId": external});
    let import = f.with_key(&key, "POST", &format!("{users}/import"));
    let import = import.body("application/x-ndjson", line.to_string());
    assert_eq!(import.send().await.status, 403);
    let row = f.by_admin("POST", &users).json(&new).send().await.expect(201).data();
    let row = format!("{users}/{}", row["id"].as_str().unwrap());
    for change in [json!({"externalId": null}), json!({"status": "active"}), json!({"name": "B"})] {
        assert_eq!(try_to("PATCH", &row, change).await.0, 403);
    }
    for path in [row.clone(), format!("{row}?erase=true")] {
        assert_eq!(f.with_key(&key, "DELETE", &path).send().await.status, 403);
    }
    f.app.stop().await;
}

#[tokio::test]
async fn a_key_is_good_until_its_instant_and_where_it_may_be_used() {
    let f = Fixture::new().await;
    let expires = json!({
        "name": "short", "scopes": ["stats:read"], "expiresAt": "2025-07-10T14:30:10.000Z"
    });
    let (_, key) = f.make(expires).await;
    f.app.clock.advance(9_999);
    f.reads(&key).await.expect(200);
    f.app.clock.advance(1);
    let refused = f.reads(&key).await;
    assert_eq!((refused.status, refused.code().as_str()), (401, "UNAUTHENTICATED"));

    let listed = |networks: Value| json!({"name": "at home", "scopes": ["stats:read"], "ipAllowlist": networks});
    let (_, here) = f.make(listed(json!(["192.0.2.0/24", "127.0.0.0/8"]))).await;
    f.reads(&here).await.expect(200);
    let (_, elsewhere) = f.make(listed(json!(["192.0.2.0/24", "2001:db8::/32"]))).await;
    let before = f.by_admin("GET", &f.stats()).send().await.expect(200).data();
    let told = f.reads(&elsewhere).await;
    // The reason is in the metric, and not for the caller; and the call does not count.
    assert_eq!(
        (told.status, told.code().as_str(), &told.json()["message"]),
        (401, "UNAUTHENTICATED", &refused.json()["message"])
    );
    let metrics = f.app.request("GET", "/metrics").send().await.expect(200).text;
    assert!(
        metrics.contains("tenantry_auth_failures_total{reason=\"foreign_address\"} 1\n"),
        "{metrics}"
    );
    assert!(metrics.contains("tenantry_auth_failures_total{reason=\"expired\"} 1\n"), "{metrics}");
    let after = f.by_admin("GET", &f.stats()).send().await.expect(200).data();
    let calls = |seen: &Value| seen["usage"]["apiCallsThisMonth"].as_u64().unwrap();
    assert_eq!(calls(&after), calls(&before) + 1);
    f.app.stop().await;
}

#[tokio::test]
async fn both_texts_of_a_key_are_good_until_the_grace_is_over() {
    let f = Fixture::new().await;
    let (id, old) = f.make(json!({"name": "gateway", "scopes": ["stats:read"]})).await;
    let rotate = async |grace: u32| {
        let path = format!("{KEYS}/{id}/rotate");
        let answer = f.by_admin("POST", &path).json(&json!({"graceSeconds": grace})).send().await;
        answer.expect(200).data()["key"].as_str().unwrap().to_owned()
    };
    let new = rotate(60).await;
    f.app.clock.advance(59_999);
    f.reads(&old).await.expect(200);
    f.reads(&new).await.expect(200);
    f.app.clock.advance(1);
    assert_eq!(f.reads(&old).await.status, 401);
    f.reads(&new).await.expect(200);
    let newest = rotate(0).await;
    assert_eq!(f.reads(&new).await.status, 401);
    f.reads(&newest).await.expect(200);
    f.app.stop().await;
}

#[tokio::test]
async fn a_suspended_tenant_s_keys_read_and_change_nothing() {
    let f = Fixture::new().await;
    let scopes = ["stats:read", "users:write", "credentials:reveal"];
    let (_, key) = f.make(json!({"name": "machine", "scopes": scopes})).await;
    let govern = async |act: &str| {
        let path = format!("/api/v1/admin/tenants/{}/{act}", f.tenant);
        f.app.request_by(Bearer::SUPER_ADMIN, "POST", &path).send().await.expect(200);
    };
    govern("suspend").await;
    f.reads(&key).await.expect(200);
    let body = json!({"email": "ann@example.com"});
    let refused = f.with_key(&key, "POST", &f.users()).json(&body).send().await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "TENANT_SUSPENDED"));
    govern("activate").await;
    f.with_key(&key, "POST", &f.users()).json(&body).send().await.expect(201);
    f.app.stop().await;
}

#[tokio::test]
async fn what_is_no_key_is_401_whatever_else_is_wrong() {
    let f = Fixture::new().await;
    let (_, key) = f.make(json!({"name": "machine", "scopes": ["stats:read"]})).await;
    let other = f.app.tenant("Other").await;
    let foreign = f.app.api_key_with(other, "foreign", &["stats:read"]).await;
    assert_eq!(f.reads(foreign.text.expose()).await.status, 403);
    let cut = &key[..key.len() - 1];
    let never = tenantry_security::api_key::issue_api_key(
        f.tenant,
        &tenantry_testkit::SeededEntropy::default(),
    );
    for bad in ["", "tnt_", cut, &format!("{key}0"), &key.to_uppercase(), never.text.expose()] {
        assert_eq!(f.reads(bad).await.status, 401, "{bad}");
    }
    // One way to say who one is, and once.
    let token = f.app.token(Bearer { tenant: f.tenant, subject: None, role: Role::TenantAdmin });
    let both = f.with_key(&key, "GET", &f.stats()).bearer(&token).send().await;
    assert_eq!(both.status, 401);
    let twice = f.with_key(&key, "GET", &f.stats()).header("x-api-key", &key).send().await;
    assert_eq!(twice.status, 401);
    f.app.stop().await;
}

/// The texts of a key, as `GET` tells them.
async fn secrets(f: &Fixture, id: &str) -> Vec<Value> {
    let told = f.by_admin("GET", &format!("{KEYS}/{id}")).send().await.expect(200).data();
    told["secrets"].as_array().unwrap().clone()
}

#[tokio::test]
async fn when_and_from_where_a_key_was_used_is_told_of_each_text() {
    let f = Fixture::new().await;
    let body = json!({"name": "gateway", "scopes": ["stats:read", "users:write"]});
    let (id, old) = f.make(body).await;
    let told = secrets(&f, &id).await;
    let never = json!({
        "prefix": &old[..30], "createdAt": "2025-07-10T14:30:00.000Z", "endsAt": null,
        "lastUsedAt": null, "lastUsedFrom": null, "safeToDrop": false
    });
    assert_eq!(told, [never]);

    f.app.clock.advance(1_000);
    f.reads(&old).await.expect(200);
    let told = secrets(&f, &id).await;
    assert_eq!(told[0]["lastUsedAt"], "2025-07-10T14:30:01.000Z");
    assert_eq!(told[0]["lastUsedFrom"], "127.0.0.1");

    // A call that is refused is none, one that is forbidden is one.
    let path = format!("{KEYS}/{id}/rotate");
    let rotation = json!({"graceSeconds": 3600});
    let new = f.by_admin("POST", &path).json(&rotation).send().await.expect(200).data();
    let new = new["key"].as_str().unwrap().to_owned();
    f.app.clock.advance(1_000);
    assert_eq!(f.with_key(&new, "GET", KEYS).send().await.status, 403);
    let told = secrets(&f, &id).await;
    assert_eq!(told[0]["lastUsedAt"], "2025-07-10T14:30:02.000Z");
    assert_eq!(told[1]["lastUsedAt"], "2025-07-10T14:30:01.000Z");
    assert_eq!(told[1]["endsAt"], "2025-07-10T15:30:01.000Z");
    // It was used in the very millisecond in which the newer one was made.
    assert_eq!(told[1]["safeToDrop"], false);

    // By a change as well.
    f.app.clock.advance(1_000);
    let body = json!({"email": "ann@example.com"});
    f.with_key(&new, "POST", &f.users()).json(&body).send().await.expect(201);
    assert_eq!(secrets(&f, &id).await[0]["lastUsedAt"], "2025-07-10T14:30:03.000Z");

    // A gateway that asks says that it was used, and not from where.
    f.app.clock.advance(1_000);
    let ask = async |key: &str| {
        let asked = f.by_admin("POST", &format!("{KEYS}/validate")).json(&json!({"key": key}));
        asked.send().await.expect(200).data()["valid"].as_bool().unwrap()
    };
    assert!(ask(&old).await);
    let told = secrets(&f, &id).await;
    assert_eq!(told[1]["lastUsedAt"], "2025-07-10T14:30:04.000Z");
    assert_eq!(told[1]["lastUsedFrom"], Value::Null);
    let list = f.by_admin("GET", KEYS).send().await.expect(200).data();
    assert_eq!(list["items"][0]["lastUsedAt"], "2025-07-10T14:30:04.000Z");
    f.app.clock.advance(3_600_000);
    assert!(!ask(&old).await);
    assert_eq!(f.reads(&old).await.status, 401);
    let told = secrets(&f, &id).await;
    assert_eq!(told[1]["lastUsedAt"], "2025-07-10T14:30:04.000Z");
    assert_eq!(told[1]["safeToDrop"], true);
    f.app.stop().await;
}

#[tokio::test]
async fn using_a_key_does_not_change_it() {
    let f = Fixture::new().await;
    let (id, key) = f.make(json!({"name": "gateway", "scopes": ["stats:read"]})).await;
    let path = format!("{KEYS}/{id}");
    let etag = f.by_admin("GET", &path).send().await.expect(200).header("etag").unwrap().to_owned();
    f.app.clock.advance(5);
    f.reads(&key).await.expect(200);
    let again = f.by_admin("GET", &path).header("if-none-match", &etag).send().await.expect(200);
    assert_eq!(again.header("etag"), Some(etag.as_str()));
    assert_eq!(again.data()["lastUsedAt"], "2025-07-10T14:30:00.005Z");
    f.by_admin("DELETE", &path).header("if-match", &etag).send().await.expect(200);
    f.app.stop().await;
}

#[tokio::test]
async fn a_key_calls_no_more_often_than_it_may() {
    let f = Fixture::new().await;
    let body = json!({"name": "poller", "scopes": ["stats:read"], "rateLimit": 3});
    let (id, key) = f.make(body).await;
    let (_, free) = f.make(json!({"name": "other", "scopes": ["stats:read"]})).await;
    let calls = async || {
        let seen = f.reads(&free).await.expect(200).data();
        seen["usage"]["apiCallsThisMonth"].as_u64().unwrap()
    };
    for _ in 0..3 {
        f.reads(&key).await.expect(200);
    }
    let before = calls().await;
    for path in [f.stats(), KEYS.to_owned()] {
        let refused = f.with_key(&key, "GET", &path).send().await;
        assert_eq!((refused.status, refused.code().as_str()), (429, "TOO_MANY_REQUESTS"));
        assert_eq!(refused.header("retry-after"), Some("20"));
    }
    // What was refused is neither counted nor a use.
    assert_eq!(calls().await, before + 1);
    f.app.clock.advance(19_999);
    assert_eq!(f.reads(&key).await.status, 429);
    assert_eq!(secrets(&f, &id).await[0]["lastUsedAt"], "2025-07-10T14:30:00.000Z");
    f.app.clock.advance(1);
    f.reads(&key).await.expect(200);
    assert_eq!(f.reads(&key).await.status, 429);
    f.app.clock.advance(60_000);
    for _ in 0..3 {
        f.reads(&key).await.expect(200);
    }
    assert_eq!(f.reads(&key).await.status, 429);
    // Who is not known is told so first.
    f.by_admin("DELETE", &format!("{KEYS}/{id}")).send().await.expect(200);
    assert_eq!(f.reads(&key).await.status, 401);
    for bad in [json!(0), json!(1_000_001), json!(-1), json!("3"), json!(1.5)] {
        let body = json!({"name": "poller", "rateLimit": bad});
        let answer = f.by_admin("POST", KEYS).json(&body).send().await;
        assert_eq!(
            (answer.status, answer.json()["error"]["fields"][0]["field"].clone()),
            (422, json!("rateLimit")),
            "{bad}"
        );
    }
    f.app.stop().await;
}
