//! People of the built-in realm sign in, go on, sign out and set their passwords.

use serde_json::{Value, json};
use tenantry_domain::access::Role;
use tenantry_domain::id::TenantId;
use tenantry_domain::session::SESSION_MS;
use tenantry_testkit::{Answer, Bearer, Request, TestApp};
use tenantry_web::WebConfig;

const LOGIN: &str = "/api/v1/auth/login";
const REFRESH: &str = "/api/v1/auth/refresh";
const LOGOUT: &str = "/api/v1/auth/logout";
const PASSWORD: &str = "/api/v1/auth/password";

const ANN: &str = "ann@example.com";
const RIGHT: &str = "correct horse battery";
const WRONG: &str = "incorrect horse battery";

struct Fixture {
    app: TestApp,
    tenant: TenantId,
}

impl Fixture {
    async fn new() -> Self {
        Self::with(WebConfig::default()).await
    }

    async fn with(config: WebConfig) -> Self {
        let app = TestApp::start_with(config).await;
        let tenant = app.tenant("Acme").await;
        Self { app, tenant }
    }

    /// A request by the tenant's administrator.
    fn request(&self, method: &str, path: &str) -> Request {
        self.app.request_by(Bearer::admin_of(self.tenant), method, path)
    }

    fn users(&self) -> String {
        format!("/api/v1/admin/tenants/{}/users", self.tenant)
    }

    async fn user(&self, body: Value) -> String {
        let made = self.request("POST", &self.users()).json(&body).send().await.expect(201);
        made.data()["id"].as_str().unwrap().to_owned()
    }

    /// Makes an administrator who has a password; answers the id.
    async fn ann(&self) -> String {
        let roles = ["tenant_admin"];
        self.user(json!({"email": ANN, "password": RIGHT, "roles": roles})).await
    }

    async fn patch(&self, id: &str, patch: Value) {
        let path = format!("{}/{id}", self.users());
        self.request("PATCH", &path).json(&patch).send().await.expect(200);
    }

    async fn set_status(&self, id: &str, status: &str) {
        self.patch(id, json!({"status": status})).await;
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        let answer = self.app.request("POST", path).json(&body).send().await;
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        answer
    }

    async fn login(&self, email: &str, password: &str) -> Answer {
        self.login_in(&self.tenant.to_string(), email, password).await
    }

    async fn login_in(&self, tenant: &str, email: &str, password: &str) -> Answer {
        let request = self.app.request("POST", LOGIN).header("x-tenantid", tenant);
        request.json(&json!({"email": email, "password": password})).send().await
    }

    async fn refresh(&self, token: &Value) -> Answer {
        self.post(REFRESH, json!({ "refreshToken": token })).await
    }

    async fn logout(&self, token: &Value) -> Answer {
        self.post(LOGOUT, json!({ "refreshToken": token })).await
    }

    async fn invite(&self, id: &str) -> Answer {
        self.request("POST", &format!("{}/{id}/invitations", self.users())).send().await
    }

    async fn set_password(&self, token: &Value, password: &str) -> Answer {
        self.post(PASSWORD, json!({"token": token, "password": password})).await
    }

    /// Whether an access token lets its bearer read the tenant's users.
    async fn status_of(&self, access_token: &Value) -> u16 {
        let request = self.app.request("GET", &self.users());
        let request = request.bearer(access_token.as_str().unwrap());
        request.header("x-tenantid", &self.tenant.to_string()).send().await.status
    }

    async fn statistics(&self) -> Value {
        // By somebody whose calls count for another tenant.
        let path = format!("/api/v1/admin/tenants/{}/stats", self.tenant);
        self.app.request_by(Bearer::SUPER_ADMIN, "GET", &path).send().await.expect(200).data()
    }

    /// The newest entries of the tenant's audit log, but those of what somebody of the platform has read.
    async fn entries(&self) -> Vec<Value> {
        let path = format!("/api/v1/admin/audit-logs?tenantId={}", self.tenant);
        let page = self.app.request_by(Bearer::SUPER_ADMIN, "GET", &path).send().await.expect(200);
        let mut entries = page.data()["items"].as_array().unwrap().clone();
        entries.retain(|entry| !entry["action"].as_str().unwrap().ends_with("_READ"));
        entries
    }
}

