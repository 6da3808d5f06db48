//! What happens to a tenant of the sample between last month and now.

use tenantry_domain::access::{
    Caller, CallerState, PlatformAccess, Principal, PrincipalKind, Role, TenantAccess,
};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::credential::{AuthType, IntegrationId, SecretPart};
use tenantry_domain::error::{Error, Result};
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::ActorKind;
use tenantry_domain::oauth_client::{ClientStatus, ClientType, GrantType, OauthClientPatch};
use tenantry_domain::scope::{Scope, Scopes};
use tenantry_domain::tenant::{Governance, NewTenant, Subscription, TenantStatus};
use tenantry_domain::text::{Email, Name};
use tenantry_domain::usage::{Bytes, UsageEvent, UsageReport};
use tenantry_domain::user::{User, UserPatch, UserRoles, UserStatus};
use tenantry_security::secret::SecretText;
use tenantry_service::{
    ApiKeyDraft, CredentialDraft, CredentialSecret, OauthClientDraft, Service, UserDraft,
};

use super::sample::person;
use super::{Chapter, Era, Plan};

const DAY_MS: i64 = 86_400_000;

/// The life of one tenant.
pub(super) struct Life<'a> {
    service: &'a Service,
    plan: &'a Plan,
    era: Era,
    /// Of one of its own operators, or of the platform's if none of its own ever does anything.
    access: TenantAccess,
    users: Vec<User>,
}

impl<'a> Life<'a> {
    /// A life that has not begun.
    pub(super) fn new(service: &'a Service, plan: &'a Plan, era: Era) -> Result<Self> {
        let access = if plan.active { operator(plan.id)? } else { platform().tenant(plan.id) };
        Ok(Self { service, plan, era, access, users: Vec::new() })
    }

    /// Lives through a chapter.
    pub(super) async fn live(&mut self, chapter: Chapter) -> Result<()> {
        match chapter {
            Chapter::Founding => self.found().await,
            Chapter::SignUp => {
                self.users = self.sign_up().await?;
                Ok(())
            }
            Chapter::Equipment => {
                self.keep_credentials().await?;
                self.make_api_keys().await
            }
            Chapter::Clients => self.register_clients().await,
            Chapter::Farewells => self.say_goodbye().await,
            Chapter::LastSignOfLife => self.rename_somebody().await,
            Chapter::Reports => {
                let Era { start, this_month, end } = self.era;
                self.report_calls("last", start, this_month, self.plan.calls_last_month).await?;
                self.report_calls("this", this_month, end, self.plan.calls_this_month).await?;
                self.report_storage(end).await?;
                self.suspend().await
            }
        }
    }

    async fn found(&self) -> Result<()> {
        let new = NewTenant {
            id: self.plan.id,
            name: name(self.plan.name)?,
            display_name: None,
            server_url: None,
            realm_name: None,
            settings: serde_json::Map::new(),
            subscription: Subscription {
                plan: Some(self.plan.subscription.to_owned()),
                users_limit: None,
                expires_at: None,
            },
            storage_quota: self.plan.storage_quota,
        };
        self.service.create_tenant(&platform(), new).await.map(drop)
    }

    async fn suspend(&self) -> Result<()> {
        if self.plan.suspended {
            let access = platform().tenant(self.plan.id);
            self.service.govern_tenant(&access, Governance::Suspend).await?;
        }
        Ok(())
    }

    /// Everybody signs up as an active user; two more than will stay.
    async fn sign_up(&self) -> Result<Vec<User>> {
        let users = self.plan.users;
        let mut made = Vec::new();
        for number in 0..users.active + users.inactive + 2 {
            let (first, last) = person(number);
            let domain = self.plan.name.split(' ').next().unwrap_or("example").to_lowercase();
            let draft = UserDraft {
                external_id: None,
                email: Email::parse(
                    &format!("{first}.{last}.{number}@{domain}.example").to_lowercase(),
                )
                .map_err(Error::internal)?,
                name: Some(name(&format!("{first} {last}"))?),
                status: UserStatus::Active,
                roles: UserRoles { tenant_admin: number < users.admins, member: true },
                password: None,
            };
            made.push(self.service.create_user(&self.access, draft).await?);
        }
        Ok(made)
    }

    /// Some are locked out, disabled or asked to come back, and two leave.
    async fn say_goodbye(&self) -> Result<()> {
        let statuses = [UserStatus::Disabled, UserStatus::Locked, UserStatus::Invited];
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let newest = || self.users.iter().rev();
        let (gone, staying) = (newest().take(2), newest().skip(2));
        for user in gone {
            self.service.delete_user(&self.access, user.id).await?;
        }
        let inactive = staying.take(count(self.plan.users.inactive));
        for (user, status) in inactive.zip(statuses.into_iter().cycle()) {
            let patch = UserPatch { status: Some(status), ..UserPatch::default() };
            self.service.update_user(&self.access, user.id, patch).await?;
        }
        Ok(())
    }

    /// The newest sign of life.
    async fn rename_somebody(&self) -> Result<()> {
        let Some(user) = self.users.first() else { return Ok(()) };
        let name = name("Ada Byron")?;
        let patch =
            UserPatch { name: tenantry_domain::patch::Patch::Set(name), ..UserPatch::default() };
        self.service.update_user(&self.access, user.id, patch).await.map(drop)
    }

