//! A server on a temporary directory and a free port, under a clock that is moved by hand.

use std::sync::Arc;

use tenantry_domain::access::{PlatformAccess, Role, TenantAccess};
use tenantry_domain::clock::Clock as _;
use tenantry_domain::credential::{AuthType, Credential, IntegrationId, SecretPart};
use tenantry_domain::id::{OauthClientId, TenantId, UserId};
use tenantry_domain::ledger::ActorKind;
use tenantry_domain::oauth_client::{ClientType, GrantType};
use tenantry_domain::patch::Patch;
use tenantry_domain::realm::{Algorithm, NewRealm, Realm, RealmName};
use tenantry_domain::realm_rules::{ClaimPath, LEEWAY, ROLES_CLAIM, Reach, TENANT_CLAIM};
use tenantry_domain::scope::Scopes;
use tenantry_domain::tenant::{NewTenant, Subscription, TenantPatch};
use tenantry_domain::text::{Email, Name};
use tenantry_domain::user::{User, UserRoles, UserStatus};
use tenantry_security::master_key::MasterKey;
use tenantry_security::realm::{TokenBearer, TokenRequest};
use tenantry_security::secret::SecretText;
use tenantry_service::{
    ApiKeyDraft, ClientProof, CredentialDraft, CredentialSecret, IssuedApiKey, IssuedOauthClient,
    OauthClientDraft, Service, UserDraft, Wiring,
};
use tenantry_store::conformance::{ManualClock, SeededEntropy};
use tenantry_store::verify::verify;
use tenantry_web::WebConfig;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::backend::Backend;
use crate::request::Request;

/// A running server.
#[derive(Debug)]
pub struct TestApp {
    /// Where it answers, as `http://127.0.0.1:PORT`.
    pub url: String,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    /// Its use cases, for what a test sets up without HTTP.
    pub service: Arc<Service>,
    client: reqwest::Client,
    stop: oneshot::Sender<()>,
    stopped: JoinHandle<()>,
    /// Removed last.
    parts: Parts,
}

/// What a server leaves to the next one on the same data.
#[derive(Debug)]
struct Parts {
    backend: Backend,
    clock: Arc<ManualClock>,
    entropy: Arc<SeededEntropy>,
    master_key: SecretText,
}

/// Who calls: what a token is to say.
#[derive(Debug, Clone, Copy)]
pub struct Bearer {
    /// The caller's tenant.
    pub tenant: TenantId,
    /// The caller's user row; an operator without one if absent.
    pub subject: Option<UserId>,
    /// The caller's role.
    pub role: Role,
}

impl Bearer {
    /// A platform operator.
    pub const SUPER_ADMIN: Self =
        Self { tenant: TenantId::PLATFORM, subject: None, role: Role::SuperAdmin };

    /// An administrator of a tenant, without a user row.
    pub const fn admin_of(tenant: TenantId) -> Self {
        Self { tenant, subject: None, role: Role::TenantAdmin }
    }

    /// A member of a tenant, without a user row.
    pub const fn member_of(tenant: TenantId) -> Self {
        Self { tenant, subject: None, role: Role::Member }
    }
}

/// Runs SQL on the database of a data directory, behind the back of whoever uses it.
pub fn tamper(directory: &std::path::Path, sql: &str) {
    let file = directory.join("tenantry.db");
    rusqlite::Connection::open(file).unwrap().execute_batch(sql).unwrap();
}

/// A file of a data directory that another program is writing, or reading, until this is dropped.
#[derive(Debug)]
pub struct Locked {
    /// Closing it ends what was begun.
    _connection: rusqlite::Connection,
}

impl Locked {
    /// Begins to write it.
    pub fn new(directory: &std::path::Path, file: &str) -> Self {
        Self::within(directory, file, "BEGIN IMMEDIATE")
    }

    /// Begins to read it, so that nothing of its log is written over.
    pub fn for_reading(directory: &std::path::Path, file: &str) -> Self {
        Self::within(directory, file, "BEGIN; SELECT count(*) FROM sqlite_schema")
    }

    fn within(directory: &std::path::Path, file: &str, begin: &str) -> Self {
        let connection = rusqlite::Connection::open(directory.join(file)).unwrap();
        connection.execute_batch(begin).unwrap();
        Self { _connection: connection }
    }
}

/// Whether any file of a directory holds these bytes.
pub fn on_disk(directory: &std::path::Path, bytes: impl AsRef<[u8]>) -> bool {
    let bytes = bytes.as_ref();
    std::fs::read_dir(directory).unwrap().any(|file| {
        let content = std::fs::read(file.unwrap().path()).unwrap();
        content.windows(bytes.len()).any(|window| window == bytes)
    })
}

impl TestApp {
    /// Starts a server with nothing in it but the platform's own tenant.
    pub async fn start() -> Self {
        Self::start_with(WebConfig::default()).await
    }

