//! Sessions of people and of OAuth clients.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use tenantry_domain::access::TenantAccess;
use tenantry_domain::api_key::SecretHash;
use tenantry_domain::counts::Change;
use tenantry_domain::error::{AuthFailure, Error};
use tenantry_domain::id::{OauthClientId, SessionId, TenantId, UserId};
use tenantry_domain::ledger::Action;
use tenantry_domain::session::{
    ENDED_KEPT_MS, NewSession, PresentedSession, Refresh, Refreshed, SESSION_MS, Session,
    SessionSubject,
};
use tenantry_store::Sessions;
use tenantry_store::posting::Deed;

use crate::SqliteStore;
use crate::books::Books;
use crate::error::Result;
use crate::sign_ins;
use crate::sql::{self, At, Id, scopes, tenant_id};
use crate::tokens;
use crate::writer::{Durability, Outcome};

#[async_trait]
impl Sessions for SqliteStore {
    async fn begin_session(
        &self,
        access: &TenantAccess,
        new: NewSession,
    ) -> tenantry_domain::error::Result<Session> {
        self.change(access, move |books, access| {
            let session = new.clone().into_session(books.at);
            if let SessionSubject::User(user) = session.subject {
                sign_ins::note(books, user, new.proof.as_ref())?;
            }
            insert(books, &session)?;
            add_token(books, session.id, new.refresh_token)?;
            if let Some(deed) = Deed::beginning(&session) {
                books.post(access, deed)?;
            }
            Ok(session)
        })
        .await
    }

    async fn presented_session(
        &self,
        tenant: TenantId,
        refresh_token: SecretHash,
    ) -> tenantry_domain::error::Result<Option<PresentedSession>> {
        self.read(|connection| presented(connection, tenant, refresh_token))
    }

    async fn refresh_session(
        &self,
        access: &TenantAccess,
        refresh: Refresh,
    ) -> tenantry_domain::error::Result<Refreshed> {
        self.change(access, move |books, access| {
            let found = presented(books.connection, books.tenant, refresh.presented)?;
            let Some(PresentedSession { session, is_used }) = found.filter(|it| {
                it.session.subject == refresh.subject && !it.session.is_over(books.at)
            }) else {
                return Err(Error::Unauthenticated(AuthFailure::Revoked).into());
            };
            if is_used {
                end(books, session.id)?;
                let (action, change) = (Action::RefreshTokenReused, Change::None);
                let (resource_id, details) = (session.id.to_string(), serde_json::json!({}));
                books.post(access, Deed { action, change, resource_id, details })?;
                return Ok(Refreshed::Reused);
            }
            use_token(books, session.id, refresh.presented)?;
            add_token(books, session.id, refresh.next)?;
            let expires_at = books.at.plus_millis(SESSION_MS);
            let sql =
                "UPDATE sessions SET expires_at = ?3 WHERE tenant_id = ?1 AND session_id = ?2";
            let id = Id(session.id.as_uuid());
            let values = params![tenant_id(books.tenant), id, At(expires_at)];
            sql::execute(books.connection, sql, values)?;
            Ok(Refreshed::GoesOn(Session { expires_at, ..session }))
        })
        .await
    }

    async fn end_session(
        &self,
        access: &TenantAccess,
        refresh_token: SecretHash,
    ) -> tenantry_domain::error::Result<bool> {
        self.change(access, move |books, access| {
            let found = presented(books.connection, books.tenant, refresh_token)?;
            let Some(PresentedSession { session, .. }) =
                found.filter(|it| !it.session.is_over(books.at))
            else {
                return Ok(false);
            };
            end(books, session.id)?;
            books.post(access, Deed::ending(&session))?;
            Ok(true)
        })
        .await
    }

    async fn forget_sessions(&self, limit: u32) -> tenantry_domain::error::Result<u32> {
        let now = At(self.context.clock.now());
        // Mostly there is nothing to do, and then the writer is left alone.
        let due = "SELECT 1 FROM sessions WHERE expires_at <= ?1 LIMIT 1";
        if !self.read(|connection| sql::exists(connection, due, [now]))? {
            return Ok(0);
        }
        let work = move |connection: &Connection| {
            let sql = "SELECT tenant_id, session_id FROM sessions WHERE expires_at <= ?1 LIMIT ?2";
            let over = sql::all(connection, sql, params![now, limit], |row| {
                Ok((row.get::<_, Id>(0)?, row.get::<_, Id>(1)?))
            })?;
            for (tenant, session) in &over {
                for sql in [
                    "DELETE FROM refresh_tokens WHERE tenant_id = ?1 AND session_id = ?2",
                    "DELETE FROM sessions WHERE tenant_id = ?1 AND session_id = ?2",
                ] {
                    sql::execute(connection, sql, params![tenant, session])?;
                }
            }
            Ok(Outcome::Done(u32::try_from(over.len()).unwrap_or(u32::MAX)))
        };
        self.write(Durability::Flushed, work).await
    }
}

