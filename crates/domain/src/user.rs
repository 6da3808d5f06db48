//! A user of a tenant.

use serde::Serialize;

use crate::access::{Role, TenantAccess};
use crate::action::words;
use crate::clock::Timestamp;
use crate::counts::{Counts, UserFacts};
use crate::error::{Conflict, Denied, Error, Result};
use crate::id::{TenantId, UserId};
use crate::patch::Patch;
use crate::sort::sort_fields;
use crate::text::{Email, Name};

words! {
    /// Whether a user can sign in.
    UserStatus {
        /// Can.
        Active = "active",
        /// Cannot, by an administrator's word.
        Disabled = "disabled",
        /// Cannot, by an administrator's word, until it is taken back.
        Locked = "locked",
        /// Cannot yet: invited and not accepted.
        Invited = "invited",
    }
}

impl UserStatus {
    /// Whether a one-time token lets it set its password: nobody gets around an administrator's word
    /// by one.
    pub const fn may_set_password(self) -> bool {
        matches!(self, Self::Active | Self::Invited)
    }
}

/// The roles a user holds in its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UserRoles {
    /// Administers the tenant.
    pub tenant_admin: bool,
    /// Belongs to it.
    pub member: bool,
}

impl UserRoles {
    /// All there are.
    pub const ALL: Self = Self { tenant_admin: true, member: true };

    /// The roles' names, in their fixed order.
    pub fn names(self) -> Vec<&'static str> {
        [(self.tenant_admin, "tenant_admin"), (self.member, "member")]
            .into_iter()
            .filter_map(|(held, name)| held.then_some(name))
            .collect()
    }

    /// Reads a set of roles.
    ///
    /// # Errors
    /// What would be right, to follow the field's name.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut roles = Self::default();
        for name in names {
            let held = match name {
                "tenant_admin" => &mut roles.tenant_admin,
                "member" => &mut roles.member,
                _ => return Err("must be a list of tenant_admin, member".to_owned()),
            };
            if std::mem::replace(held, true) {
                return Err("must not name a role twice".to_owned());
            }
        }
        Ok(roles)
    }
}

impl UserRoles {
    /// The most that their holder can be in this tenant. Those who administer the platform's own
    /// tenant are the ones who may be super admins.
    pub fn highest_in(self, tenant: TenantId) -> Role {
        match (self.tenant_admin, tenant == TenantId::PLATFORM) {
            (true, true) => Role::SuperAdmin,
            (true, false) => Role::TenantAdmin,
            (false, _) => Role::Member,
        }
    }

    /// What their holder can be, if it is somebody of an external realm: its tokens can say anything, and
    /// its row here can keep it from that.
    #[must_use]
    pub fn beside(self, external_id: Option<&ExternalId>) -> Self {
        if external_id.is_some() { Self::ALL } else { self }
    }

    /// Refuses to give, or to take from somebody, more than one has.
    ///
    /// # Errors
    /// [`Denied::InsufficientPermissions`](crate::error::Denied).
    pub fn check_grant(self, access: &TenantAccess) -> crate::error::Result<()> {
        if access.role() < self.highest_in(access.tenant()) {
            return Err(Error::Denied(Denied::InsufficientPermissions));
        }
        Ok(())
    }
}

impl Serialize for UserRoles {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.names().serialize(serializer)
    }
}

/// The most characters of a subject of an external realm (`OpenID` Connect Core, section 2).
pub const SUBJECT_MAX: usize = 255;

/// Who a person is in an external realm.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct ExternalId {
    /// The realm's name.
    pub realm: String,
    /// The person's `sub` there.
    pub subject: String,
}

impl std::fmt::Display for ExternalId {
    /// The realm's name has no slash, so this leads back to both.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.realm, self.subject)
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Who it is in an external realm, if it comes from one.
    pub external_id: Option<ExternalId>,
    /// Unique in the tenant, without regard to case.
    pub email: Email,
    /// What to call the person.
    pub name: Option<Name>,
    /// Whether it can sign in.
    pub status: UserStatus,
    /// What it may do.
    pub roles: UserRoles,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it last signed in.
    pub last_login_at: Option<Timestamp>,
}

impl User {
    /// What it can be: see [`UserRoles::beside`].
    pub fn reach(&self) -> UserRoles {
        self.roles.beside(self.external_id.as_ref())
    }

    /// What matters of it for the counts.
    pub fn facts(&self) -> UserFacts {
        UserFacts { active: self.status == UserStatus::Active, admin: self.roles.tenant_admin }
    }
}

impl User {
    /// The user, who has set its password at `at`: one who was invited can sign in then.
    #[must_use]
    pub fn with_password_set(self, at: Timestamp) -> Self {
        Self { status: UserStatus::Active, updated_at: at, ..self }
    }
}

/// The hash of a password: a PHC string. Whoever has it can try passwords on it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A user to be made.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the field of `User` of the same name")]
pub struct NewUser {
    pub id: UserId,
    pub external_id: Option<ExternalId>,
    pub email: Email,
    pub name: Option<Name>,
    pub status: UserStatus,
    pub roles: UserRoles,
    /// Of the password, if it has one.
    pub password_hash: Option<PasswordHash>,
}

