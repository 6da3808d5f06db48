//! Users.

use async_trait::async_trait;
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
use tokio_postgres::Row;

use crate::PostgresStore;
use crate::books::Books;
use crate::erasure::Erasure;
use crate::error::Result;
use crate::pages::{DIALECT, page_of};
use crate::session::{Command, Session};
use crate::sql::{Columns as _, Value, Word, json, params};
use crate::standing::Standing;
use crate::tenants::{ask_status, require};
use crate::{imports, sessions, sign_ins, tenants};

/// In the order of [`read`].
macro_rules! columns {
    () => {
        "user_id, external_realm, external_subject, email, name, status, tenant_admin, member, \
         created_at, updated_at, last_login_at"
    };
}

/// Inserts a row of [`new_values`].
macro_rules! insert {
    () => {
        "INSERT INTO users (tenant_id, user_id, email, email_key, name, name_key, status,
             tenant_admin, member, external_realm, external_subject, updated_at, created_at,
             password_hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
    };
}
pub(crate) use insert;

#[async_trait]
impl Users for PostgresStore {
    async fn create_user(
        &self,
        access: &TenantAccess,
        new: NewUser,
    ) -> tenantry_domain::error::Result<User> {
        change!(self, access, |books| {
            let password_hash = new.password_hash.clone();
            let user = new.clone().into_user(books.at);
            require_unique(books, &user).await?;
            let values = new_values(books.tenant, &user, password_hash.as_ref());
            books.session.write_one(insert!(), values);
            let change = Change::User { before: None, after: Some(user.facts()) };
            books.post(access, deed(Action::UserCreated, &user, change, json(&user)?))?;
            books.person = Some(user.id);
            Ok(user)
        })
    }

    async fn user(
        &self,
        access: &TenantAccess,
        id: UserId,
    ) -> tenantry_domain::error::Result<User> {
        let asked = [ask_status(access.tenant()), ask(access.tenant(), id)];
        self.read(asked, |[tenant, found]| {
            require(&tenant)?;
            found.first().map_or_else(|| Err(missing()), read)
        })
        .await
    }

    async fn list_users(
        &self,
        access: &TenantAccess,
        filter: &UserFilter,
        page: &PageRequest<User>,
    ) -> tenantry_domain::error::Result<Page<User>> {
        let tenant = access.tenant();
        let clock = self.context.clock.now();
        self.retried(|| async {
            let mut opened = self.database.snapshot().await?;
            let session = &mut opened;
            let standing = Standing::of(session, tenant, clock).await?;
            let list = list::users(columns!(), tenant, filter, DIALECT);
            page_of(session, page, list, filter.counted(&standing.counts), read).await
        })
        .await
    }

    async fn update_user(
        &self,
        access: &TenantAccess,
        id: UserId,
        patch: UserPatch,
    ) -> tenantry_domain::error::Result<Warned<User>> {
        change!(self, access, |books| {
            let before = get(&mut books.session, books.tenant, id).await?;
            before.reach().check_grant(access)?;
            let after = patch.clone().apply(&before, books.at)?;
            after.reach().check_grant(access)?;
            require_unique(books, &after).await?;
            access.check_match(&before)?;
            if after != before {
                store(books, &after);
                if after.status != before.status && !after.facts().active {
                    sessions::end_all(books, id);
                } else if after.roles != before.roles {
                    sign_ins::end_invitation(books, id);
                }
                let change =
                    Change::User { before: Some(before.facts()), after: Some(after.facts()) };
                let details = difference(&json(&before)?, &json(&after)?);
                books.post(access, deed(Action::UserUpdated, &after, change, details))?;
            }
            let warnings = warnings(books, Some(before.facts()), Some(after.facts())).await?;
            Ok(Warned { value: after, warnings })
        })
    }

    async fn delete_user(
        &self,
        access: &TenantAccess,
        id: UserId,
    ) -> tenantry_domain::error::Result<Warned<User>> {
        change!(self, access, |books| {
            let user = get(&mut books.session, books.tenant, id).await?;
            user.reach().check_grant(access)?;
            access.check_match(&user)?;
            remove(books, id);
            let change = Change::User { before: Some(user.facts()), after: None };
            books.post(access, deed(Action::UserDeleted, &user, change, json(&user)?))?;
            let warnings = warnings(books, Some(user.facts()), None).await?;
            Ok(Warned { value: user, warnings })
        })
    }

    async fn taken(
        &self,
        access: &TenantAccess,
        identities: Vec<Identity>,
    ) -> tenantry_domain::error::Result<Vec<Collision>> {
        let tenant = access.tenant();
        self.retried(|| async {
            let mut opened = self.database.snapshot().await?;
            let session = &mut opened;
            let [found] = session.each([ask_status(tenant)]).await?;
            tenants::require(&found)?;
            imports::taken(session, tenant, &identities).await
        })
        .await
    }

    async fn import_users(
        &self,
        access: &TenantAccess,
        users: Vec<NewUser>,
    ) -> tenantry_domain::error::Result<Vec<Collision>> {
        change!(self, access, |books| imports::import(books, access, &users).await)
    }

    async fn erase_user(
        &self,
        access: &TenantAccess,
        id: UserId,
    ) -> tenantry_domain::error::Result<Warned<Erased>> {
        change!(self, access, Erasure::of(id), |books, erasure| erasure.go_on(books, access).await)
    }
}

