//! OAuth clients over HTTP, from their making to their end, with the statistics beside them.

use serde_json::{Value, json};
use tenantry_domain::access::Role;
use tenantry_domain::id::TenantId;
use tenantry_security::api_key::hash_secret;
use tenantry_testkit::{Answer, Bearer, TestApp};

const CLIENTS: &str = "/api/v1/oauth-clients";

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

    async fn by(&self, bearer: Bearer, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = self.app.request_by(bearer, method, path);
        match body {
            Some(body) => request.json(&body).send().await,
            None => request.send().await,
        }
    }

    /// Sends a request by the tenant's administrator.
    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.by(Bearer::admin_of(self.tenant), method, path, body).await
    }

    async fn get(&self, path: &str) -> Value {
        self.send("GET", path, None).await.expect(200).data()
    }

    async fn post(&self, body: Value) -> Answer {
        self.send("POST", CLIENTS, Some(body)).await
    }

    /// Makes a client; answers its path and the answer's data.
    async fn create(&self, body: Value) -> (String, Value) {
        let made = self.post(body).await.expect(201);
        (made.header("location").unwrap().to_owned(), made.data())
    }

    async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send("PATCH", path, Some(body)).await
    }

    /// The statistics' OAuth clients: total, active. Each is the total of a list.
    async fn counts(&self) -> [u64; 2] {
        let stats = self.get(&format!("/api/v1/admin/tenants/{}/stats", self.tenant)).await;
        let counts = ["total", "active"].map(|name| stats["oauthClients"][name].as_u64().unwrap());
        let disabled = counts[0] - counts[1];
        for (query, count) in
            [("", counts[0]), ("?status=active", counts[1]), ("?status=disabled", disabled)]
        {
            let page = self.get(&format!("{CLIENTS}{query}")).await;
            assert_eq!(page["total"], count, "{query}");
            assert_eq!(page["items"].as_array().unwrap().len() as u64, count, "{query}");
        }
        counts
    }

    /// The audit log, oldest entry first.
    async fn log(&self) -> Vec<Value> {
        let mut items = self.get("/api/v1/admin/audit-logs").await["items"].take();
        let items = items.as_array_mut().unwrap();
        items.reverse();
        items.clone()
    }
}

#[tokio::test]
async fn a_client_from_its_making_to_its_end() {
    let f = Fixture::new().await;
    assert_eq!(f.counts().await, [0, 0]);
    let body = json!({
        "name": "Acme Portal",
        "clientType": "confidential",
        "redirectUris": ["https://app.example.com/cb", "com.example.app:/cb"],
        "grantTypes": ["authorization_code", "refresh_token", "client_credentials"],
        "scopes": ["stats:read", "users:write"],
        "allowedOrigins": ["https://app.example.com", "http://localhost:3000"],
        "ipAllowlist": ["192.0.2.0/24", "2001:db8::1"]
    });
    let (path, mut made) = f.create(body.clone()).await;
    let secret = made.as_object_mut().unwrap().remove("clientSecret").unwrap();
    assert!(secret.as_str().unwrap().starts_with("tns_"));
    assert_eq!(path, format!("{CLIENTS}/{}", made["id"].as_str().unwrap()));
    assert!(made["clientId"].as_str().unwrap().starts_with("tnc_"));
    let mut expected = body;
    expected["id"] = made["id"].clone();
    expected["clientId"] = made["clientId"].clone();
    expected["status"] = json!("active");
    expected["createdAt"] = json!("2025-07-10T14:30:00.000Z");
    assert_eq!(made, expected);
    assert_eq!(f.get(&path).await, expected);
    assert_eq!(f.get(CLIENTS).await["items"], json!([expected]));
    assert_eq!(f.counts().await, [1, 1]);

    f.app.clock.advance(1_000);
    let change = json!({
        "name": "Portal", "redirectUris": [], "grantTypes": ["client_credentials"],
        "scopes": [], "allowedOrigins": [], "ipAllowlist": []
    });
    let changed = f.patch(&path, change.clone()).await.expect(200).data();
    for (name, value) in change.as_object().unwrap() {
        expected[name] = value.clone();
    }
    assert_eq!(changed, expected);
    assert_eq!(f.counts().await, [1, 1]);
    for (status, counts) in
        [("disabled", [1, 0]), ("disabled", [1, 0]), ("active", [1, 1]), ("disabled", [1, 0])]
    {
        let changed = f.patch(&path, json!({"status": status})).await.expect(200).data();
        assert_eq!(changed["status"], status);
        assert_eq!(f.counts().await, counts);
    }

    let rotated = f.send("POST", &format!("{path}/rotate-secret"), None).await.expect(200).data();
    let new = rotated["clientSecret"].as_str().unwrap();
    assert!(new.starts_with("tns_") && new != secret);
    // The secret that will be asked for is the new one.
    assert!(f.app.on_disk(hash_secret(new).0));
    assert_eq!(f.counts().await, [1, 0]);

    let deleted = f.send("DELETE", &path, None).await.expect(200).data();
    expected["status"] = json!("disabled");
    assert_eq!(deleted, expected);
    assert_eq!(f.counts().await, [0, 0]);
    for (method, path, body) in [
        ("GET", path.clone(), None),
        ("PATCH", path.clone(), Some(json!({"name": "again"}))),
        ("DELETE", path.clone(), None),
        ("POST", format!("{path}/rotate-secret"), None),
        ("GET", format!("{CLIENTS}/nobody"), None),
    ] {
        let missing = f.send(method, &path, body).await.expect(404);
        assert_eq!(missing.code(), "OAUTH_CLIENT_NOT_FOUND", "{method} {path}");
    }

    let log = f.log().await;
    let actions: Vec<_> = log[1..].iter().map(|it| it["action"].as_str().unwrap()).collect();
    assert_eq!(
        actions,
        [
            "OAUTH_CLIENT_CREATED",
            "OAUTH_CLIENT_UPDATED",
            "OAUTH_CLIENT_UPDATED",
            "OAUTH_CLIENT_UPDATED",
            "OAUTH_CLIENT_UPDATED",
            "OAUTH_CLIENT_SECRET_ROTATED",
            "OAUTH_CLIENT_DELETED",
        ]
    );
    assert_eq!(log[3]["details"], json!({"status": {"from": "active", "to": "disabled"}}));
    assert_eq!(log[3]["counts"]["oauthClients"], json!({"total": 1, "active": 0, "disabled": 1}));
    assert_eq!(log[6]["resource"], json!({"type": "oauth_client", "id": expected["id"]}));
    assert_eq!(log[6]["details"]["name"], "Portal");
    f.app.stop().await;
}

