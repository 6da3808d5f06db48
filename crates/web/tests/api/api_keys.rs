//! API keys over HTTP, from their making to their end, with the statistics beside them.

use serde_json::{Value, json};
use tenantry_domain::access::Role;
use tenantry_domain::id::TenantId;
use tenantry_security::api_key::issue_api_key;
use tenantry_testkit::{Answer, Bearer, Request, SeededEntropy, TestApp};

const KEYS: &str = "/api/v1/api-keys";
const GRACE_MAX: u32 = 30 * 24 * 3_600;

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

    /// A request by the tenant's administrator.
    fn request(&self, method: &str, path: &str) -> Request {
        self.app.request_by(Bearer::admin_of(self.tenant), method, path)
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.request("POST", path).json(&body).send().await
    }

    async fn get(&self, path: &str) -> Value {
        self.request("GET", path).send().await.expect(200).data()
    }

    async fn create(&self, body: Value) -> Value {
        self.post(KEYS, body).await.expect(201).data()
    }

    async fn rotate(&self, id: &Value, body: Value) -> Answer {
        self.post(&format!("{KEYS}/{}/rotate", id.as_str().unwrap()), body).await
    }

    async fn revoke(&self, id: &Value) -> Answer {
        self.request("DELETE", &format!("{KEYS}/{}", id.as_str().unwrap())).send().await
    }

    /// Asks as the tenant's administrator what a text is worth.
    async fn validate(&self, key: &Value) -> Value {
        self.post(&format!("{KEYS}/validate"), json!({"key": key})).await.expect(200).data()
    }

    /// Why a text is no good key; null if it is one.
    async fn reason(&self, key: &Value) -> Value {
        let answer = self.validate(key).await;
        assert_eq!(answer["valid"], answer["reason"].is_null(), "{answer}");
        answer["reason"].clone()
    }

    /// The statistics' API keys: total, active, revoked. Each part is the total of a list.
    async fn counts(&self) -> [u64; 3] {
        let stats = self.get(&format!("/api/v1/admin/tenants/{}/stats", self.tenant)).await;
        let counts =
            ["total", "active", "revoked"].map(|name| stats["apiKeys"][name].as_u64().unwrap());
        for (query, count) in ["", "?status=active", "?status=revoked"].into_iter().zip(counts) {
            let page = self.get(&format!("{KEYS}{query}")).await;
            assert_eq!(page["total"], count, "{query}");
            assert_eq!(page["items"].as_array().unwrap().len() as u64, count, "{query}");
        }
        let expired = self.get(&format!("{KEYS}?status=expired")).await["total"].as_u64().unwrap();
        assert_eq!(counts[0], counts[1] + counts[2] + expired);
        counts
    }

    /// The calls of a tenant so far. Looking is a call of the platform's tenant.
    async fn calls(&self, tenant: TenantId) -> u64 {
        let path = format!("/api/v1/admin/tenants/{tenant}/stats");
        let stats = self.app.request_by(Bearer::SUPER_ADMIN, "GET", &path).send().await;
        stats.expect(200).data()["usage"]["apiCallsThisMonth"].as_u64().unwrap()
    }

    async fn actions(&self) -> Vec<String> {
        let log = self.get("/api/v1/admin/audit-logs").await;
        let items = log["items"].as_array().unwrap().iter();
        items.map(|entry| entry["action"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn a_key_from_its_making_to_its_end() {
    let f = Fixture::new().await;
    let body = json!({
        "name": "nightly export",
        "scopes": ["stats:read", "users:write"],
        "expiresAt": "2025-07-10T17:30:00+02:00",
        "ipAllowlist": ["192.0.2.7", "10.0.0.0/8", "2001:db8::/32", "198.51.100.1/32"]
    });
    let made = f.post(KEYS, body).await.expect(201);
    let mut data = made.data();
    let key = data["key"].take();
    data.as_object_mut().unwrap().remove("key");
    let id = data["id"].clone();
    let path = format!("{KEYS}/{}", id.as_str().unwrap());
    assert_eq!(made.header("location"), Some(path.as_str()));
    let text = key.as_str().unwrap();
    assert!(text.starts_with("tnt_") && text.len() == 76, "{}", text.len());
    let prefix = &text[..30];
    assert_eq!(
        data,
        json!({
            "id": id,
            "name": "nightly export",
            "prefix": prefix,
            "scopes": ["stats:read", "users:write"],
            "expiresAt": "2025-07-10T15:30:00.000Z",
            "ipAllowlist": ["192.0.2.7", "10.0.0.0/8", "2001:db8::/32", "198.51.100.1"],
            "createdAt": "2025-07-10T14:30:00.000Z",
            "rateLimit": null,
            "lastUsedAt": null,
            "revokedAt": null
        })
    );
    let mut read = f.get(&path).await;
    assert_eq!(read["secrets"].take().as_array().unwrap().len(), 1);
    read.as_object_mut().unwrap().remove("secrets");
    assert_eq!(read, data);
    assert_eq!(f.get(KEYS).await["items"], json!([data]));
    assert_eq!(f.counts().await, [1, 1, 0]);
    assert_eq!(
        f.validate(&key).await,
        json!({
            "valid": true,
            "reason": null,
            "tenantId": f.tenant.to_string(),
            "id": id,
            "scopes": ["stats:read", "users:write"],
            "expiresAt": "2025-07-10T15:30:00.000Z"
        })
    );

    let plain = f.create(json!({"name": "plain"})).await;
    assert_eq!((&plain["scopes"], &plain["ipAllowlist"]), (&json!([]), &json!([])));
    assert_eq!(plain["expiresAt"], Value::Null);
    assert_eq!(f.counts().await, [2, 2, 0]);

    f.app.clock.advance(1_000);
    let revoked = f.revoke(&plain["id"]).await.expect(200).data();
    assert_eq!(revoked["revokedAt"], "2025-07-10T14:30:01.000Z");
    assert_eq!(f.counts().await, [2, 1, 1]);
    assert_eq!(f.reason(&plain["key"]).await, "REVOKED");
    let again = f.revoke(&plain["id"]).await.expect(409);
    assert_eq!(again.code(), "ALREADY_REVOKED");

    // By the clock alone.
    f.app.clock.advance(3_600_000 - 1_001);
    assert_eq!(f.reason(&key).await, Value::Null);
    f.app.clock.advance(1);
    assert_eq!(
        f.validate(&key).await,
        json!({
            "valid": false,
            "reason": "EXPIRED",
            "tenantId": f.tenant.to_string(),
            "id": id,
            "scopes": [],
            "expiresAt": "2025-07-10T15:30:00.000Z"
        })
    );
    assert_eq!(f.counts().await, [2, 0, 1]);
    assert_eq!(f.rotate(&id, json!({})).await.expect(409).code(), "API_KEY_EXPIRED");
    f.revoke(&id).await.expect(200);
    assert_eq!(f.reason(&key).await, "REVOKED");
    assert_eq!(f.counts().await, [2, 0, 2]);
    assert_eq!(f.rotate(&id, json!({})).await.expect(409).code(), "ALREADY_REVOKED");
    f.app.stop().await;
}

#[tokio::test]
async fn a_rotation_with_grace_and_without() {
    let f = Fixture::new().await;
    let made = f.create(json!({"name": "key", "scopes": ["stats:read"]})).await;
    let (id, first) = (&made["id"], &made["key"]);
    let rotated = f.rotate(id, json!({"graceSeconds": 60})).await.expect(200).data();
    let second = &rotated["key"];
    assert_ne!(first, second);
    assert_eq!(rotated["graceEndsAt"], "2025-07-10T14:31:00.000Z");
    assert!(second.as_str().unwrap().starts_with(rotated["prefix"].as_str().unwrap()));
    for member in ["id", "name", "scopes", "createdAt", "expiresAt", "revokedAt"] {
        assert_eq!(rotated[member], made[member], "{member}");
    }
    // In grace it is one key.
    assert_eq!(f.counts().await, [1, 1, 0]);
    f.app.clock.advance(59_999);
    for key in [first, second] {
        assert_eq!(f.validate(key).await["id"], *id);
        assert_eq!(f.reason(key).await, Value::Null);
    }
    f.app.clock.advance(1);
    assert_eq!(f.reason(first).await, "ROTATED_OUT");
    assert_eq!(f.reason(second).await, Value::Null);

    // Without a body the grace is none.
    let path = format!("{KEYS}/{}/rotate", id.as_str().unwrap());
    let third = f.request("POST", &path).send().await.expect(200).data();
    assert_eq!(third["graceEndsAt"], "2025-07-10T14:31:00.000Z");
    assert_eq!(f.reason(second).await, "ROTATED_OUT");
    assert_eq!(f.reason(&third["key"]).await, Value::Null);

    let fourth = f.rotate(id, json!({"graceSeconds": GRACE_MAX})).await.expect(200).data();
    assert_eq!(fourth["graceEndsAt"], "2025-08-09T14:31:00.000Z");
    f.revoke(id).await.expect(200);
    for key in [&third["key"], &fourth["key"]] {
        assert_eq!(f.reason(key).await, "REVOKED");
    }
    assert_eq!(f.counts().await, [1, 0, 1]);
    assert_eq!(
        f.actions().await,
        [
            "API_KEY_REVOKED",
            "API_KEY_ROTATED",
            "API_KEY_ROTATED",
            "API_KEY_ROTATED",
            "API_KEY_CREATED",
            "TENANT_CREATED"
        ]
    );
    f.app.stop().await;
}

#[tokio::test]
async fn what_is_no_key_is_told_so() {
    let f = Fixture::new().await;
    let made = f.create(json!({"name": "key"})).await;
    let text = made["key"].as_str().unwrap();
    let mut typo = text.to_owned();
    let last = if typo.pop() == Some('0') { '1' } else { '0' };
    typo.push(last);
    let long = "x".repeat(100_000);
    for wrong in ["", "tnt_", &typo, &text[..75], &format!(" {text}"), "\u{0}\u{202e}", &long] {
        assert_eq!(
            f.validate(&json!(wrong)).await,
            json!({"valid": false, "reason": "MALFORMED", "tenantId": null, "id": null,
                   "scopes": [], "expiresAt": null}),
            "{wrong:.80}"
        );
    }
    // Well formed, and nobody's.
    let stranger = issue_api_key(f.tenant, &SeededEntropy::new(7));
    assert_eq!(f.reason(&json!(stranger.text.expose())).await, "UNKNOWN");
    f.app.stop().await;
}

#[tokio::test]
async fn a_key_of_another_tenant_is_unknown() {
    let f = Fixture::new().await;
    let other = f.app.tenant("Other").await;
    let theirs = f.app.api_key(other, "theirs").await;
    let text = json!(theirs.text.expose());
    let id = theirs.api_key.id;
    let before = f.calls(other).await;
    assert_eq!(
        f.validate(&text).await,
        json!({"valid": false, "reason": "UNKNOWN", "tenantId": null, "id": null,
               "scopes": [], "expiresAt": null})
    );
    // Nor can it be charged with the call.
    assert_eq!(f.calls(other).await, before);
    for (method, path) in [
        ("GET", format!("{KEYS}/{id}")),
        ("DELETE", format!("{KEYS}/{id}")),
        ("POST", format!("{KEYS}/{id}/rotate")),
        ("GET", format!("{KEYS}/not-an-id")),
    ] {
        let answer = f.request(method, &path).send().await.expect(404);
        assert_eq!(answer.code(), "API_KEY_NOT_FOUND", "{method}");
    }
    let validate = async |bearer: Bearer, acting_in: TenantId| {
        let path = format!("{KEYS}/validate");
        let request = f.app.request("POST", &path).bearer(&f.app.token(bearer));
        let request = request.header("x-tenantid", &acting_in.to_string());
        request.json(&json!({"key": text})).send().await
    };
    // The platform's tenant may ask about any, and whoever acts in the key's own.
    let platform = TenantId::PLATFORM;
    for (bearer, acting_in) in [
        (Bearer::SUPER_ADMIN, platform),
        (Bearer::SUPER_ADMIN, other),
        (Bearer::admin_of(platform), platform),
        (Bearer::admin_of(other), other),
    ] {
        let data = validate(bearer, acting_in).await.expect(200).data();
        assert_eq!((&data["valid"], &data["id"]), (&json!(true), &json!(id)), "{bearer:?}");
    }
    let data = validate(Bearer::SUPER_ADMIN, f.tenant).await.expect(200).data();
    assert_eq!(data["reason"], "UNKNOWN");
    let missing = validate(Bearer::SUPER_ADMIN, TestApp::unknown_tenant()).await.expect(404);
    assert_eq!(missing.code(), "TENANT_NOT_FOUND");
    validate(Bearer::member_of(other), other).await.expect(403);
    validate(Bearer::admin_of(f.tenant), other).await.expect(403);

    let path = format!("/api/v1/admin/tenants/{other}");
    f.app.request_by(Bearer::SUPER_ADMIN, "DELETE", &path).send().await.expect(200);
    let data = validate(Bearer::SUPER_ADMIN, platform).await.expect(200).data();
    assert_eq!((&data["reason"], &data["tenantId"]), (&json!("UNKNOWN"), &Value::Null));
    validate(Bearer::SUPER_ADMIN, other).await.expect(404);
    f.app.stop().await;
}

#[tokio::test]
async fn validating_counts_once_for_the_key_s_tenant() {
    let f = Fixture::new().await;
    let made = f.create(json!({"name": "key"})).await;
    let platform = TenantId::PLATFORM;
    let path = format!("{KEYS}/validate");
    let by_platform = async |key: &Value| {
        let request = f.app.request_by(Bearer::SUPER_ADMIN, "POST", &path);
        request.json(&json!({"key": key})).send().await
    };
    f.app.clock.advance(1_000);
    // How many calls the tenant and the platform got, apart from the two that look.
    let deltas = async |call: &dyn Fn() -> Vec<Value>| {
        let (tenant, own) = (f.calls(f.tenant).await, f.calls(platform).await);
        for key in call() {
            by_platform(&key).await;
        }
        [f.calls(f.tenant).await - tenant, f.calls(platform).await - own - 2]
    };
    let key = made["key"].clone();
    assert_eq!(deltas(&|| vec![key.clone()]).await, [1, 0]);
    assert_eq!(deltas(&|| vec![key.clone(); 3]).await, [3, 0]);
    // Of a text that is no key, and of a request that is wrong, the caller's tenant bears the cost.
    assert_eq!(deltas(&|| vec![json!("tnt_")]).await, [0, 1]);
    assert_eq!(deltas(&|| vec![json!(5)]).await, [0, 1]);
    f.revoke(&made["id"]).await.expect(200);
    assert_eq!(deltas(&|| vec![key.clone()]).await, [1, 0]);

    let before = f.calls(f.tenant).await;
    f.validate(&key).await;
    assert_eq!(f.calls(f.tenant).await, before + 1);
    f.app.stop().await;
}

#[tokio::test]
async fn a_suspended_tenant_s_keys_are_not_good() {
    let f = Fixture::new().await;
    let made = f.create(json!({"name": "key", "scopes": ["stats:read"]})).await;
    let govern = async |act: &str| {
        let path = format!("/api/v1/admin/tenants/{}/{act}", f.tenant);
        f.app.request_by(Bearer::SUPER_ADMIN, "POST", &path).send().await.expect(200)
    };
    govern("suspend").await;
    let answer = f.validate(&made["key"]).await;
    assert_eq!((&answer["valid"], &answer["scopes"]), (&json!(false), &json!([])));
    assert_eq!(answer["reason"], "TENANT_SUSPENDED");
    for answer in [
        f.post(KEYS, json!({"name": "new"})).await,
        f.rotate(&made["id"], json!({})).await,
        f.revoke(&made["id"]).await,
    ] {
        assert_eq!((answer.status, answer.code().as_str()), (403, "TENANT_SUSPENDED"));
    }
    assert_eq!(f.counts().await, [1, 1, 0]);
    govern("activate").await;
    assert_eq!(f.reason(&made["key"]).await, Value::Null);
    f.app.stop().await;
}

#[tokio::test]
async fn a_new_key_is_held_to_its_bounds() {
    let f = Fixture::new().await;
    let three = json!({
        "name": "", "scopes": ["stats:read", "stats:burn"], "expiresAt": "2025-07-10T14:30:00Z",
        "ipAllowlist": ["10.0.0.1/8"], "key": "tnt_mine"
    });
    let answer = f.post(KEYS, three).await;
    assert_eq!(answer.fields(), ["expiresAt", "ipAllowlist", "key", "name", "scopes"]);
    let addresses: Vec<_> = (0..101).map(|number| format!("10.0.0.{number}")).collect();
    for (member, value) in [
        ("name", json!(null)),
        ("name", json!(7)),
        ("name", json!("x".repeat(201))),
        ("name", json!("x".repeat(1_000_000))),
        ("name", json!("a\u{0}b")),
        ("name", json!("a\u{202e}b")),
        ("name", json!(" a")),
        ("scopes", json!("stats:read")),
        ("scopes", json!([1])),
        ("scopes", json!(["stats:read", "stats:read"])),
        ("scopes", json!(["stats:read users:read"])),
        ("scopes", json!(["super_admin"])),
        ("scopes", json!(["usage:write:any"])),
        ("expiresAt", json!("2025-07-10T14:29:59.999Z")),
        ("expiresAt", json!("tomorrow")),
        ("expiresAt", json!(1_800_000_000)),
        ("ipAllowlist", json!({})),
        ("ipAllowlist", json!(["localhost"])),
        ("ipAllowlist", json!(["10.0.0.0/33"])),
        ("ipAllowlist", json!(["::ffff:10.0.0.1"])),
        ("ipAllowlist", json!(["10.0.0.1", "10.0.0.1/32"])),
        ("ipAllowlist", json!(addresses)),
        ("revokedAt", json!(null)),
    ] {
        let mut body = json!({"name": "key"});
        body[member] = value;
        assert_eq!(f.post(KEYS, body).await.fields(), [member]);
    }
    assert_eq!(f.post(KEYS, json!({})).await.fields(), ["name"]);
    assert_eq!(f.post(&format!("{KEYS}?x=1"), json!({"name": "key"})).await.status, 422);
    assert_eq!(f.counts().await, [0, 0, 0]);
    assert_eq!(f.actions().await, ["TENANT_CREATED"]);

    // At the edges.
    f.create(json!({
        "name": "x".repeat(200), "expiresAt": "2025-07-10T14:30:00.001Z",
        "ipAllowlist": addresses[..100], "scopes": ["stats:read", "usage:write"]
    }))
    .await;
    assert_eq!(f.counts().await, [1, 1, 0]);
    f.app.stop().await;
}

#[tokio::test]
async fn other_bodies_and_queries_are_held_to_theirs() {
    let f = Fixture::new().await;
    let made = f.create(json!({"name": "key"})).await;
    let id = &made["id"];
    for grace in [json!(-1), json!(GRACE_MAX + 1), json!(1.5), json!("60"), json!(null)] {
        assert_eq!(f.rotate(id, json!({"graceSeconds": grace})).await.fields(), ["graceSeconds"]);
    }
    assert_eq!(f.rotate(id, json!({"grace": 1})).await.fields(), ["grace"]);
    let path = format!("{KEYS}/{}/rotate", id.as_str().unwrap());
    f.request("POST", &path).body("application/json", "null").send().await.expect(422);
    f.request("POST", &path).body("application/json", "{").send().await.expect(400);
    f.request("POST", &path).body("text/plain", "{}").send().await.expect(415);
    assert_eq!(f.reason(&made["key"]).await, Value::Null);

    let validate = format!("{KEYS}/validate");
    assert_eq!(f.post(&validate, json!({})).await.fields(), ["key"]);
    assert_eq!(f.post(&validate, json!({"key": null})).await.fields(), ["key"]);
    assert_eq!(f.post(&validate, json!({"key": "x", "ip": "y"})).await.fields(), ["ip"]);
    f.request("GET", &validate).send().await.expect(405);
    for query in ["status=inactive", "status=", "limit=0", "q=key"] {
        f.request("GET", &format!("{KEYS}?{query}")).send().await.expect(422);
    }
    f.app.stop().await;
}

#[tokio::test]
async fn the_header_names_the_tenant() {
    let f = Fixture::new().await;
    let create = async |bearer: Bearer, tenant: TenantId, scope: &str| {
        let request = f.app.request("POST", KEYS).bearer(&f.app.token(bearer));
        let request = request.header("x-tenantid", &tenant.to_string());
        request.json(&json!({"name": "key", "scopes": [scope]})).send().await
    };
    let unknown = TestApp::unknown_tenant();
    create(Bearer::SUPER_ADMIN, f.tenant, "stats:read").await.expect(201);
    assert_eq!(f.counts().await, [1, 1, 0]);
    let missing = create(Bearer::SUPER_ADMIN, unknown, "stats:read").await.expect(404);
    assert_eq!(missing.code(), "TENANT_NOT_FOUND");
    create(Bearer::SUPER_ADMIN, unknown, "no such scope").await.expect(404);
    create(Bearer::admin_of(f.tenant), unknown, "stats:read").await.expect(403);

    // One scope reaches beyond its tenant: a super admin alone has it, to give or to renew.
    let platform = TenantId::PLATFORM;
    let any = "usage:write:any";
    let operator = Bearer { tenant: platform, subject: None, role: Role::TenantAdmin };
    let refused = create(Bearer::SUPER_ADMIN, f.tenant, any).await;
    assert_eq!(refused.fields(), ["scopes"]);
    create(operator, platform, any).await.expect(403);
    let made = create(Bearer::SUPER_ADMIN, platform, any).await.expect(201).data();
    let rotate = format!("{KEYS}/{}/rotate", made["id"].as_str().unwrap());
    f.app.request_by(operator, "POST", &rotate).send().await.expect(403);
    f.app.request_by(Bearer::SUPER_ADMIN, "POST", &rotate).send().await.expect(200);
    f.app.stop().await;
}

#[tokio::test]
async fn lists_are_paged() {
    let f = Fixture::new().await;
    for number in 0..7 {
        f.create(json!({"name": format!("key {number}")})).await;
        f.app.clock.advance(number % 2);
    }
    let everything = f.get(KEYS).await["items"].clone();
    let (mut by_cursor, mut next) = (Vec::new(), String::new());
    loop {
        let page = f.get(&format!("{KEYS}?status=active&limit=3{next}")).await;
        assert_eq!((&page["total"], &page["limit"]), (&json!(7), &json!(3)));
        by_cursor.extend(page["items"].as_array().unwrap().clone());
        match page["nextCursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(json!(by_cursor), everything);
    let page = f.get(&format!("{KEYS}?limit=3&offset=6")).await;
    assert_eq!(page["items"], json!([everything[6]]));
    f.app.stop().await;
}

#[tokio::test]
async fn a_key_s_text_is_shown_once_and_kept_nowhere() {
    let f = Fixture::new().await;
    let made = f.create(json!({"name": "findable name"})).await;
    let id = made["id"].as_str().unwrap();
    let rotated = f.rotate(&made["id"], json!({"graceSeconds": 60})).await.expect(200).data();
    let keys = [&made["key"], &rotated["key"]].map(|key| key.as_str().unwrap());
    for key in keys {
        f.validate(&json!(key)).await;
    }
    // What may be shown ends where the secret goes on.
    let secrets = keys.map(|key| &key[30..]);
    let revoked = f.revoke(&made["id"]).await.expect(200).text;
    let read = f.request("GET", &format!("{KEYS}/{id}")).send().await.text;
    let list = f.request("GET", KEYS).send().await.text;
    let log = f.request("GET", "/api/v1/admin/audit-logs").send().await.text;
    let validated = f.validate(&made["key"]).await.to_string();
    assert!(log.contains("API_KEY_ROTATED") && log.contains("findable name"), "{log}");
    for shown in [revoked, read, list, log, validated] {
        for secret in secrets {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    assert!(f.app.on_disk("findable name"));
    for secret in secrets {
        assert!(!f.app.on_disk(secret));
    }
    f.app.stop().await;
}
