//! What happens to a tenant of the sample between last month and now.

use tenantry_domain::access::TenantAccess;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::credential::{AuthType, IntegrationId, SecretPart};
use tenantry_domain::error::{Error, Result};
use tenantry_domain::oauth_client::{ClientStatus, ClientType, GrantType, OauthClientPatch};
use tenantry_domain::scope::Scopes;
use tenantry_domain::text::{Email, Name};
use tenantry_domain::usage::{Bytes, UsageEvent, UsageReport};
use tenantry_domain::user::{User, UserPatch, UserRoles, UserStatus};
use tenantry_security::secret::SecretText;
use tenantry_service::{ApiKeyDraft, CredentialDraft, OauthClientDraft, Service, UserDraft};

use super::{DemoClock, Era, Plan};

const DAY_MS: i64 = 86_400_000;

/// Lets the tenant live through the era; its last sign of life is at the era's end.
pub(super) async fn live(
    service: &Service,
    clock: &DemoClock,
    access: &TenantAccess,
    plan: &Plan,
    era: Era,
) -> Result<()> {
    let life = Life { service, access, plan };
    clock.set(era.at(50));
    let users = life.sign_up().await?;
    clock.set(era.at(200));
    life.keep_credentials(era).await?;
    life.make_api_keys(era).await?;
    clock.set(era.at(400));
    life.register_clients().await?;
    clock.set(era.at(700));
    life.say_goodbye(&users).await?;
    clock.set(era.end);
    life.rename_somebody(&users).await?;
    // A month that is minutes old has its calls already, and none is reported ahead of its time.
    clock.set(era.end.max(era.this_month));
    life.report_calls("last", era.start, era.this_month, plan.calls_last_month).await?;
    life.report_calls("this", era.this_month, era.end, plan.calls_this_month).await?;
    life.report_storage(era.end).await
}

struct Life<'a> {
    service: &'a Service,
    access: &'a TenantAccess,
    plan: &'a Plan,
}

impl Life<'_> {
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
            made.push(self.service.create_user(self.access, draft).await?);
        }
        Ok(made)
    }

    /// Some are locked out, disabled or asked to come back, and two leave.
    async fn say_goodbye(&self, users: &[User]) -> Result<()> {
        let statuses = [UserStatus::Disabled, UserStatus::Locked, UserStatus::Invited];
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let (gone, staying) = (users.iter().rev().take(2), users.iter().rev().skip(2));
        for user in gone {
            self.service.delete_user(self.access, user.id).await?;
        }
        let inactive = staying.take(count(self.plan.users.inactive));
        for (user, status) in inactive.zip(statuses.into_iter().cycle()) {
            let patch = UserPatch { status: Some(status), ..UserPatch::default() };
            self.service.update_user(self.access, user.id, patch).await?;
        }
        Ok(())
    }

    /// The newest sign of life.
    async fn rename_somebody(&self, users: &[User]) -> Result<()> {
        let Some(user) = users.first() else { return Ok(()) };
        let name = name("Ada Byron")?;
        let patch =
            UserPatch { name: tenantry_domain::patch::Patch::Set(name), ..UserPatch::default() };
        self.service.update_user(self.access, user.id, patch).await.map(drop)
    }

    async fn keep_credentials(&self, era: Era) -> Result<()> {
        let credentials = self.plan.credentials;
        for number in 0..credentials.active + credentials.expired {
            let expires_at = if number < credentials.expired {
                Some(expiry(era, number))
            } else if number.is_multiple_of(2) {
                Some(era.end.plus_millis(365 * DAY_MS))
            } else {
                None
            };
            let integration = ["github", "slack", "salesforce", "stripe", "jira"];
            let integration = integration
                .iter()
                .cycle()
                .nth(usize::try_from(number % 5).unwrap_or_default())
                .unwrap_or(&"custom");
            let draft = CredentialDraft {
                integration_id: IntegrationId::parse(integration).map_err(Error::internal)?,
                credential_name: name(&format!("{integration} {number}"))?,
                description: None,
                auth_type: AuthType::ApiKey,
                scopes: Vec::new(),
                token_endpoint: None,
                authorization_endpoint: None,
                metadata: serde_json::Map::new(),
                expires_at,
                secret: vec![(SecretPart::ApiKey, SecretText::new(format!("sample-{number}")))],
            };
            self.service.create_credential(self.access, draft).await?;
        }
        Ok(())
    }

    async fn make_api_keys(&self, era: Era) -> Result<()> {
        let keys = self.plan.api_keys;
        for number in 0..keys.active + keys.expired + keys.revoked {
            let draft = ApiKeyDraft {
                name: name(&format!("integration {number}"))?,
                scopes: Scopes::parse(["stats:read", "users:read"]).map_err(Error::internal)?,
                expires_at: (number < keys.expired).then(|| expiry(era, number)),
                ip_allowlist: Vec::new(),
            };
            let issued = self.service.create_api_key(self.access, draft).await?;
            if number >= keys.active + keys.expired {
                self.service.revoke_api_key(self.access, issued.api_key.id).await?;
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
            };
            let issued = self.service.create_oauth_client(self.access, draft).await?;
            if number >= clients.active {
                let patch = OauthClientPatch {
                    status: Some(ClientStatus::Disabled),
                    ..OauthClientPatch::default()
                };
                self.service.update_oauth_client(self.access, issued.client.id, patch).await?;
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
        self.service.report_usage(self.access, events.collect()).await.map(drop)
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
        self.service.report_usage(self.access, events.into()).await.map(drop)
    }
}

/// An instant after everything was made and before the era's end.
fn expiry(era: Era, number: u64) -> Timestamp {
    era.at(500 + i64::try_from(number % 100).unwrap_or_default())
}

/// A name of the sample.
pub(super) fn name(text: &str) -> Result<Name> {
    Name::parse(text).map_err(Error::internal)
}

/// First and last names, each pair another person for a long while.
fn person(number: u64) -> (&'static str, &'static str) {
    const FIRST: [&str; 16] = [
        "Ada", "Bruno", "Chidi", "Dalia", "Emre", "Freya", "Gita", "Hugo", "Ines", "Jonas",
        "Kaori", "Liam", "Mara", "Nadia", "Omar", "Priya",
    ];
    const LAST: [&str; 11] = [
        "Abara", "Berg", "Castro", "Dahl", "Eriksen", "Fontaine", "Gupta", "Haddad", "Ito",
        "Jansen", "Kowalski",
    ];
    let pick = |names: &[&'static str], number: u64| {
        let place = usize::try_from(number).unwrap_or_default() % names.len();
        names.get(place).copied().unwrap_or("Alex")
    };
    (pick(&FIRST, number), pick(&LAST, number))
}
