//! Many users at once.

use rusqlite::{Connection, params};
use tenantry_domain::access::TenantAccess;
use tenantry_domain::counts::Change;
use tenantry_domain::error::Conflict;
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::Action;
use tenantry_domain::user::{Collision, Identity, NewUser, User};
use tenantry_store::posting::Deed;

use crate::books::Books;
use crate::error::Result;
use crate::sql::{self, tenant_id};
use crate::users::{self, Existing};

/// Which of these have what a user of the tenant has already.
pub(crate) fn taken(
    connection: &Connection,
    tenant: TenantId,
    identities: &[Identity],
) -> Result<Vec<Collision>> {
    let mut collisions = Vec::new();
    for (index, Identity { email, external_id }) in identities.iter().enumerate() {
        if let Some(email) = email
            && is_there(
                connection,
                "SELECT 1 FROM users WHERE tenant_id = ?1 AND email_key = ?2",
                params![tenant_id(tenant), email.key()],
            )?
        {
            collisions.push(Collision { index, conflict: Conflict::Email });
        }
        if let Some(external) = external_id
            && is_there(
                connection,
                "SELECT 1 FROM users
                 WHERE tenant_id = ?1 AND external_realm = ?2 AND external_subject = ?3",
                params![tenant_id(tenant), external.realm, external.subject],
            )?
        {
            collisions.push(Collision { index, conflict: Conflict::ExternalId });
        }
    }
    Ok(collisions)
}

fn is_there(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<bool> {
    Ok(sql::optional(connection, sql, params, |_| Ok(()))?.is_some())
}

/// Makes the users, or none of them and answers which collide: the unique indexes tell, so that
/// the writer is not held for looking twice.
pub(crate) fn import(
    books: &mut Books<'_>,
    access: &TenantAccess,
    new: &[NewUser],
) -> Result<Vec<Collision>> {
    let connection = books.connection;
    sql::execute(connection, "SAVEPOINT import", [])?;
    let mut collisions = Vec::new();
    let mut facts = Vec::with_capacity(new.len());
    for (index, new) in new.iter().enumerate() {
        let password_hash = new.password_hash.as_ref();
        let user: User = new.clone().into_user(books.at);
        if users::insert(books, &user, password_hash, Existing::IsKept)? {
            facts.push(user.facts());
        } else {
            let identity = Identity { email: Some(user.email), external_id: user.external_id };
            let found = taken(connection, books.tenant, &[identity])?;
            collisions.extend(
                found.into_iter().map(|Collision { conflict, .. }| Collision { index, conflict }),
            );
        }
    }
    if !collisions.is_empty() {
        sql::execute(connection, "ROLLBACK TO import", [])?;
    }
    sql::execute(connection, "RELEASE import", [])?;
    if collisions.is_empty() && !facts.is_empty() {
        let change = Change::of_new_users(facts);
        let (action, details) = (Action::UsersImported, serde_json::json!({}));
        books.post(access, Deed { action, change, resource_id: String::new(), details })?;
    }
    Ok(collisions)
}