    /// Starts a server that is configured in a certain way.
    pub async fn start_with(config: WebConfig) -> Self {
        let entropy = Arc::new(SeededEntropy::default());
        let master_key = MasterKey::generate(&*entropy).to_base64();
        let parts = Parts {
            backend: Backend::new().await,
            clock: Arc::new(ManualClock::default()),
            entropy,
            master_key,
        };
        Self::open(parts, config).await
    }

    /// The same server after its process has come to an end and another one was started.
    pub async fn restart(self) -> Self {
        let Self { service, stop, stopped, parts, .. } = self;
        drop(stop);
        stopped.await.unwrap();
        assert!(Arc::into_inner(service).is_some(), "something still uses the store");
        Self::open(parts, WebConfig::default()).await
    }

    async fn open(parts: Parts, config: WebConfig) -> Self {
        let (clock, entropy) = (Arc::clone(&parts.clock), Arc::clone(&parts.entropy));
        let wiring = Wiring {
            store: parts.backend.serve(Arc::clone(&clock) as _, Arc::clone(&entropy) as _).await,
            clock: Arc::clone(&clock) as _,
            entropy,
            master_key: MasterKey::from_base64(parts.master_key.expose()).unwrap(),
            issuer: "tenantry".to_owned(),
            reach: Reach::OrLoopback,
        };
        let service = Arc::new(Service::start(wiring).await.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopping) = oneshot::channel();
        let served = tenantry_web::serve(listener, Arc::clone(&service), config, async {
            let _ = stopping.await;
        });
        let stopped = tokio::spawn(served);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { url, clock, service, client, stop, stopped, parts }
    }

    /// The directory with the data, for tests that look at what is on disk.
    pub fn directory(&self) -> std::path::PathBuf {
        self.parts.backend.directory()
    }

    /// Whether any file of the data holds these bytes.
    pub fn on_disk(&self, bytes: impl AsRef<[u8]>) -> bool {
        on_disk(&self.directory(), bytes)
    }

    /// Runs SQL on the database behind the server's back.
    pub fn tamper(&self, sql: &str) {
        self.parts.backend.tamper(sql);
    }

    /// A token that is valid for an hour.
    pub fn token(&self, bearer: Bearer) -> String {
        let request = TokenRequest {
            tenant: bearer.tenant,
            bearer: TokenBearer::Person { id: bearer.subject, role: bearer.role },
            session: None,
            ttl_seconds: 3_600,
        };
        self.service.realm().issue(&request).unwrap().text.expose().to_owned()
    }

    /// A request without any header yet.
    pub fn request(&self, method: &str, path: &str) -> Request {
        let method = method.parse().unwrap();
        Request::new(self.client.request(method, format!("{}{path}", self.url)))
    }

    /// A request by somebody who acts in its own tenant.
    pub fn request_by(&self, bearer: Bearer, method: &str, path: &str) -> Request {
        self.request(method, path)
            .bearer(&self.token(bearer))
            .header("x-tenantid", &bearer.tenant.to_string())
    }

    /// Makes a tenant.
    pub async fn tenant(&self, name: &str) -> TenantId {
        let id = self.service.new_tenant_id();
        let new = NewTenant {
            id,
            name: Name::parse(name).unwrap(),
            display_name: None,
            server_url: None,
            realm_name: None,
            settings: serde_json::Map::new(),
            subscription: Subscription::default(),
            storage_quota: None,
        };
        let access = PlatformAccess::local(ActorKind::System, "test");
        self.service.create_tenant(&access, new).await.unwrap();
        id
    }

    /// Makes a user.
    pub async fn user(&self, tenant: TenantId, email: &str, tenant_admin: bool) -> User {
        let draft = UserDraft {
            external_id: None,
            email: Email::parse(email).unwrap(),
            name: None,
            status: UserStatus::Active,
            roles: UserRoles { tenant_admin, member: true },
            password: None,
        };
        self.service.create_user(&Self::access(tenant), draft).await.unwrap()
    }

    /// Makes a user who signs in with this password.
    pub async fn user_with_password(&self, tenant: TenantId, email: &str, password: &str) -> User {
        let draft = UserDraft {
            external_id: None,
            email: Email::parse(email).unwrap(),
            name: None,
            status: UserStatus::Active,
            roles: UserRoles { tenant_admin: false, member: true },
            password: Some(SecretText::new(password.to_owned())),
        };
        self.service.create_user(&Self::access(tenant), draft).await.unwrap()
    }

    /// Makes an API key that may do nothing.
    pub async fn api_key(&self, tenant: TenantId, name: &str) -> IssuedApiKey {
        self.api_key_with(tenant, name, &[]).await
    }

    /// Makes an API key with these scopes.
    pub async fn api_key_with(
        &self,
        tenant: TenantId,
        name: &str,
        scopes: &[&str],
    ) -> IssuedApiKey {
        let draft = ApiKeyDraft {
            name: Name::parse(name).unwrap(),
            scopes: Scopes::parse(scopes.iter().copied()).unwrap(),
            expires_at: None,
            ip_allowlist: Vec::new(),
            rate_limit: None,
        };
        self.service.create_api_key(&Self::access(tenant), draft).await.unwrap()
    }

