//! Fills an installation through the port, as its server would: every row has its entry in the
//! ledger, and every number its rows.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Error, Result};
use tenantry_domain::access::{PlatformAccess, TenantAccess};
use tenantry_domain::clock::{Clock as _, SystemClock, Timestamp};
use tenantry_domain::credential::{AuthType, IntegrationId, NewCredential, Sealed};
use tenantry_domain::id::{CredentialId, TenantId, UserId};
use tenantry_domain::ledger::ActorKind;
use tenantry_domain::tenant::{NewTenant, Subscription};
use tenantry_domain::text::{Email, Name};
use tenantry_domain::user::{NewUser, UserRoles, UserStatus};
use tenantry_security::entropy::SystemEntropy;
use tenantry_store::{Credentials as _, Tenants as _, Users as _};
use tenantry_store_sqlite::SqliteStore;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Users of one import.
const IMPORT: u64 = 50_000;
/// Changes that are asked for at once, so that they share commits.
const AT_ONCE: u64 = 512;
/// One user in so many is an administrator, and one is locked.
const ONE_IN: u64 = 25;
/// A sealed secret is about as long; nobody opens it.
const SEALED: [u8; 96] = [0; 96];

/// Whoever fills an installation that no server uses.
#[derive(Debug)]
pub(crate) struct Filler {
    runtime: Runtime,
    store: Arc<SqliteStore>,
}

impl Filler {
    /// One for this data directory.
    pub(crate) fn of(directory: &Path) -> Result<Self> {
        let store = SqliteStore::serve(directory, Arc::new(SystemClock), Arc::new(SystemEntropy))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
        Ok(Self { runtime, store: Arc::new(store) })
    }

    /// Makes so many tenants, with the ids that [`tenant`] tells.
    pub(crate) fn tenants(&self, number: u64) -> Result<()> {
        self.each(number, |store, number| async move {
            let new = NewTenant {
                id: tenant(number).parse().map_err(Error::msg)?,
                name: name(&format!("Tenant {number}"))?,
                display_name: None,
                server_url: None,
                realm_name: None,
                settings: serde_json::Map::new(),
                subscription: Subscription::default(),
                storage_quota: None,
            };
            store.create_tenant(&platform(), new).await?;
            Ok(())
        })
    }

    /// Makes so many users of the first tenant.
    pub(crate) fn users(&self, number: u64) -> Result<()> {
        let access = first_tenant()?;
        let mut made = 0;
        while made < number {
            let next = number.min(made + IMPORT);
            let mut ids: Vec<_> =
                (made..next).map(|_| UserId::generate(now(), &SystemEntropy)).collect();
            ids.sort_unstable();
            let users: Result<_> = (made..next).zip(ids).map(|(it, id)| user(it, id)).collect();
            self.runtime.block_on(self.store.import_users(&access, users?))?;
            made = next;
        }
        Ok(())
    }

    /// Makes so many credentials of the first tenant.
    pub(crate) fn credentials(&self, number: u64, expires_at: Option<Timestamp>) -> Result<()> {
        let access = first_tenant()?;
        self.each(number, move |store, number| {
            let access = access.clone();
            async move {
                store.create_credential(&access, credential(number, expires_at)?).await?;
                Ok(())
            }
        })
    }

    /// Does something for each number below `end`, many of them at once.
    fn each<F>(
        &self,
        end: u64,
        what: impl Fn(Arc<SqliteStore>, u64) -> F + Clone + Send + 'static,
    ) -> Result<()>
    where
        F: Future<Output = Result<()>> + Send,
    {
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for first in 0..AT_ONCE {
                let (store, what) = (Arc::clone(&self.store), what.clone());
                tasks.spawn(async move {
                    let mut number = first;
                    while number < end {
                        what(Arc::clone(&store), number).await?;
                        number += AT_ONCE;
                    }
                    Ok(())
                });
            }
            tasks.join_all().await.into_iter().collect()
        })
    }
}

/// The id of a tenant; the first one has the number 0.
pub(crate) fn tenant(number: u64) -> String {
    format!("01980000-0000-7000-8000-{number:012x}")
}

fn first_tenant() -> Result<TenantAccess> {
    let id: TenantId = tenant(0).parse().map_err(Error::msg)?;
    Ok(platform().tenant(id))
}

fn platform() -> PlatformAccess {
    PlatformAccess::local(ActorKind::System, "benchmark")
}

fn now() -> Timestamp {
    SystemClock.now()
}

fn name(text: &str) -> Result<Name> {
    Name::parse(text).map_err(Error::msg)
}

fn user(number: u64, id: UserId) -> Result<NewUser> {
    Ok(NewUser {
        id,
        external_id: None,
        email: Email::parse(&format!("person.{number}@example.com")).map_err(Error::msg)?,
        name: Some(name(&format!("Person {number}"))?),
        status: if number % ONE_IN == 1 { UserStatus::Locked } else { UserStatus::Active },
        roles: UserRoles { tenant_admin: number.is_multiple_of(ONE_IN), member: true },
        password_hash: None,
    })
}

fn credential(number: u64, expires_at: Option<Timestamp>) -> Result<NewCredential> {
    Ok(NewCredential {
        id: CredentialId::generate(now(), &SystemEntropy),
        integration_id: IntegrationId::parse("github").map_err(Error::msg)?,
        credential_name: name(&format!("Credential {number}"))?,
        description: None,
        auth_type: AuthType::ApiKey,
        scopes: Vec::new(),
        token_endpoint: None,
        authorization_endpoint: None,
        metadata: serde_json::Map::new(),
        expires_at,
        secret: Sealed(SEALED.to_vec()),
    })
}
