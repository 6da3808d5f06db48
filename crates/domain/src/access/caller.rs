//! Who calls: as it says, as the store knows it, and what it may.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Actor, Permission, PlatformAccess, Power, Role, TenantAccess};
use crate::api_key::{KeyRefusal, KeyUse, LastUse, PresentedKey, SecretHash};
use crate::clock::Timestamp;
use crate::error::{AuthFailure, Denied, Error, Result};
use crate::etag::IfMatch;
use crate::id::{OauthClientId, SessionId, TenantId, TokenId, UserId};
use crate::ledger::{ActorInfo, ActorKind};
use crate::network::check_address;
use crate::oauth_client::{ClientStatus, OauthClient};
use crate::realm::RealmStanding;
use crate::scope::Scopes;
use crate::tenant::TenantStatus;
use crate::usage::Call;
use crate::user::{ExternalId, UserRoles, UserStatus};

/// Who a request says is calling, before the store was asked about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// What it is within that tenant.
    pub kind: PrincipalKind,
    /// What its token is known by, if it has one that can be ended before its time.
    pub token: Option<TokenIds>,
}

/// What a token is known by, for who ends it before its time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenIds {
    /// The token itself.
    pub id: TokenId,
    /// The session it was issued in, which ends all of its tokens.
    pub session: Option<SessionId>,
    /// The `kid` of the key that has signed it, whose end ends all of its tokens.
    pub key: Arc<str>,
}

/// The kinds of principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrincipalKind {
    /// One of the tenant's users: its row decides what the token is worth now.
    User {
        /// Which one.
        id: UserId,
        /// The most powerful role its token asserts.
        role: Role,
    },
    /// One of the tenant's users, who has a one-time token and may not be active yet: it may do
    /// nothing but set its password.
    Invited(UserId),
    /// An operator of the tenant without a user row.
    Operator {
        /// The id of its token, which it is known by.
        token: Arc<str>,
        /// The most powerful role its token asserts.
        role: Role,
    },
    /// Whoever has the text of an API key, of which this is the hash.
    ApiKey(SecretHash),
    /// An OAuth client.
    Client {
        /// Which one.
        id: OauthClientId,
        /// What its token is for.
        scopes: Scopes,
    },
    /// Somebody for whom an external realm vouches.
    External(ExternalPrincipal),
}

/// Somebody for whom an external realm vouches, in one of its states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalPrincipal {
    /// Who that is there.
    pub id: Arc<ExternalId>,
    /// Which state of the realm has vouched: another one may not.
    pub revision: u64,
    /// The most powerful role its token asserts, and the realm can.
    pub role: Role,
}

impl Principal {
    /// What the store must look at to tell what this principal is worth now.
    pub fn probe(&self) -> CallerProbe {
        let bearer = match &self.kind {
            PrincipalKind::User { id, .. } | PrincipalKind::Invited(id) => {
                Some(BearerId::User(*id))
            }
            PrincipalKind::Operator { .. } => None,
            PrincipalKind::ApiKey(secret) => Some(BearerId::ApiKey(*secret)),
            PrincipalKind::Client { id, .. } => Some(BearerId::Client(*id)),
            PrincipalKind::External(external) => Some(BearerId::External(Arc::clone(&external.id))),
        };
        CallerProbe { tenant: self.tenant, bearer, token: self.token.clone() }
    }
}

impl ExternalPrincipal {
    /// What it is now, in this tenant: by the tenant's own row of it, if there is one.
    fn role_of(
        &self,
        tenant: TenantId,
        person: &ExternalPerson,
        realm: Option<RealmStanding>,
    ) -> Result<Role, AuthFailure> {
        let vouching = realm.filter(|realm| realm.revision == self.revision);
        let realm = vouching.ok_or(AuthFailure::RealmChanged)?;
        let is_tenants = person.tenant_realm.as_ref() == Some(&self.id.realm);
        let is_platforms = realm.platform && tenant == TenantId::PLATFORM;
        if !is_tenants && !is_platforms {
            return Err(AuthFailure::ForeignTenant);
        }
        let role = match &person.user {
            None => self.role,
            Some((_, user)) if user.status == UserStatus::Active => user.roles.highest_in(tenant),
            Some(_) => return Err(AuthFailure::Revoked),
        };
        Ok(role.min(realm.highest_role_in(tenant)))
    }
}