#[tokio::test]
async fn what_is_not_given_is_what_fits() {
    let f = Fixture::new().await;
    let uri = json!(["https://app.example.com"]);
    for (body, client_type, grants) in [
        (json!({"name": "a"}), "confidential", json!(["client_credentials"])),
        (json!({"name": "b", "redirectUris": uri}), "confidential", json!(["authorization_code"])),
        (
            json!({"name": "c", "clientType": "public", "redirectUris": uri}),
            "public",
            json!(["authorization_code"]),
        ),
    ] {
        let (_, made) = f.create(body).await;
        assert_eq!((&made["clientType"], &made["grantTypes"]), (&json!(client_type), &grants));
        assert_eq!(made.get("clientSecret").is_some(), client_type == "confidential");
        for empty in ["scopes", "allowedOrigins", "ipAllowlist"] {
            assert_eq!(made[empty], json!([]), "{empty}");
        }
    }
    f.app.stop().await;
}

#[tokio::test]
async fn a_public_client_has_no_secret() {
    let f = Fixture::new().await;
    let body = json!({
        "name": "app", "clientType": "public", "redirectUris": ["http://127.0.0.1/cb"],
        "grantTypes": ["authorization_code", "refresh_token"]
    });
    let (path, made) = f.create(body).await;
    assert_eq!(made.get("clientSecret"), None);
    let refused = f.send("POST", &format!("{path}/rotate-secret"), None).await.expect(409);
    assert_eq!(refused.code(), "PUBLIC_CLIENT");
    assert_eq!(f.log().await.len(), 2);
    f.app.stop().await;
}