    /// Makes a confidential OAuth client that may do nothing.
    pub async fn oauth_client(&self, tenant: TenantId, name: &str) -> IssuedOauthClient {
        self.oauth_client_with(tenant, name, &[]).await
    }

    /// A token of a new client with these scopes, and the client.
    pub async fn client_token(&self, tenant: TenantId, scopes: &[&str]) -> (OauthClientId, String) {
        let IssuedOauthClient { client, secret } =
            self.oauth_client_with(tenant, "caller", scopes).await;
        let (client_id, secret) = (client.client_id, secret.unwrap());
        let proof = ClientProof::Secret { client_id, secret };
        let proven = self.service.prove_client(&proof, &[], None).await.unwrap();
        let issued = self.service.client_token(&proven, None).await.unwrap();
        (client.id, issued.token.text.expose().to_owned())
    }

    /// Makes a confidential OAuth client with these scopes.
    pub async fn oauth_client_with(
        &self,
        tenant: TenantId,
        name: &str,
        scopes: &[&str],
    ) -> IssuedOauthClient {
        let draft = OauthClientDraft {
            name: Name::parse(name).unwrap(),
            client_type: ClientType::Confidential,
            redirect_uris: Vec::new(),
            grant_types: vec![GrantType::ClientCredentials],
            scopes: Scopes::parse(scopes.iter().copied()).unwrap(),
            allowed_origins: Vec::new(),
            ip_allowlist: Vec::new(),
            jwks: None,
        };
        self.service.create_oauth_client(&Self::access(tenant), draft).await.unwrap()
    }

    /// Makes a credential of an integration.
    pub async fn credential(&self, tenant: TenantId, integration: &str) -> Credential {
        let parts = vec![(SecretPart::ApiKey, SecretText::new("third-party-key".to_owned()))];
        let draft = CredentialDraft {
            integration_id: IntegrationId::parse(integration).unwrap(),
            credential_name: Name::parse("a credential").unwrap(),
            description: None,
            scopes: Vec::new(),
            token_endpoint: None,
            authorization_endpoint: None,
            metadata: serde_json::Map::new(),
            expires_at: None,
            secret: CredentialSecret::new(AuthType::ApiKey, parts).unwrap(),
        };
        self.service.create_credential(&Self::access(tenant), draft).await.unwrap()
    }

    /// Makes an external realm, with everything as it is unless told.
    pub async fn realm(&self, name: &str, issuer: &str) -> Realm {
        let new = NewRealm {
            id: self.service.new_realm_id(),
            name: RealmName::parse(name).unwrap(),
            issuer: issuer.to_owned(),
            jwks_uri: None,
            audience: "tenantry".to_owned(),
            algorithms: Algorithm::ALL.to_vec(),
            tenant_claim: ClaimPath::parse(TENANT_CLAIM).unwrap(),
            roles_claim: ClaimPath::parse(ROLES_CLAIM).unwrap(),
            role_mapping: None,
            leeway_seconds: LEEWAY,
            platform: false,
        };
        let access = PlatformAccess::local(ActorKind::System, "test");
        self.service.create_realm(&access, new).await.unwrap()
    }

    /// Has a tenant's people come from a realm.
    pub async fn bind(&self, tenant: TenantId, realm: &str) {
        let realm_name = Patch::Set(realm.to_owned());
        let patch = TenantPatch { realm_name, ..TenantPatch::default() };
        self.service.update_tenant(&Self::access(tenant), patch).await.unwrap();
    }

    /// Authority over a tenant, for what a test sets up without HTTP.
    pub fn access(tenant: TenantId) -> TenantAccess {
        TenantAccess::local(tenant, ActorKind::System, "test")
    }

    /// A tenant's id that nobody has.
    pub fn unknown_tenant() -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(0xdead))
    }

    /// Recounts every tenant and walks every ledger. Panics with whatever does not fit.
    pub async fn assert_exact(&self) {
        let store = self.service.store();
        for tenant in store.tenant_ids(None, 1_000).await.unwrap() {
            let report = verify(&**store, tenant).await.unwrap().unwrap();
            assert!(report.flaws.is_empty(), "{tenant}: {:#?}", report.flaws);
        }
    }

    /// Stops the server as SIGTERM would, and recounts everything.
    pub async fn stop(self) {
        self.assert_exact().await;
        drop(self.stop);
        self.stopped.await.unwrap();
    }

    /// Stops the server as [`TestApp::stop`] does and closes its store; answers the data
    /// directory, for tests that look at what SQLite leaves on disk.
    pub async fn close(self) -> tempfile::TempDir {
        self.assert_exact().await;
        drop(self.stop);
        self.stopped.await.unwrap();
        assert!(Arc::into_inner(self.service).is_some(), "something still uses the store");
        match self.parts.backend {
            Backend::Sqlite(directory) => directory,
            Backend::Postgres(_) => panic!("this is about the files of SQLite"),
        }
    }

    /// The present instant, by the server's clock.
    pub fn now(&self) -> tenantry_domain::clock::Timestamp {
        self.clock.now()
    }
}
