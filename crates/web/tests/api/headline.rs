//! The statistics endpoint, row by row of its contract, over a real port.

use serde_json::json;
use tenantry_domain::access::Role;
use tenantry_domain::id::TenantId;
use tenantry_domain::tenant::Governance;
use tenantry_domain::user::{UserPatch, UserRoles, UserStatus};
use tenantry_testkit::{Answer, Bearer, Request, START, TestApp};

fn path(tenant: impl std::fmt::Display) -> String {
    format!("/api/v1/admin/tenants/{tenant}/stats")
}

/// The statistics of a tenant, asked for by a platform operator.
fn ask(app: &TestApp, tenant: TenantId) -> Request {
    app.request("GET", &path(tenant))
        .bearer(&app.token(Bearer::SUPER_ADMIN))
        .header("x-tenantid", &tenant.to_string())
}

fn assert_error(answer: &Answer, status: u16, message: &str, code: &str) {
    let body = answer.json();
    assert_eq!(answer.status, status, "{body}");
    let members: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = vec!["success", "message", "error", "requestId", "timestamp"];
    let mut members_sorted = members;
    members_sorted.sort_unstable();
    expected.sort_unstable();
    assert_eq!(members_sorted, expected);
    assert_eq!(body["success"], false);
    assert_eq!(body["message"], message);
    assert_eq!(body["error"]["code"], code);
    assert!(body["error"]["details"].is_string());
    assert_eq!(body["requestId"], answer.header("x-request-id").unwrap());
    assert_eq!(body["timestamp"], "2025-07-10T14:30:00.000Z");
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

fn assert_unauthenticated(answer: &Answer, challenge: &str) {
    assert_error(answer, 401, "Authentication failed", "UNAUTHENTICATED");
    assert_eq!(answer.header("www-authenticate"), Some(challenge));
}

const NO_TOKEN: &str = "Bearer realm=\"tenantry\"";
const BAD_TOKEN: &str = "Bearer realm=\"tenantry\", error=\"invalid_token\"";

#[tokio::test]
async fn the_answer_has_exactly_the_members_of_the_contract_in_their_order() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme Corporation").await;
    let answer = ask(&app, tenant).send().await.expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let expected = format!(
        r#"{{"success":true,"message":"Tenant statistics retrieved successfully","data":{{"tenantId":"{tenant}","tenantName":"Acme Corporation","users":{{"total":0,"active":0,"inactive":0,"admins":0}},"credentials":{{"total":0,"active":0,"expired":0}},"apiKeys":{{"total":0,"active":0,"revoked":0}},"oauthClients":{{"total":0,"active":0}},"usage":{{"apiCallsThisMonth":0,"apiCallsLastMonth":0,"storageUsedMB":0,"storageQuotaMB":null}},"lastActivity":null,"generatedAt":"2025-07-10T14:30:00.000Z"}},"timestamp":"2025-07-10T14:30:00.000Z"}}"#
    );
    assert_eq!(answer.text, expected);
    app.stop().await;
}

#[tokio::test]
async fn numbers_follow_every_change() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let user = app.user(tenant, "ann@example.com", true).await;
    app.user(tenant, "ben@example.com", false).await;
    let patch = UserPatch { status: Some(UserStatus::Locked), ..UserPatch::default() };
    app.service.update_user(&TestApp::access(tenant), user.id, patch).await.unwrap();
    let data = ask(&app, tenant).send().await.expect(200).data();
    assert_eq!(data["users"], json!({"total": 2, "active": 1, "inactive": 1, "admins": 1}));
    app.service.delete_user(&TestApp::access(tenant), user.id).await.unwrap();
    let data = ask(&app, tenant).send().await.expect(200).data();
    assert_eq!(data["users"], json!({"total": 1, "active": 1, "inactive": 0, "admins": 0}));
    app.stop().await;
}

