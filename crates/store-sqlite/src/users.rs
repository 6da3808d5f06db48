//! Users.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params, params_from_iter};
use tenantry_domain::access::TenantAccess;
use tenantry_domain::counts::{Change, UserFacts};
use tenantry_domain::error::{Conflict, Error, Missing};
use tenantry_domain::id::{TenantId, UserId};
use tenantry_domain::ledger::Action;
use tenantry_domain::page::{Page, PageRequest};
use tenantry_domain::patch::difference;
use tenantry_domain::text::{Email, Name};
use tenantry_domain::user::{
    Collision, Erased, ExternalId, Identity, NewUser, PasswordHash, User, UserFilter, UserPatch,
    UserRoles, UserStatus, Warned, Warning,
};
use tenantry_store::Users;
use tenantry_store::list;
use tenantry_store::posting::Deed;

use crate::SqliteStore;
use crate::books::{Books, counts};
use crate::erasure::Erasure;
use crate::error::Result;
use crate::imports;
use crate::pages::{DIALECT, page_of};
use crate::sql::{self, At, Id, Value, Word, blob, json, tenant_id, text};
use crate::tenants::require;
use crate::{sessions, sign_ins};

/// In the order of [`read`].
macro_rules! columns {
    () => {
        "user_id, external_realm, external_subject, email, name, status, tenant_admin, member, \
         created_at, updated_at, last_login_at"
    };
}

#[async_trait]
impl Users for SqliteStore {
    async fn create_user(
        &self,
        access: &TenantAccess,
        new: NewUser,
    ) -> tenantry_domain::error::Result<User> {
        self.change(access, move |books, access| {
            let password_hash = new.password_hash.clone();
            let user = new.clone().into_user(books.at);
            require_unique(books, &user)?;
            insert(books, &user, password_hash.as_ref(), Existing::IsAFault)?;
            let change = Change::User { before: None, after: Some(user.facts()) };
            books.post(access, deed(Action::UserCreated, &user, change, json(&user)?))?;
            books.person = Some(user.id);
            Ok(user)
        })
        .await
    }

    async fn user(
        &self,
        access: &TenantAccess,
        id: UserId,
    ) -> tenantry_domain::error::Result<User> {
        self.read(|connection| {
            require(connection, access.tenant())?;
            get(connection, access.tenant(), id)
        })
    }

    async fn list_users(
        &self,
        access: &TenantAccess,
        filter: &UserFilter,
        page: &PageRequest<User>,
    ) -> tenantry_domain::error::Result<Page<User>> {
        let (tenant, filter, page) = (access.tenant(), filter.clone(), page.clone());
        let clock = self.context.clock.now();
        self.read_long(move |connection| {
            let (counts, _) = counts(connection, tenant, clock)?;
            let list = list::users(columns!(), tenant, &filter, DIALECT);
            page_of(connection, &page, list, filter.counted(&counts), read)
        })
        .await
    }

    async fn update_user(
        &self,
        access: &TenantAccess,
        id: UserId,
        patch: UserPatch,
    ) -> tenantry_domain::error::Result<Warned<User>> {
        self.change(access, move |books, access| {
            let before = get(books.connection, books.tenant, id)?;
            before.reach().check_grant(access)?;
            let after = patch.clone().apply(&before, books.at)?;
            after.reach().check_grant(access)?;
            require_unique(books, &after)?;
            access.check_match(&before)?;
            if after != before {
                store(books, &after)?;
                if after.status != before.status && !after.facts().active {
                    sessions::end_all(books, id)?;
                } else if after.roles != before.roles {
                    sign_ins::end_invitation(books, id)?;
                }
                let change =
                    Change::User { before: Some(before.facts()), after: Some(after.facts()) };
                let details = difference(&json(&before)?, &json(&after)?);
                books.post(access, deed(Action::UserUpdated, &after, change, details))?;
            }
            let warnings = warnings(books, Some(before.facts()), Some(after.facts()))?;
            Ok(Warned { value: after, warnings })
        })
        .await
    }

