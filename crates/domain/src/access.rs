//! Who may do what. Authority is a value: what acts on a tenant takes a [`TenantAccess`]. A request
//! gets one from [`Caller::authorize`] alone; `local` gives one to whoever holds the data, and the
//! architecture test names the few files that may call it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{AuthFailure, Denied, Error, Result};
use crate::etag::IfMatch;
use crate::id::{TenantId, UserId};
use crate::idempotency::Idempotency;
use crate::ledger::{ActorInfo, ActorKind};
use crate::scope::Scope;
use crate::tenant::TenantStatus;
use crate::usage::Call;
use crate::user::{UserRoles, UserStatus};

/// What a principal is, from the least to the most powerful.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Belongs to a tenant and administers nothing.
    Member,
    /// Administers its own tenant.
    TenantAdmin,
    /// Administers the platform and every tenant.
    SuperAdmin,
}

impl Role {
    /// The name in tokens and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::TenantAdmin => "tenant_admin",
            Self::SuperAdmin => "super_admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Member, Self::TenantAdmin, Self::SuperAdmin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| "must be one of member, tenant_admin, super_admin".to_owned())
    }
}

/// What a request wants to do inside one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// What the tenant's administrators may, and its keys and clients if they have the scope.
    Scope(Scope),
    /// Suspend, activate or delete the tenant: never the tenant's own business.
    Govern,
}

impl From<Scope> for Permission {
    fn from(scope: Scope) -> Self {
        Self::Scope(scope)
    }
}

impl Permission {
    /// Whether the principals of a suspended tenant do without it.
    fn ends_with_suspension(self) -> bool {
        match self {
            Self::Scope(scope) => scope.ends_with_suspension(),
            Self::Govern => true,
        }
    }
}

/// Who a token says is calling, before the store was asked about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// What it is within that tenant.
    pub kind: PrincipalKind,
    /// The most powerful role its token asserts.
    pub role: Role,
}

/// The kinds of principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrincipalKind {
    /// One of the tenant's users: its row decides what the token is worth now.
    User(UserId),
    /// An operator of the tenant without a user row, known by the id of its token.
    Operator(Arc<str>),
}

impl Principal {
    /// What the store must look at to tell what this principal is worth now.
    pub fn probe(&self) -> CallerProbe {
        CallerProbe {
            tenant: self.tenant,
            user: match self.kind {
                PrincipalKind::User(user) => Some(user),
                PrincipalKind::Operator(_) => None,
            },
        }
    }
}

/// What to look up about a caller on every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallerProbe {
    /// The caller's tenant.
    pub tenant: TenantId,
    /// The caller's user row, if it must have one.
    pub user: Option<UserId>,
}

/// What the store knows about a caller now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerState {
    /// The state of the caller's tenant; `None` if there is no such tenant (any more).
    pub tenant: Option<TenantStatus>,
    /// The caller's user row, if the probe asked for one and it is there.
    pub user: Option<Arc<CallerUser>>,
}

/// What matters of a calling user's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerUser {
    /// Only an active user may call.
    pub status: UserStatus,
    /// A token is worth no more than these.
    pub roles: UserRoles,
    /// For the audit log.
    pub email: String,
    /// For the audit log.
    pub name: Option<String>,
}

/// A principal that the store has confirmed, with the request it makes.
#[derive(Debug, Clone)]
pub struct Caller {
    principal: Arc<Principal>,
    actor: Arc<Actor>,
    role: Role,
    suspended: bool,
    call: Option<Arc<Call>>,
    if_match: Option<IfMatch>,
}

impl Caller {
    /// Confirms a principal by what the store knows of it now.
    ///
    /// # Errors
    /// [`AuthFailure::Revoked`] if its tenant is gone, or its user is gone or may not sign in. A
    /// user who has lost a role is still known, and may less.
    pub fn admit(
        principal: &Principal,
        state: &CallerState,
        ip: Option<IpAddr>,
        call: Option<Arc<Call>>,
    ) -> Result<Self> {
        let revoked = || Error::Unauthenticated(AuthFailure::Revoked);
        let tenant_status = state.tenant.ok_or_else(revoked)?;
        let mut role = principal.role;
        let (kind, id, info) = match (&principal.kind, &state.user) {
            (PrincipalKind::User(id), Some(user)) => {
                if user.status != UserStatus::Active {
                    return Err(revoked());
                }
                role = role.min(user.roles.highest_in(principal.tenant));
                let info = ActorInfo {
                    name: user.name.clone(),
                    email: Some(user.email.clone()),
                    ip_address: ip,
                };
                (ActorKind::User, id.to_string(), info)
            }
            (PrincipalKind::User(_), None) => return Err(revoked()),
            // Only the platform's own tenant has super admins.
            (PrincipalKind::Operator(_), _)
                if role == Role::SuperAdmin && principal.tenant != TenantId::PLATFORM =>
            {
                return Err(revoked());
            }
            (PrincipalKind::Operator(token), _) => {
                let info = ActorInfo { ip_address: ip, ..ActorInfo::default() };
                (ActorKind::Operator, token.to_string(), info)
            }
        };
        Ok(Self {
            principal: Arc::new(principal.clone()),
            actor: Arc::new(Actor { tenant: principal.tenant, kind, id, info }),
            role,
            suspended: tenant_status == TenantStatus::Suspended,
            call,
            if_match: None,
        })
    }