/// An answer without what differs from one to the next.
fn told(answer: &Answer) -> (u16, Value, Option<String>) {
    let mut body = answer.json();
    body["requestId"] = Value::Null;
    body["timestamp"] = Value::Null;
    (answer.status, body, answer.header("www-authenticate").map(str::to_owned))
}

#[tokio::test]
async fn a_person_signs_in_goes_on_and_signs_out() {
    let f = Fixture::new().await;
    let id = f.ann().await;
    let before = f.statistics().await;
    f.app.clock.advance(1_000);
    let answer = f.login("Ann@Example.com", RIGHT).await.expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let first = answer.data();
    assert_eq!((&first["expiresIn"], &first["tokenType"]), (&json!(900), &json!("Bearer")));
    assert!(first["refreshToken"].as_str().unwrap().starts_with("tnr_"));
    let entry = &f.entries().await[0];
    assert_eq!((&entry["action"], &entry["actor"]["id"]), (&json!("USER_SIGNED_IN"), &json!(id)));
    let actor = &entry["actor"];
    assert_eq!((&actor["email"], &actor["ipAddress"]), (&json!(ANN), &json!("127.0.0.1")));

    // It is an activity of the tenant, and no call.
    let after = f.statistics().await;
    assert_eq!(after["usage"], before["usage"]);
    assert_eq!(after["lastActivity"], entry["at"]);
    let user = f.request("GET", &format!("{}/{id}", f.users())).send().await.expect(200).data();
    assert_eq!(user["lastLoginAt"], entry["at"]);

    assert_eq!(f.status_of(&first["accessToken"]).await, 200);
    let usage = f.statistics().await["usage"].clone();
    f.app.clock.advance(900_000);
    assert_eq!(f.status_of(&first["accessToken"]).await, 401);
    let second = f.refresh(&first["refreshToken"]).await.expect(200).data();
    assert_eq!(f.statistics().await["usage"], usage);
    assert_eq!(f.status_of(&second["accessToken"]).await, 200);

    f.logout(&second["refreshToken"]).await.expect(200);
    assert_eq!(f.status_of(&second["accessToken"]).await, 401);
    assert_eq!(f.entries().await[0]["action"], "USER_SIGNED_OUT");
    f.refresh(&second["refreshToken"]).await.expect(401);
    // There is nothing left to end, and never was of what is none.
    let entries = f.entries().await.len();
    for token in [second["refreshToken"].clone(), first["refreshToken"].clone(), json!("none")] {
        assert_eq!(f.logout(&token).await.expect(200).data(), json!({}));
    }
    assert_eq!(f.entries().await.len(), entries);
    f.app.stop().await;
}

