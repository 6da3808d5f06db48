//! Credentials of the vault over HTTP, from their making to their end, with the statistics beside
//! them.

use serde_json::{Value, json};
use tenantry_domain::access::Role;
use tenantry_domain::id::TenantId;
use tenantry_testkit::{Answer, Bearer, TestApp};

const CREDENTIALS: &str = "/api/v1/credentials";

/// Every part that a secret can have.
const PARTS: [&str; 8] = [
    "accessToken",
    "refreshToken",
    "clientId",
    "clientSecret",
    "username",
    "password",
    "apiKey",
    "assertion",
];

/// Every type but `custom`, with the parts it needs and those it may have besides.
const TYPES: [(&str, &[&str], &[&str]); 7] = [
    ("oauth2_bearer", &["accessToken"], &["refreshToken"]),
    ("oauth2_client_credentials", &["clientId", "clientSecret"], &[]),
    ("api_key", &["apiKey"], &[]),
    ("basic_auth", &["username", "password"], &[]),
    ("bearer_token", &["accessToken"], &[]),
    ("jwt", &["assertion"], &[]),
    ("saml", &["assertion"], &[]),
];

/// A text to look for; with what JSON escapes.
fn secret_of(part: &str) -> String {
    format!("-----BEGIN {part}-----\n\"zq9\\{part}\" ä")
}

/// A credential of a type with these parts.
fn body(auth_type: &str, parts: &[&str]) -> Value {
    let mut body = json!({
        "integrationId": "github", "credentialName": "a credential", "authType": auth_type
    });
    for part in parts {
        body[part] = json!(secret_of(part));
    }
    body
}

/// An API key's credential with one more member.
fn with(name: &str, value: Value) -> Value {
    let mut body = body("api_key", &["apiKey"]);
    body[name] = value;
    body
}