#[tokio::test]
async fn storage_is_exact_to_the_byte() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let patch = json!({"storageQuotaMB": 9_007_199_254.5});
    app.request_by(Bearer::SUPER_ADMIN, "PATCH", &format!("/api/v1/admin/tenants/{tenant}"))
        .json(&patch)
        .send()
        .await
        .expect(200);
    let text = ask(&app, tenant).send().await.text;
    assert!(text.contains(r#""storageUsedMB":0,"storageQuotaMB":9007199254.5}"#), "{text}");
    app.stop().await;
}

#[tokio::test]
async fn calls_count_for_the_callers_tenant_and_never_in_their_own_answer() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let calls = |answer: Answer| answer.data()["usage"]["apiCallsThisMonth"].as_u64().unwrap();
    // A super admin's calls are the platform's.
    for _ in 0..3 {
        assert_eq!(calls(ask(&app, tenant).send().await), 0);
    }
    assert_eq!(calls(ask(&app, TenantId::PLATFORM).send().await), 3);
    // The tenant's own are its own, one more each time.
    for number in 0..3 {
        let own = app.request_by(Bearer::admin_of(tenant), "GET", &path(tenant)).send().await;
        assert_eq!(calls(own), number);
    }
    app.stop().await;
}

#[tokio::test]
async fn what_counts_as_a_call_and_as_activity() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let admin = Bearer::admin_of(tenant);
    let seen = async || {
        let data = ask(&app, tenant).send().await.expect(200).data();
        let calls = data["usage"]["apiCallsThisMonth"].as_u64().unwrap();
        (calls, data["lastActivity"].as_str().map(str::to_owned))
    };
    let by_admin =
        async |method: &str, path: &str| app.request_by(admin, method, path).send().await.status;
    // Reading statistics is a call and no activity.
    assert_eq!(by_admin("GET", &path(tenant)).await, 200);
    assert_eq!(seen().await, (1, None));
    // 403, 404, 405 and HEAD count.
    app.clock.advance(1_000);
    assert_eq!(by_admin("GET", "/api/v1/admin/tenants").await, 403);
    assert_eq!(by_admin("GET", "/api/v1/nowhere").await, 404);
    assert_eq!(by_admin("PUT", &path(tenant)).await, 405);
    assert_eq!(by_admin("HEAD", &path(tenant)).await, 200);
    assert_eq!(seen().await, (5, Some("2025-07-10T14:30:01.000Z".to_owned())));
    let refused =
        app.request_by(admin, "GET", &path(tenant)).header("accept", "text/html").send().await;
    assert_eq!(refused.status, 406);
    assert_eq!(seen().await.0, 6);
    // 401 and OPTIONS do not, nor does what is outside the API.
    let twice = app.request_by(admin, "GET", &path(tenant)).bearer("x").send().await;
    assert_eq!(twice.status, 401);
    assert_eq!(by_admin("OPTIONS", &path(tenant)).await, 204);
    assert_eq!(by_admin("GET", "/health/live").await, 200);
    assert_eq!(seen().await.0, 6);
    // A change is counted once, and is activity.
    app.clock.advance(1_000);
    let users = format!("/api/v1/admin/tenants/{tenant}/users");
    let body = json!({"email": "ann@example.com"});
    app.request_by(admin, "POST", &users).json(&body).send().await.expect(201);
    assert_eq!(seen().await, (7, Some("2025-07-10T14:30:02.000Z".to_owned())));
    // One that is refused is counted once, too.
    app.request_by(admin, "POST", &users).json(&body).send().await.expect(409);
    assert_eq!(seen().await.0, 8);
    app.stop().await;
}

#[tokio::test]
async fn months_turn_by_the_clock_in_utc() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    app.clock.set("2025-07-31T23:59:59.999Z".parse().unwrap());
    app.request_by(Bearer::admin_of(tenant), "GET", &path(tenant)).send().await.expect(200);
    let usage = async || {
        // A token is valid for an hour; each is made anew here.
        ask(&app, tenant).send().await.expect(200).data()["usage"].clone()
    };
    assert_eq!(usage().await["apiCallsThisMonth"], 1);
    app.clock.advance(1);
    assert_eq!(usage().await["apiCallsThisMonth"], 0);
    assert_eq!(usage().await["apiCallsLastMonth"], 1);
    app.clock.set("2025-09-01T00:00:00Z".parse().unwrap());
    assert_eq!(usage().await["apiCallsLastMonth"], 0);
    app.stop().await;
}

