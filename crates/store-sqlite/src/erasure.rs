//! Erasing a person: the row, and what the ledger tells of it, a bounded part at a time.

use rusqlite::{Connection, params};
use tenantry_domain::access::{Role, TenantAccess};
use tenantry_domain::counts::Change;
use tenantry_domain::error::{Error, Missing};
use tenantry_domain::id::{TenantId, UserId};
use tenantry_domain::ledger::Action;
use tenantry_domain::user::{Erased, User, UserRoles, Warned};
use tenantry_store::posting::Deed;

use crate::books::Books;
use crate::error::Result;
use crate::marks;
use crate::sql::{self, Number, tenant_id};
use crate::users;
use crate::writer::Outcome;

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
    pub(crate) fn go_on(
        &mut self,
        books: &mut Books<'_>,
        access: &TenantAccess,
    ) -> Result<Outcome<Warned<Erased>>> {
        let (connection, tenant, id) = (books.connection, books.tenant, self.user);
        let user = users::find(connection, tenant, id)?;
        // Of who is gone nobody knows any more what they were.
        let roles = user.as_ref().map_or(UserRoles::ALL, User::reach);
        roles.check_grant(access)?;
        match &user {
            Some(user) => access.check_match(user)?,
            None if is_known(connection, tenant, id, access)? => access.check_no_match()?,
            None => return Err(Error::NotFound(Missing::User).into()),
        }
        let entries = entries_after(connection, tenant, id, self.through)?;
        for seq in &entries {
            self.erased += erase_entry(connection, tenant, id, *seq)?;
            self.through = *seq;
        }
        if entries.len() as u64 == AT_ONCE {
            return Ok(Outcome::Again);
        }
        let warnings = self.finish(books, access, user.as_ref())?;
        let value = Erased { id, entries: self.erased };
        Ok(Outcome::Done(Warned { value, warnings }))
    }

    fn finish(
        self,
        books: &mut Books<'_>,
        access: &TenantAccess,
        user: Option<&User>,
    ) -> Result<Vec<tenantry_domain::user::Warning>> {
        let (connection, tenant, id) = (books.connection, books.tenant, self.user);
        marks::erase_answers(connection, tenant, id)?;
        if user.is_none() && self.erased == 0 {
            return Ok(Vec::new());
        }
        let before = user.map(User::facts);
        if user.is_some() {
            users::remove(connection, tenant, id)?;
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
        erase_entry(connection, tenant, id, entry.seq)?;
        users::warnings(books, before, None)
    }
}

/// Whether the ledger tells of a user of this tenant by this id. What it tells of those who act on
/// it from the platform's tenant only the platform can erase.
fn is_known(
    connection: &Connection,
    tenant: TenantId,
    id: UserId,
    access: &TenantAccess,
) -> Result<bool> {
    let known = sql::one(
        connection,
        "SELECT EXISTS (SELECT 1 FROM ledger WHERE tenant_id = ?1 AND resource_id = ?2
                            AND substr(action, 1, 5) = 'USER_')
             OR (?3 AND EXISTS (SELECT 1 FROM ledger WHERE tenant_id = ?1 AND actor_id = ?2))",
        params![tenant_id(tenant), id.to_string(), access.role() == Role::SuperAdmin],
        |row| row.get(0),
    )?;
    Ok(known)
}

/// Entries about a user or by it, after this one.
fn entries_after(
    connection: &Connection,
    tenant: TenantId,
    id: UserId,
    seq: u64,
) -> Result<Vec<u64>> {
    sql::all(
        connection,
        "SELECT seq FROM ledger WHERE tenant_id = ?1 AND resource_id = ?2 AND seq > ?3
         UNION
         SELECT seq FROM ledger WHERE tenant_id = ?1 AND actor_id = ?2 AND seq > ?3
         ORDER BY seq LIMIT ?4",
        params![tenant_id(tenant), id.to_string(), Number(seq), Number(AT_ONCE)],
        |row| Ok(row.get::<_, Number>(0)?.0),
    )
}

/// Erases what is personal of a user in an entry: its details, if it is about the user, and who
/// acted, if the user did. Answers how many entries that changed. What says that something was
/// erased tells nothing personal.
fn erase_entry(connection: &Connection, tenant: TenantId, id: UserId, seq: u64) -> Result<u64> {
    let (tenant, seq, id) = (tenant_id(tenant), Number(seq), id.to_string());
    let details = sql::execute(
        connection,
        "UPDATE ledger SET details_salt = NULL, details = NULL
         WHERE tenant_id = ?1 AND seq = ?2 AND resource_id = ?3 AND details IS NOT NULL
             AND action <> 'USER_ERASED'",
        params![tenant, seq, id],
    )?;
    let actor = sql::execute(
        connection,
        "UPDATE ledger SET actor_salt = NULL, actor_info = NULL
         WHERE tenant_id = ?1 AND seq = ?2 AND actor_id = ?3 AND actor_info IS NOT NULL",
        params![tenant, seq, id],
    )?;
    Ok(u64::from(details + actor > 0))
}