#[tokio::test]
async fn whatever_is_wrong_the_answer_is_the_same() {
    let f = Fixture::new().await;
    let id = f.ann().await;
    f.user(json!({"email": "no-password@example.com"})).await;
    let external = json!({"realm": "corp", "subject": "7"});
    f.user(json!({"email": "external@example.com", "externalId": external})).await;
    let other = f.app.tenant("Other").await;
    let gone = f.app.tenant("Gone").await;
    let path = format!("/api/v1/admin/tenants/{gone}");
    f.app.request_by(Bearer::SUPER_ADMIN, "DELETE", &path).send().await.expect(200);

    let wrong = told(&f.login(ANN, WRONG).await);
    assert_eq!(wrong.0, 401);
    for email in ["nobody@example.com", "no-password@example.com", "external@example.com"] {
        assert_eq!(told(&f.login(email, RIGHT).await), wrong, "{email}");
    }
    for tenant in [other, gone, TestApp::unknown_tenant(), TenantId::PLATFORM] {
        assert_eq!(told(&f.login_in(&tenant.to_string(), ANN, RIGHT).await), wrong, "{tenant}");
    }
    for status in ["disabled", "locked", "invited"] {
        f.set_status(&id, status).await;
        assert_eq!(told(&f.login(ANN, RIGHT).await), wrong, "{status}");
        f.set_status(&id, "active").await;
    }
    f.login(ANN, RIGHT).await.expect(200);
    f.app.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_told_and_counts_for_nothing() {
    let f = Fixture::new().await;
    f.ann().await;
    for _ in 0..8 {
        let answer = f.login_in("acme", ANN, RIGHT).await.expect(400);
        assert_eq!(answer.code(), "INVALID_TENANT_ID");
        assert_eq!(f.login("no address", RIGHT).await.fields(), ["email"]);
    }
    let none = f.app.request("POST", LOGIN).json(&json!({"email": ANN, "password": RIGHT}));
    none.send().await.expect(400);
    let request = f.app.request("POST", LOGIN).header("x-tenantid", &f.tenant.to_string());
    let body = json!({"password": 7, "remember": true});
    assert_eq!(request.json(&body).send().await.fields(), ["email", "password", "remember"]);
    assert_eq!(f.post(REFRESH, json!({})).await.fields(), ["refreshToken"]);
    assert_eq!(f.post(LOGOUT, json!({"refreshToken": null})).await.fields(), ["refreshToken"]);
    assert_eq!(f.set_password(&json!("x"), "short").await.fields(), ["password"]);
    for token in ["", "tnr_", "tnt_0000000000000000000000"] {
        f.refresh(&json!(token)).await.expect(401);
    }
    // Not a word of these is for a method that there is not.
    let wrong = f.app.request("GET", LOGIN).send().await.expect(405);
    assert_eq!(wrong.header("allow"), Some("POST"));
    // What is told of keys and tokens says nothing of who signs in.
    let request = f.app.request("POST", LOGIN).header("x-tenantid", &f.tenant.to_string());
    let request = request.bearer("nonsense").json(&json!({"email": ANN, "password": RIGHT}));
    request.send().await.expect(200);
    f.app.stop().await;
}

#[tokio::test]
async fn failures_slow_down_and_the_right_password_waits_too() {
    let f = Fixture::new().await;
    let id = f.ann().await;
    for email in [ANN, "nobody@example.com"] {
        for _ in 0..5 {
            f.login(email, WRONG).await.expect(401);
        }
        for seconds in ["1", "2", "4"] {
            let early = f.login(email, RIGHT).await.expect(429);
            assert_eq!(early.code(), "TOO_MANY_REQUESTS");
            assert_eq!(early.header("retry-after"), Some(seconds));
            f.app.clock.advance(seconds.parse::<i64>().unwrap() * 1_000);
            f.login(email, WRONG).await.expect(401);
        }
    }
    let user = f.request("GET", &format!("{}/{id}", f.users())).send().await.expect(200);
    assert_eq!(user.data()["status"], "active");
    f.app.clock.advance(8_000);
    f.login(ANN, RIGHT).await.expect(200);
    // Whoever signs in begins anew.
    for _ in 0..5 {
        f.login(ANN, WRONG).await.expect(401);
    }
    f.login(ANN, WRONG).await.expect(429);
    f.app.stop().await;
}

#[tokio::test]
async fn of_a_tenant_that_is_none_there_is_no_more_to_see() {
    let f = Fixture::new().await;
    for tenant in [TestApp::unknown_tenant(), f.tenant] {
        for _ in 0..5 {
            f.login_in(&tenant.to_string(), ANN, WRONG).await.expect(401);
        }
        f.login_in(&tenant.to_string(), ANN, WRONG).await.expect(429);
    }
    // Whoever names many of them comes from one address all the same.
    for place in 0..16 {
        let tenant = format!("00000000-0000-7000-8000-0000000001{place:02}");
        f.login_in(&tenant, ANN, WRONG).await.expect(401);
    }
    f.login_in("00000000-0000-7000-8000-000000000999", ANN, WRONG).await.expect(429);
    // The platform's own people come from there, too.
    f.login_in(&TenantId::PLATFORM.to_string(), ANN, WRONG).await.expect(401);
    f.app.stop().await;
}

#[tokio::test]
async fn a_restart_forgets_no_failure() {
    let f = Fixture::new().await;
    f.ann().await;
    for _ in 0..5 {
        f.login(ANN, WRONG).await.expect(401);
    }
    let f = Fixture { app: f.app.restart().await, tenant: f.tenant };
    assert_eq!(f.login(ANN, RIGHT).await.expect(429).header("retry-after"), Some("1"));
    f.app.stop().await;
}

#[tokio::test]
async fn an_address_that_tries_many_accounts_is_slowed_down() {
    let trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let f = Fixture::with(WebConfig { trusted_proxies, ..WebConfig::default() }).await;
    f.ann().await;
    let login_from = async |address: &str, email: &str, password: &str| {
        let request = f.app.request("POST", LOGIN).header("x-tenantid", &f.tenant.to_string());
        let request = request.header("x-forwarded-for", address);
        request.json(&json!({"email": email, "password": password})).send().await.status
    };
    for place in 0..21 {
        let email = format!("user-{place}@example.com");
        assert_eq!(login_from("192.0.2.1", &email, WRONG).await, 401);
    }
    assert_eq!(login_from("192.0.2.1", ANN, RIGHT).await, 429);
    assert_eq!(login_from("192.0.2.2", ANN, RIGHT).await, 200);
    // Many who sign in from one address have not failed.
    for _ in 0..21 {
        assert_eq!(login_from("192.0.2.3", ANN, RIGHT).await, 200);
    }
    f.app.stop().await;
}

#[tokio::test]
async fn many_attempts_at_once_gain_nothing() {
    let f = Fixture::new().await;
    f.ann().await;
    let attempts = (0..12).map(|_| f.login(ANN, WRONG));
    let statuses = futures_of(attempts).await;
    let through = statuses.iter().filter(|status| **status == 401).count();
    assert_eq!(through, 5, "{statuses:?}");
    f.app.stop().await;
}

/// The statuses of what is awaited together.
async fn futures_of(attempts: impl Iterator<Item = impl Future<Output = Answer>>) -> Vec<u16> {
    let mut waiting: Vec<_> = attempts.map(Box::pin).collect();
    let mut statuses = Vec::new();
    std::future::poll_fn(|context| {
        waiting.retain_mut(|attempt| match attempt.as_mut().poll(context) {
            std::task::Poll::Ready(answer) => {
                statuses.push(answer.status);
                false
            }
            std::task::Poll::Pending => true,
        });
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    statuses
}

#[tokio::test]
async fn a_refresh_token_that_is_used_twice_ends_its_family() {
    let f = Fixture::new().await;
    f.ann().await;
    let first = f.login(ANN, RIGHT).await.expect(200).data();
    let elsewhere = f.login(ANN, RIGHT).await.expect(200).data();
    let second = f.refresh(&first["refreshToken"]).await.expect(200).data();
    let third = f.refresh(&second["refreshToken"]).await.expect(200).data();
    assert_eq!(f.status_of(&third["accessToken"]).await, 200);
    f.refresh(&first["refreshToken"]).await.expect(401);
    for tokens in [&first, &second, &third] {
        assert_eq!(f.status_of(&tokens["accessToken"]).await, 401);
        f.refresh(&tokens["refreshToken"]).await.expect(401);
    }
    let entries = f.entries().await;
    let told = entries.iter().filter(|it| it["action"] == "REFRESH_TOKEN_REUSED");
    assert_eq!(told.count(), 1);
    assert_eq!(f.status_of(&elsewhere["accessToken"]).await, 200);
    f.refresh(&elsewhere["refreshToken"]).await.expect(200);
    f.app.stop().await;
}

#[tokio::test]
async fn a_session_ends_thirty_days_after_it_was_refreshed() {
    let f = Fixture::new().await;
    f.ann().await;
    let first = f.login(ANN, RIGHT).await.expect(200).data();
    f.app.clock.advance(SESSION_MS - 1);
    let second = f.refresh(&first["refreshToken"]).await.expect(200).data();
    f.app.clock.advance(SESSION_MS);
    f.refresh(&second["refreshToken"]).await.expect(401);
    f.app.stop().await;
}

#[tokio::test]
async fn who_is_shut_out_does_not_go_on() {
    let f = Fixture::new().await;
    let id = f.ann().await;
    let tokens = f.login(ANN, RIGHT).await.expect(200).data();
    f.set_status(&id, "disabled").await;
    assert_eq!(f.status_of(&tokens["accessToken"]).await, 401);
    f.refresh(&tokens["refreshToken"]).await.expect(401);
    f.set_status(&id, "active").await;
    assert_eq!(f.status_of(&tokens["accessToken"]).await, 401);
    f.refresh(&tokens["refreshToken"]).await.expect(401);

    // What was taken from somebody is gone from the tokens they get.
    let tokens = f.login(ANN, RIGHT).await.expect(200).data();
    let patch = json!({"roles": ["member"]});
    let path = format!("{}/{id}", f.users());
    f.request("PATCH", &path).json(&patch).send().await.expect(200);
    let tokens = f.refresh(&tokens["refreshToken"]).await.expect(200).data();
    assert_eq!(f.status_of(&tokens["accessToken"]).await, 403);
    f.request("DELETE", &path).send().await.expect(200);
    f.refresh(&tokens["refreshToken"]).await.expect(401);
    f.logout(&tokens["refreshToken"]).await.expect(200);
    f.app.stop().await;
}

#[tokio::test]
async fn people_of_a_suspended_tenant_sign_in_and_read() {
    let f = Fixture::new().await;
    let id = f.ann().await;
    let invitation = f.invite(&id).await.expect(201).data();
    let path = format!("/api/v1/admin/tenants/{}/suspend", f.tenant);
    f.app.request_by(Bearer::SUPER_ADMIN, "POST", &path).send().await.expect(200);
    let tokens = f.login(ANN, RIGHT).await.expect(200).data();
    assert_eq!(f.status_of(&tokens["accessToken"]).await, 200);
    let tokens = f.refresh(&tokens["refreshToken"]).await.expect(200).data();
    f.logout(&tokens["refreshToken"]).await.expect(200);
    // A password is a change.
    let refused = f.set_password(&invitation["token"], "another horse battery").await.expect(403);
    assert_eq!(refused.code(), "TENANT_SUSPENDED");
    f.app.stop().await;
}

#[tokio::test]
async fn whoever_administers_the_platform_signs_in_as_a_super_admin() {
    let f = Fixture::new().await;
    let users = format!("/api/v1/admin/tenants/{}/users", TenantId::PLATFORM);
    let body = json!({"email": ANN, "password": RIGHT, "roles": ["tenant_admin"]});
    f.app.request_by(Bearer::SUPER_ADMIN, "POST", &users).json(&body).send().await.expect(201);
    let platform = TenantId::PLATFORM.to_string();
    let tokens = f.login_in(&platform, ANN, RIGHT).await.expect(200).data();
    let request = f.app.request("GET", "/api/v1/admin/tenants");
    let request = request.bearer(tokens["accessToken"].as_str().unwrap());
    request.header("x-tenantid", &platform).send().await.expect(200);
    f.app.stop().await;
}

#[tokio::test]
async fn who_is_invited_sets_a_password_and_is_active() {
    let f = Fixture::new().await;
    let id = f.user(json!({"email": ANN, "status": "invited"})).await;
    let replaced = f.invite(&id).await.expect(201).data();
    let answer = f.invite(&id).await.expect(201);
    assert_eq!((answer.header("location"), answer.header("etag")), (None, None));
    let invitation = answer.data();
    assert_eq!(invitation["expiresAt"], f.app.now().plus_millis(72 * 3_600_000).to_string());
    assert_eq!(f.statistics().await["users"]["active"], 0);
    f.set_password(&replaced["token"], RIGHT).await.expect(401);
    let done = f.set_password(&invitation["token"], RIGHT).await.expect(200);
    assert_eq!(done.data(), json!({}));
    assert_eq!(f.statistics().await["users"]["active"], 1);
    assert_eq!(f.entries().await[0]["action"], "USER_PASSWORD_SET");
    f.login(ANN, RIGHT).await.expect(200);
    f.set_password(&invitation["token"], WRONG).await.expect(401);
    f.login(ANN, RIGHT).await.expect(200);
    f.app.stop().await;
}

#[tokio::test]
async fn a_password_that_is_set_ends_every_session() {
    let f = Fixture::new().await;
    let id = f.ann().await;
    let stolen = f.login(ANN, RIGHT).await.expect(200).data();
    let invitation = f.invite(&id).await.expect(201).data();
    assert_eq!(f.status_of(&stolen["accessToken"]).await, 200);
    // Of two at once one sets it.
    let (one, two) = tokio::join!(
        f.set_password(&invitation["token"], "another horse battery"),
        f.set_password(&invitation["token"], "another horse battery")
    );
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
    assert_eq!(f.status_of(&stolen["accessToken"]).await, 401);
    f.refresh(&stolen["refreshToken"]).await.expect(401);
    f.login(ANN, RIGHT).await.expect(401);
    f.login(ANN, "another horse battery").await.expect(200);
    f.app.stop().await;
}

#[tokio::test]
async fn an_invitation_has_its_time_and_lets_nobody_around_an_administrator() {
    let f = Fixture::new().await;
    let id = f.ann().await;
    let token = f.invite(&id).await.expect(201).data()["token"].clone();
    f.app.clock.advance(72 * 3_600_000);
    f.set_password(&token, WRONG).await.expect(401);
    let token = f.invite(&id).await.expect(201).data()["token"].clone();
    for status in ["disabled", "locked"] {
        f.set_status(&id, status).await;
        assert_eq!(f.invite(&id).await.expect(409).code(), "USER_NOT_INVITABLE");
        f.set_password(&token, WRONG).await.expect(401);
    }
    f.set_status(&id, "active").await;
    f.set_password(&token, WRONG).await.expect(401);
    f.login(ANN, RIGHT).await.expect(200);

    // Who is trusted with users alone gives nobody in who has more.
    let key = f.app.api_key_with(f.tenant, "a key", &["users:write"]).await;
    let request = f.app.request("POST", &format!("{}/{id}/invitations", f.users()));
    let request = request.header("x-api-key", key.text.expose());
    request.header("x-tenantid", &f.tenant.to_string()).send().await.expect(403);
    // Nor does somebody of the platform who is less than those who may be super admins.
    let users = format!("/api/v1/admin/tenants/{}/users", TenantId::PLATFORM);
    let body = json!({"email": ANN, "roles": ["tenant_admin"]});
    let root = f.app.request_by(Bearer::SUPER_ADMIN, "POST", &users).json(&body);
    let root = root.send().await.expect(201).data()["id"].clone();
    let path = format!("{users}/{}/invitations", root.as_str().unwrap());
    let less = Bearer { role: Role::TenantAdmin, ..Bearer::SUPER_ADMIN };
    f.app.request_by(less, "POST", &path).send().await.expect(403);
    f.app.request_by(Bearer::SUPER_ADMIN, "POST", &path).send().await.expect(201);
    f.app.stop().await;
}

#[tokio::test]
async fn a_one_time_token_ends_with_the_roles_it_was_made_for() {
    let f = Fixture::new().await;
    let id = f.user(json!({"email": ANN})).await;
    let early = f.invite(&id).await.expect(201).data()["token"].clone();
    f.patch(&id, json!({"name": "Ann"})).await;
    f.patch(&id, json!({"roles": ["tenant_admin"]})).await;
    f.set_password(&early, WRONG).await.expect(401);
    f.login(ANN, WRONG).await.expect(401);
    let token = f.invite(&id).await.expect(201).data()["token"].clone();
    f.patch(&id, json!({"name": "Ann of Acme"})).await;
    f.set_password(&token, RIGHT).await.expect(200);
    f.login(ANN, RIGHT).await.expect(200);
    f.app.stop().await;
}

#[tokio::test]
async fn no_secret_is_on_disk() {
    let f = Fixture::new().await;
    let id = f.ann().await;
    let tokens = f.login(ANN, RIGHT).await.expect(200).data();
    let next = f.refresh(&tokens["refreshToken"]).await.expect(200).data();
    let invitation = f.invite(&id).await.expect(201).data();
    let members = [&tokens["refreshToken"], &next["refreshToken"], &invitation["token"]];
    for secret in members.into_iter().chain([&tokens["accessToken"], &next["accessToken"]]) {
        assert!(!f.app.on_disk(secret.as_str().unwrap()));
    }
    assert!(!f.app.on_disk(RIGHT));
    f.app.stop().await;
}
