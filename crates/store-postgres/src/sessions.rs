//! Sessions of people and of OAuth clients.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tenantry_domain::access::TenantAccess;
use tenantry_domain::api_key::SecretHash;
use tenantry_domain::clock::Timestamp;
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
use tokio_postgres::Row;
use uuid::Uuid;

use crate::PostgresStore;
use crate::books::Books;
use crate::error::{Fault, Result};
use crate::session::{self, Command};
use crate::sign_ins;
use crate::sql::{Columns as _, ScopeLine, params};
use crate::tokens;

#[async_trait]
impl Sessions for PostgresStore {
    async fn begin_session(
        &self,
        access: &TenantAccess,
        new: NewSession,
    ) -> tenantry_domain::error::Result<Session> {
        change!(self, access, |books| {
            let session = new.clone().into_session(books.at);
            if let SessionSubject::User(user) = session.subject {
                sign_ins::note(books, user, new.proof.as_ref()).await?;
            }
            insert(books, &session);
            add_token(books, session.id, new.refresh_token);
            if let Some(deed) = Deed::beginning(&session) {
                books.post(access, deed)?;
            }
            Ok(session)
        })
    }

    async fn presented_session(
        &self,
        tenant: TenantId,
        refresh_token: SecretHash,
    ) -> tenantry_domain::error::Result<Option<PresentedSession>> {
        let asked = [ask_presented(tenant, refresh_token)];
        self.read(asked, |[found]| found.first().map(read).transpose()).await
    }

    async fn refresh_session(
        &self,
        access: &TenantAccess,
        refresh: Refresh,
    ) -> tenantry_domain::error::Result<Refreshed> {
        change!(self, access, |books| {
            let found = presented(books, refresh.presented).await?;
            let Some(PresentedSession { session, is_used }) = found.filter(|it| {
                it.session.subject == refresh.subject && !it.session.is_over(books.at)
            }) else {
                return Err(Fault::from(Error::Unauthenticated(AuthFailure::Revoked)));
            };
            if is_used {
                end(books, session.id).await?;
                let (action, change) = (Action::RefreshTokenReused, Change::None);
                let (resource_id, details) = (session.id.to_string(), serde_json::json!({}));
                books.post(access, Deed { action, change, resource_id, details })?;
                return Ok(Refreshed::Reused);
            }
            use_token(books, session.id, refresh.presented);
            add_token(books, session.id, refresh.next);
            let expires_at = books.at.plus_millis(SESSION_MS);
            books.session.write_one(
                "UPDATE sessions SET expires_at = $3 WHERE tenant_id = $1 AND session_id = $2",
                params![books.tenant, session.id, expires_at],
            );
            Ok(Refreshed::GoesOn(Session { expires_at, ..session }))
        })
    }

    async fn end_session(
        &self,
        access: &TenantAccess,
        refresh_token: SecretHash,
    ) -> tenantry_domain::error::Result<bool> {
        change!(self, access, |books| {
            let found = presented(books, refresh_token).await?;
            let Some(PresentedSession { session, .. }) =
                found.filter(|it| !it.session.is_over(books.at))
            else {
                return Ok(false);
            };
            end(books, session.id).await?;
            books.post(access, Deed::ending(&session))?;
            Ok(true)
        })
    }

    async fn forget_sessions(&self, limit: u32) -> tenantry_domain::error::Result<u32> {
        let now = self.context.clock.now();
        let forget = || async {
            let Some(mut session) = self.turn().await? else { return Ok(0) };
            forget(&mut session, now, limit).await
        };
        self.retried(forget).await
    }
}

/// Removes what has ended by itself, at most this many; answers how many there were. Those of each
/// tenant go in a transaction of their own, as old marks do.
async fn forget(session: &mut session::Session, now: Timestamp, limit: u32) -> Result<u32> {
    let sql = "SELECT tenant_id, session_id FROM sessions WHERE expires_at <= $1
         ORDER BY expires_at LIMIT $2";
    let mut forgotten = 0;
    let mut over = BTreeMap::<Uuid, Vec<Uuid>>::new();
    for row in session.all(sql, params![now, limit]).await? {
        over.entry(row.try_get(0)?).or_default().push(row.try_get(1)?);
        forgotten += 1;
    }
    session.then_commit();
    for (tenant, ids) in over {
        session.begin("BEGIN");
        session.write("SET LOCAL synchronous_commit = off", Vec::new());
        for sql in [
            "DELETE FROM refresh_tokens WHERE tenant_id = $1 AND session_id = ANY ($2)",
            "DELETE FROM sessions WHERE tenant_id = $1 AND session_id = ANY ($2)",
        ] {
            session.write(sql, params![tenant, ids.clone()]);
        }
        session.then_commit();
    }
    session.flush().await?;
    Ok(forgotten)
}

