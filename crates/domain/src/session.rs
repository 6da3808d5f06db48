//! Sessions: what a person or an OAuth client has begun, and goes on with by refreshing.

use crate::api_key::SecretHash;
use crate::clock::Timestamp;
use crate::id::{OauthClientId, SessionId, UserId};
use crate::scope::Scopes;
use crate::sign_in::ProvenPassword;

/// For how many seconds an access token of a session is valid.
pub const ACCESS_TOKEN_SECONDS: u64 = 15 * 60;
/// How long it is remembered that a session was ended, in milliseconds: as long as its access tokens
/// would be valid, and a minute for one that is just being issued.
pub const ENDED_KEPT_MS: i64 = 16 * 60 * 1_000;
/// For how many milliseconds a session goes on that nobody refreshes.
pub const SESSION_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

/// Whose a session is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionSubject {
    /// A user's.
    User(UserId),
    /// An OAuth client's, for these things.
    Client {
        /// Which one's.
        id: OauthClientId,
        /// What its tokens are for.
        scopes: Scopes,
    },
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id, the `sid` of its tokens.
    pub id: SessionId,
    /// Whose it is.
    pub subject: SessionSubject,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it ends unless it is refreshed.
    pub expires_at: Timestamp,
    /// When it was ended, if it was.
    pub ended_at: Option<Timestamp>,
}

impl Session {
    /// Whether it is over at an instant.
    pub fn is_over(&self, at: Timestamp) -> bool {
        self.ended_at.is_some() || self.expires_at <= at
    }
}

/// A session to be begun.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub subject: SessionSubject,
    /// The hash of its first refresh token.
    pub refresh_token: SecretHash,
    /// What a user has begun it with: it must still be so.
    pub proof: Option<ProvenPassword>,
}

impl NewSession {
    /// The session, begun at `at`.
    pub fn into_session(self, at: Timestamp) -> Session {
        Session {
            id: self.id,
            subject: self.subject,
            created_at: at,
            expires_at: at.plus_millis(SESSION_MS),
            ended_at: None,
        }
    }
}

/// A session, as one of its refresh tokens leads to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedSession {
    /// The session.
    pub session: Session,
    /// Whether the refresh token was used before.
    pub is_used: bool,
}

/// A refresh token that is given for another one.
#[derive(Debug, Clone)]
pub struct Refresh {
    /// The hash of the one that is given.
    pub presented: SecretHash,
    /// The hash of the next one.
    pub next: SecretHash,
    /// Who gives it.
    pub subject: SessionSubject,
}

/// What came of a refresh token that was given for another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// The session goes on.
    GoesOn(Session),
    /// It was used before: two have it, and nobody knows who is who. The session is ended.
    Reused,
}