/// Ends every session of a user, with all of its access tokens, and its invitation.
pub(crate) fn end_all(books: &Books<'_>, id: UserId) -> Result<()> {
    let (tenant, user) = (tenant_id(books.tenant), Id(id.as_uuid()));
    sql::execute(
        books.connection,
        "INSERT INTO revoked_tokens (tenant_id, token_id, expires_at)
         SELECT tenant_id, session_id, ?4 FROM sessions
         WHERE tenant_id = ?1 AND user_id = ?2 AND ended_at IS NULL AND expires_at > ?3
         ON CONFLICT DO NOTHING",
        params![tenant, user, At(books.at), At(books.at.plus_millis(ENDED_KEPT_MS))],
    )?;
    sql::execute(
        books.connection,
        "UPDATE sessions SET ended_at = ?3
         WHERE tenant_id = ?1 AND user_id = ?2 AND ended_at IS NULL AND expires_at > ?3",
        params![tenant, user, At(books.at)],
    )?;
    sign_ins::end_invitation(books, id)
}

/// Ends a session, with all of its access tokens.
fn end(books: &Books<'_>, id: SessionId) -> Result<()> {
    let sql = "UPDATE sessions SET ended_at = ?3 WHERE tenant_id = ?1 AND session_id = ?2";
    let values = params![tenant_id(books.tenant), Id(id.as_uuid()), At(books.at)];
    sql::execute(books.connection, sql, values)?;
    let remembered_until = books.at.plus_millis(ENDED_KEPT_MS);
    tokens::end(books.connection, books.tenant, id.as_uuid(), remembered_until)?;
    Ok(())
}

fn insert(books: &Books<'_>, session: &Session) -> Result<()> {
    let (user, client) = match &session.subject {
        SessionSubject::User(user) => (Some(Id(user.as_uuid())), None),
        SessionSubject::Client { id, scopes } => (None, Some((Id(id.as_uuid()), scopes.to_line()))),
    };
    let (client, scopes) = client.unzip();
    sql::execute(
        books.connection,
        "INSERT INTO sessions (tenant_id, session_id, user_id, oauth_client_id, scopes, created_at,
             expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            tenant_id(books.tenant),
            Id(session.id.as_uuid()),
            user,
            client,
            scopes,
            At(session.created_at),
            At(session.expires_at),
        ],
    )?;
    Ok(())
}

fn add_token(books: &Books<'_>, session: SessionId, hash: SecretHash) -> Result<()> {
    let sql = "INSERT INTO refresh_tokens (tenant_id, secret_hash, session_id, created_at)
         VALUES (?1, ?2, ?3, ?4)";
    let values = params![tenant_id(books.tenant), hash.0, Id(session.as_uuid()), At(books.at)];
    sql::execute(books.connection, sql, values).map(drop)
}

/// Notes that a token was used, and forgets those of its session that were used as long ago as a
/// session lasts.
fn use_token(books: &Books<'_>, session: SessionId, hash: SecretHash) -> Result<()> {
    let sql = "UPDATE refresh_tokens SET used_at = ?3 WHERE tenant_id = ?1 AND secret_hash = ?2";
    let values = params![tenant_id(books.tenant), hash.0, At(books.at)];
    sql::execute(books.connection, sql, values)?;
    let sql = "DELETE FROM refresh_tokens
         WHERE tenant_id = ?1 AND session_id = ?2 AND used_at <= ?3";
    let long_ago = At(books.at.plus_millis(-SESSION_MS));
    let values = params![tenant_id(books.tenant), Id(session.as_uuid()), long_ago];
    sql::execute(books.connection, sql, values).map(drop)
}

fn presented(
    connection: &Connection,
    tenant: TenantId,
    hash: SecretHash,
) -> Result<Option<PresentedSession>> {
    let sql = "SELECT session_id, user_id, oauth_client_id, scopes, s.created_at, s.expires_at,
             s.ended_at, r.used_at IS NOT NULL
         FROM refresh_tokens r JOIN sessions s USING (tenant_id, session_id)
         WHERE tenant_id = ?1 AND secret_hash = ?2";
    sql::optional(connection, sql, params![tenant_id(tenant), hash.0], |row| {
        let session = Session {
            id: SessionId::from_uuid(row.get::<_, Id>(0)?.0),
            subject: subject(row)?,
            created_at: row.get::<_, At>(4)?.0,
            expires_at: row.get::<_, At>(5)?.0,
            ended_at: row.get::<_, Option<At>>(6)?.map(|at| at.0),
        };
        Ok(PresentedSession { session, is_used: row.get(7)? })
    })
}

fn subject(row: &Row<'_>) -> rusqlite::Result<SessionSubject> {
    if let Some(Id(user)) = row.get(1)? {
        return Ok(SessionSubject::User(UserId::from_uuid(user)));
    }
    let id = OauthClientId::from_uuid(row.get::<_, Id>(2)?.0);
    Ok(SessionSubject::Client { id, scopes: scopes(row, 3)? })
}
