//! Accesses, drafts and short ways to ask, so that a case says only what it is about.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use tenantry_domain::access::{
    BearerId, Caller, CallerProbe, CallerState, Permission, PlatformAccess, Principal,
    PrincipalKind, Role, TenantAccess,
};
use tenantry_domain::api_key::{ApiKey, KeyRefusal, NewApiKey, PresentedKey, Rotation, SecretHash};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::Counts;
use tenantry_domain::credential::{AuthType, Credential, IntegrationId, NewCredential, Sealed};
use tenantry_domain::entropy::Entropy;
use tenantry_domain::error::Result;
use tenantry_domain::etag::IfMatch;
use tenantry_domain::id::{ApiKeyId, CredentialId, OauthClientId, RealmId, TenantId, UserId};
use tenantry_domain::ledger::{Action, ActorKind, Entry};
use tenantry_domain::oauth_client::{ClientType, GrantType, NewOauthClient, OauthClient};
use tenantry_domain::page::{PageRequest, PageStart};
use tenantry_domain::realm::{Algorithm, NewRealm, Realm, RealmName, RoleMapping};
use tenantry_domain::realm_rules::ClaimPath;
use tenantry_domain::scope::Scope;
use tenantry_domain::scope::Scopes;
use tenantry_domain::sort::{Listed, Sort};
use tenantry_domain::stats::Statistics;
use tenantry_domain::tenant::{NewTenant, Subscription, TenantStatus};
use tenantry_domain::text::{Email, Name};
use tenantry_domain::usage::{Call, CallCount};
use tenantry_domain::user::{NewUser, User, UserRoles, UserStatus};

use super::harness::Fixture;
use crate::Opening;

/// The id of the principal that [`own`] acts as.
pub const OPERATOR: &str = "operator";

/// The first page in the order of creation, as large as pages get.
pub fn all<T: Listed>() -> PageRequest<T> {
    PageRequest { limit: 500, from: PageStart::Offset { sort: Sort::default(), offset: 0 } }
}

/// Authority over the platform, by no principal.
pub fn platform() -> PlatformAccess {
    PlatformAccess::local(ActorKind::System, "test")
}

/// Authority over a tenant, by no principal.
pub fn system(tenant: TenantId) -> TenantAccess {
    platform().tenant(tenant)
}

/// Authority over a tenant by one of its own principals, with the call it makes.
pub fn own(tenant: TenantId, call: Option<&Arc<Call>>) -> TenantAccess {
    own_to(tenant, Permission::Scope(Scope::UsersWrite), call).unwrap()
}

/// The same to do something else, if it may.
pub fn own_to(
    tenant: TenantId,
    permission: Permission,
    call: Option<&Arc<Call>>,
) -> Result<TenantAccess> {
    let role = if tenant == TenantId::PLATFORM { Role::SuperAdmin } else { Role::TenantAdmin };
    caller(tenant, role, call).authorize(tenant, tenant, permission)
}

/// Authority of a super admin over a tenant, with the call, which counts for the platform.
pub fn super_admin(tenant: TenantId, call: Option<&Arc<Call>>) -> TenantAccess {
    caller(TenantId::PLATFORM, Role::SuperAdmin, call)
        .authorize(tenant, tenant, Permission::Govern)
        .unwrap()
}

/// Authority of a super admin over a tenant, for changes of things in this state.
pub fn if_match(tenant: TenantId, if_match: IfMatch) -> TenantAccess {
    caller(TenantId::PLATFORM, Role::SuperAdmin, None)
        .with_if_match(Some(if_match))
        .authorize(tenant, tenant, Permission::Govern)
        .unwrap()
}

/// Authority over the platform, for changes of things in this state.
pub fn platform_if_match(if_match: IfMatch) -> PlatformAccess {
    caller(TenantId::PLATFORM, Role::SuperAdmin, None)
        .with_if_match(Some(if_match))
        .authorize_platform()
        .unwrap()
}

fn caller(tenant: TenantId, role: Role, call: Option<&Arc<Call>>) -> Caller {
    let principal = Principal {
        tenant,
        kind: PrincipalKind::Operator { token: OPERATOR.into(), role },
        token: None,
    };
    let state = CallerState { tenant: Some(TenantStatus::Active), ..CallerState::default() };
    Caller::admit(&principal, &state, None, call.cloned()).unwrap()
}

/// A name.
pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// An e-mail address.
pub fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

