//! The sample platform: real rows, made through the use cases under a clock that starts last month,
//! so that what has expired has expired and last month's calls were last month's.

use std::sync::atomic::{AtomicI64, Ordering};

use tenantry_domain::access::{
    Caller, CallerState, Permission, PlatformAccess, Principal, PrincipalKind, Role, TenantAccess,
};
use tenantry_domain::clock::{Clock, Month, Timestamp};
use tenantry_domain::error::Result;
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::ActorKind;
use tenantry_domain::tenant::{Governance, NewTenant, Subscription, TenantStatus};
use tenantry_domain::usage::Bytes;
use tenantry_service::Service;

mod life;
mod sample;
#[cfg(test)]
mod tests;

pub(crate) use sample::{ACME, TENANTS};

/// A clock that is moved by hand.
#[derive(Debug, Default)]
pub(crate) struct DemoClock(AtomicI64);

impl Clock for DemoClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

impl DemoClock {
    fn set(&self, at: Timestamp) {
        self.0.store(at.as_millis(), Ordering::Relaxed);
    }
}

/// The time the sample lives in: from the first of last month to ten minutes ago.
#[derive(Debug, Clone, Copy)]
struct Era {
    start: Timestamp,
    this_month: Timestamp,
    end: Timestamp,
}

impl Era {
    fn before(now: Timestamp) -> Self {
        let this_month = Month::of(now);
        Self {
            start: this_month.previous().start(),
            this_month: this_month.start(),
            end: now.plus_millis(-600_000),
        }
    }

    /// The instant at this share, in thousandths, of the whole era.
    fn at(&self, thousandths: i64) -> Timestamp {
        let length = self.end.as_millis() - self.start.as_millis();
        self.start.plus_millis(length / 1_000 * thousandths)
    }
}

/// Loads the sample as it is at `now`; `loaded` is called after each tenant.
pub(crate) async fn load(
    service: &Service,
    clock: &DemoClock,
    now: Timestamp,
    mut loaded: impl FnMut(),
) -> Result<()> {
    let era = Era::before(now);
    for plan in sample::plans() {
        clock.set(era.start);
        let access = found(service, &plan).await?;
        life::live(service, clock, &access, &plan, era).await?;
        if plan.suspended {
            let operator = platform().tenant(access.tenant());
            service.govern_tenant(&operator, Governance::Suspend).await?;
        }
        loaded();
    }
    Ok(())
}

/// What one tenant of the sample comes to have.
#[derive(Debug, Clone)]
struct Plan {
    id: TenantId,
    name: &'static str,
    subscription: &'static str,
    users: Users,
    credentials: Credentials,
    api_keys: ApiKeys,
    oauth_clients: Clients,
    calls_last_month: u64,
    calls_this_month: u64,
    /// In bytes, over its sources.
    storage: Bytes,
    storage_quota: Option<Bytes>,
    suspended: bool,
    /// Whether one of its own principals has done anything.
    active: bool,
}

#[derive(Debug, Clone, Copy)]
struct Users {
    active: u64,
    inactive: u64,
    admins: u64,
}

#[derive(Debug, Clone, Copy)]
struct Credentials {
    active: u64,
    expired: u64,
}

#[derive(Debug, Clone, Copy)]
struct ApiKeys {
    active: u64,
    expired: u64,
    revoked: u64,
}

#[derive(Debug, Clone, Copy)]
struct Clients {
    active: u64,
    disabled: u64,
}

fn platform() -> PlatformAccess {
    PlatformAccess::local(ActorKind::CommandLine, "tenantry demo")
}

/// Makes the tenant; answers the authority of one of its own operators, or of the platform's if
/// none of its own ever does anything.
async fn found(service: &Service, plan: &Plan) -> Result<TenantAccess> {
    let new = NewTenant {
        id: plan.id,
        name: life::name(plan.name)?,
        display_name: None,
        server_url: None,
        realm_name: None,
        settings: serde_json::Map::new(),
        subscription: Subscription {
            plan: Some(plan.subscription.to_owned()),
            users_limit: None,
            expires_at: None,
        },
        storage_quota: plan.storage_quota,
    };
    service.create_tenant(&platform(), new).await?;
    if !plan.active {
        return Ok(platform().tenant(plan.id));
    }
    let principal = Principal {
        tenant: plan.id,
        kind: PrincipalKind::Operator("demo".into()),
        role: Role::TenantAdmin,
    };
    let state = CallerState { tenant: Some(TenantStatus::Active), user: None };
    Caller::admit(&principal, &state, None, None)?.authorize(plan.id, plan.id, Permission::Write)
}