#[tokio::test]
async fn every_wrong_field_is_named_and_nothing_is_made() {
    let f = Fixture::new().await;
    let with = |name: &str, value: Value| json!({"name": "client", (name): value});
    let many = |count: usize| -> Value {
        (0..count).map(|number| json!(format!("https://app.example.com/{number}"))).collect()
    };
    let long = |length: usize| {
        let base = "https://app.example.com/";
        json!([format!("{base}{}", "x".repeat(length - base.len()))])
    };
    let networks =
        |count: usize| -> Value { (0..count).map(|it| json!(format!("10.0.0.{it}"))).collect() };
    for body in [
        json!({"name": "x".repeat(200)}),
        with("redirectUris", many(20)),
        with("redirectUris", long(2048)),
        with("allowedOrigins", json!(["https://[2001:db8::1]:8443"])),
        with("ipAllowlist", networks(100)),
    ] {
        f.post(body).await.expect(201);
    }
    let before = f.counts().await;
    for (body, wrong) in [
        (json!({}), &["name"][..]),
        (json!([]), &["body"]),
        (json!({"name": "x".repeat(201)}), &["name"]),
        (json!({"name": "a\u{202e}b"}), &["name"]),
        (json!({"name": null}), &["name"]),
        (with("redirectUris", many(21)), &["redirectUris"]),
        (with("redirectUris", long(2049)), &["redirectUris"]),
        (
            with("redirectUris", json!(["https://a.example", "https://a.example"])),
            &["redirectUris"],
        ),
        (with("redirectUris", json!(["https://a.example/#x"])), &["redirectUris"]),
        (with("redirectUris", json!(["http://a.example/"])), &["redirectUris"]),
        (with("redirectUris", json!(["https://*.a.example/"])), &["redirectUris"]),
        (with("redirectUris", json!(["https://u:p@a.example/"])), &["redirectUris"]),
        (with("redirectUris", json!(["myapp:/cb"])), &["redirectUris"]),
        (with("redirectUris", json!(["/cb"])), &["redirectUris"]),
        (with("redirectUris", json!("https://a.example")), &["redirectUris"]),
        (with("redirectUris", json!([1])), &["redirectUris"]),
        (with("redirectUris", Value::Null), &["redirectUris"]),
        (with("grantTypes", json!([])), &["grantTypes"]),
        (with("grantTypes", json!(["password"])), &["grantTypes"]),
        (with("grantTypes", json!(["implicit"])), &["grantTypes"]),
        (with("grantTypes", json!(["client_credentials", "client_credentials"])), &["grantTypes"]),
        (with("grantTypes", json!(["refresh_token"])), &["grantTypes"]),
        (with("grantTypes", json!(["authorization_code"])), &["redirectUris"]),
        (with("clientType", json!("public")), &["redirectUris"]),
        (with("clientType", json!("secret")), &["clientType"]),
        (
            json!({"name": "a", "clientType": "public", "grantTypes": ["client_credentials"]}),
            &["grantTypes"],
        ),
        (with("scopes", json!(["stats:read", "stats:read"])), &["scopes"]),
        (with("scopes", json!(["stats:write"])), &["scopes"]),
        (with("scopes", json!(["usage:write:any"])), &["scopes"]),
        (with("allowedOrigins", json!(["https://a.example/path"])), &["allowedOrigins"]),
        (with("allowedOrigins", json!(["*"])), &["allowedOrigins"]),
        (with("ipAllowlist", networks(101)), &["ipAllowlist"]),
        (with("ipAllowlist", json!(["example.com"])), &["ipAllowlist"]),
        (with("clientSecret", json!("mine")), &["clientSecret"]),
        (with("clientId", json!("mine")), &["clientId"]),
        (
            json!({
                "name": "", "redirectUris": ["x"], "grantTypes": ["x"], "scopes": ["x"],
                "allowedOrigins": ["x"], "ipAllowlist": ["x"], "clientType": "x", "more": "x"
            }),
            &[
                "allowedOrigins",
                "clientType",
                "grantTypes",
                "ipAllowlist",
                "more",
                "name",
                "redirectUris",
                "scopes",
            ],
        ),
    ] {
        assert_eq!(f.post(body.clone()).await.fields(), wrong, "{body}");
    }
    for query in ["?status=gone", "?status=", "?q=x", "?limit=501"] {
        assert_eq!(f.send("GET", &format!("{CLIENTS}{query}"), None).await.status, 422, "{query}");
    }
    assert_eq!(f.counts().await, before);
    f.app.stop().await;
}

#[tokio::test]
async fn a_patch_is_judged_by_what_comes_of_it() {
    let f = Fixture::new().await;
    let uri = json!(["https://app.example.com"]);
    let (machine, _) = f.create(json!({"name": "machine"})).await;
    let (app, _) =
        f.create(json!({"name": "app", "clientType": "public", "redirectUris": uri})).await;
    let before = [f.get(&machine).await, f.get(&app).await];
    let entries = f.log().await.len();
    for (path, body, wrong) in [
        (&machine, json!({"grantTypes": ["authorization_code"]}), "redirectUris"),
        (&machine, json!({"grantTypes": ["refresh_token"]}), "grantTypes"),
        (&machine, json!({"jwks": {"keys": []}}), "jwks"),
        (&app, json!({"redirectUris": []}), "redirectUris"),
        (&app, json!({"grantTypes": ["client_credentials"]}), "grantTypes"),
        (&app, json!({"clientType": "confidential"}), "clientType"),
        (&app, json!({"status": "gone"}), "status"),
        (&app, json!({"status": null}), "status"),
        (&app, json!({"scopes": ["usage:write:any"]}), "scopes"),
    ] {
        assert_eq!(f.patch(path, body.clone()).await.fields(), [wrong], "{body}");
    }
    assert_eq!([f.get(&machine).await, f.get(&app).await], before);
    // What fits together in one step need not in two.
    let both = json!({"grantTypes": ["authorization_code", "refresh_token"], "redirectUris": uri});
    f.patch(&machine, both).await.expect(200);
    // A patch that changes nothing leaves no trace.
    f.patch(&app, json!({})).await.expect(200);
    f.patch(&app, json!({"redirectUris": uri, "status": "active"})).await.expect(200);
    assert_eq!(f.log().await.len(), entries + 1);
    f.app.stop().await;
}

