//! The administration API under the random sequences of the store's suite: the same steps and the
//! same model, and over a real port the same numbers after each of them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use serde_json::{Value, json};
use tenantry_domain::api_key::ApiKeyStatus;
use tenantry_domain::clock::{Month, Timestamp};
use tenantry_domain::credential::{CredentialStatus, IntegrationId};
use tenantry_domain::id::TenantId;
use tenantry_domain::oauth_client::ClientStatus;
use tenantry_domain::stats::Statistics;
use tenantry_domain::tenant::Governance;
use tenantry_domain::text::Name;
use tenantry_domain::usage::Bytes;
use tenantry_domain::user::{UserRole, UserStatusFilter};
use tenantry_store::Store;
use tenantry_store::conformance::{
    Change, Driver, Effort, List, Outcome, Refusal, UserDraft, random_sequences,
};
use tenantry_testkit::{Answer, Bearer, ManualClock, TestApp};
use uuid::Uuid;

const TENANTS: &str = "/api/v1/admin/tenants";
const KEYS: &str = "/api/v1/api-keys";
const CLIENTS: &str = "/api/v1/oauth-clients";
const VALIDATE: &str = "/api/v1/api-keys/validate";
const CREDENTIALS: &str = "/api/v1/credentials";

enum Body {
    Json(Value),
    Lines(String),
}

#[test]
fn random_sequences_over_http_match_a_recount() {
    random_sequences(Effort { sequences: 10, steps: 24, lists: true }, Http::start);
}

/// A server, asked over HTTP alone, and what its answers have told.
struct Http {
    app: TestApp,
    /// The texts of each API key, oldest first.
    keys: RefCell<HashMap<Uuid, Vec<String>>>,
    /// What each credential was given last.
    secrets: RefCell<HashMap<Uuid, String>>,
    /// When the platform's own calls were received.
    platform_calls: RefCell<Vec<Timestamp>>,
    made: Cell<u32>,
}

impl Http {
    async fn start() -> Self {
        Self {
            app: TestApp::start().await,
            keys: RefCell::default(),
            secrets: RefCell::default(),
            platform_calls: RefCell::default(),
            made: Cell::default(),
        }
    }

    /// A number that was never used.
    fn number(&self) -> u32 {
        self.made.set(self.made.get() + 1);
        self.made.get()
    }

    /// A request in a tenant, by one of its administrators or by the platform.
    async fn send(
        &self,
        (tenant, own): (TenantId, bool),
        method: &str,
        path: &str,
        body: Option<Body>,
    ) -> Answer {
        let bearer = if own { Bearer::admin_of(tenant) } else { Bearer::SUPER_ADMIN };
        let request = self.app.request(method, path).bearer(&self.app.token(bearer));
        let request = request.header("x-tenantid", &tenant.to_string());
        let received = self.app.now();
        let answer = match body {
            Some(Body::Json(body)) => request.json(&body).send().await,
            Some(Body::Lines(lines)) => request.body("application/x-ndjson", lines).send().await,
            None => request.send().await,
        };
        if !own && path != VALIDATE {
            self.platform_calls.borrow_mut().push(received);
        }
        answer
    }

    /// What the platform reads of a tenant.
    async fn read(&self, tenant: TenantId, path: &str) -> Value {
        self.send((tenant, false), "GET", path, None).await.expect(200).data()
    }

    fn due(&self, expiry: Option<i64>) -> Option<Timestamp> {
        expiry.map(|millis| self.app.now().plus_millis(millis))
    }

    /// A credential's secret that was never used.
    fn new_secret(&self) -> String {
        self.number();
        self.newest_secret()
    }

    fn newest_secret(&self) -> String {
        format!("third-party-{}", self.made.get())
    }

