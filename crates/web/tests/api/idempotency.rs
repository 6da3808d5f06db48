//! A request that arrives twice under the same `Idempotency-Key` takes effect once.

use serde_json::{Value, json};
use tenantry_domain::access::Role;
use tenantry_domain::id::TenantId;
use tenantry_domain::idempotency::request_digest;
use tenantry_domain::user::{UserPatch, UserRoles};
use tenantry_testkit::{Answer, Bearer, Request, TestApp};

const DAY_MS: i64 = 24 * 3_600_000;
const TENANTS: &str = "/api/v1/admin/tenants";

fn users(tenant: TenantId) -> String {
    format!("{TENANTS}/{tenant}/users")
}

fn ann() -> Value {
    json!({"email": "ann@example.com"})
}

fn keyed(app: &TestApp, bearer: Bearer, path: &str, key: &str) -> Request {
    app.request_by(bearer, "POST", path).header("idempotency-key", key)
}

fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == Some("true")
}

/// Fails unless the answer is the first one again.
fn assert_repeats(again: &Answer, first: &Answer) {
    assert!(!is_replayed(first) && is_replayed(again), "{}", again.text);
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    for header in ["location", "etag", "content-type", "cache-control"] {
        assert_eq!(again.header(header), first.header(header), "{header}");
    }
}

async fn total(app: &TestApp, tenant: TenantId) -> u64 {
    let answer = app.request_by(Bearer::SUPER_ADMIN, "GET", &users(tenant)).send().await;
    answer.expect(200).data()["total"].as_u64().unwrap()
}