#[tokio::test]
async fn an_invalid_tenant_id_is_400() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let token = app.token(Bearer::SUPER_ADMIN);
    let valid = tenant.to_string();
    let bad = ["not-a-uuid", "3fa85f6457174562b3fc2c963f66afa6", "%20", "1"];
    for bad in bad {
        let answer =
            app.request("GET", &path(bad)).bearer(&token).header("x-tenantid", &valid).send().await;
        assert_error(&answer, 400, "Invalid tenant ID", "INVALID_TENANT_ID");
        assert_eq!(answer.json()["error"]["details"], "tenantId must be a UUID");
        let answer =
            app.request("GET", &path(tenant)).bearer(&token).header("x-tenantid", bad).send().await;
        assert_error(&answer, 400, "Invalid tenant ID", "INVALID_TENANT_ID");
        assert_eq!(answer.json()["error"]["details"], "x-tenantid must be a UUID");
    }
    let missing = app.request("GET", &path(tenant)).bearer(&token).send().await;
    assert_error(&missing, 400, "Invalid tenant ID", "INVALID_TENANT_ID");
    let twice = ask(&app, tenant).header("x-tenantid", &valid).send().await;
    assert_error(&twice, 400, "Invalid tenant ID", "INVALID_TENANT_ID");
    app.stop().await;
}

#[tokio::test]
async fn without_a_good_token_it_is_401() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let user = app.user(tenant, "ann@example.com", true).await;
    let bearer = Bearer { tenant, subject: Some(user.id), role: Role::TenantAdmin };
    let token = app.token(bearer);
    let id = tenant.to_string();
    let bare = || app.request("GET", &path(tenant)).header("x-tenantid", &id);

    assert_unauthenticated(&bare().send().await, NO_TOKEN);
    assert_unauthenticated(&bare().bearer("garbage").send().await, BAD_TOKEN);
    assert_unauthenticated(&bare().bearer("").send().await, BAD_TOKEN);
    let basic = bare().header("authorization", "Basic YTpi").send().await;
    assert_error(&basic, 401, "Authentication failed", "UNAUTHENTICATED");
    // A changed character, a cut-off end.
    let (head, tail) = token.split_at(token.len() - 10);
    let forged = format!("{head}{}", tail.replace(|c: char| c.is_ascii_alphanumeric(), "A"));
    assert_unauthenticated(&bare().bearer(&forged).send().await, BAD_TOKEN);
    assert_unauthenticated(&bare().bearer(head).send().await, BAD_TOKEN);
    // Two kinds of credential, or two of a kind.
    let both = bare().bearer(&token).header("x-api-key", "tnt_x").send().await;
    assert_error(&both, 401, "Authentication failed", "UNAUTHENTICATED");
    let twice = bare().bearer(&token).bearer(&token).send().await;
    assert_error(&twice, 401, "Authentication failed", "UNAUTHENTICATED");
    // Realms.
    bare().bearer(&token).header("realmname", "tenantry").send().await.expect(200);
    let other = bare().bearer(&token).header("realmname", "elsewhere").send().await;
    assert_unauthenticated(&other, BAD_TOKEN);
    // Time, to the instant; the token is in the cache by now.
    app.clock.set(START.plus_millis(3_599_999));
    bare().bearer(&token).send().await.expect(200);
    app.clock.set(START.plus_millis(3_600_000));
    assert_eq!(bare().bearer(&token).send().await.status, 401);
    app.clock.set(START.plus_millis(-6_000));
    assert_eq!(bare().bearer(&token).send().await.status, 401, "issued in the future");
    app.clock.set(START);
    // A user that may not sign in, although its token was good a moment ago.
    bare().bearer(&token).send().await.expect(200);
    let patch = UserPatch { status: Some(UserStatus::Disabled), ..UserPatch::default() };
    app.service.update_user(&TestApp::access(tenant), user.id, patch).await.unwrap();
    assert_unauthenticated(&bare().bearer(&token).send().await, BAD_TOKEN);
    app.service.delete_user(&TestApp::access(tenant), user.id).await.unwrap();
    assert_unauthenticated(&bare().bearer(&token).send().await, BAD_TOKEN);
    app.stop().await;
}