/// The name of a realm.
pub fn realm_name(text: &str) -> RealmName {
    RealmName::parse(text).unwrap()
}

/// The integration that the credentials of [`Fixture::new_credential`] belong to.
pub fn integration() -> IntegrationId {
    IntegrationId::parse("github").unwrap()
}

/// For a secret that is not to be come by.
pub fn unopened() -> Opening {
    Arc::new(|_, _| panic!("a secret that the caller has no business with was found"))
}

/// The instant that a text says.
pub fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Calls that are activity, all of them received at one instant.
pub const fn calls(tenant: TenantId, calls: u64, at: Timestamp) -> CallCount {
    CallCount { tenant, calls, last_call: at, last_activity: Some(at) }
}

impl Fixture {
    /// This many milliseconds after what the clock shows.
    pub fn in_millis(&self, millis: i64) -> Timestamp {
        self.now().plus_millis(millis)
    }

    /// A tenant to be made.
    pub fn new_tenant(&self, text: &str) -> NewTenant {
        NewTenant {
            id: TenantId::generate(self.now(), self.entropy.as_ref()),
            name: name(text),
            display_name: None,
            server_url: None,
            realm_name: None,
            settings: serde_json::Map::new(),
            subscription: Subscription::default(),
            storage_quota: None,
        }
    }

    /// An active member to be made.
    pub fn new_user(&self, address: &str) -> NewUser {
        NewUser {
            id: UserId::generate(self.now(), self.entropy.as_ref()),
            external_id: None,
            email: email(address),
            name: None,
            status: UserStatus::Active,
            roles: UserRoles { tenant_admin: false, member: true },
            password_hash: None,
        }
    }

    /// An API key to be made.
    pub fn new_api_key(&self, expires_at: Option<Timestamp>) -> NewApiKey {
        let entropy: &dyn Entropy = self.entropy.as_ref();
        NewApiKey {
            id: ApiKeyId::generate(self.now(), entropy),
            name: name("a key"),
            prefix: "tnt_abcd".to_owned(),
            secret_hash: SecretHash(entropy.bytes()),
            scopes: Scopes::parse(["stats:read", "users:write"]).unwrap(),
            expires_at,
            ip_allowlist: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            rate_limit: NonZeroU32::new(600),
        }
    }

    /// A new secret for an API key.
    pub fn rotation(&self, grace_seconds: u32) -> Rotation {
        let entropy: &dyn Entropy = self.entropy.as_ref();
        let secret_hash = SecretHash(entropy.bytes());
        Rotation { prefix: "tnt_efgh".to_owned(), secret_hash, grace_seconds }
    }

    /// An OAuth client to be made.
    pub fn new_oauth_client(&self) -> NewOauthClient {
        let entropy: &dyn Entropy = self.entropy.as_ref();
        let id = OauthClientId::generate(self.now(), entropy);
        NewOauthClient {
            id,
            client_id: format!("client-{id}"),
            secret_hash: Some(SecretHash(entropy.bytes())),
            name: name("a client"),
            client_type: ClientType::Confidential,
            redirect_uris: vec!["https://app.example.com/back".to_owned()],
            grant_types: vec![GrantType::ClientCredentials],
            scopes: Scopes::parse(["stats:read"]).unwrap(),
            allowed_origins: vec!["https://app.example.com".to_owned()],
            ip_allowlist: vec!["192.0.2.7".parse().unwrap()],
            jwks: None,
        }
    }

    /// A credential of [`integration`] to be made.
    pub fn new_credential(&self, expires_at: Option<Timestamp>) -> NewCredential {
        NewCredential {
            id: CredentialId::generate(self.now(), self.entropy.as_ref()),
            integration_id: integration(),
            credential_name: name("a credential"),
            description: Some("for the nightly export".to_owned()),
            auth_type: AuthType::ApiKey,
            scopes: vec!["repo".to_owned()],
            token_endpoint: Some("https://third.example.com/token".to_owned()),
            authorization_endpoint: None,
            metadata: serde_json::Map::from_iter([("team".to_owned(), "export".into())]),
            expires_at,
            secret: Sealed(b"sealed".to_vec()),
        }
    }

