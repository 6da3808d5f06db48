//! The part of the port by which people sign in, and by which sessions go on.

use async_trait::async_trait;
use tenantry_domain::access::TenantAccess;
use tenantry_domain::api_key::SecretHash;
use tenantry_domain::error::Result;
use tenantry_domain::id::{TenantId, UserId};
use tenantry_domain::session::{NewSession, PresentedSession, Refresh, Refreshed, Session};
use tenantry_domain::sign_in::{Attempt, Candidate, Invitation, NewPassword};
use tenantry_domain::user::User;

/// Sessions of people and of OAuth clients.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Begins a session. A user's is told in the ledger, moves when it last signed in, and takes back
    /// that its attempt has failed; [`Error::Unauthenticated`] if its password is another one by
    /// now.
    ///
    /// [`Error::Unauthenticated`]: tenantry_domain::error::Error::Unauthenticated
    async fn begin_session(&self, access: &TenantAccess, new: NewSession) -> Result<Session>;

    /// The session that a refresh token belongs to, whether it is over or not. It says nothing of
    /// whether its subject may go on with it.
    async fn presented_session(
        &self,
        tenant: TenantId,
        refresh_token: SecretHash,
    ) -> Result<Option<PresentedSession>>;

    /// Goes on with a session, with another refresh token. If the one that is given was used before,
    /// the session is ended, with its access tokens, and the ledger tells it.
    /// [`Error::Unauthenticated`] if there is no such session of the subject, or it is over.
    ///
    /// [`Error::Unauthenticated`]: tenantry_domain::error::Error::Unauthenticated
    async fn refresh_session(&self, access: &TenantAccess, refresh: Refresh) -> Result<Refreshed>;

    /// Ends the session that a refresh token belongs to, with its access tokens, unless it is over.
    /// Answers whether it did.
    async fn end_session(&self, access: &TenantAccess, refresh_token: SecretHash) -> Result<bool>;

    /// Removes sessions that have ended by themselves, or would have since, at most this many. Answers
    /// how many.
    async fn forget_sessions(&self, limit: u32) -> Result<u32>;
}

/// Passwords: trying them, and setting them.
#[async_trait]
pub trait SignIns: Send + Sync {
    /// Counts an attempt as one that has failed, and answers whom it is about, if there is somebody.
    /// [`Error::TooManyRequests`] if it comes too early; then it does not count. Of many at once, no
    /// more get through than of as many one after the other.
    ///
    /// [`Error::TooManyRequests`]: tenantry_domain::error::Error::TooManyRequests
    async fn attempt_sign_in(&self, attempt: &Attempt) -> Result<Option<Candidate>>;

    /// Gives a user a one-time token, in place of one that it may have. Fails with
    /// [`Conflict::UserNotInvitable`](tenantry_domain::error::Conflict) for one who is to stay
    /// outside.
    async fn invite_user(
        &self,
        access: &TenantAccess,
        id: UserId,
        token: SecretHash,
    ) -> Result<Invitation>;

    /// Whose a one-time token is, if it is any good.
    async fn invited(&self, tenant: TenantId, token: SecretHash) -> Result<Option<UserId>>;

    /// Sets a user's password by a one-time token, which is used up, and ends its sessions with all
    /// of their access tokens. One who was invited is active then.
    /// [`Error::Unauthenticated`] if the token is no good any more.
    ///
    /// [`Error::Unauthenticated`]: tenantry_domain::error::Error::Unauthenticated
    async fn set_password(&self, access: &TenantAccess, new: NewPassword) -> Result<User>;

    /// Removes failures and one-time tokens that have had their time, at most this many of each.
    /// Answers the greater number.
    async fn forget_sign_ins(&self, limit: u32) -> Result<u32>;
}