/// Ends every session of a user, with all of its access tokens, and its invitation.
pub(crate) fn end_all(books: &mut Books, user: UserId) {
    let (tenant, at) = (books.tenant, books.at);
    books.session.write(
        "INSERT INTO revoked_tokens (tenant_id, token_id, expires_at)
         SELECT tenant_id, session_id, $4::bigint FROM sessions
         WHERE tenant_id = $1 AND user_id = $2 AND ended_at IS NULL AND expires_at > $3
         ON CONFLICT DO NOTHING",
        params![tenant, user, at, at.plus_millis(ENDED_KEPT_MS)],
    );
    books.session.write(
        "UPDATE sessions SET ended_at = $3
         WHERE tenant_id = $1 AND user_id = $2 AND ended_at IS NULL AND expires_at > $3",
        params![tenant, user, at],
    );
    sign_ins::end_invitation(books, user);
}

/// Ends a session, with all of its access tokens.
async fn end(books: &mut Books, id: SessionId) -> Result<()> {
    books.session.write_one(
        "UPDATE sessions SET ended_at = $3 WHERE tenant_id = $1 AND session_id = $2",
        params![books.tenant, id, books.at],
    );
    let remembered_until = books.at.plus_millis(ENDED_KEPT_MS);
    tokens::end(&mut books.session, books.tenant, id.as_uuid(), remembered_until).await?;
    Ok(())
}

fn insert(books: &mut Books, session: &Session) {
    let (user, client) = match &session.subject {
        SessionSubject::User(user) => (Some(*user), None),
        SessionSubject::Client { id, scopes } => (None, Some((*id, scopes.to_line()))),
    };
    let (client, scopes) = client.unzip();
    books.session.write_one(
        "INSERT INTO sessions (tenant_id, session_id, user_id, oauth_client_id, scopes, created_at,
             expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        params![
            books.tenant,
            session.id,
            user,
            client,
            scopes,
            session.created_at,
            session.expires_at,
        ],
    );
}

fn add_token(books: &mut Books, session: SessionId, hash: SecretHash) {
    books.session.write_one(
        "INSERT INTO refresh_tokens (tenant_id, secret_hash, session_id, created_at)
         VALUES ($1, $2, $3, $4)",
        params![books.tenant, hash.0, session, books.at],
    );
}

/// Notes that a token was used, and forgets those of its session that were used as long ago as a
/// session lasts.
fn use_token(books: &mut Books, session: SessionId, hash: SecretHash) {
    books.session.write_one(
        "UPDATE refresh_tokens SET used_at = $3 WHERE tenant_id = $1 AND secret_hash = $2",
        params![books.tenant, hash.0, books.at],
    );
    books.session.write(
        "DELETE FROM refresh_tokens
         WHERE tenant_id = $1 AND session_id = $2 AND used_at <= $3",
        params![books.tenant, session, books.at.plus_millis(-SESSION_MS)],
    );
}

async fn presented(books: &mut Books, hash: SecretHash) -> Result<Option<PresentedSession>> {
    let [found] = books.session.each([ask_presented(books.tenant, hash)]).await?;
    found.first().map(read).transpose()
}

fn ask_presented(tenant: TenantId, hash: SecretHash) -> Command {
    let sql = "SELECT s.session_id, s.user_id, s.oauth_client_id, s.scopes, s.created_at,
             s.expires_at, s.ended_at, r.used_at IS NOT NULL
         FROM refresh_tokens r JOIN sessions s USING (tenant_id, session_id)
         WHERE r.tenant_id = $1 AND s.tenant_id = $1 AND r.secret_hash = $2";
    Command::new(sql, params![tenant, hash.0])
}

fn read(row: &Row) -> Result<PresentedSession> {
    let session = Session {
        id: SessionId::from_uuid(row.try_get(0)?),
        subject: subject(row)?,
        created_at: row.at(4)?,
        expires_at: row.at(5)?,
        ended_at: row.at_if_any(6)?,
    };
    Ok(PresentedSession { session, is_used: row.try_get(7)? })
}

fn subject(row: &Row) -> Result<SessionSubject> {
    if let Some(user) = row.try_get(1)? {
        return Ok(SessionSubject::User(UserId::from_uuid(user)));
    }
    let id = OauthClientId::from_uuid(row.try_get(2)?);
    Ok(SessionSubject::Client { id, scopes: row.try_get::<_, ScopeLine>(3)?.0 })
}
