//! Signing in with a password, and one-time tokens that set one.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tenantry_domain::access::TenantAccess;
use tenantry_domain::api_key::SecretHash;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::Change;
use tenantry_domain::error::{AuthFailure, Conflict, Error};
use tenantry_domain::id::{TenantId, UserId};
use tenantry_domain::ledger::Action;
use tenantry_domain::patch::difference;
use tenantry_domain::sign_in::{
    Attempt, Candidate, FAILURES_KEPT_MS, Failures, INVITATION_MS, Invitation, NewPassword,
    ProvenPassword, Subject, count_attempt,
};
use tenantry_domain::text::Email;
use tenantry_domain::user::{PasswordHash, User};
use tenantry_store::SignIns;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::PostgresStore;
use crate::books::Books;
use crate::error::{Fault, Result};
use crate::session::{Command, Session};
use crate::sessions;
use crate::sql::{Columns as _, json, params};
use crate::users::{self, deed};

#[async_trait]
impl SignIns for PostgresStore {
    async fn attempt_sign_in(
        &self,
        attempt: &Attempt,
    ) -> tenantry_domain::error::Result<Option<Candidate>> {
        let now = self.context.clock.now();
        self.retried(|| async {
            let mut session = self.database.transaction().await?;
            let candidate = try_once(&mut session, attempt, now).await?;
            session.commit().await?;
            Ok(candidate)
        })
        .await
    }

    async fn invite_user(
        &self,
        access: &TenantAccess,
        id: UserId,
        token: SecretHash,
    ) -> tenantry_domain::error::Result<Invitation> {
        change!(self, access, |books| {
            let user = users::get(&mut books.session, books.tenant, id).await?;
            user.reach().check_grant(access)?;
            if !user.status.may_set_password() {
                return Err(Fault::from(Error::Conflict(Conflict::UserNotInvitable)));
            }
            let expires_at = books.at.plus_millis(INVITATION_MS);
            books.session.write(
                "INSERT INTO invitations (tenant_id, user_id, secret_hash, created_at, expires_at)
                 VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (tenant_id, user_id) DO UPDATE SET secret_hash = excluded.secret_hash,
                     created_at = excluded.created_at, expires_at = excluded.expires_at",
                params![books.tenant, id, token.0, books.at, expires_at],
            );
            let details = serde_json::json!({ "expiresAt": expires_at });
            books.post(access, deed(Action::UserInvited, &user, Change::None, details))?;
            books.person = Some(id);
            Ok(Invitation { user, expires_at })
        })
    }

    async fn invited(
        &self,
        tenant: TenantId,
        token: SecretHash,
    ) -> tenantry_domain::error::Result<Option<UserId>> {
        let sql = "SELECT user_id FROM invitations
             WHERE tenant_id = $1 AND secret_hash = $2 AND expires_at > $3";
        let asked = [Command::new(sql, params![tenant, token.0, self.context.clock.now()])];
        self.read(asked, |[found]| {
            let user = |row: &Row| Ok(UserId::from_uuid(row.try_get(0)?));
            found.first().map(user).transpose()
        })
        .await
    }

    async fn set_password(
        &self,
        access: &TenantAccess,
        new: NewPassword,
    ) -> tenantry_domain::error::Result<User> {
        change!(self, access, |books| {
            let sql = "DELETE FROM invitations
                 WHERE tenant_id = $1 AND user_id = $2 AND secret_hash = $3 AND expires_at > $4";
            let values = params![books.tenant, new.user, new.token.0, books.at];
            if books.session.execute(sql, values).await? == 0 {
                return Err(Fault::from(Error::Unauthenticated(AuthFailure::Revoked)));
            }
            let before = users::get(&mut books.session, books.tenant, new.user).await?;
            let user = before.clone().with_password_set(books.at);
            let (status, at) = (user.status.as_str(), user.updated_at);
            books.session.write_one(
                "UPDATE users SET password_hash = $3, status = $4, updated_at = $5
                 WHERE tenant_id = $1 AND user_id = $2",
                params![books.tenant, new.user, &new.hash.0, status, at],
            );
            sessions::end_all(books, new.user);
            let change = Change::User { before: Some(before.facts()), after: Some(user.facts()) };
            let details = difference(&json(&before)?, &json(&user)?);
            books.post(access, deed(Action::UserPasswordSet, &user, change, details))?;
            Ok(user)
        })
    }

    async fn forget_sign_ins(&self, limit: u32) -> tenantry_domain::error::Result<u32> {
        let now = self.context.clock.now();
        let forget = || async {
            let Some(mut session) = self.turn().await? else { return Ok(0) };
            forget(&mut session, now, limit).await
        };
        self.retried(forget).await
    }
}