#[tokio::test]
async fn a_repetition_gets_the_first_answer_and_counts_as_a_call() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let admin = Bearer::admin_of(tenant);
    let calls = async || {
        let path = format!("{TENANTS}/{tenant}/stats");
        let stats = app.request_by(Bearer::SUPER_ADMIN, "GET", &path).send().await.expect(200);
        stats.data()["usage"]["apiCallsThisMonth"].as_u64().unwrap()
    };
    // One token: another one of an operator's would be another principal.
    let token = app.token(admin);
    let send = async |body: &Value| {
        let request = app.request("POST", &users(tenant)).bearer(&token);
        let request = request.header("x-tenantid", &tenant.to_string());
        request.header("idempotency-key", "k").json(body).send().await
    };
    let first = send(&ann()).await.expect(201);
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(calls().await, 1);
    app.clock.advance(5_000);
    for repetition in 1..=2 {
        assert_repeats(&send(&ann()).await, &first);
        assert_eq!(calls().await, 1 + repetition);
    }
    // What became of the thing meanwhile does not matter.
    let id = first.data()["id"].as_str().unwrap().to_owned();
    let path = format!("{}/{id}", users(tenant));
    app.request_by(Bearer::SUPER_ADMIN, "DELETE", &path).send().await.expect(200);
    assert_repeats(&send(&ann()).await, &first);
    assert_eq!(total(&app, tenant).await, 0);

    let other = send(&json!({"email": "ben@example.com"})).await.expect(422);
    assert_eq!(other.code(), "IDEMPOTENCY_KEY_REUSED");
    // The same to a reader, and other bytes.
    let request = app.request("POST", &users(tenant)).bearer(&token);
    let request = request.header("x-tenantid", &tenant.to_string()).header("idempotency-key", "k");
    let spaced = request.body("application/json", r#"{"email":  "ann@example.com"}"#).send().await;
    assert_eq!(spaced.expect(422).code(), "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(total(&app, tenant).await, 0);
    app.stop().await;
}

#[tokio::test]
async fn a_key_is_a_principals_own_for_a_tenant_and_a_route() {
    let app = TestApp::start().await;
    let (tenant, other) = (app.tenant("Acme").await, app.tenant("Other").await);
    let root = app.token(Bearer::SUPER_ADMIN);
    let send = async |token: &str, tenant: TenantId, path: &str, body: Option<Value>| {
        let request = app.request("POST", path).bearer(token).header("idempotency-key", "k");
        let request = request.header("x-tenantid", &tenant.to_string());
        match body {
            Some(body) => request.json(&body).send().await,
            None => request.send().await,
        }
    };
    let first = send(&root, tenant, &users(tenant), Some(ann())).await.expect(201);
    // Another tenant.
    let elsewhere = send(&root, other, &users(other), Some(ann())).await.expect(201);
    assert!(!is_replayed(&elsewhere));
    // Another principal, who gets what a new request gets.
    let admin = app.token(Bearer::admin_of(tenant));
    let refused = send(&admin, tenant, &users(tenant), Some(ann())).await.expect(409);
    assert_eq!(refused.code(), "EMAIL_TAKEN");
    // Another route.
    for (act, status) in [("suspend", "suspended"), ("activate", "active")] {
        let path = format!("{TENANTS}/{tenant}/{act}");
        let answer = send(&root, tenant, &path, None).await.expect(200);
        assert_eq!((answer.data()["status"].as_str(), is_replayed(&answer)), (Some(status), false));
    }
    // And none of them took the first one's place.
    assert_repeats(&send(&root, tenant, &users(tenant), Some(ann())).await, &first);
    assert_eq!((total(&app, tenant).await, total(&app, other).await), (1, 1));
    app.stop().await;
}

#[tokio::test]
async fn a_key_names_one_request_for_a_day() {
    let app = TestApp::start().await;
    let path = TENANTS;
    let body = json!({"name": "Acme"});
    let root = app.user(TenantId::PLATFORM, "root@example.com", true).await;
    let bearer =
        Bearer { tenant: TenantId::PLATFORM, subject: Some(root.id), role: Role::SuperAdmin };
    // Its tokens last an hour and it is the same principal with each.
    let send = async || keyed(&app, bearer, path, "k").json(&body).send().await;
    let first = send().await.expect(201);
    app.clock.advance(DAY_MS - 1);
    assert_repeats(&send().await, &first);
    app.clock.advance(1);
    let second = send().await.expect(201);
    assert!(!is_replayed(&second));
    assert_ne!(second.data()["id"], first.data()["id"]);
    assert_repeats(&send().await, &second);
    app.stop().await;
}

#[tokio::test]
async fn what_was_refused_can_be_asked_again() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let taken = app.user(tenant, "ann@example.com", false).await;
    let token = app.token(Bearer::SUPER_ADMIN);
    let send = async |body: &str| {
        let request = app.request("POST", &users(tenant)).bearer(&token);
        let request = request.header("x-tenantid", &tenant.to_string());
        let request = request.header("idempotency-key", "k");
        request.body("application/json", body.to_owned()).send().await
    };
    let body = r#"{"email": "ann@example.com"}"#;
    assert_eq!(send("{").await.expect(400).code(), "MALFORMED_REQUEST");
    assert_eq!(send("{}").await.expect(422).code(), "VALIDATION_FAILED");
    assert_eq!(send(body).await.expect(409).code(), "EMAIL_TAKEN");
    app.service.delete_user(&TestApp::access(tenant), taken.id).await.unwrap();
    let first = send(body).await.expect(201);
    assert_repeats(&send(body).await, &first);
    app.stop().await;
}

#[tokio::test]
async fn of_many_at_once_one_takes_effect() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let token = app.token(Bearer::SUPER_ADMIN);
    let mut tasks = tokio::task::JoinSet::new();
    // A password takes a while to hash: there is time to meet.
    let body = json!({"email": "ann@example.com", "password": "correct horse battery staple"});
    for _ in 0..12 {
        let request = app.request("POST", &users(tenant)).bearer(&token);
        let request = request.header("x-tenantid", &tenant.to_string());
        tasks.spawn(request.header("idempotency-key", "k").json(&body).send());
    }
    let answers = tasks.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|it| it.status == 201 && !is_replayed(it));
    let [first] = won.as_slice() else { panic!("{} took effect", won.len()) };
    for answer in lost {
        if answer.status == 409 {
            assert_eq!(answer.code(), "IDEMPOTENCY_IN_FLIGHT");
        } else {
            assert_repeats(&answer, first);
        }
    }
    assert_eq!(total(&app, tenant).await, 1);
    app.stop().await;
}

