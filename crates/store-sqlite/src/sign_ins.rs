//! Signing in with a password, and one-time tokens that set one.

use async_trait::async_trait;
use rusqlite::{Connection, params};
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

use crate::SqliteStore;
use crate::books::Books;
use crate::error::Result;
use crate::sessions;
use crate::sql::{self, At, Id, json, tenant_id};
use crate::users::{self, deed};
use crate::writer::{Durability, Outcome};

#[async_trait]
impl SignIns for SqliteStore {
    async fn attempt_sign_in(
        &self,
        attempt: &Attempt,
    ) -> tenantry_domain::error::Result<Option<Candidate>> {
        let (context, attempt) = (self.context.clone(), attempt.clone());
        let work = move |connection: &Connection| {
            let (tenant, now) = (attempt.tenant, context.clock.now());
            let subjects = [attempt.address, attempt.account];
            let [address, account] = subjects.map(|it| failures(connection, tenant, it, now));
            let counted = count_attempt(address?, account?, now)?;
            for (subject, number) in subjects.into_iter().zip(counted) {
                count(connection, tenant, subject, number, now)?;
            }
            Ok(Outcome::Done(candidate(connection, tenant, attempt.email.as_ref())?))
        };
        self.write(Durability::Flushed, work).await
    }

    async fn invite_user(
        &self,
        access: &TenantAccess,
        id: UserId,
        token: SecretHash,
    ) -> tenantry_domain::error::Result<Invitation> {
        self.change(access, move |books, access| {
            let user = users::get(books.connection, books.tenant, id)?;
            user.reach().check_grant(access)?;
            if !user.status.may_set_password() {
                return Err(Error::Conflict(Conflict::UserNotInvitable).into());
            }
            let expires_at = books.at.plus_millis(INVITATION_MS);
            let sql = "INSERT INTO invitations
                     (tenant_id, user_id, secret_hash, created_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (tenant_id, user_id) DO UPDATE SET secret_hash = excluded.secret_hash,
                     created_at = excluded.created_at, expires_at = excluded.expires_at";
            let (tenant, user_id) = (tenant_id(books.tenant), Id(id.as_uuid()));
            let values = params![tenant, user_id, token.0, At(books.at), At(expires_at)];
            sql::execute(books.connection, sql, values)?;
            let details = serde_json::json!({ "expiresAt": expires_at });
            books.post(access, deed(Action::UserInvited, &user, Change::None, details))?;
            books.person = Some(id);
            Ok(Invitation { user, expires_at })
        })
        .await
    }

    async fn invited(
        &self,
        tenant: TenantId,
        token: SecretHash,
    ) -> tenantry_domain::error::Result<Option<UserId>> {
        let now = self.context.clock.now();
        self.read(|connection| {
            let sql = "SELECT user_id FROM invitations
                 WHERE tenant_id = ?1 AND secret_hash = ?2 AND expires_at > ?3";
            let values = params![tenant_id(tenant), token.0, At(now)];
            sql::optional(connection, sql, values, |row| {
                Ok(UserId::from_uuid(row.get::<_, Id>(0)?.0))
            })
        })
    }

    async fn set_password(
        &self,
        access: &TenantAccess,
        new: NewPassword,
    ) -> tenantry_domain::error::Result<User> {
        self.change(access, move |books, access| {
            let (tenant, id) = (tenant_id(books.tenant), Id(new.user.as_uuid()));
            let sql = "DELETE FROM invitations
                 WHERE tenant_id = ?1 AND user_id = ?2 AND secret_hash = ?3 AND expires_at > ?4";
            let values = params![tenant, id, new.token.0, At(books.at)];
            if sql::execute(books.connection, sql, values)? == 0 {
                return Err(Error::Unauthenticated(AuthFailure::Revoked).into());
            }
            let before = users::get(books.connection, books.tenant, new.user)?;
            let user = before.clone().with_password_set(books.at);
            let sql = "UPDATE users SET password_hash = ?3, status = ?4, updated_at = ?5
                 WHERE tenant_id = ?1 AND user_id = ?2";
            let (status, at) = (user.status.as_str(), At(user.updated_at));
            sql::execute(books.connection, sql, params![tenant, id, new.hash.0, status, at])?;
            sessions::end_all(books, new.user)?;
            let change = Change::User { before: Some(before.facts()), after: Some(user.facts()) };
            let details = difference(&json(&before)?, &json(&user)?);
            books.post(access, deed(Action::UserPasswordSet, &user, change, details))?;
            Ok(user)
        })
        .await
    }

    async fn forget_sign_ins(&self, limit: u32) -> tenantry_domain::error::Result<u32> {
        let now = self.context.clock.now();
        let long_ago = At(now.plus_millis(-FAILURES_KEPT_MS));
        // Mostly there is nothing to do, and then the writer is left alone.
        let failures = "SELECT 1 FROM sign_in_failures WHERE last_at <= ?1 LIMIT 1";
        let invitations = "SELECT 1 FROM invitations WHERE expires_at <= ?1 LIMIT 1";
        let is_due = |connection: &Connection| {
            Ok(sql::exists(connection, failures, [long_ago])?
                || sql::exists(connection, invitations, [At(now)])?)
        };
        if !self.read(is_due)? {
            return Ok(0);
        }
        let work = move |connection: &Connection| {
            let sql = "DELETE FROM sign_in_failures WHERE (tenant_id, subject) IN
                 (SELECT tenant_id, subject FROM sign_in_failures WHERE last_at <= ?1 LIMIT ?2)";
            let failures = sql::execute(connection, sql, params![long_ago, limit])?;
            let sql = "DELETE FROM invitations WHERE (tenant_id, user_id) IN
                 (SELECT tenant_id, user_id FROM invitations WHERE expires_at <= ?1 LIMIT ?2)";
            let invitations = sql::execute(connection, sql, params![At(now), limit])?;
            Ok(Outcome::Done(u32::try_from(failures.max(invitations)).unwrap_or(u32::MAX)))
        };
        self.write(Durability::Flushed, work).await
    }
}

/// Ends the one-time token that a user may have: it was given for who the user was.
pub(crate) fn end_invitation(books: &Books<'_>, user: UserId) -> Result<()> {
    let sql = "DELETE FROM invitations WHERE tenant_id = ?1 AND user_id = ?2";
    let values = params![tenant_id(books.tenant), Id(user.as_uuid())];
    sql::execute(books.connection, sql, values).map(drop)
}

/// Notes that a user has signed in: with a password that is still its own, if with one.
pub(crate) fn note(books: &Books<'_>, user: UserId, proof: Option<&ProvenPassword>) -> Result<()> {
    let (tenant, id) = (tenant_id(books.tenant), Id(user.as_uuid()));
    let sql = "UPDATE users SET last_login_at = ?3
         WHERE tenant_id = ?1 AND user_id = ?2 AND (?4 IS NULL OR password_hash = ?4)";
    let hash = proof.map(|proof| proof.hash.0.as_str());
    if sql::execute(books.connection, sql, params![tenant, id, At(books.at), hash])? == 0 {
        return Err(Error::Unauthenticated(AuthFailure::WrongPassword).into());
    }
    let Some(ProvenPassword { attempt, .. }) = proof else { return Ok(()) };
    for (sql, subject) in [
        (
            "UPDATE sign_in_failures SET failures = failures - 1
             WHERE tenant_id = ?1 AND subject = ?2 AND failures > 0",
            attempt.address,
        ),
        (
            "DELETE FROM sign_in_failures
             WHERE tenant_id = ?1 AND subject = ?2 AND failures = 0",
            attempt.address,
        ),
        ("DELETE FROM sign_in_failures WHERE tenant_id = ?1 AND subject = ?2", attempt.account),
    ] {
        sql::execute(books.connection, sql, params![tenant, subject.0])?;
    }
    Ok(())
}

fn failures(
    connection: &Connection,
    tenant: TenantId,
    subject: Subject,
    now: Timestamp,
) -> Result<Failures> {
    let sql = "SELECT failures, last_at FROM sign_in_failures
         WHERE tenant_id = ?1 AND subject = ?2";
    let found = sql::optional(connection, sql, params![tenant_id(tenant), subject.0], |row| {
        Ok(Failures { number: row.get(0)?, last_at: row.get::<_, At>(1)?.0 })
    })?;
    Ok(found.unwrap_or(Failures { number: 0, last_at: now }))
}

fn count(
    connection: &Connection,
    tenant: TenantId,
    subject: Subject,
    number: u32,
    now: Timestamp,
) -> Result<()> {
    let sql = "INSERT INTO sign_in_failures (tenant_id, subject, failures, last_at)
         VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (tenant_id, subject) DO UPDATE SET failures = excluded.failures,
             last_at = excluded.last_at";
    let values = params![tenant_id(tenant), subject.0, number, At(now)];
    sql::execute(connection, sql, values).map(drop)
}

fn candidate(
    connection: &Connection,
    tenant: TenantId,
    email: Option<&Email>,
) -> Result<Option<Candidate>> {
    let sql = "SELECT user_id, password_hash FROM users WHERE tenant_id = ?1 AND email_key = ?2";
    let key = email.map(Email::key);
    sql::optional(connection, sql, params![tenant_id(tenant), key], |row| {
        Ok(Candidate {
            id: UserId::from_uuid(row.get::<_, Id>(0)?.0),
            password_hash: row.get::<_, Option<String>>(1)?.map(PasswordHash),
        })
    })
}