    /// The request that makes a change.
    fn request(
        &self,
        tenant: TenantId,
        change: &Change,
        id: Uuid,
    ) -> (&'static str, String, Option<Body>) {
        let in_tenant = |rest: &str| format!("{TENANTS}/{tenant}{rest}");
        let user = || in_tenant(&format!("/users/{id}"));
        let key = |rest: &str| format!("{KEYS}/{id}{rest}");
        let client = |rest: &str| format!("{CLIENTS}/{id}{rest}");
        let credential = |rest: &str| format!("{CREDENTIALS}/github/{id}{rest}");
        let patch = |path, body| ("PATCH", path, Some(Body::Json(body)));
        let post = |path, body| ("POST", path, Some(Body::Json(body)));
        match *change {
            Change::CreateUser(draft) => post(in_tenant("/users"), self.user(draft, self.number())),
            Change::UpdateUser { status, admin } => {
                let mut body = json!({});
                if let Some(status) = status {
                    body["status"] = json!(status.as_str());
                }
                if let Some(admin) = admin {
                    body["roles"] = roles(admin);
                }
                patch(user(), body)
            }
            Change::DeleteUser => ("DELETE", user(), None),
            Change::EraseUser => ("DELETE", user() + "?erase=true", None),
            Change::ImportUsers(ref drafts) => {
                let number = self.number();
                let lines = drafts.iter().map(|draft| self.user(*draft, number).to_string() + "\n");
                ("POST", in_tenant("/users/import"), Some(Body::Lines(lines.collect())))
            }
            Change::CreateKey { expiry } => {
                post(KEYS.to_owned(), json!({"name": "key", "expiresAt": self.due(expiry)}))
            }
            Change::RevokeKey => ("DELETE", key(""), None),
            Change::RotateKey { grace_seconds } => {
                post(key("/rotate"), json!({"graceSeconds": grace_seconds}))
            }
            Change::ValidateKey { newest } => {
                let texts = &self.keys.borrow()[&id];
                let text = &texts[(texts.len() - 1).saturating_sub(usize::from(!newest))];
                post(VALIDATE.to_owned(), json!({"key": text}))
            }
            Change::CreateClient { public: false } => {
                post(CLIENTS.to_owned(), json!({"name": "c"}))
            }
            Change::CreateClient { public: true } => {
                let back = "https://app.example.com/back";
                let body = json!({"name": "c", "clientType": "public", "redirectUris": [back]});
                post(CLIENTS.to_owned(), body)
            }
            Change::UpdateClient { active } => {
                let status = if active { "active" } else { "disabled" };
                patch(client(""), json!({"status": status}))
            }
            Change::RotateClientSecret => ("POST", client("/rotate-secret"), None),
            Change::DeleteClient => ("DELETE", client(""), None),
            Change::CreateCredential { expiry } => {
                let body = json!({
                    "integrationId": "github", "credentialName": "deploy", "authType": "api_key",
                    "apiKey": self.new_secret(), "expiresAt": self.due(expiry),
                });
                post(CREDENTIALS.to_owned(), body)
            }
            Change::MoveCredential { expiry } => {
                patch(credential(""), json!({"expiresAt": self.due(expiry)}))
            }
            Change::ReplaceSecret => patch(credential(""), json!({"apiKey": self.new_secret()})),
            Change::RevealCredential => ("POST", credential("/reveal"), None),
            Change::DeleteCredential => ("DELETE", credential(""), None),
            Change::Rename(number) => {
                patch(in_tenant(""), json!({"displayName": format!("Name {number}")}))
            }
            Change::SetQuota(bytes) => {
                let quota = bytes.map(|bytes| megabytes(Bytes::new(bytes.into())));
                patch(in_tenant(""), json!({"storageQuotaMB": quota}))
            }
            Change::Govern(act) => {
                let act = if act == Governance::Suspend { "suspend" } else { "activate" };
                ("POST", in_tenant(&format!("/{act}")), None)
            }
        }
    }

    /// A user to be made, whose address says the number of the request.
    fn user(&self, draft: UserDraft, request: u32) -> Value {
        let email = format!("request-{request}-{}@example.com", self.number());
        json!({"email": email, "status": draft.status.as_str(), "roles": roles(draft.admin)})
    }
}