    /// The same caller, whose changes are to meet things in a certain state.
    #[must_use]
    pub fn with_if_match(self, if_match: Option<IfMatch>) -> Self {
        Self { if_match, ..self }
    }

    /// The tenant the caller belongs to.
    pub fn tenant(&self) -> TenantId {
        self.actor.tenant
    }

    /// Authority over one tenant.
    ///
    /// `acting_in` is the tenant that `x-tenantid` names, `target` the one that the request is
    /// about.
    ///
    /// # Errors
    /// [`Denied`] without the role, for a tenant that is not the caller's, or for a change by a
    /// principal of a suspended tenant.
    pub fn authorize(
        &self,
        acting_in: TenantId,
        target: TenantId,
        permission: impl Into<Permission>,
    ) -> Result<TenantAccess> {
        let permission = permission.into();
        let own = self.actor.tenant;
        let allowed = match self.role {
            Role::SuperAdmin => acting_in == own || acting_in == target,
            Role::TenantAdmin => {
                acting_in == own && target == own && permission != Permission::Govern
            }
            Role::Member => false,
        };
        if !allowed {
            return Err(Error::Denied(Denied::InsufficientPermissions));
        }
        self.check_suspension(permission)?;
        Ok(TenantAccess {
            tenant: target,
            principal: Some(Arc::clone(&self.principal)),
            permission,
            role: self.role,
            actor: Arc::clone(&self.actor),
            call: self.call.clone(),
            if_match: self.if_match.clone(),
            idempotency: None,
        })
    }

    fn check_suspension(&self, permission: Permission) -> Result<()> {
        let ends = permission.ends_with_suspension();
        if self.suspended && ends && self.role != Role::SuperAdmin {
            return Err(Error::Denied(Denied::TenantSuspended));
        }
        Ok(())
    }

    /// Authority over the platform: the list of tenants, and making new ones.
    ///
    /// # Errors
    /// [`Denied`] for everybody but a super admin.
    pub fn authorize_platform(&self) -> Result<PlatformAccess> {
        if self.role == Role::SuperAdmin {
            Ok(PlatformAccess {
                principal: Some(Arc::clone(&self.principal)),
                actor: Arc::clone(&self.actor),
                call: self.call.clone(),
                idempotency: None,
            })
        } else {
            Err(Error::Denied(Denied::InsufficientPermissions))
        }
    }
}

/// Who does something, as the audit log tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The tenant the actor belongs to.
    pub tenant: TenantId,
    /// What it is.
    pub kind: ActorKind,
    /// Its id: a user's, a token's, or the name of a part of Tenantry.
    pub id: String,
    /// What is personal about it.
    pub info: ActorInfo,
}

/// Authority over one tenant. To hold one is to be allowed.
#[derive(Debug, Clone)]
pub struct TenantAccess {
    tenant: TenantId,
    /// Who was given it; `None` for whoever holds the data.
    principal: Option<Arc<Principal>>,
    permission: Permission,
    role: Role,
    actor: Arc<Actor>,
    call: Option<Arc<Call>>,
    if_match: Option<IfMatch>,
    idempotency: Option<Idempotency>,
}

impl TenantAccess {
    /// Authority of whoever holds the data directory: the command line, the settler.
    pub fn local(tenant: TenantId, kind: ActorKind, id: &str) -> Self {
        PlatformAccess::local(kind, id).tenant(tenant)
    }

    /// The tenant it is about.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Who acts.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The role it was given for: nobody grants more than they have.
    pub fn role(&self) -> Role {
        self.role
    }

    /// What the store must look at before it lets a change through, if the authority can have been
    /// taken back since it was given.
    pub fn probe(&self) -> Option<CallerProbe> {
        self.principal.as_deref().map(Principal::probe)
    }

    /// Confirms the authority to change something, in the transaction of the change: a change that
    /// comes after the caller was disabled, demoted or suspended does not happen, however long it
    /// was on its way.
    ///
    /// # Errors
    /// As [`Caller::admit`] and [`Caller::authorize`].
    pub fn confirm(&self, state: &CallerState) -> Result<()> {
        let Some(principal) = &self.principal else { return Ok(()) };
        let caller = Caller::admit(principal, state, None, None)?;
        if caller.role < self.role {
            return Err(Error::Denied(Denied::InsufficientPermissions));
        }
        caller.check_suspension(self.permission)
    }