/// Removes the row, and what the user could have gone on with.
pub(crate) fn remove(books: &mut Books, id: UserId) {
    let sql = "DELETE FROM users WHERE tenant_id = $1 AND user_id = $2";
    books.session.write_one(sql, params![books.tenant, id]);
    for sql in [
        "DELETE FROM refresh_tokens WHERE tenant_id = $1 AND session_id IN
             (SELECT session_id FROM sessions WHERE tenant_id = $1 AND user_id = $2)",
        "DELETE FROM sessions WHERE tenant_id = $1 AND user_id = $2",
        "DELETE FROM invitations WHERE tenant_id = $1 AND user_id = $2",
    ] {
        books.session.write(sql, params![books.tenant, id]);
    }
}

/// What an administrator should know about a change of a user that was just made.
pub(crate) async fn warnings(
    books: &mut Books,
    before: Option<UserFacts>,
    after: Option<UserFacts>,
) -> Result<Vec<Warning>> {
    let administers =
        |facts: Option<UserFacts>| facts.is_some_and(|facts| facts.active && facts.admin);
    if !administers(before) || administers(after) {
        return Ok(Vec::new());
    }
    let sql = "SELECT 1 FROM users WHERE tenant_id = $1 AND tenant_admin AND status = 'active'
         LIMIT 1";
    let another = books.session.optional(sql, params![books.tenant]).await?;
    Ok(if another.is_none() { vec![Warning::NoActiveTenantAdmin] } else { Vec::new() })
}

fn missing() -> crate::error::Fault {
    Error::NotFound(Missing::User).into()
}

fn ask(tenant: TenantId, id: UserId) -> Command {
    let sql = concat!("SELECT ", columns!(), " FROM users WHERE tenant_id = $1 AND user_id = $2");
    Command::new(sql, params![tenant, id])
}

/// A user of this tenant.
pub(crate) async fn get(session: &mut Session, tenant: TenantId, id: UserId) -> Result<User> {
    find(session, tenant, id).await?.ok_or_else(missing)
}

/// A user of this tenant, if there is one with this id.
pub(crate) async fn find(
    session: &mut Session,
    tenant: TenantId,
    id: UserId,
) -> Result<Option<User>> {
    let [found] = session.each([ask(tenant, id)]).await?;
    found.first().map(read).transpose()
}

fn read(row: &Row) -> Result<User> {
    let realm: Option<String> = row.try_get(1)?;
    let subject: Option<String> = row.try_get(2)?;
    Ok(User {
        id: UserId::from_uuid(row.try_get(0)?),
        external_id: realm.zip(subject).map(|(realm, subject)| ExternalId { realm, subject }),
        email: Email::from_stored(row.try_get(3)?),
        name: row.try_get::<_, Option<String>>(4)?.map(Name::from_stored),
        status: row.try_get::<_, Word<UserStatus>>(5)?.0,
        roles: UserRoles { tenant_admin: row.try_get(6)?, member: row.try_get(7)? },
        created_at: row.at(8)?,
        updated_at: row.at(9)?,
        last_login_at: row.at_if_any(10)?,
    })
}

/// Refuses what another user of the tenant has already. Nobody else changes the tenant meanwhile.
async fn require_unique(books: &mut Books, user: &User) -> Result<()> {
    let email = "SELECT 1 FROM users WHERE tenant_id = $1 AND email_key = $2 AND user_id <> $3";
    let external = "SELECT 1 FROM users WHERE tenant_id = $1 AND external_realm = $2
         AND external_subject = $3 AND user_id <> $4";
    let (tenant, id) = (books.tenant, user.external_id.as_ref());
    let (realm, subject) = (id.map(|id| &id.realm), id.map(|id| &id.subject));
    let [email, external] = books
        .session
        .each([
            Command::new(email, params![tenant, user.email.key(), user.id]),
            Command::new(external, params![tenant, realm, subject, user.id]),
        ])
        .await?;
    if !email.is_empty() {
        return Err(Error::Conflict(Conflict::Email).into());
    }
    if !external.is_empty() {
        return Err(Error::Conflict(Conflict::ExternalId).into());
    }
    Ok(())
}

pub(crate) fn new_values(
    tenant: TenantId,
    user: &User,
    password_hash: Option<&PasswordHash>,
) -> Vec<Value> {
    let mut values = values(tenant, user);
    values.extend(params![user.created_at, password_hash.map(|hash| &hash.0)]);
    values
}

fn store(books: &mut Books, user: &User) {
    let values = values(books.tenant, user);
    books.session.write_one(
        "UPDATE users SET email = $3, email_key = $4, name = $5, name_key = $6, status = $7,
             tenant_admin = $8, member = $9, external_realm = $10, external_subject = $11,
             updated_at = $12
         WHERE tenant_id = $1 AND user_id = $2",
        values,
    );
}

/// The key, and the columns that can be changed.
fn values(tenant: TenantId, user: &User) -> Vec<Value> {
    let name = user.name.as_ref();
    let external = user.external_id.as_ref();
    params![
        tenant,
        user.id,
        user.email.as_str(),
        user.email.key(),
        name.map(Name::as_str),
        name.map(Name::key),
        user.status.as_str(),
        user.roles.tenant_admin,
        user.roles.member,
        external.map(|external| &external.realm),
        external.map(|external| &external.subject),
        user.updated_at,
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
