//! Who may do what. Authority is a value: what acts on a tenant takes a [`TenantAccess`]. A request
//! gets one from [`Caller::authorize`] alone; `local` gives one to whoever holds the data, and the
//! architecture test names the few files that may call it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::api_key::{KeyUse, LastUse, SecretHash};
use crate::error::Result;
use crate::etag::IfMatch;
use crate::id::{ApiKeyId, TenantId};
use crate::idempotency::Idempotency;
use crate::ledger::{ActorInfo, ActorKind};
use crate::scope::{Scope, Scopes};
use crate::usage::Call;

mod caller;

pub use caller::{
    Bearer, BearerId, Caller, CallerProbe, CallerState, CallerUser, ExternalPerson,
    ExternalPrincipal, Principal, PrincipalKind, TokenIds,
};

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
    /// What everybody may do about themselves: begin and end a session, end a token.
    Oneself,
    /// What everybody may do about themselves, and that is a change of the tenant: set one's
    /// password.
    OwnPassword,
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
            Self::Govern | Self::OwnPassword => true,
            Self::Oneself => false,
        }
    }
}

/// What a caller may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Power {
    /// What the role says.
    Role(Role),
    /// These things, within its own tenant.
    Scopes(Scopes),
}

impl Power {
    /// What its bearer is among people: whoever is trusted with some things alone is nobody there,
    /// and neither gives roles nor lays hands on those who have one.
    pub fn role(&self) -> Role {
        match self {
            Self::Role(role) => *role,
            Self::Scopes(_) => Role::Member,
        }
    }

    /// Whether it reaches to something.
    pub fn allows(&self, permission: Permission) -> bool {
        match (self, permission) {
            (Self::Role(Role::SuperAdmin), _)
            | (_, Permission::Oneself | Permission::OwnPassword) => true,
            // This one reaches beyond the tenant.
            (Self::Role(Role::TenantAdmin), Permission::Scope(scope)) => {
                scope != Scope::UsageWriteAny
            }
            (Self::Scopes(scopes), Permission::Scope(scope)) => scopes.include(scope),
            (Self::Role(Role::TenantAdmin) | Self::Scopes(_), Permission::Govern)
            | (Self::Role(Role::Member), _) => false,
        }
    }

    /// Whether it is at least as much as another.
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Role(one), Self::Role(other)) => one >= other,
            (power, Self::Scopes(scopes)) => {
                scopes.iter().all(|scope| power.allows(Permission::Scope(scope)))
            }
            (Self::Scopes(_), Self::Role(_)) => false,
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
    power: Power,
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

    /// What it was given for: nobody grants more than they have.
    pub fn power(&self) -> &Power {
        &self.power
    }

    /// The role it was given for.
    pub fn role(&self) -> Role {
        self.power.role()
    }

    /// What the store must look at before it lets a change through, if the authority can have been
    /// taken back since it was given.
    pub fn probe(&self) -> Option<CallerProbe> {
        self.principal.as_deref().map(Principal::probe)
    }

    /// Whether the actor is one of the tenant's own principals, whose changes are its activity.
    pub fn is_own(&self) -> bool {
        self.actor.tenant == self.tenant && self.actor.kind.is_principal()
    }

    /// Whether somebody of another tenant has it: the platform's people, over those of everybody.
    pub fn is_from_outside(&self) -> bool {
        self.actor.tenant != self.tenant && self.actor.kind.is_principal()
    }

    /// The same authority, for something beside the change that is to leave a mark.
    #[must_use]
    pub fn unmarked(&self) -> Self {
        Self { idempotency: None, ..self.clone() }
    }

    /// Whether it reaches to asking what an API key of a tenant is worth: one's own tenant, and
    /// from the platform's, which stands in front of all of them, any.
    pub fn may_validate_keys_of(&self, tenant: TenantId) -> bool {
        self.tenant == tenant || self.tenant == TenantId::PLATFORM
    }

    /// Has the call count for the tenant of an API key that is asked about, and as a use of the key if
    /// it is good: the call for which it is shown is made somewhere else, and nobody knows from where.
    pub fn count_call_for(&self, tenant: TenantId, used: Option<(ApiKeyId, SecretHash)>) {
        let Some(call) = &self.call else { return };
        call.count_for(tenant);
        if let Some((key, secret)) = used {
            let last = LastUse { at: call.received, from: None };
            call.note_use(KeyUse { tenant, key, secret, last });
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
    if_match: Option<IfMatch>,
    idempotency: Option<Idempotency>,
}

impl PlatformAccess {
    /// Authority of whoever holds the data directory.
    pub fn local(kind: ActorKind, id: &str) -> Self {
        let actor = local_actor(kind, id);
        Self { principal: None, actor, call: None, if_match: None, idempotency: None }
    }

    /// Authority over one tenant, which a super admin has over each.
    pub fn tenant(&self, tenant: TenantId) -> TenantAccess {
        TenantAccess {
            tenant,
            principal: self.principal.clone(),
            permission: Permission::Govern,
            power: Power::Role(Role::SuperAdmin),
            actor: Arc::clone(&self.actor),
            call: self.call.clone(),
            if_match: self.if_match.clone(),
            idempotency: self.idempotency.clone(),
        }
    }

    /// Authority over what there is once for all tenants. What is done with it stands in the ledger
    /// of the platform's own tenant.
    pub fn installation(&self) -> TenantAccess {
        self.tenant(TenantId::PLATFORM)
    }
}

/// Either kind of authority, as what a mark is left under.
pub trait Authority {
    /// Who acts.
    fn actor(&self) -> &Actor;

    /// What it was given for.
    fn power(&self) -> Power;

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

    fn power(&self) -> Power {
        self.power.clone()
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

    fn power(&self) -> Power {
        Power::Role(Role::SuperAdmin)
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