impl Http {
    /// What an answer says of a change.
    async fn told(
        &self,
        tenant: TenantId,
        change: &Change,
        id: Uuid,
        answer: Answer,
    ) -> Result<Vec<Uuid>, Refusal> {
        if answer.status >= 400 {
            return Err(refusal(&answer));
        }
        let data = answer.data();
        let made = || vec![uuid(&data["id"])];
        let text = |member: &str| data[member].as_str().unwrap().to_owned();
        match *change {
            Change::CreateUser(_) | Change::CreateClient { .. } => return Ok(made()),
            Change::CreateKey { .. } => {
                self.keys.borrow_mut().insert(made()[0], vec![text("key")]);
                return Ok(made());
            }
            Change::CreateCredential { .. } => {
                self.secrets.borrow_mut().insert(made()[0], self.newest_secret());
                return Ok(made());
            }
            Change::ImportUsers(ref drafts) => {
                assert_eq!(data, json!({"imported": drafts.len()}));
                // Their addresses say the number of the request, the first one drawn for it.
                let request = self.made.get() - u32::try_from(drafts.len()).unwrap();
                let path = format!("{TENANTS}/{tenant}/users?q=request-{request}-");
                let page = self.read(tenant, &path).await;
                return Ok(page["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|it| uuid(&it["id"]))
                    .collect());
            }
            Change::RotateKey { .. } => {
                self.keys.borrow_mut().get_mut(&id).unwrap().push(text("key"));
            }
            Change::ValidateKey { .. } => {
                assert_eq!((uuid(&data["id"]), uuid(&data["tenantId"])), (id, tenant.as_uuid()));
                assert_eq!(data["valid"], data["reason"].is_null());
                if let Some(reason) = data["reason"].as_str() {
                    return Err(Refusal::NoGoodKey(reason.parse().unwrap()));
                }
            }
            Change::ReplaceSecret => {
                self.secrets.borrow_mut().insert(id, self.newest_secret());
            }
            Change::RevealCredential => {
                assert_eq!(data["secret"], json!({"apiKey": self.secrets.borrow()[&id]}));
            }
            _ => {}
        }
        Ok(Vec::new())
    }
}

impl Driver for Http {
    const REQUESTS: bool = true;

    fn store(&self) -> &dyn Store {
        &**self.app.service.store()
    }

    fn clock(&self) -> &ManualClock {
        &self.app.clock
    }

    async fn create_tenant(&self, name: &Name) -> TenantId {
        let body = Some(Body::Json(json!({"name": name.as_str()})));
        let answer = self.send((TenantId::PLATFORM, false), "POST", TENANTS, body).await;
        TenantId::from_uuid(uuid(&answer.expect(201).data()["id"]))
    }

    async fn delete_tenant(&self, tenant: TenantId) {
        let path = format!("{TENANTS}/{tenant}");
        self.send((tenant, false), "DELETE", &path, None).await.expect(200);
        let gone = self.send((tenant, false), "GET", &path, None).await.expect(404);
        assert_eq!(gone.code(), "TENANT_NOT_FOUND");
        self.send((tenant, true), "GET", &path, None).await.expect(401);
    }

    async fn change(&self, tenant: TenantId, own: bool, change: &Change, id: Uuid) -> Outcome {
        let (method, path, body) = self.request(tenant, change, id);
        let answer = self.send((tenant, own), method, &path, body).await;
        Outcome { result: self.told(tenant, change, id, answer).await, counted: None }
    }

    async fn call(&self, tenant: TenantId, calls: u64, activity: bool) {
        let path = format!("{TENANTS}/{tenant}{}", if activity { "" } else { "/stats" });
        for _ in 0..calls {
            self.send((tenant, true), "GET", &path, None).await.expect(200);
        }
    }

    async fn assert_statistics(&self, expected: &Statistics) {
        let shown =
            self.read(expected.tenant, &format!("{TENANTS}/{}/stats", expected.tenant)).await;
        let counts = &expected.counts;
        let expected = json!({
            "tenantId": expected.tenant,
            "tenantName": expected.tenant_name,
            "users": {
                "total": counts.users_active + counts.users_inactive,
                "active": counts.users_active,
                "inactive": counts.users_inactive,
                "admins": counts.admins,
            },
            "credentials": {
                "total": counts.credentials_active + counts.credentials_expired,
                "active": counts.credentials_active,
                "expired": counts.credentials_expired,
            },
            "apiKeys": {
                "total":
                    counts.api_keys_active + counts.api_keys_expired + counts.api_keys_revoked,
                "active": counts.api_keys_active,
                "revoked": counts.api_keys_revoked,
            },
            "oauthClients": {
                "total": counts.oauth_clients_active + counts.oauth_clients_disabled,
                "active": counts.oauth_clients_active,
            },
            "usage": {
                "apiCallsThisMonth": expected.calls_this_month,
                "apiCallsLastMonth": expected.calls_last_month,
                "storageUsedMB": megabytes(expected.storage_used),
                "storageQuotaMB": expected.storage_quota.map(megabytes),
            },
            "lastActivity": expected.last_activity,
            "generatedAt": expected.generated_at,
        });
        assert_eq!(shown, expected);
    }