#[tokio::test]
async fn nobody_gives_a_scope_that_they_do_not_have() {
    let f = Fixture::new().await;
    let any = json!({"name": "gateway", "scopes": ["usage:write:any"]});
    let admin = Bearer::admin_of(TenantId::PLATFORM);
    let refused = f.by(admin, "POST", CLIENTS, Some(any.clone())).await.expect(403);
    assert_eq!(refused.code(), "INSUFFICIENT_PERMISSIONS");
    let made = f.by(Bearer::SUPER_ADMIN, "POST", CLIENTS, Some(any)).await.expect(201);
    let path = made.header("location").unwrap();
    let rotate = format!("{path}/rotate-secret");
    f.by(admin, "POST", &rotate, None).await.expect(403);
    f.by(Bearer::SUPER_ADMIN, "POST", &rotate, None).await.expect(200);
    let plain = f.by(admin, "POST", CLIENTS, Some(json!({"name": "plain"}))).await.expect(201);
    let more = Some(json!({"scopes": ["usage:write:any"]}));
    f.by(admin, "PATCH", plain.header("location").unwrap(), more).await.expect(403);
    f.app.stop().await;
}

#[tokio::test]
async fn a_tenant_s_clients_are_its_own() {
    let f = Fixture::new().await;
    let (path, made) = f.create(json!({"name": "ours"})).await;
    let other = f.app.tenant("Other").await;
    let neighbour = Bearer::admin_of(other);
    for (method, path, body) in [
        ("GET", path.clone(), None),
        ("PATCH", path.clone(), Some(json!({"name": "theirs"}))),
        ("DELETE", path.clone(), None),
        ("POST", format!("{path}/rotate-secret"), None),
    ] {
        f.by(neighbour, method, &path, body).await.expect(404);
    }
    assert_eq!(f.by(neighbour, "GET", CLIENTS, None).await.expect(200).data()["total"], 0);
    f.by(Bearer { role: Role::Member, ..neighbour }, "GET", CLIENTS, None).await.expect(403);
    assert_eq!(f.get(&path).await["name"], made["name"]);
    f.app.stop().await;
}

#[tokio::test]
async fn lists_are_whole_by_offset_and_by_cursor() {
    let f = Fixture::new().await;
    for number in 0..7 {
        let (path, _) = f.create(json!({"name": format!("client {number}")})).await;
        if number % 3 == 0 {
            f.patch(&path, json!({"status": "disabled"})).await.expect(200);
        }
        f.app.clock.advance(number % 2);
    }
    assert_eq!(f.counts().await, [7, 4]);
    let everything = f.get(CLIENTS).await["items"].as_array().unwrap().clone();
    let (mut by_cursor, mut next) = (Vec::new(), String::new());
    loop {
        let page = f.get(&format!("{CLIENTS}?limit=3{next}")).await;
        assert_eq!(page["total"], 7);
        by_cursor.extend(page["items"].as_array().unwrap().clone());
        match page["nextCursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(by_cursor, everything);
    let page = f.get(&format!("{CLIENTS}?limit=3&offset=6")).await;
    assert_eq!(page["items"], json!([everything[6]]));
    f.app.stop().await;
}

#[tokio::test]
async fn a_secret_is_shown_once_and_kept_nowhere() {
    let f = Fixture::new().await;
    let (path, made) = f.create(json!({"name": "findable name"})).await;
    let rotated = f.send("POST", &format!("{path}/rotate-secret"), None).await.expect(200).data();
    let secrets = [&made, &rotated].map(|data| data["clientSecret"].as_str().unwrap());
    let shown = [
        f.send("GET", &path, None).await.text,
        f.send("GET", CLIENTS, None).await.text,
        f.patch(&path, json!({"name": "findable name 2"})).await.text,
        f.send("GET", "/api/v1/admin/audit-logs", None).await.text,
        f.send("DELETE", &path, None).await.text,
    ];
    for text in shown {
        assert!(text.contains("findable name"), "{text}");
        assert!(!text.contains("tns_") && !text.contains("clientSecret"), "{text}");
    }
    assert!(f.app.on_disk(b"findable name"));
    for secret in secrets {
        assert!(!f.app.on_disk(secret.as_bytes()));
    }
    f.app.stop().await;
}