    async fn delete_user(
        &self,
        access: &TenantAccess,
        id: UserId,
    ) -> tenantry_domain::error::Result<Warned<User>> {
        self.change(access, move |books, access| {
            let user = get(books.connection, books.tenant, id)?;
            user.reach().check_grant(access)?;
            access.check_match(&user)?;
            remove(books.connection, books.tenant, id)?;
            let change = Change::User { before: Some(user.facts()), after: None };
            books.post(access, deed(Action::UserDeleted, &user, change, json(&user)?))?;
            let warnings = warnings(books, Some(user.facts()), None)?;
            Ok(Warned { value: user, warnings })
        })
        .await
    }

    async fn taken(
        &self,
        access: &TenantAccess,
        identities: Vec<Identity>,
    ) -> tenantry_domain::error::Result<Vec<Collision>> {
        let tenant = access.tenant();
        self.read_long(move |connection| {
            require(connection, tenant)?;
            imports::taken(connection, tenant, &identities)
        })
        .await
    }

    async fn import_users(
        &self,
        access: &TenantAccess,
        users: Vec<NewUser>,
    ) -> tenantry_domain::error::Result<Vec<Collision>> {
        self.change(access, move |books, access| imports::import(books, access, &users)).await
    }

    async fn erase_user(
        &self,
        access: &TenantAccess,
        id: UserId,
    ) -> tenantry_domain::error::Result<Warned<Erased>> {
        let mut erasure = Erasure::of(id);
        self.change_in_parts(access, move |books, access| erasure.go_on(books, access)).await
    }
}

/// Removes the row, and what the user could have gone on with.
pub(crate) fn remove(connection: &Connection, tenant: TenantId, id: UserId) -> Result<()> {
    for sql in [
        "DELETE FROM users WHERE tenant_id = ?1 AND user_id = ?2",
        "DELETE FROM refresh_tokens WHERE tenant_id = ?1 AND session_id IN
             (SELECT session_id FROM sessions WHERE tenant_id = ?1 AND user_id = ?2)",
        "DELETE FROM sessions WHERE tenant_id = ?1 AND user_id = ?2",
        "DELETE FROM invitations WHERE tenant_id = ?1 AND user_id = ?2",
    ] {
        sql::execute(connection, sql, params![tenant_id(tenant), Id(id.as_uuid())])?;
    }
    Ok(())
}

/// What an administrator should know about a change of a user that was just made.
pub(crate) fn warnings(
    books: &Books<'_>,
    before: Option<UserFacts>,
    after: Option<UserFacts>,
) -> Result<Vec<Warning>> {
    let administers =
        |facts: Option<UserFacts>| facts.is_some_and(|facts| facts.active && facts.admin);
    if !administers(before) || administers(after) {
        return Ok(Vec::new());
    }
    let another = sql::optional(
        books.connection,
        "SELECT 1 FROM users WHERE tenant_id = ?1 AND tenant_admin = 1 AND status = 'active'
         LIMIT 1",
        params![tenant_id(books.tenant)],
        |_| Ok(()),
    )?;
    Ok(if another.is_none() { vec![Warning::NoActiveTenantAdmin] } else { Vec::new() })
}

/// A user of this tenant.
pub(crate) fn get(connection: &Connection, tenant: TenantId, id: UserId) -> Result<User> {
    find(connection, tenant, id)?.ok_or_else(|| Error::NotFound(Missing::User).into())
}

/// A user of this tenant, if there is one with this id.
pub(crate) fn find(connection: &Connection, tenant: TenantId, id: UserId) -> Result<Option<User>> {
    let sql = concat!("SELECT ", columns!(), " FROM users WHERE tenant_id = ?1 AND user_id = ?2");
    sql::optional(connection, sql, params![tenant_id(tenant), Id(id.as_uuid())], read)
}

/// The user of this tenant with an external id, if there is one.
pub(crate) fn find_external(
    connection: &Connection,
    tenant: TenantId,
    id: &ExternalId,
) -> Result<Option<User>> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM users WHERE tenant_id = ?1 AND external_realm = ?2 AND external_subject = ?3"
    );
    sql::optional(connection, sql, params![tenant_id(tenant), id.realm, id.subject], read)
}