impl NewUser {
    /// The user, made at `at`.
    pub fn into_user(self, at: Timestamp) -> User {
        User {
            id: self.id,
            external_id: self.external_id,
            email: self.email,
            name: self.name,
            status: self.status,
            roles: self.roles,
            created_at: at,
            updated_at: at,
            last_login_at: None,
        }
    }
}

/// What no two users of a tenant share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The e-mail address, whose case does not matter.
    pub email: Option<Email>,
    /// Who it is in an external realm.
    pub external_id: Option<ExternalId>,
}

/// One of many users has what another user of the tenant has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collision {
    /// The place of the user among the many, from 0.
    pub index: usize,
    /// What it has: [`Conflict::Email`] or [`Conflict::ExternalId`].
    pub conflict: Conflict,
}

/// What the erasure of a person led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// The user.
    pub id: UserId,
    /// How many entries of the ledger lost clear text.
    pub entries: u64,
}

words! {
    /// What an administrator should know about a change that was made all the same.
    Warning {
        /// Nobody is left who can sign in and administer the tenant.
        NoActiveTenantAdmin = "NO_ACTIVE_TENANT_ADMIN",
    }
}

/// What a change led to, and what an administrator should know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warned<T> {
    /// What it led to.
    pub value: T,
    /// What is worth knowing; mostly nothing.
    pub warnings: Vec<Warning>,
}

/// A change of who a person is in an external realm: each part that is given, beside the one that
/// stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each is the field of `ExternalId` of the same name")]
pub struct ExternalIdPatch {
    pub realm: Option<String>,
    pub subject: Option<String>,
}

impl From<ExternalId> for ExternalIdPatch {
    fn from(id: ExternalId) -> Self {
        Self { realm: Some(id.realm), subject: Some(id.subject) }
    }
}

impl ExternalIdPatch {
    fn apply(self, before: Option<&ExternalId>) -> crate::error::Result<ExternalId> {
        let realm = self.realm.or_else(|| before.map(|id| id.realm.clone()));
        let subject = self.subject.or_else(|| before.map(|id| id.subject.clone()));
        let required = |part| Error::invalid(part, "is required");
        Ok(ExternalId {
            realm: realm.ok_or_else(|| required("externalId.realm"))?,
            subject: subject.ok_or_else(|| required("externalId.subject"))?,
        })
    }
}

/// A change of a user.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each is the field of `User` of the same name")]
pub struct UserPatch {
    pub external_id: Patch<ExternalIdPatch>,
    pub email: Option<Email>,
    pub name: Patch<Name>,
    pub status: Option<UserStatus>,
    pub roles: Option<UserRoles>,
}

impl UserPatch {
    /// The user after the change.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it would have an external id without one of its parts.
    pub fn apply(self, before: &User, at: Timestamp) -> crate::error::Result<User> {
        let mut user = before.clone();
        match self.external_id {
            Patch::Keep => {}
            Patch::Clear => user.external_id = None,
            Patch::Set(patch) => {
                user.external_id = Some(patch.apply(before.external_id.as_ref())?);
            }
        }
        self.name.apply(&mut user.name);
        user.email = self.email.unwrap_or(user.email);
        user.status = self.status.unwrap_or(user.status);
        user.roles = self.roles.unwrap_or(user.roles);
        if user != *before {
            user.updated_at = at;
        }
        Ok(user)
    }
}

/// Which statuses to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserStatusFilter {
    /// This one.
    Is(UserStatus),
    /// Every one but active.
    Inactive,
}

sort_fields! {
    /// What users are sorted by.
    UserField of User in "users" {
        /// When it was made.
        CreatedAt = "createdAt": Instant,
        /// When it was last changed.
        UpdatedAt = "updatedAt": Instant,
        /// What to call the person, if that is known.
        Name = "name": OptionalText,
        /// The e-mail address.
        Email = "email": Text,
    }
}

/// Which users to list.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// Those in such a state.
    pub status: Option<UserStatusFilter>,
    /// Those who hold this role.
    pub role: Option<UserRole>,
    /// Those whose e-mail or name contains this, without regard to case.
    pub q: Option<String>,
}

words! {
    /// A role a user can hold.
    UserRole {
        /// Administers the tenant.
        TenantAdmin = "tenant_admin",
        /// Belongs to it.
        Member = "member",
    }
}

impl UserFilter {
    /// The total of the list, where the counts know it.
    pub fn counted(&self, counts: &Counts) -> Option<u64> {
        match (self.status, self.role, &self.q) {
            (None, None, None) => Some(counts.users()),
            (Some(UserStatusFilter::Is(UserStatus::Active)), None, None) => {
                Some(counts.users_active)
            }
            (Some(UserStatusFilter::Inactive), None, None) => Some(counts.users_inactive),
            (None, Some(UserRole::TenantAdmin), None) => Some(counts.admins),
            _ => None,
        }
    }
}