/// What to look up about a caller on every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerProbe {
    /// The caller's tenant.
    pub tenant: TenantId,
    /// What of that tenant the caller must be.
    pub bearer: Option<BearerId>,
    /// What must not have been ended.
    pub token: Option<TokenIds>,
}

impl CallerProbe {
    /// What to look up about somebody who is nothing that the tenant has.
    pub const fn of_tenant(tenant: TenantId) -> Self {
        Self { tenant, bearer: None, token: None }
    }
}

/// Something of a tenant that can call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BearerId {
    /// A user.
    User(UserId),
    /// An API key, by the hash of one of its texts.
    ApiKey(SecretHash),
    /// An OAuth client.
    Client(OauthClientId),
    /// Somebody of an external realm, whether or not the tenant has a user of it.
    External(Arc<ExternalId>),
}

/// What the store knows about a caller now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallerState {
    /// The state of the caller's tenant; `None` if there is no such tenant (any more).
    pub tenant: Option<TenantStatus>,
    /// What the probe asked for, if it is there.
    pub bearer: Option<Bearer>,
    /// Whether the token or its session was ended before its time, or its key is gone.
    pub is_ended: bool,
}

impl CallerState {
    /// The key that was asked for, and why it is not good now, if it is not; `None` if there is no
    /// such key, or no such tenant (any more).
    pub fn presented(&self) -> Option<(&Arc<PresentedKey>, Option<KeyRefusal>)> {
        match (self.tenant?, self.bearer.as_ref()?) {
            (TenantStatus::Suspended, Bearer::ApiKey { key, .. }) => {
                Some((key, Some(KeyRefusal::TenantSuspended)))
            }
            (TenantStatus::Active, Bearer::ApiKey { key, at }) => Some((key, key.refusal(*at))),
            (_, Bearer::User(_) | Bearer::Client(_) | Bearer::External { .. }) => None,
        }
    }
}

/// What the store knows of something that can call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bearer {
    /// A user.
    User(Arc<CallerUser>),
    /// An OAuth client.
    Client(Arc<OauthClient>),
    /// An API key.
    ApiKey {
        /// The key, and one of its texts.
        key: Arc<PresentedKey>,
        /// The instant at which its times are to be judged: now, for its tenant.
        at: Timestamp,
    },
    /// Somebody of an external realm.
    External {
        /// What they are in the tenant.
        person: Arc<ExternalPerson>,
        /// Their realm; `None` if there is no such realm (any more).
        realm: Option<RealmStanding>,
    },
}

/// What somebody of an external realm is in a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalPerson {
    /// The realm that the tenant's people sign in to, if it names one.
    pub tenant_realm: Option<String>,
    /// The tenant's user with this external id, if there is one.
    pub user: Option<(UserId, CallerUser)>,
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
    power: Power,
    suspended: bool,
    call: Option<Arc<Call>>,
    if_match: Option<IfMatch>,
}