    /// A realm to be made.
    pub fn new_realm(&self, text: &str) -> NewRealm {
        NewRealm {
            id: RealmId::generate(self.now(), self.entropy.as_ref()),
            name: realm_name(text),
            issuer: format!("https://{text}.example.com"),
            jwks_uri: None,
            audience: "tenantry".to_owned(),
            algorithms: vec![Algorithm::Es256, Algorithm::Rs256],
            tenant_claim: ClaimPath::parse("tenant").unwrap(),
            roles_claim: ClaimPath::parse("realm_access.roles").unwrap(),
            role_mapping: Some(RoleMapping::from([("boss".to_owned(), Role::TenantAdmin)])),
            leeway_seconds: 5,
            platform: false,
        }
    }

    /// Makes a realm.
    pub async fn realm(&self, text: &str) -> Realm {
        self.store.create_realm(&platform(), self.new_realm(text)).await.unwrap()
    }

    /// Makes a tenant.
    pub async fn tenant(&self, text: &str) -> TenantId {
        self.store.create_tenant(&platform(), self.new_tenant(text)).await.unwrap().id
    }

    /// Makes an active member.
    pub async fn user(&self, tenant: TenantId, address: &str) -> User {
        self.store.create_user(&system(tenant), self.new_user(address)).await.unwrap()
    }

    /// Makes an API key.
    pub async fn api_key(&self, tenant: TenantId, expires_at: Option<Timestamp>) -> ApiKey {
        self.store.create_api_key(&system(tenant), self.new_api_key(expires_at)).await.unwrap()
    }

    /// Makes an OAuth client.
    pub async fn oauth_client(&self, tenant: TenantId) -> OauthClient {
        self.store.create_oauth_client(&system(tenant), self.new_oauth_client()).await.unwrap()
    }

    /// Makes a credential of [`integration`].
    pub async fn credential(&self, tenant: TenantId, expires_at: Option<Timestamp>) -> Credential {
        let new = self.new_credential(expires_at);
        self.store.create_credential(&system(tenant), new).await.unwrap()
    }

    /// Reveals a credential of [`integration`]: answers it and its secret, as it is sealed.
    pub async fn reveal(&self, tenant: TenantId, id: CredentialId) -> Result<(Credential, Sealed)> {
        let opened = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&opened);
        let open: Opening = Arc::new(move |_, sealed| {
            *slot.lock().unwrap() = Some(sealed.clone());
            Ok(())
        });
        let access = system(tenant);
        let credential = self.store.reveal_credential(&access, &integration(), id, open).await?;
        let sealed = opened.lock().unwrap().take().unwrap();
        Ok((credential, sealed))
    }

    /// What a secret belongs to, and why it is not good, if it is not.
    pub async fn presented(
        &self,
        tenant: TenantId,
        secret: SecretHash,
    ) -> Option<(Arc<PresentedKey>, Option<KeyRefusal>)> {
        let probe = CallerProbe { tenant, bearer: Some(BearerId::ApiKey(secret)), token: None };
        let state = self.store.caller_state(&probe).await.unwrap();
        let (with_statistics, _) = self.store.statistics(&probe, tenant).await.unwrap();
        assert_eq!(with_statistics.presented(), state.presented());
        state.presented().map(|(key, refusal)| (Arc::clone(key), refusal))
    }

    /// A tenant's statistics, if there is such a tenant.
    pub async fn find_statistics(&self, tenant: TenantId) -> Option<Statistics> {
        let probe = CallerProbe::of_tenant(TenantId::PLATFORM);
        let (_, statistics) = self.store.statistics(&probe, tenant).await.unwrap();
        statistics.open(&system(tenant)).unwrap()
    }

    /// A tenant's statistics.
    pub async fn statistics(&self, tenant: TenantId) -> Statistics {
        self.find_statistics(tenant).await.unwrap()
    }

    /// A tenant's counts.
    pub async fn counts(&self, tenant: TenantId) -> Counts {
        self.statistics(tenant).await.counts
    }

    /// A tenant's ledger, oldest entry first.
    pub async fn entries(&self, tenant: TenantId) -> Vec<Entry> {
        self.store.entries_after(tenant, 0, 10_000).await.unwrap()
    }

    /// The actions of a tenant's ledger, oldest first.
    pub async fn actions(&self, tenant: TenantId) -> Vec<Action> {
        self.entries(tenant).await.iter().map(|entry| entry.action).collect()
    }

    /// The newest entry of a tenant's ledger.
    pub async fn newest_entry(&self, tenant: TenantId) -> Entry {
        self.entries(tenant).await.pop().unwrap()
    }

    /// A call that nobody has counted yet, received now.
    pub fn call(&self, tenant: TenantId) -> Arc<Call> {
        Arc::new(Call::new(tenant, self.now(), true))
    }
}