    /// Whether the actor is one of the tenant's own principals, whose changes are its activity.
    pub fn is_own(&self) -> bool {
        self.actor.tenant == self.tenant && self.actor.kind.is_principal()
    }

    /// Whether it reaches to asking what an API key of a tenant is worth: one's own tenant, and
    /// from the platform's, which stands in front of all of them, any.
    pub fn may_validate_keys_of(&self, tenant: TenantId) -> bool {
        self.tenant == tenant || self.tenant == TenantId::PLATFORM
    }

    /// Has the call count for the tenant on whose behalf it was made.
    pub fn count_call_for(&self, tenant: TenantId) {
        if let Some(call) = &self.call {
            call.count_for(tenant);
        }
    }

    /// The call to count in the transaction of the change: only a call of the same tenant, since
    /// a transaction stays within one tenant.
    pub fn call(&self) -> Option<&Call> {
        self.call.as_deref().filter(|call| call.tenant() == self.tenant)
    }

    /// Refuses to change a thing that is not in the state that the caller means. For a store to
    /// ask, in the transaction of the change.
    pub fn check_match(&self, thing: &impl Serialize) -> Result<()> {
        self.if_match.as_ref().map_or(Ok(()), |if_match| if_match.check(thing))
    }

    /// Refuses to change what is gone, if the caller means any state of it: there is none.
    pub fn check_no_match(&self) -> Result<()> {
        self.if_match.as_ref().map_or(Ok(()), IfMatch::check_nothing)
    }

    /// The mark to be left in the transaction of the change.
    pub fn idempotency(&self) -> Option<&Idempotency> {
        self.idempotency.as_ref()
    }

    /// The same authority for a change that leads to an `S`, of which `complete` makes what is
    /// answered.
    #[must_use]
    pub fn completed_by<S: 'static, T: 'static>(
        &self,
        complete: impl Fn(&S) -> Result<T> + Send + Sync + 'static,
    ) -> Self {
        let idempotency = self.idempotency.as_ref().map(|it| it.completed_by(complete));
        Self { idempotency, ..self.clone() }
    }
}

/// Authority over the platform as a whole.
#[derive(Debug, Clone)]
pub struct PlatformAccess {
    principal: Option<Arc<Principal>>,
    actor: Arc<Actor>,
    call: Option<Arc<Call>>,
    idempotency: Option<Idempotency>,
}

impl PlatformAccess {
    /// Authority of whoever holds the data directory.
    pub fn local(kind: ActorKind, id: &str) -> Self {
        Self { principal: None, actor: local_actor(kind, id), call: None, idempotency: None }
    }

    /// Authority over one tenant, which a super admin has over each.
    pub fn tenant(&self, tenant: TenantId) -> TenantAccess {
        TenantAccess {
            tenant,
            principal: self.principal.clone(),
            permission: Permission::Govern,
            role: Role::SuperAdmin,
            actor: Arc::clone(&self.actor),
            call: self.call.clone(),
            if_match: None,
            idempotency: self.idempotency.clone(),
        }
    }
}

/// Either kind of authority, as what a mark is left under.
pub trait Authority {
    /// Who acts.
    fn actor(&self) -> &Actor;

    /// The role it was given for.
    fn role(&self) -> Role;

    /// The tenant among whose marks those under this authority are.
    fn marks_of(&self) -> TenantId;

    /// The same authority, for a change that leaves this mark.
    #[must_use]
    fn with_idempotency(self, idempotency: Idempotency) -> Self;
}

impl Authority for TenantAccess {
    fn actor(&self) -> &Actor {
        &self.actor
    }

    fn role(&self) -> Role {
        self.role
    }

    fn marks_of(&self) -> TenantId {
        self.tenant
    }

    fn with_idempotency(self, idempotency: Idempotency) -> Self {
        Self { idempotency: Some(idempotency), ..self }
    }
}

impl Authority for PlatformAccess {
    fn actor(&self) -> &Actor {
        &self.actor
    }

    fn role(&self) -> Role {
        Role::SuperAdmin
    }

    fn marks_of(&self) -> TenantId {
        self.actor.tenant
    }

    fn with_idempotency(self, idempotency: Idempotency) -> Self {
        Self { idempotency: Some(idempotency), ..self }
    }
}

fn local_actor(kind: ActorKind, id: &str) -> Arc<Actor> {
    Arc::new(Actor {
        tenant: TenantId::PLATFORM,
        kind,
        id: id.to_owned(),
        info: ActorInfo::default(),
    })
}