fn sorted<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_unstable();
    names
}

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
        self.send("POST", CREDENTIALS, Some(body)).await
    }

    /// Makes a credential; answers its path and the answer's data.
    async fn create(&self, body: Value) -> (String, Value) {
        let made = self.post(body).await.expect(201);
        (made.header("location").unwrap().to_owned(), made.data())
    }

    async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send("PATCH", path, Some(body)).await
    }

    async fn reveal(&self, path: &str) -> Value {
        self.send("POST", &format!("{path}/reveal"), None).await.expect(200).data()
    }

    /// The statistics' credentials: total, active, expired. Each is the total of a list.
    async fn counts(&self) -> [u64; 3] {
        let stats = self.get(&format!("/api/v1/admin/tenants/{}/stats", self.tenant)).await;
        let counts =
            ["total", "active", "expired"].map(|name| stats["credentials"][name].as_u64().unwrap());
        for (query, count) in ["", "?status=active", "?status=expired"].into_iter().zip(counts) {
            let page = self.get(&format!("{CREDENTIALS}{query}")).await;
            assert_eq!(page["total"], count, "{query}");
            assert_eq!(page["items"].as_array().unwrap().len() as u64, count, "{query}");
        }
        assert_eq!(counts[0], counts[1] + counts[2]);
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
async fn a_credential_from_its_making_to_its_end() {
    let f = Fixture::new().await;
    assert_eq!(f.counts().await, [0, 0, 0]);
    let known = json!({
        "integrationId": "git.hub_1-x",
        "credentialName": "deploy",
        "description": "for the nightly export",
        "authType": "oauth2_bearer",
        "scopes": ["repo", "https://third.example/auth/read"],
        "tokenEndpoint": "https://third.example/token?x=1",
        "authorizationEndpoint": "https://third.example/authorize",
        "metadata": {"team": "export", "tags": ["a", "b"], "owner": {"name": "Ann", "floor": 3}},
        "expiresAt": "2025-07-10T15:30:00.000Z"
    });
    let mut body = known.clone();
    body["accessToken"] = json!("access-zq9");
    body["refreshToken"] = json!("refresh-zq9");
    let (path, made) = f.create(body).await;
    let mut expected = known;
    expected["id"] = made["id"].clone();
    expected["createdAt"] = json!("2025-07-10T14:30:00.000Z");
    expected["updatedAt"] = json!("2025-07-10T14:30:00.000Z");
    assert_eq!(made, expected);
    assert_eq!(path, format!("{CREDENTIALS}/git.hub_1-x/{}", made["id"].as_str().unwrap()));
    assert_eq!(f.get(&path).await, expected);
    assert_eq!(f.counts().await, [1, 1, 0]);

    let revealed = f.reveal(&path).await;
    let secret = json!({"accessToken": "access-zq9", "refreshToken": "refresh-zq9"});
    let mut shown = expected.clone();
    shown["secret"] = secret;
    assert_eq!(revealed, shown);

    // Metadata is merged, the secret is replaced as a whole.
    f.app.clock.advance(1_000);
    let change = json!({
        "credentialName": "deploy 2", "description": null, "scopes": [], "tokenEndpoint": null,
        "authorizationEndpoint": "https://third.example/consent",
        "metadata": {"team": null, "owner": {"floor": 4}}, "accessToken": "access-2-zq9"
    });
    let changed = f.patch(&path, change).await.expect(200).data();
    expected["credentialName"] = json!("deploy 2");
    expected["description"] = Value::Null;
    expected["scopes"] = json!([]);
    expected["tokenEndpoint"] = Value::Null;
    expected["authorizationEndpoint"] = json!("https://third.example/consent");
    expected["metadata"] = json!({"tags": ["a", "b"], "owner": {"name": "Ann", "floor": 4}});
    expected["updatedAt"] = json!("2025-07-10T14:30:01.000Z");
    assert_eq!(changed, expected);
    assert_eq!(f.reveal(&path).await["secret"], json!({"accessToken": "access-2-zq9"}));
    assert_eq!(f.counts().await, [1, 1, 0]);

    // It expires by the clock alone, at its very instant, and comes back.
    f.app.clock.advance(3_598_999);
    assert_eq!(f.counts().await, [1, 1, 0]);
    f.app.clock.advance(1);
    assert_eq!(f.counts().await, [1, 0, 1]);
    let back = f.patch(&path, json!({"expiresIn": 60})).await.expect(200).data();
    assert_eq!(back["expiresAt"], "2025-07-10T15:31:00.000Z");
    assert_eq!(f.counts().await, [1, 1, 0]);
    f.app.clock.advance(60_000);
    assert_eq!(f.counts().await, [1, 0, 1]);
    let back = f.patch(&path, json!({"expiresAt": null})).await.expect(200).data();
    assert_eq!(back["expiresAt"], Value::Null);
    assert_eq!(f.counts().await, [1, 1, 0]);

    assert_eq!(f.send("DELETE", &path, None).await.expect(200).data(), back);
    assert_eq!(f.counts().await, [0, 0, 0]);
    for (method, path, body) in [
        ("GET", path.clone(), None),
        ("PATCH", path.clone(), Some(json!({"description": "again"}))),
        ("DELETE", path.clone(), None),
        ("POST", format!("{path}/reveal"), None),
        ("GET", format!("{CREDENTIALS}/git.hub_1-x/nobody"), None),
        ("GET", format!("{CREDENTIALS}/a%20b/{}", made["id"].as_str().unwrap()), None),
    ] {
        let missing = f.send(method, &path, body).await.expect(404);
        assert_eq!(missing.code(), "CREDENTIAL_NOT_FOUND", "{method} {path}");
    }
    let log = f.log().await;
    let actions: Vec<_> = log[1..].iter().map(|it| it["action"].as_str().unwrap()).collect();
    assert_eq!(
        actions,
        [
            "CREDENTIAL_CREATED",
            "CREDENTIAL_REVEALED",
            "CREDENTIAL_UPDATED",
            "CREDENTIAL_REVEALED",
            "CREDENTIAL_EXPIRED",
            "CREDENTIAL_UPDATED",
            "CREDENTIAL_EXPIRED",
            "CREDENTIAL_UPDATED",
            "CREDENTIAL_DELETED",
        ]
    );
    assert_eq!(log[2]["actor"]["ipAddress"], "127.0.0.1");
    assert_eq!(log[2]["resource"], json!({"type": "credential", "id": made["id"]}));
    assert_eq!(log[3]["details"]["secret"], "changed");
    f.app.stop().await;
}

#[tokio::test]
async fn each_type_takes_its_parts_and_no_other() {
    let f = Fixture::new().await;
    let mut made = 0;
    for (auth_type, needed, possible) in TYPES {
        for parts in [needed.to_vec(), [needed, possible].concat()] {
            let (path, data) = f.create(body(auth_type, &parts)).await;
            made += 1;
            assert_eq!(data["authType"], auth_type);
            let secret: Value =
                parts.iter().map(|&part| (part.to_owned(), json!(secret_of(part)))).collect();
            assert_eq!(f.reveal(&path).await["secret"], secret, "{auth_type}");
            // A new secret is complete too.
            for &part in needed {
                let others: Vec<_> = needed.iter().copied().filter(|it| *it != part).collect();
                let mut incomplete = json!({"refreshToken": "x"});
                for other in &others {
                    incomplete[other] = json!("x");
                }
                let foreign = (!possible.contains(&"refreshToken")).then_some("refreshToken");
                let wrong = sorted(foreign.into_iter().chain([part]));
                assert_eq!(f.patch(&path, incomplete).await.fields(), wrong, "{auth_type}");
            }
            assert_eq!(f.reveal(&path).await["secret"], secret, "{auth_type}");
        }
        assert_eq!(f.post(body(auth_type, &[])).await.fields(), sorted(needed.iter().copied()));
        for part in PARTS {
            let mut parts = needed.to_vec();
            if needed.contains(&part) {
                parts.retain(|it| *it != part);
            } else if possible.contains(&part) {
                continue;
            } else {
                parts.push(part);
            }
            assert_eq!(f.post(body(auth_type, &parts)).await.fields(), [part], "{auth_type}");
        }
    }
    assert_eq!(f.post(body("custom", &[])).await.fields(), ["authType"]);
    for part in PARTS {
        f.create(body("custom", &[part])).await;
        made += 1;
    }
    let (path, _) = f.create(body("custom", &PARTS)).await;
    made += 1;
    assert_eq!(f.reveal(&path).await["secret"].as_object().unwrap().len(), PARTS.len());
    f.patch(&path, json!({"username": "ann"})).await.expect(200);
    assert_eq!(f.reveal(&path).await["secret"], json!({"username": "ann"}));
    assert_eq!(f.post(body("ntlm", &["password"])).await.fields(), ["authType"]);
    assert_eq!(f.counts().await, [made, made, 0]);
    f.app.stop().await;
}

#[tokio::test]
async fn the_edges_of_each_bound() {
    let f = Fixture::new().await;
    let url = |length: usize| {
        let base = "https://third.example/";
        json!(format!("{base}{}", "x".repeat(length - base.len())))
    };
    let scopes =
        |count: usize| -> Value { (0..count).map(|it| json!(format!("scope-{it}"))).collect() };
    let metadata = |bytes: usize| json!({"a": "x".repeat(bytes - r#"{"a":""}"#.len())});
    let text = |length: usize| json!("ä".repeat(length));
    let good = [
        ("integrationId", json!("x".repeat(128))),
        ("integrationId", json!("...")),
        ("credentialName", text(200)),
        ("description", text(2000)),
        ("description", Value::Null),
        ("scopes", scopes(50)),
        ("scopes", json!(["x".repeat(256)])),
        ("tokenEndpoint", url(2048)),
        ("authorizationEndpoint", url(2048)),
        ("metadata", metadata(16 * 1024)),
        ("expiresIn", json!(1)),
        ("expiresIn", json!(315_360_000)),
        ("expiresAt", json!("2025-07-10T14:30:00.001Z")),
        ("apiKey", json!("x")),
        ("apiKey", text(65_536)),
    ];
    for (name, value) in good {
        f.post(with(name, value)).await.expect(201);
    }
    let before = f.counts().await;
    let bad = [
        ("integrationId", json!("x".repeat(129))),
        ("integrationId", json!("")),
        ("integrationId", json!("a b")),
        ("integrationId", json!("a/b")),
        ("integrationId", json!("..")),
        ("integrationId", Value::Null),
        ("credentialName", text(201)),
        ("credentialName", json!("")),
        ("credentialName", json!("a\u{202e}b")),
        ("description", text(2001)),
        ("description", json!("two\nlines")),
        ("description", json!("a\0b")),
        ("authType", Value::Null),
        ("scopes", scopes(51)),
        ("scopes", json!(["x".repeat(257)])),
        ("scopes", json!(["a b"])),
        ("scopes", json!(["a", "a"])),
        ("scopes", json!([""])),
        ("scopes", json!("repo")),
        ("tokenEndpoint", url(2049)),
        ("tokenEndpoint", json!("http://third.example/")),
        ("tokenEndpoint", json!("https://u:p@third.example/")),
        ("tokenEndpoint", json!("https://third.example/#x")),
        ("authorizationEndpoint", json!("/authorize")),
        ("metadata", metadata(16 * 1024 + 1)),
        ("metadata", json!([])),
        ("metadata", json!({"a": "\0"})),
        ("expiresIn", json!(0)),
        ("expiresIn", json!(315_360_001)),
        ("expiresIn", json!(1.5)),
        ("expiresIn", json!("60")),
        ("expiresAt", json!("2025-07-10T14:30:00.000Z")),
        ("expiresAt", json!("tomorrow")),
        ("apiKey", json!("")),
        ("apiKey", text(65_537)),
        ("apiKey", json!(7)),
        ("apiKey", Value::Null),
        ("apiKey", json!(["x"])),
        ("secret", json!({"apiKey": "x"})),
        ("id", json!("x")),
        ("status", json!("active")),
    ];
    let (path, _) = f.create(body("api_key", &["apiKey"])).await;
    for (name, value) in bad {
        assert_eq!(f.post(with(name, value.clone())).await.fields(), [name], "{name} {value}");
        if value.is_null() && matches!(name, "integrationId" | "authType") {
            continue;
        }
        let refused = f.patch(&path, json!({ (name): value })).await;
        assert_eq!(refused.fields(), [name], "PATCH {name} {value}");
    }
    assert_eq!(f.counts().await, [before[0] + 1, before[1] + 1, before[2]]);
    assert_eq!(f.log().await.last().unwrap()["action"], "CREDENTIAL_CREATED");
    f.app.stop().await;
}

#[tokio::test]
async fn everything_that_is_wrong_is_named_at_once() {
    let f = Fixture::new().await;
    let mut both = with("expiresIn", json!(60));
    both["expiresAt"] = json!("2025-07-10T15:30:00Z");
    assert_eq!(f.post(both).await.fields(), ["expiresIn"]);
    assert_eq!(f.post(json!({})).await.fields(), ["authType", "credentialName", "integrationId"]);
    let mut several = with("credentialName", json!(""));
    several["expiresIn"] = json!(0);
    several["password"] = json!("x");
    several["acessToken"] = json!("mistyped");
    several.as_object_mut().unwrap().remove("apiKey");
    let refused = f.post(several).await;
    assert_eq!(
        refused.fields(),
        ["acessToken", "apiKey", "credentialName", "expiresIn", "password"]
    );
    for query in ["?status=revoked", "?integrationId=", "?integrationId=a%20b", "?q=x"] {
        let refused = f.send("GET", &format!("{CREDENTIALS}{query}"), None).await;
        assert_eq!(refused.status, 422, "{query}");
    }
    assert_eq!(f.counts().await, [0, 0, 0]);
    f.app.stop().await;
}

#[tokio::test]
async fn credentials_are_found_by_integration() {
    let f = Fixture::new().await;
    for (number, integration) in ["github", "slack", "github", "github"].into_iter().enumerate() {
        let mut body = with("integrationId", json!(integration));
        if number % 2 == 0 {
            body["expiresIn"] = json!(60);
        }
        f.create(body).await;
    }
    f.app.clock.advance(60_000);
    assert_eq!(f.counts().await, [4, 2, 2]);
    for (query, total) in [
        ("integrationId=github", 3),
        ("integrationId=GitHub", 0),
        ("integrationId=slack&status=active", 1),
        ("integrationId=github&status=expired", 2),
    ] {
        let page = f.get(&format!("{CREDENTIALS}?{query}")).await;
        assert_eq!(page["total"], total, "{query}");
        assert_eq!(page["items"].as_array().unwrap().len(), total, "{query}");
    }
    let everything = f.get(CREDENTIALS).await["items"].clone();
    let page = f.get(&format!("{CREDENTIALS}?limit=3")).await;
    let next = page["nextCursor"].as_str().unwrap();
    let rest = f.get(&format!("{CREDENTIALS}?limit=3&cursor={next}")).await;
    assert_eq!(rest["items"], json!([everything[3]]));
    assert_eq!(rest["nextCursor"], Value::Null);
    f.app.stop().await;
}

#[tokio::test]
async fn a_tenant_s_credentials_are_its_own() {
    let f = Fixture::new().await;
    let (path, made) = f.create(body("api_key", &["apiKey"])).await;
    let other = f.app.tenant("Other").await;
    let neighbour = Bearer::admin_of(other);
    let elsewhere = path.replace("github", "gitlab");
    for (method, suffix, body) in [
        ("GET", "", None),
        ("PATCH", "", Some(json!({"apiKey": "theirs"}))),
        ("DELETE", "", None),
        ("POST", "/reveal", None),
    ] {
        f.by(neighbour, method, &format!("{path}{suffix}"), body.clone()).await.expect(404);
        // The integration is part of the name.
        f.send(method, &format!("{elsewhere}{suffix}"), body).await.expect(404);
        let member = Bearer { role: Role::Member, ..Bearer::admin_of(f.tenant) };
        f.by(member, method, &format!("{path}{suffix}"), None).await.expect(403);
    }
    assert_eq!(f.by(neighbour, "GET", CREDENTIALS, None).await.expect(200).data()["total"], 0);
    assert_eq!(f.get(&path).await, made);
    assert_eq!(f.reveal(&path).await["secret"], json!({"apiKey": secret_of("apiKey")}));
    f.app.stop().await;
}

#[tokio::test]
async fn a_suspended_tenant_sees_no_secret() {
    let f = Fixture::new().await;
    let (path, made) = f.create(body("api_key", &["apiKey"])).await;
    let suspend = format!("/api/v1/admin/tenants/{}/suspend", f.tenant);
    f.by(Bearer::SUPER_ADMIN, "POST", &suspend, None).await.expect(200);
    let refused = f.send("POST", &format!("{path}/reveal"), None).await.expect(403);
    assert_eq!(refused.code(), "TENANT_SUSPENDED");
    assert_eq!(f.get(&path).await, made);
    f.app.stop().await;
}

#[tokio::test]
async fn a_secret_is_shown_by_reveal_alone_and_kept_sealed() {
    let f = Fixture::new().await;
    let mut new = body("custom", &PARTS);
    new["credentialName"] = json!("findable name");
    let made = f.post(new.clone()).await.expect(201);
    let path = made.header("location").unwrap();
    // What is refused is not shown either.
    new["authType"] = json!("jwt");
    new["zq9"] = json!("zq9");
    let refused = f.post(new.clone()).await.expect(422);
    assert!(!refused.text.contains("BEGIN"), "{}", refused.text);
    let broken = format!("{{\"apiKey\": \"zq9\", \"apiKey\": \"zq9\", {}", new["apiKey"]);
    let request = f.app.request_by(Bearer::admin_of(f.tenant), "POST", CREDENTIALS);
    let malformed = request.body("application/json", broken).send().await.expect(400);
    f.patch(path, json!({"apiKey": "zq9-other"})).await.expect(200);
    f.reveal(path).await;
    for shown in [
        made.text.clone(),
        malformed.text,
        f.send("GET", path, None).await.text,
        f.send("GET", CREDENTIALS, None).await.text,
        f.patch(path, json!({"description": "x", "password": "zq9"})).await.text,
        f.send("GET", "/api/v1/admin/audit-logs", None).await.text,
        f.send("DELETE", path, None).await.text,
    ] {
        assert!(!shown.contains("zq9"), "{shown}");
    }
    assert!(f.app.on_disk(b"findable name"));
    assert!(!f.app.on_disk(b"zq9"));
    f.app.stop().await;
}

#[tokio::test]
async fn what_does_not_open_was_not_revealed() {
    let f = Fixture::new().await;
    let (path, _) = f.create(body("api_key", &["apiKey"])).await;
    f.app.tamper("UPDATE credentials SET secret = substr(secret, 1, length(secret) - 1)");
    let (good, _) = f.create(body("api_key", &["apiKey"])).await;
    let failed = f.send("POST", &format!("{path}/reveal"), None).await.expect(500);
    assert_eq!(failed.code(), "INTERNAL");
    let revealed =
        async || f.log().await.iter().filter(|it| it["action"] == "CREDENTIAL_REVEALED").count();
    assert_eq!(revealed().await, 0);
    f.reveal(&good).await;
    assert_eq!(revealed().await, 1);
    f.app.stop().await;
}
