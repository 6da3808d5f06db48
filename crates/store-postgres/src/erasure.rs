//! Erasing a person: the row, and what the ledger tells of it, a bounded part at a time.

use tenantry_domain::access::{Role, TenantAccess};
use tenantry_domain::counts::Change;
use tenantry_domain::error::{Error, Missing};
use tenantry_domain::id::{TenantId, UserId};
use tenantry_domain::ledger::Action;
use tenantry_domain::user::{Erased, User, UserRoles, Warned, Warning};
use tenantry_store::posting::Deed;

use crate::books::Books;
use crate::error::Result;
use crate::session::Session;
use crate::sql::{Columns as _, params};
use crate::{Outcome, marks, users};

/// Entries that are gone through in one transaction, so that nobody waits long.
const AT_ONCE: u64 = 500;

/// An erasure under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Erasure {
    user: UserId,
    /// The entries up to this one have been gone through.
    through: u64,
    erased: u64,
}

impl Erasure {
    pub(crate) fn of(user: UserId) -> Self {
        Self { user, through: 0, erased: 0 }
    }

    /// The next part of it. The row goes in the last one, together with the entry that says so:
    /// an erasure that is cut short has not happened yet and can be asked for again.
    pub(crate) async fn go_on(
        mut self,
        books: &mut Books,
        access: &TenantAccess,
    ) -> Result<Outcome<Warned<Erased>, Self>> {
        let (tenant, id) = (books.tenant, self.user);
        let user = users::find(&mut books.session, tenant, id).await?;
        // Of who is gone nobody knows any more what they were.
        let roles = user.as_ref().map_or(UserRoles::ALL, User::reach);
        roles.check_grant(access)?;
        match &user {
            Some(user) => access.check_match(user)?,
            None if is_known(&mut books.session, tenant, id, access).await? => {
                access.check_no_match()?;
            }
            None => return Err(Error::NotFound(Missing::User).into()),
        }
        let found = entries_after(&mut books.session, tenant, id, self.through).await?;
        if let (Some((first, _)), Some((last, _))) = (found.first(), found.last()) {
            erase_entries(&mut books.session, tenant, id, *first, *last);
            self.through = *last;
        }
        self.erased += found.iter().filter(|(_, tells)| *tells).count() as u64;
        if found.len() as u64 == AT_ONCE {
            return Ok(Outcome::Again(self));
        }
        let warnings = self.finish(books, access, user.as_ref()).await?;
        let value = Erased { id, entries: self.erased };
        Ok(Outcome::Done(Warned { value, warnings }))
    }

    async fn finish(
        self,
        books: &mut Books,
        access: &TenantAccess,
        user: Option<&User>,
    ) -> Result<Vec<Warning>> {
        let (tenant, id) = (books.tenant, self.user);
        marks::erase_answers(&mut books.session, tenant, id);
        if user.is_none() && self.erased == 0 {
            return Ok(Vec::new());
        }
        let before = user.map(User::facts);
        if user.is_some() {
            users::remove(books, id);
        }
        let entry = books.post(
            access,
            Deed {
                action: Action::UserErased,
                change: before.map_or(Change::None, |before| Change::User {
                    before: Some(before),
                    after: None,
                }),
                resource_id: id.to_string(),
                details: serde_json::json!({"entries": self.erased}),
            },
        )?;
        // Whoever erases themselves is not named by the entry that says so.
        erase_entries(&mut books.session, tenant, id, entry.seq, entry.seq);
        users::warnings(books, before, None).await
    }
}

/// Whether the ledger tells of a user of this tenant by this id. What it tells of those who act on
/// it from the platform's tenant only the platform can erase.
async fn is_known(
    session: &mut Session,
    tenant: TenantId,
    id: UserId,
    access: &TenantAccess,
) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM ledger WHERE tenant_id = $1 AND resource_id = $2
                        AND starts_with(action, 'USER_'))
             OR ($3 AND EXISTS (SELECT 1 FROM ledger WHERE tenant_id = $1 AND actor_id = $2))";
    let platform = access.role() == Role::SuperAdmin;
    Ok(session.one(sql, params![tenant, id.to_string(), platform]).await?.try_get(0)?)
}

/// Entries about a user or by it, after this one, each with whether it tells anything of the user.
async fn entries_after(
    session: &mut Session,
    tenant: TenantId,
    id: UserId,
    seq: u64,
) -> Result<Vec<(u64, bool)>> {
    let sql = "SELECT seq, (resource_id = $2 AND details IS NOT NULL AND action <> 'USER_ERASED')
                OR (actor_id = $2 AND actor_info IS NOT NULL)
         FROM ledger WHERE tenant_id = $1 AND (resource_id = $2 OR actor_id = $2) AND seq > $3
         ORDER BY seq LIMIT $4";
    let rows = session.all(sql, params![tenant, id.to_string(), seq, AT_ONCE]).await?;
    rows.iter().map(|row| Ok((row.number(0)?, row.try_get(1)?))).collect()
}

/// Erases what is personal of a user in entries from one to another: their details, if they are
/// about the user, and who acted, if the user did. What says that something was erased tells nothing
/// personal.
fn erase_entries(session: &mut Session, tenant: TenantId, id: UserId, first: u64, last: u64) {
    let params = || params![tenant, id.to_string(), first, last];
    session.write(
        "UPDATE ledger SET details_salt = NULL, details = NULL
         WHERE tenant_id = $1 AND resource_id = $2 AND seq BETWEEN $3 AND $4
             AND details IS NOT NULL AND action <> 'USER_ERASED'",
        params(),
    );
    session.write(
        "UPDATE ledger SET actor_salt = NULL, actor_info = NULL
         WHERE tenant_id = $1 AND actor_id = $2 AND seq BETWEEN $3 AND $4
             AND actor_info IS NOT NULL",
        params(),
    );
}