#[tokio::test]
async fn a_bad_key_is_named_among_the_bad_fields() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let fields = |answer: Answer| {
        let body = answer.expect(422).json();
        let fields = body["error"]["fields"].as_array().unwrap().clone();
        fields.iter().map(|it| it["field"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let long = "k".repeat(256);
    for key in ["", " ", "a b", "é", long.as_str()] {
        let post = |path: &str| keyed(&app, Bearer::SUPER_ADMIN, path, key);
        let answer = post(&users(tenant)).json(&json!({"email": "x", "name": ""})).send().await;
        assert_eq!(fields(answer), ["Idempotency-Key", "email", "name"], "{key}");
        let answer = post(&users(tenant)).json(&ann()).send().await;
        assert_eq!(fields(answer), ["Idempotency-Key"], "{key}");
        let answer = post(&format!("{TENANTS}/{tenant}/suspend")).send().await;
        assert_eq!(fields(answer), ["Idempotency-Key"], "{key}");
    }
    let twice =
        keyed(&app, Bearer::SUPER_ADMIN, &users(tenant), "k").header("idempotency-key", "k");
    assert_eq!(fields(twice.json(&ann()).send().await), ["Idempotency-Key"]);
    assert_eq!(total(&app, tenant).await, 0);
    // Who may not, learns nothing of it; who changes nothing needs none.
    let member = keyed(&app, Bearer::member_of(tenant), &users(tenant), "").json(&ann());
    member.send().await.expect(403);
    let get = app.request_by(Bearer::SUPER_ADMIN, "GET", &users(tenant));
    get.header("idempotency-key", "").send().await.expect(200);
    let longest = keyed(&app, Bearer::SUPER_ADMIN, &users(tenant), &"~".repeat(255));
    longest.json(&ann()).send().await.expect(201);
    app.stop().await;
}

#[tokio::test]
async fn a_secret_is_shown_again_and_is_not_on_disk() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let token = app.token(Bearer::admin_of(tenant));
    let send = async |path: &str, body: &Value| {
        let request = app.request("POST", path).bearer(&token);
        let request = request.header("x-tenantid", &tenant.to_string());
        request.header("idempotency-key", "k").json(body).send().await
    };
    let body = json!({"name": "nightly export"});
    let first = send("/api/v1/api-keys", &body).await.expect(201);
    let key = first.data()["key"].as_str().unwrap().to_owned();
    assert_repeats(&send("/api/v1/api-keys", &body).await, &first);
    let rotate = format!("{}/rotate", first.header("location").unwrap());
    let body = json!({"graceSeconds": 60});
    let rotated = send(&rotate, &body).await.expect(200);
    let new_key = rotated.data()["key"].as_str().unwrap().to_owned();
    assert_ne!(new_key, key);
    assert_repeats(&send(&rotate, &body).await, &rotated);
    app.service.tenant(&TestApp::access(tenant)).await.unwrap();

    let mut found_name = false;
    for entry in std::fs::read_dir(app.directory()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        // The answer as it was sent is nowhere, neither its secret nor the rest of it.
        for text in [key.as_str(), &new_key, "key created successfully", "IDEMPOTENT", "\"key\":"] {
            assert!(!holds(text), "{text} is in {}", path.display());
        }
        found_name |= holds("nightly export");
    }
    assert!(found_name, "the files were not the ones that were written to");
    app.stop().await;
}

#[tokio::test]
async fn the_first_answer_outlives_the_process() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let token = app.token(Bearer::admin_of(tenant));
    let body = json!({"name": "nightly export"});
    let send = async |app: &TestApp| {
        let request = app.request("POST", "/api/v1/api-keys").bearer(&token);
        let request = request.header("x-tenantid", &tenant.to_string());
        request.header("idempotency-key", "k").json(&body).send().await
    };
    let first = send(&app).await.expect(201);
    let app = app.restart().await;
    let again = send(&app).await;
    assert_repeats(&again, &first);
    assert_eq!(again.data()["key"], first.data()["key"]);
    app.stop().await;
}