impl Caller {
    /// Confirms a principal by what the store knows of it now.
    ///
    /// # Errors
    /// [`AuthFailure`] if its tenant is gone, its token was ended, its user or client is gone or may
    /// not act, its key is no good now, it is not for this address, or its realm has changed or is
    /// not the tenant's. A user who has lost a role is still known, and may less.
    pub fn admit(
        principal: &Principal,
        state: &CallerState,
        ip: Option<IpAddr>,
        call: Option<Arc<Call>>,
    ) -> Result<Self> {
        let revoked = Error::Unauthenticated(AuthFailure::Revoked);
        let Some(tenant_status) = state.tenant.filter(|_| !state.is_ended) else {
            return Err(revoked);
        };
        let (power, kind, id, name, email) = match (&principal.kind, &state.bearer) {
            (PrincipalKind::User { id, role }, Some(Bearer::User(user)))
                if user.status == UserStatus::Active =>
            {
                let role = user.roles.highest_in(principal.tenant).min(*role);
                let email = Some(user.email.clone());
                (Power::Role(role), ActorKind::User, id.to_string(), user.name.clone(), email)
            }
            (PrincipalKind::Invited(id), Some(Bearer::User(user)))
                if user.status.may_set_password() =>
            {
                let email = Some(user.email.clone());
                let power = Power::Scopes(Scopes::default());
                (power, ActorKind::User, id.to_string(), user.name.clone(), email)
            }
            // Only the platform's own tenant has super admins.
            (PrincipalKind::Operator { token, role }, _)
                if *role < Role::SuperAdmin || principal.tenant == TenantId::PLATFORM =>
            {
                (Power::Role(*role), ActorKind::Operator, token.to_string(), None, None)
            }
            (PrincipalKind::ApiKey(secret), Some(Bearer::ApiKey { key, at })) => {
                key.check_use(*at, ip).map_err(Error::Unauthenticated)?;
                if let Some(call) = &call {
                    let last = LastUse { at: call.received, from: ip };
                    let (tenant, secret) = (principal.tenant, *secret);
                    call.note_use(KeyUse { tenant, key: key.id, secret, last });
                }
                let power = Power::Scopes(key.scopes.clone());
                let name = Some(key.name.to_string());
                (power, ActorKind::ApiKey, key.id.to_string(), name, None)
            }
            (PrincipalKind::Client { scopes, .. }, Some(Bearer::Client(client)))
                if client.status == ClientStatus::Active =>
            {
                check_address(&client.ip_allowlist, ip).map_err(Error::Unauthenticated)?;
                let power = Power::Scopes(scopes.within(&client.scopes));
                let name = Some(client.name.to_string());
                (power, ActorKind::OauthClient, client.id.to_string(), name, None)
            }
            (PrincipalKind::External(external), Some(Bearer::External { person, realm })) => {
                let role = external.role_of(principal.tenant, person, *realm);
                let role = Power::Role(role.map_err(Error::Unauthenticated)?);
                match &person.user {
                    Some((id, user)) => {
                        let email = Some(user.email.clone());
                        (role, ActorKind::User, id.to_string(), user.name.clone(), email)
                    }
                    None => (role, ActorKind::External, external.id.to_string(), None, None),
                }
            }
            _ => return Err(revoked),
        };
        let info = ActorInfo { name, email, ip_address: ip };
        Ok(Self {
            principal: Arc::new(principal.clone()),
            actor: Arc::new(Actor { tenant: principal.tenant, kind, id, info }),
            power,
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
        let within_reach = match self.power {
            Power::Role(Role::SuperAdmin) => acting_in == own || acting_in == target,
            _ => acting_in == own && target == own,
        };
        if !within_reach || !self.power.allows(permission) {
            return Err(Error::Denied(Denied::InsufficientPermissions));
        }
        self.check_suspension(permission)?;
        Ok(TenantAccess {
            tenant: target,
            principal: Some(Arc::clone(&self.principal)),
            permission,
            power: self.power.clone(),
            actor: Arc::clone(&self.actor),
            call: self.call.clone(),
            if_match: self.if_match.clone(),
            idempotency: None,
        })
    }

    fn check_suspension(&self, permission: Permission) -> Result<()> {
        let ends = permission.ends_with_suspension();
        if self.suspended && ends && self.power != Power::Role(Role::SuperAdmin) {
            return Err(Error::Denied(Denied::TenantSuspended));
        }
        Ok(())
    }

    /// Authority over the platform: the list of tenants, and making new ones.
    ///
    /// # Errors
    /// [`Denied`] for everybody but a super admin.
    pub fn authorize_platform(&self) -> Result<PlatformAccess> {
        if self.power == Power::Role(Role::SuperAdmin) {
            Ok(PlatformAccess {
                principal: Some(Arc::clone(&self.principal)),
                actor: Arc::clone(&self.actor),
                call: self.call.clone(),
                if_match: self.if_match.clone(),
                idempotency: None,
            })
        } else {
            Err(Error::Denied(Denied::InsufficientPermissions))
        }
    }
}

impl TenantAccess {
    /// Confirms the authority to change something, in the transaction of the change: a change that
    /// comes after the caller was disabled, demoted, revoked or suspended does not happen, however
    /// long it was on its way.
    ///
    /// # Errors
    /// As [`Caller::admit`] and [`Caller::authorize`].
    pub fn confirm(&self, state: &CallerState) -> Result<()> {
        let Some(principal) = &self.principal else { return Ok(()) };
        let caller = Caller::admit(principal, state, self.actor.info.ip_address, None)?;
        if !caller.power.includes(&self.power) {
            return Err(Error::Denied(Denied::InsufficientPermissions));
        }
        caller.check_suspension(self.permission)
    }
}
