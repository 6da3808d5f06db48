//! Many users at once.

use std::collections::HashSet;

use tenantry_domain::access::TenantAccess;
use tenantry_domain::counts::Change;
use tenantry_domain::error::Conflict;
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::Action;
use tenantry_domain::user::{Collision, Identity, NewUser, User};
use tenantry_store::posting::Deed;

use crate::books::Books;
use crate::error::Result;
use crate::session::Session;
use crate::sql::params;
use crate::users;

/// Statements that are sent without waiting for their answers.
const AT_ONCE: usize = 1_000;

/// Which of these have what a user of the tenant has already.
pub(crate) async fn taken(
    session: &mut Session,
    tenant: TenantId,
    identities: &[Identity],
) -> Result<Vec<Collision>> {
    let emails: HashSet<String> = {
        let keys: Vec<_> =
            identities.iter().filter_map(|it| Some(it.email.as_ref()?.key())).collect();
        let sql = "SELECT email_key FROM users WHERE tenant_id = $1 AND email_key = ANY($2)";
        let rows = session.all(sql, params![tenant, keys]).await?;
        rows.iter().map(|row| row.try_get(0)).collect::<std::result::Result<_, _>>()?
    };
    let external_ids: HashSet<(String, String)> = {
        let ids = identities.iter().filter_map(|it| it.external_id.as_ref());
        let (realms, subjects): (Vec<_>, Vec<_>) =
            ids.map(|id| (id.realm.clone(), id.subject.clone())).unzip();
        let sql = "SELECT external_realm, external_subject FROM users
             WHERE tenant_id = $1 AND (external_realm, external_subject) IN
                 (SELECT * FROM unnest($2::text[], $3::text[]))";
        let rows = session.all(sql, params![tenant, realms, subjects]).await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<std::result::Result<_, tokio_postgres::Error>>()?
    };
    let mut collisions = Vec::new();
    for (index, Identity { email, external_id }) in identities.iter().enumerate() {
        if email.as_ref().is_some_and(|email| emails.contains(&email.key())) {
            collisions.push(Collision { index, conflict: Conflict::Email });
        }
        let id = external_id.as_ref().map(|id| (id.realm.clone(), id.subject.clone()));
        if id.is_some_and(|id| external_ids.contains(&id)) {
            collisions.push(Collision { index, conflict: Conflict::ExternalId });
        }
    }
    Ok(collisions)
}

/// Which of these have what one before them has.
fn repeated(identities: &[Identity]) -> Vec<Collision> {
    let (mut emails, mut external_ids) = (HashSet::new(), HashSet::new());
    let mut collisions = Vec::new();
    for (index, Identity { email, external_id }) in identities.iter().enumerate() {
        if email.as_ref().is_some_and(|email| !emails.insert(email.key())) {
            collisions.push(Collision { index, conflict: Conflict::Email });
        }
        let id = external_id.as_ref().map(|id| (&id.realm, &id.subject));
        if id.is_some_and(|id| !external_ids.insert(id)) {
            collisions.push(Collision { index, conflict: Conflict::ExternalId });
        }
    }
    collisions
}

/// Makes the users, or none of them and answers which collide.
pub(crate) async fn import(
    books: &mut Books,
    access: &TenantAccess,
    new: &[NewUser],
) -> Result<Vec<Collision>> {
    let identity = |new: &NewUser| Identity {
        email: Some(new.email.clone()),
        external_id: new.external_id.clone(),
    };
    let identities: Vec<_> = new.iter().map(identity).collect();
    let mut collisions = taken(&mut books.session, books.tenant, &identities).await?;
    collisions.extend(repeated(&identities));
    collisions.sort_by_key(|it| (it.index, it.conflict == Conflict::ExternalId));
    collisions.dedup();
    if !collisions.is_empty() || new.is_empty() {
        return Ok(collisions);
    }
    let mut facts = Vec::with_capacity(new.len());
    for users in new.chunks(AT_ONCE) {
        for new in users {
            let user: User = new.clone().into_user(books.at);
            facts.push(user.facts());
            let values = users::new_values(books.tenant, &user, new.password_hash.as_ref());
            books.session.write_one(users::insert!(), values);
        }
        books.session.flush().await?;
    }
    let change = Change::of_new_users(facts);
    let (action, details) = (Action::UsersImported, serde_json::json!({}));
    books.post(access, Deed { action, change, resource_id: String::new(), details })?;
    Ok(collisions)
}