#[tokio::test]
async fn an_import_can_be_repeated() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let token = app.token(Bearer::admin_of(tenant));
    let send = async |lines: &'static str| {
        let request = app.request("POST", &format!("{}/import", users(tenant))).bearer(&token);
        let request = request.header("x-tenantid", &tenant.to_string());
        request.header("idempotency-key", "k").body("text/csv", lines).send().await
    };
    // Each line collides with what the first one made, and is not looked at again.
    let first = send("email\nann@example.com\nben@example.com\n").await.expect(200);
    assert_repeats(&send("email\nann@example.com\nben@example.com\n").await, &first);
    let other = send("email\ncid@example.com\n").await.expect(422);
    assert_eq!(other.code(), "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(total(&app, tenant).await, 2);
    app.stop().await;
}

#[tokio::test]
async fn who_may_not_any_more_gets_no_answer_of_before() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let admin = app.user(tenant, "admin@example.com", true).await;
    let bearer = Bearer { tenant, subject: Some(admin.id), role: Role::TenantAdmin };
    let path = users(tenant);
    let send = async || keyed(&app, bearer, &path, "k").json(&ann()).send().await;
    let first = send().await.expect(201);
    assert_repeats(&send().await, &first);
    let member = UserRoles { tenant_admin: false, member: true };
    let patch = UserPatch { roles: Some(member), ..UserPatch::default() };
    app.service.update_user(&TestApp::access(tenant), admin.id, patch).await.unwrap();
    send().await.expect(403);

    let root = app.token(Bearer::SUPER_ADMIN);
    let send = async || {
        let request = app.request("POST", &path).bearer(&root).header("idempotency-key", "k");
        let request = request.header("x-tenantid", &tenant.to_string());
        request.json(&json!({"email": "ben@example.com"})).send().await
    };
    send().await.expect(201);
    let tenant_path = format!("{TENANTS}/{tenant}");
    app.request_by(Bearer::SUPER_ADMIN, "DELETE", &tenant_path).send().await.expect(200);
    assert_eq!(send().await.expect(404).code(), "TENANT_NOT_FOUND");
    app.stop().await;
}