    async fn keep_credentials(&self) -> Result<()> {
        let credentials = self.plan.credentials;
        for number in 0..credentials.active + credentials.expired {
            let expires_at = if number < credentials.expired {
                Some(expiry(self.era, number))
            } else if number.is_multiple_of(2) {
                Some(self.era.end.plus_millis(365 * DAY_MS))
            } else {
                None
            };
            let integration = ["github", "slack", "salesforce", "stripe", "jira"];
            let integration = integration
                .iter()
                .cycle()
                .nth(usize::try_from(number % 5).unwrap_or_default())
                .unwrap_or(&"custom");
            let parts = vec![(SecretPart::ApiKey, SecretText::new(format!("sample-{number}")))];
            let draft = CredentialDraft {
                integration_id: IntegrationId::parse(integration).map_err(Error::internal)?,
                credential_name: name(&format!("{integration} {number}"))?,
                description: None,
                scopes: Vec::new(),
                token_endpoint: None,
                authorization_endpoint: None,
                metadata: serde_json::Map::new(),
                expires_at,
                secret: CredentialSecret::new(AuthType::ApiKey, parts).map_err(Error::Invalid)?,
            };
            self.service.create_credential(&self.access, draft).await?;
        }
        Ok(())
    }

    async fn make_api_keys(&self) -> Result<()> {
        let keys = self.plan.api_keys;
        for number in 0..keys.active + keys.expired + keys.revoked {
            let draft = ApiKeyDraft {
                name: name(&format!("integration {number}"))?,
                scopes: Scopes::parse(["stats:read", "users:read"]).map_err(Error::internal)?,
                expires_at: (number < keys.expired).then(|| expiry(self.era, number)),
                ip_allowlist: Vec::new(),
                rate_limit: None,
            };
            let issued = self.service.create_api_key(&self.access, draft).await?;
            if number >= keys.active + keys.expired {
                self.service.revoke_api_key(&self.access, issued.api_key.id).await?;
            }
        }
        Ok(())
    }

    async fn register_clients(&self) -> Result<()> {
        let clients = self.plan.oauth_clients;
        for number in 0..clients.active + clients.disabled {
            let draft = OauthClientDraft {
                name: name(&format!("application {number}"))?,
                client_type: ClientType::Confidential,
                redirect_uris: Vec::new(),
                grant_types: vec![GrantType::ClientCredentials],
                scopes: Scopes::parse(["stats:read"]).map_err(Error::internal)?,
                allowed_origins: Vec::new(),
                ip_allowlist: Vec::new(),
                jwks: None,
            };
            let issued = self.service.create_oauth_client(&self.access, draft).await?;
            if number >= clients.active {
                let patch = OauthClientPatch {
                    status: Some(ClientStatus::Disabled),
                    ..OauthClientPatch::default()
                };
                self.service.update_oauth_client(&self.access, issued.client.id, patch).await?;
            }
        }
        Ok(())
    }

    /// Calls that a gateway reports, spread over a time.
    async fn report_calls(
        &self,
        label: &str,
        from: Timestamp,
        to: Timestamp,
        calls: u64,
    ) -> Result<()> {
        const REPORTS: u64 = 20;
        let length = (to.as_millis() - from.as_millis()).max(0);
        let events = (0..REPORTS).map(|number| {
            // The remainder goes into the first report.
            let rest = if number == 0 { calls % REPORTS } else { 0 };
            let share = i64::try_from(number).unwrap_or_default();
            let offset = length / i64::try_from(REPORTS).unwrap_or(1) * share;
            UsageEvent {
                source: "urn:example:gateway".to_owned(),
                id: format!("{label}-month-{number}"),
                time: from.plus_millis(offset),
                report: UsageReport::Calls(calls / REPORTS + rest),
            }
        });
        self.service.report_usage(&self.access, events.collect()).await.map(drop)
    }

    /// Two services hold its data.
    async fn report_storage(&self, at: Timestamp) -> Result<()> {
        let documents = self.plan.storage.get() / 5 * 3;
        let backups = self.plan.storage.get() - documents;
        let events =
            [("documents", documents), ("backups", backups)].map(|(source, bytes)| UsageEvent {
                source: format!("urn:example:{source}"),
                id: "1".to_owned(),
                time: at,
                report: UsageReport::Storage(Bytes::new(bytes)),
            });
        self.service.report_usage(&self.access, events.into()).await.map(drop)
    }
}

fn platform() -> PlatformAccess {
    PlatformAccess::local(ActorKind::CommandLine, "tenantry demo")
}

/// Authority of an operator of the tenant.
fn operator(tenant: TenantId) -> Result<TenantAccess> {
    let principal = Principal {
        tenant,
        kind: PrincipalKind::Operator { token: "demo".into(), role: Role::TenantAdmin },
        token: None,
    };
    let state = CallerState { tenant: Some(TenantStatus::Active), ..CallerState::default() };
    Caller::admit(&principal, &state, None, None)?.authorize(tenant, tenant, Scope::UsersWrite)
}

/// An instant after everything was made and before the era's end.
fn expiry(era: Era, number: u64) -> Timestamp {
    era.at(500 + i64::try_from(number % 100).unwrap_or_default())
}

/// A name of the sample.
fn name(text: &str) -> Result<Name> {
    Name::parse(text).map_err(Error::internal)
}