#[tokio::test]
async fn without_the_right_it_is_403() {
    let app = TestApp::start().await;
    let (own, other) = (app.tenant("Own").await, app.tenant("Other").await);
    let denied = async |bearer: Bearer, acting_in: TenantId, target: TenantId| {
        let answer = app
            .request("GET", &path(target))
            .bearer(&app.token(bearer))
            .header("x-tenantid", &acting_in.to_string())
            .send()
            .await;
        assert_error(&answer, 403, "Insufficient permissions", "INSUFFICIENT_PERMISSIONS");
    };
    denied(Bearer::member_of(own), own, own).await;
    let admin = Bearer::admin_of(own);
    let unknown = TestApp::unknown_tenant();
    // In the path or in the header, whether or not the other one exists.
    for (acting_in, target) in
        [(own, other), (other, own), (other, other), (own, unknown), (unknown, own)]
    {
        denied(admin, acting_in, target).await;
    }
    // A super admin acts in its own tenant or in the one it looks at, never in a third.
    denied(Bearer::SUPER_ADMIN, other, own).await;
    for acting_in in [TenantId::PLATFORM, own] {
        app.request("GET", &path(own))
            .bearer(&app.token(Bearer::SUPER_ADMIN))
            .header("x-tenantid", &acting_in.to_string())
            .send()
            .await
            .expect(200);
    }
    // A user who lost the role is known, and may not.
    let user = app.user(own, "ann@example.com", true).await;
    let bearer = Bearer { tenant: own, subject: Some(user.id), role: Role::TenantAdmin };
    app.request_by(bearer, "GET", &path(own)).send().await.expect(200);
    let patch = UserPatch { roles: Some(UserRoles::default()), ..UserPatch::default() };
    app.service.update_user(&TestApp::access(own), user.id, patch).await.unwrap();
    denied(bearer, own, own).await;
    app.stop().await;
}

#[tokio::test]
async fn an_unknown_tenant_is_404_for_a_super_admin() {
    let app = TestApp::start().await;
    let unknown = ask(&app, TestApp::unknown_tenant()).send().await;
    assert_error(&unknown, 404, "Tenant not found", "TENANT_NOT_FOUND");
    let tenant = app.tenant("Acme").await;
    let by_admin = app.request_by(Bearer::admin_of(tenant), "GET", &path(tenant));
    app.service.govern_tenant(&TestApp::access(tenant), Governance::Delete).await.unwrap();
    let gone = ask(&app, tenant).send().await;
    assert_error(&gone, 404, "Tenant not found", "TENANT_NOT_FOUND");
    // Its own principals went with it.
    assert_unauthenticated(&by_admin.send().await, BAD_TOKEN);
    app.stop().await;
}

#[tokio::test]
async fn of_two_faults_the_earlier_in_the_contracts_order_is_told() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let member = app.token(Bearer::member_of(tenant));
    let admin = app.token(Bearer::admin_of(tenant));
    let operator = app.token(Bearer::SUPER_ADMIN);
    let (own, unknown) = (tenant.to_string(), TestApp::unknown_tenant().to_string());
    let ask = async |token: &str, path_id: &str, header: &str| {
        let request = app.request("GET", &path(path_id)).header("x-tenantid", header);
        let request = if token.is_empty() { request } else { request.bearer(token) };
        request.send().await.status
    };
    // 401 before 400, 403 and 404.
    assert_eq!(ask("", "bad", "bad").await, 401);
    assert_eq!(ask("garbage", &own, &unknown).await, 401);
    assert_eq!(ask("garbage", &unknown, &unknown).await, 401);
    // 400 before 403 and 404.
    assert_eq!(ask(&member, "bad", &own).await, 400);
    assert_eq!(ask(&admin, &unknown, "bad").await, 400);
    assert_eq!(ask(&operator, &unknown, "bad").await, 400);
    // 403 before 404.
    assert_eq!(ask(&admin, &unknown, &own).await, 403);
    assert_eq!(ask(&operator, &unknown, &own).await, 403);
    // A principal that is no longer one hears 401 before 400, too.
    let user = app.user(tenant, "ann@example.com", true).await;
    let token = app.token(Bearer { tenant, subject: Some(user.id), role: Role::TenantAdmin });
    app.service.delete_user(&TestApp::access(tenant), user.id).await.unwrap();
    assert_eq!(ask(&token, "bad", "bad").await, 401);
    app.stop().await;
}