/// Counts an attempt, unless it comes too early, and finds whom it is about. Whoever tries the same
/// account, or comes from the same address, waits for its rows: all take the address's first.
async fn try_once(
    session: &mut Session,
    attempt: &Attempt,
    now: Timestamp,
) -> Result<Option<Candidate>> {
    let tenant = attempt.tenant;
    let subjects = [attempt.address, attempt.account];
    let lock = |subject: Subject| {
        let sql = "INSERT INTO sign_in_failures (tenant_id, subject, failures, last_at)
             VALUES ($1, $2, 0, $3)
             ON CONFLICT (tenant_id, subject)
                 DO UPDATE SET failures = sign_in_failures.failures
             RETURNING failures, last_at";
        Command::new(sql, params![tenant, subject.0, now])
    };
    let find = "SELECT user_id, password_hash FROM users WHERE tenant_id = $1 AND email_key = $2";
    let key = attempt.email.as_ref().map(Email::key);
    let [address, account, found] = session
        .each([
            lock(attempt.address),
            lock(attempt.account),
            Command::new(find, params![tenant, key]),
        ])
        .await?;
    let counted = count_attempt(failures(&address)?, failures(&account)?, now)?;
    for (subject, number) in subjects.into_iter().zip(counted) {
        session.write_one(
            "UPDATE sign_in_failures SET failures = $3, last_at = $4
             WHERE tenant_id = $1 AND subject = $2",
            params![tenant, subject.0, number, now],
        );
    }
    let candidate = |row: &Row| {
        Ok(Candidate {
            id: UserId::from_uuid(row.try_get(0)?),
            password_hash: row.try_get::<_, Option<String>>(1)?.map(PasswordHash),
        })
    };
    found.first().map(candidate).transpose()
}

fn failures(found: &[Row]) -> Result<Failures> {
    let row = found.first().ok_or_else(|| Error::internal("failures were not counted"))?;
    let number = u32::try_from(row.number(0)?).unwrap_or(u32::MAX);
    Ok(Failures { number, last_at: row.at(1)? })
}

/// Ends the one-time token that a user may have: it was given for who the user was.
pub(crate) fn end_invitation(books: &mut Books, user: UserId) {
    let sql = "DELETE FROM invitations WHERE tenant_id = $1 AND user_id = $2";
    books.session.write(sql, params![books.tenant, user]);
}

/// Notes that a user has signed in: with a password that is still its own, if with one. The
/// address's failures are locked before the account's, as by an attempt.
pub(crate) async fn note(
    books: &mut Books,
    user: UserId,
    proof: Option<&ProvenPassword>,
) -> Result<()> {
    let sql = "UPDATE users SET last_login_at = $3
         WHERE tenant_id = $1 AND user_id = $2 AND ($4::text IS NULL OR password_hash = $4)";
    let hash = proof.map(|proof| &proof.hash.0);
    let values = params![books.tenant, user, books.at, hash];
    if books.session.execute(sql, values).await? == 0 {
        return Err(Error::Unauthenticated(AuthFailure::WrongPassword).into());
    }
    let Some(ProvenPassword { attempt, .. }) = proof else { return Ok(()) };
    for (sql, subject) in [
        (
            "UPDATE sign_in_failures SET failures = failures - 1
             WHERE tenant_id = $1 AND subject = $2 AND failures > 0",
            attempt.address,
        ),
        (
            "DELETE FROM sign_in_failures
             WHERE tenant_id = $1 AND subject = $2 AND failures = 0",
            attempt.address,
        ),
        ("DELETE FROM sign_in_failures WHERE tenant_id = $1 AND subject = $2", attempt.account),
    ] {
        books.session.write(sql, params![books.tenant, subject.0]);
    }
    Ok(())
}

/// Removes failures and one-time tokens that have had their time, at most this many of each; answers
/// the greater number. Those of each tenant go in a transaction of their own, as old marks do.
async fn forget(session: &mut Session, now: Timestamp, limit: u32) -> Result<u32> {
    let long_ago = now.plus_millis(-FAILURES_KEPT_MS);
    let failures = "SELECT tenant_id, subject FROM sign_in_failures WHERE last_at <= $1
         ORDER BY last_at LIMIT $2";
    let invitations = "SELECT tenant_id, user_id FROM invitations WHERE expires_at <= $1
         ORDER BY expires_at LIMIT $2";
    let [failures, invitations] = session
        .each([
            Command::new(failures, params![long_ago, limit]),
            Command::new(invitations, params![now, limit]),
        ])
        .await?;
    session.then_commit();
    let forgotten = failures.len().max(invitations.len());
    // What has been written anew since has its time before it.
    let mut deletions = BTreeMap::<Uuid, Vec<Command>>::new();
    for row in &failures {
        let (tenant, subject) = (row.try_get(0)?, row.try_get::<_, Vec<u8>>(1)?);
        let sql = "DELETE FROM sign_in_failures
             WHERE tenant_id = $1 AND subject = $2 AND last_at <= $3";
        let deletion = Command::new(sql, params![tenant, subject, long_ago]);
        deletions.entry(tenant).or_default().push(deletion);
    }
    for row in &invitations {
        let (tenant, user) = (row.try_get(0)?, row.try_get::<_, Uuid>(1)?);
        let sql = "DELETE FROM invitations
             WHERE tenant_id = $1 AND user_id = $2 AND expires_at <= $3";
        let deletion = Command::new(sql, params![tenant, user, now]);
        deletions.entry(tenant).or_default().push(deletion);
    }
    for deletions in deletions.into_values() {
        session.begin("BEGIN");
        session.write("SET LOCAL synchronous_commit = off", Vec::new());
        session.several(deletions).await?;
        session.then_commit();
    }
    session.flush().await?;
    Ok(u32::try_from(forgotten).unwrap_or(u32::MAX))
}