fn read(row: &Row<'_>) -> rusqlite::Result<User> {
    let realm: Option<String> = row.get(1)?;
    let subject: Option<String> = row.get(2)?;
    Ok(User {
        id: UserId::from_uuid(row.get::<_, Id>(0)?.0),
        external_id: realm.zip(subject).map(|(realm, subject)| ExternalId { realm, subject }),
        email: Email::from_stored(row.get(3)?),
        name: row.get::<_, Option<String>>(4)?.map(Name::from_stored),
        status: row.get::<_, Word<UserStatus>>(5)?.0,
        roles: UserRoles { tenant_admin: row.get(6)?, member: row.get(7)? },
        created_at: row.get::<_, At>(8)?.0,
        updated_at: row.get::<_, At>(9)?.0,
        last_login_at: row.get::<_, Option<At>>(10)?.map(|at| at.0),
    })
}

/// Refuses what another user of the tenant has already. Nobody else writes meanwhile.
fn require_unique(books: &Books<'_>, user: &User) -> Result<()> {
    let email = sql::optional(
        books.connection,
        "SELECT 1 FROM users WHERE tenant_id = ?1 AND email_key = ?2 AND user_id <> ?3",
        params![tenant_id(books.tenant), user.email.key(), Id(user.id.as_uuid())],
        |_| Ok(()),
    )?;
    if email.is_some() {
        return Err(Error::Conflict(Conflict::Email).into());
    }
    let Some(external) = &user.external_id else { return Ok(()) };
    let external = sql::optional(
        books.connection,
        "SELECT 1 FROM users WHERE tenant_id = ?1 AND external_realm = ?2
             AND external_subject = ?3 AND user_id <> ?4",
        params![tenant_id(books.tenant), external.realm, external.subject, Id(user.id.as_uuid())],
        |_| Ok(()),
    )?;
    if external.is_some() {
        return Err(Error::Conflict(Conflict::ExternalId).into());
    }
    Ok(())
}

/// What a user who has the same e-mail or external id means to an insertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Somebody should have looked before.
    IsAFault,
    /// Nothing is inserted.
    IsKept,
}

/// Inserts a row; answers whether it did.
pub(crate) fn insert(
    books: &Books<'_>,
    user: &User,
    password_hash: Option<&PasswordHash>,
    existing: Existing,
) -> Result<bool> {
    macro_rules! insert {
        () => {
            "INSERT INTO users (tenant_id, user_id, email, email_key, name, name_key, status,
                 tenant_admin, member, external_realm, external_subject, updated_at, created_at,
                 password_hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
        };
    }
    let rows = sql::execute(
        books.connection,
        match existing {
            Existing::IsAFault => insert!(),
            Existing::IsKept => concat!(insert!(), " ON CONFLICT DO NOTHING"),
        },
        params_from_iter(values(books, user).into_iter().chain([
            Value::Integer(user.created_at.as_millis()),
            text(password_hash.map(|hash| hash.0.as_str())),
        ])),
    )?;
    Ok(rows > 0)
}

fn store(books: &Books<'_>, user: &User) -> Result<()> {
    sql::execute(
        books.connection,
        "UPDATE users SET email = ?3, email_key = ?4, name = ?5, name_key = ?6, status = ?7,
             tenant_admin = ?8, member = ?9, external_realm = ?10, external_subject = ?11,
             updated_at = ?12
         WHERE tenant_id = ?1 AND user_id = ?2",
        params_from_iter(values(books, user)),
    )?;
    Ok(())
}

/// The key, and the columns that can be changed.
fn values(books: &Books<'_>, user: &User) -> [Value; 12] {
    let name = user.name.as_ref();
    let external = user.external_id.as_ref();
    [
        blob(books.tenant.as_uuid()),
        blob(user.id.as_uuid()),
        text(Some(user.email.as_str())),
        Value::Text(user.email.key()),
        text(name.map(Name::as_str)),
        text(name.map(Name::key).as_deref()),
        text(Some(user.status.as_str())),
        user.roles.tenant_admin.into(),
        user.roles.member.into(),
        text(external.map(|external| external.realm.as_str())),
        text(external.map(|external| external.subject.as_str())),
        Value::Integer(user.updated_at.as_millis()),
    ]
}

pub(crate) fn deed(
    action: Action,
    user: &User,
    change: Change,
    details: serde_json::Value,
) -> Deed {
    Deed { action, change, resource_id: user.id.to_string(), details }
}