    async fn total(&self, tenant: TenantId, list: &List) -> u64 {
        let mut query = String::from("limit=500");
        let mut filter = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                query.extend(["&", name, "=", value]);
            }
        };
        let path = match list {
            List::Users(users) => {
                filter(
                    "status",
                    users.status.map(|status| match status {
                        UserStatusFilter::Is(status) => status.as_str(),
                        UserStatusFilter::Inactive => "inactive",
                    }),
                );
                filter("role", users.role.map(UserRole::as_str));
                format!("{TENANTS}/{tenant}/users")
            }
            List::ApiKeys(keys) => {
                filter("status", keys.status.map(ApiKeyStatus::as_str));
                KEYS.to_owned()
            }
            List::OauthClients(clients) => {
                filter("status", clients.status.map(ClientStatus::as_str));
                CLIENTS.to_owned()
            }
            List::Credentials(credentials) => {
                filter("status", credentials.status.map(CredentialStatus::as_str));
                filter(
                    "integrationId",
                    credentials.integration_id.as_ref().map(IntegrationId::as_str),
                );
                CREDENTIALS.to_owned()
            }
        };
        let page = self.read(tenant, &format!("{path}?{query}")).await;
        let total = page["total"].as_u64().unwrap();
        assert_eq!(page["items"].as_array().unwrap().len() as u64, total, "{path}?{query}");
        total
    }

    /// The calls of whoever looked and governed all the while were counted too: for the platform.
    async fn end(self) {
        let calls = self.platform_calls.borrow().clone();
        let path = format!("{TENANTS}/{}/stats", TenantId::PLATFORM);
        let shown = self.read(TenantId::PLATFORM, &path).await;
        let at: Timestamp = shown["generatedAt"].as_str().unwrap().parse().unwrap();
        let in_month = |month| calls.iter().filter(|at| Month::of(**at) == month).count();
        assert_eq!(shown["usage"]["apiCallsThisMonth"], in_month(Month::of(at)));
        assert_eq!(shown["usage"]["apiCallsLastMonth"], in_month(Month::of(at).previous()));
        self.app.stop().await;
    }
}

fn uuid(value: &Value) -> Uuid {
    value.as_str().unwrap().parse().unwrap()
}

fn roles(admin: bool) -> Value {
    if admin { json!(["tenant_admin", "member"]) } else { json!(["member"]) }
}

/// Bytes in megabytes, as JSON has them.
fn megabytes(bytes: Bytes) -> Value {
    let (whole, rest) = (bytes.get() / 1_000_000, bytes.get() % 1_000_000);
    let text = if rest == 0 { whole.to_string() } else { format!("{whole}.{rest:06}") };
    text.parse().unwrap()
}

/// Why something was refused. Fails the test for whatever cannot be expected.
fn refusal(answer: &Answer) -> Refusal {
    match (answer.status, answer.code().as_str()) {
        (403, "INSUFFICIENT_PERMISSIONS") => Refusal::InsufficientPermissions,
        (403, "TENANT_SUSPENDED") => Refusal::TenantSuspended,
        (409, "ALREADY_REVOKED") => Refusal::AlreadyRevoked,
        (409, "API_KEY_EXPIRED") => Refusal::ApiKeyExpired,
        (409, "PUBLIC_CLIENT") => Refusal::PublicClient,
        (422, "VALIDATION_FAILED") => {
            assert_eq!(answer.fields(), ["expiresAt"]);
            Refusal::NotInTheFuture
        }
        _ => panic!("{} {}", answer.status, answer.text),
    }
}