#[tokio::test]
async fn a_body_that_may_be_absent_is_part_of_the_request() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let token = app.token(Bearer::admin_of(tenant));
    let path = format!("/api/v1/api-keys/{}/rotate", app.api_key(tenant, "k").await.api_key.id);
    let rotate = async |key: &str, body: Option<&str>| {
        let request = app.request("POST", &path).bearer(&token).header("idempotency-key", key);
        let request = request.header("x-tenantid", &tenant.to_string());
        match body {
            Some(body) => request.body("application/json", body.to_owned()).send().await,
            None => request.send().await,
        }
    };
    let minute = Some(r#"{"graceSeconds": 60}"#);
    for (key, first, others) in [
        ("a", minute, [None, Some("{}"), Some(r#"{"graceSeconds": 0}"#)]),
        ("b", None, [Some("{}"), Some(r#"{"graceSeconds": 0}"#), minute]),
    ] {
        let answer = rotate(key, first).await.expect(200);
        for other in others {
            let refused = rotate(key, other).await.expect(422);
            assert_eq!(refused.code(), "IDEMPOTENCY_KEY_REUSED", "{other:?}");
        }
        assert_repeats(&rotate(key, first).await, &answer);
    }
    let both = rotate("a b", Some(r#"{"graceSeconds": -1}"#)).await;
    assert_eq!(both.fields(), ["Idempotency-Key", "graceSeconds"]);
    app.stop().await;
}

#[tokio::test]
async fn where_no_key_is_taken_the_header_says_nothing() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    for key in ["k", "k", "not a key"] {
        let request = keyed(&app, Bearer::admin_of(tenant), "/api/v1/api-keys/validate", key);
        let answer = request.json(&json!({"key": "x"})).send().await.expect(200);
        assert!(!is_replayed(&answer));
    }
    app.stop().await;
}

#[tokio::test]
async fn who_may_less_than_before_gets_no_answer_of_before() {
    let app = TestApp::start().await;
    let home = TenantId::PLATFORM;
    let root = app.user(home, "root@example.com", true).await;
    let body = json!({"name": "meter", "scopes": ["usage:write:any"]});
    let send = async |role| {
        let bearer = Bearer { tenant: home, subject: Some(root.id), role };
        keyed(&app, bearer, "/api/v1/api-keys", "k").json(&body).send().await
    };
    let first = send(Role::SuperAdmin).await.expect(201);
    // The same person with a token for less, who could not make such a key.
    let refused = send(Role::TenantAdmin).await.expect(403);
    assert_eq!(refused.code(), "INSUFFICIENT_PERMISSIONS");
    assert_repeats(&send(Role::SuperAdmin).await, &first);
    // With more than before it is the same request.
    let user = async |role| {
        let bearer = Bearer { tenant: home, subject: Some(root.id), role };
        keyed(&app, bearer, &users(home), "k").json(&ann()).send().await
    };
    let first = user(Role::TenantAdmin).await.expect(201);
    assert_repeats(&user(Role::SuperAdmin).await, &first);
    app.stop().await;
}

#[tokio::test]
async fn what_is_kept_of_a_request_cannot_be_guessed_from() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let path = users(tenant);
    let body = r#"{"email": "ann@example.com", "password": "monkey monkey"}"#;
    let request = keyed(&app, Bearer::admin_of(tenant), &path, "k");
    request.body("application/json", body).send().await.expect(201);
    // Whoever has the files alone must not be able to try passwords on a digest of the request.
    for target in [path.as_str(), path.strip_prefix("/api/v1").unwrap()] {
        let digest = request_digest("POST", target, body.as_bytes());
        assert!(!app.on_disk(digest.0), "a digest that anybody can compute is on disk");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_repetition_tells_nothing_of_who_was_erased() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let token = app.token(Bearer::admin_of(tenant));
    let send = async |key: &str, body: Value| {
        let request = app.request("POST", &users(tenant)).bearer(&token);
        let request = request.header("x-tenantid", &tenant.to_string());
        request.header("idempotency-key", key).json(&body).send().await
    };
    let first = send("a", ann()).await.expect(201);
    let other = send("b", json!({"email": "ben@example.com"})).await.expect(201);
    let path = first.header("location").unwrap().to_owned();
    app.request_by(Bearer::SUPER_ADMIN, "DELETE", &path).send().await.expect(200);
    assert_repeats(&send("a", ann()).await, &first);
    let erase = format!("{path}?erase=true");
    app.request_by(Bearer::SUPER_ADMIN, "DELETE", &erase).send().await.expect(200);
    // It is not made again either: the request took effect.
    for _ in 0..2 {
        let gone = send("a", ann()).await.expect(404);
        assert_eq!(gone.code(), "USER_NOT_FOUND");
        assert!(!gone.text.contains("ann@example.com"));
    }
    assert_eq!(send("a", json!({"email": "x@example.com"})).await.code(), "IDEMPOTENCY_KEY_REUSED");
    assert_repeats(&send("b", json!({"email": "ben@example.com"})).await, &other);
    assert_eq!(total(&app, tenant).await, 1);
    app.stop().await;
}