#[tokio::test]
async fn accept_is_honoured() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    for accept in [
        "application/json",
        "*/*",
        "application/*",
        "text/html, application/json;q=0.5",
        "text/html, */*;q=0.1",
        "APPLICATION/JSON; charset=utf-8",
    ] {
        ask(&app, tenant).header("accept", accept).send().await.expect(200);
    }
    for accept in ["text/html", "application/xml, text/*", "application/json;q=0"] {
        let answer = ask(&app, tenant).header("accept", accept).send().await;
        assert_eq!((answer.status, answer.code().as_str()), (406, "NOT_ACCEPTABLE"), "{accept}");
    }
    app.stop().await;
}

#[tokio::test]
async fn methods_ids_and_queries() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    // HEAD is GET without the body.
    let head = app
        .request("HEAD", &path(tenant))
        .bearer(&app.token(Bearer::SUPER_ADMIN))
        .header("x-tenantid", &tenant.to_string())
        .send()
        .await
        .expect(200);
    let get = ask(&app, tenant).send().await.expect(200);
    assert_eq!(head.text, "");
    assert_eq!(head.header("content-length"), Some(get.text.len().to_string().as_str()));
    assert_eq!(head.header("content-type"), get.header("content-type"));
    // OPTIONS needs no token and says what is allowed.
    let options = app.request("OPTIONS", &path(tenant)).send().await.expect(204);
    assert!(options.header("allow").unwrap().contains("GET"));
    // Another method is 405, with what is allowed.
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let answer = app.request_by(Bearer::SUPER_ADMIN, method, &path(tenant)).send().await;
        assert_eq!((answer.status, answer.code().as_str()), (405, "METHOD_NOT_ALLOWED"));
        assert!(answer.header("allow").unwrap().contains("GET"));
    }
    assert_eq!(app.request("POST", &path(tenant)).send().await.status, 401);
    // Request ids: the caller's if it is sane, else one of ours.
    let echoed = ask(&app, tenant).header("x-request-id", "abc-1.2_3").send().await;
    assert_eq!(echoed.header("x-request-id"), Some("abc-1.2_3"));
    for insane in ["a b", "", &"x".repeat(129), "a;b"] {
        let answer = ask(&app, tenant).header("x-request-id", insane).send().await;
        assert_eq!(answer.header("x-request-id").unwrap().len(), 36, "{insane:?}");
    }
    // Parameters that nobody knows.
    let answer = app
        .request_by(Bearer::SUPER_ADMIN, "GET", &format!("{}?verbose=1", path(tenant)))
        .send()
        .await;
    assert_eq!((answer.status, answer.code().as_str()), (422, "VALIDATION_FAILED"));
    assert_eq!(answer.json()["error"]["fields"][0]["field"], "verbose");
    // Unknown paths have the same shape.
    let nowhere = app.request("GET", "/nowhere").send().await;
    assert_eq!((nowhere.status, nowhere.code().as_str()), (404, "NOT_FOUND"));
    assert_eq!(app.request("GET", "/api/v1/nowhere").send().await.status, 401);
    app.stop().await;
}

#[tokio::test]
async fn suspending_changes_no_number_and_stops_changes_only() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    app.user(tenant, "ann@example.com", true).await;
    let before = ask(&app, tenant).send().await.expect(200).data();
    app.service.govern_tenant(&TestApp::access(tenant), Governance::Suspend).await.unwrap();
    assert_eq!(ask(&app, tenant).send().await.expect(200).data(), before);
    let admin = Bearer::admin_of(tenant);
    app.request_by(admin, "GET", &path(tenant)).send().await.expect(200);
    let users = format!("/api/v1/admin/tenants/{tenant}/users");
    let body = json!({"email": "ben@example.com"});
    let refused = app.request_by(admin, "POST", &users).json(&body).send().await.expect(403);
    assert_eq!(refused.code(), "TENANT_SUSPENDED");
    app.request("POST", &users)
        .bearer(&app.token(Bearer::SUPER_ADMIN))
        .header("x-tenantid", &tenant.to_string())
        .json(&body)
        .send()
        .await
        .expect(201);
    app.stop().await;
}

#[tokio::test]
async fn a_database_that_contradicts_itself_is_500_and_says_nothing() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    app.tamper("UPDATE tenants SET status = 'odd'");
    let answer = ask(&app, tenant).send().await;
    assert_error(&answer, 500, "Server error", "INTERNAL");
    for text in ["odd", "sqlite", "postgres"] {
        assert!(!answer.text.contains(text), "{}", answer.text);
    }
    app.tamper("UPDATE tenants SET status = 'active'");
    app.stop().await;
}
