//! Sessions: begun, gone on with, and ended.

use std::sync::Arc;

use tenantry_domain::access::{
    Caller, CallerProbe, Permission, Principal, PrincipalKind, Role, TenantAccess, TokenIds,
};
use tenantry_domain::api_key::SecretHash;
use tenantry_domain::entropy::Entropy;
use tenantry_domain::error::{AuthFailure, Error, Result};
use tenantry_domain::id::{SessionId, TenantId, TokenId, UserId};
use tenantry_domain::ledger::Action;
use tenantry_domain::oauth_client::NewOauthClient;
use tenantry_domain::session::{
    NewSession, Refresh, Refreshed, SESSION_MS, Session, SessionSubject,
};
use tenantry_domain::sign_in::{Attempt, ProvenPassword, Subject};
use tenantry_domain::user::{NewUser, PasswordHash, User, UserPatch, UserStatus};

use super::Fixture;
use super::builders::{email, own_to, system};

/// What [`Fixture::with_password`] gives a user.
pub(super) const HASH: &str = "$argon2id$its own";

/// An attempt to sign in as somebody.
pub(super) fn attempt_as(tenant: TenantId, address: &str) -> Attempt {
    let mut account = [0; 32];
    account.iter_mut().zip(address.bytes()).for_each(|(to, from)| *to = from);
    Attempt {
        tenant,
        email: Some(email(address)),
        account: Subject(account),
        address: Subject([255; 32]),
    }
}

impl Fixture {
    /// Makes an active user who has a password.
    pub(super) async fn with_password(&self, tenant: TenantId, address: &str) -> User {
        let password_hash = Some(PasswordHash(HASH.to_owned()));
        let new = NewUser { password_hash, ..self.new_user(address) };
        self.store.create_user(&system(tenant), new).await.unwrap()
    }

    /// What a user may do about itself, as the store knows it now.
    pub(super) async fn oneself(&self, tenant: TenantId, user: UserId) -> Result<TenantAccess> {
        let kind = PrincipalKind::User { id: user, role: Role::SuperAdmin };
        self.access_of(tenant, kind, Permission::Oneself).await
    }

    /// What a principal may do in its tenant, as the store knows it now.
    pub(super) async fn access_of(
        &self,
        tenant: TenantId,
        kind: PrincipalKind,
        permission: Permission,
    ) -> Result<TenantAccess> {
        let principal = Principal { tenant, kind, token: None };
        let state = self.store.caller_state(&principal.probe()).await?;
        Caller::admit(&principal, &state, None, None)?.authorize(tenant, tenant, permission)
    }

    /// The hash of a new secret.
    pub(super) fn secret(&self) -> SecretHash {
        let entropy: &dyn Entropy = self.entropy.as_ref();
        SecretHash(entropy.bytes())
    }

    pub(super) fn new_session(&self, subject: SessionSubject) -> NewSession {
        let id = SessionId::generate(self.now(), self.entropy.as_ref());
        NewSession { id, subject, refresh_token: self.secret(), proof: None }
    }

    /// Begins a session of a user; answers it and its refresh token.
    pub(super) async fn begin_session(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Result<(Session, SecretHash)> {
        let new = self.new_session(SessionSubject::User(user));
        let token = new.refresh_token;
        let access = self.oneself(tenant, user).await?;
        Ok((self.store.begin_session(&access, new).await?, token))
    }

    /// Refreshes a session of a user; answers what came of it and the next token.
    async fn refresh(
        &self,
        tenant: TenantId,
        user: UserId,
        presented: SecretHash,
    ) -> Result<(Refreshed, SecretHash)> {
        let next = self.secret();
        let refresh = Refresh { presented, next, subject: SessionSubject::User(user) };
        // By whoever may: what the session says is looked at all the same.
        let access = own_to(tenant, Permission::Oneself, None)?;
        Ok((self.store.refresh_session(&access, refresh).await?, next))
    }

    /// Whether the access tokens of a session are no good any more.
    pub(super) async fn is_ended(&self, tenant: TenantId, session: SessionId) -> bool {
        let id = TokenId::generate(self.now(), self.entropy.as_ref());
        self.first_signing_key("first").await;
        let token = Some(TokenIds { id, session: Some(session), key: "first".into() });
        let probe = CallerProbe { token, ..CallerProbe::of_tenant(tenant) };
        self.store.caller_state(&probe).await.unwrap().is_ended
    }
}

/// Who signs in is told in the ledger, with the instant, and their tenant is active.
pub async fn a_session_begins_with_an_entry(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    let user = f.with_password(tenant, "ann@example.com").await;
    let before = f.counts(tenant).await;
    f.clock.advance(5);
    let (session, token) = f.begin_session(tenant, user.id).await.unwrap();
    assert_eq!((session.created_at, session.ended_at), (f.now(), None));
    let entry = f.newest_entry(tenant).await;
    assert_eq!((entry.action, entry.at), (Action::UserSignedIn, f.now()));
    assert_eq!(entry.resource_id, user.id.to_string());
    assert_eq!(entry.actor_id, user.id.to_string());
    let statistics = f.statistics(tenant).await;
    assert_eq!((statistics.counts, statistics.last_activity), (before, Some(f.now())));
    let then = f.store.user(&system(tenant), user.id).await.unwrap();
    assert_eq!(then, User { last_login_at: Some(f.now()), ..user });

    let presented = f.store.presented_session(tenant, token).await.unwrap().unwrap();
    assert_eq!((presented.session, presented.is_used), (session, false));
    assert_eq!(f.store.presented_session(other, token).await.unwrap(), None);
    assert_eq!(f.store.presented_session(tenant, f.secret()).await.unwrap(), None);
}

/// Authority that was given before the user was shut out begins no session.
pub async fn who_was_shut_out_meanwhile_begins_none(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = f.with_password(tenant, "ann@example.com").await;
    let access = f.oneself(tenant, user.id).await.unwrap();
    shut_out(f, tenant, user.id, UserStatus::Disabled).await;
    let new = f.new_session(SessionSubject::User(user.id));
    let token = new.refresh_token;
    let begun = f.store.begin_session(&access, new).await;
    assert_fault!(begun, Error::Unauthenticated(AuthFailure::Revoked));
    assert_eq!(f.store.presented_session(tenant, token).await.unwrap(), None);
}

async fn shut_out(f: &Fixture, tenant: TenantId, user: UserId, status: UserStatus) {
    let patch = UserPatch { status: Some(status), ..UserPatch::default() };
    f.store.update_user(&system(tenant), user, patch).await.unwrap();
}

/// A refresh token that is used twice ends the session, with all of its tokens.
pub async fn a_refresh_token_is_good_once(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = f.with_password(tenant, "ann@example.com").await.id;
    let (session, first) = f.begin_session(tenant, user).await.unwrap();
    let (other, other_token) = f.begin_session(tenant, user).await.unwrap();
    let entries = f.entries(tenant).await.len();
    f.clock.advance(1_000);
    let (refreshed, second) = f.refresh(tenant, user, first).await.unwrap();
    let expires_at = f.now().plus_millis(SESSION_MS);
    assert_eq!(refreshed, Refreshed::GoesOn(Session { expires_at, ..session.clone() }));
    assert!(f.store.presented_session(tenant, first).await.unwrap().unwrap().is_used);
    assert_eq!(f.entries(tenant).await.len(), entries);

    assert_eq!(f.refresh(tenant, user, first).await.unwrap().0, Refreshed::Reused);
    assert!(f.is_ended(tenant, session.id).await);
    let entry = f.newest_entry(tenant).await;
    let expected = (Action::RefreshTokenReused, session.id.to_string());
    assert_eq!((entry.action, entry.resource_id), expected);
    for token in [first, second] {
        let refreshed = f.refresh(tenant, user, token).await;
        assert_fault!(refreshed, Error::Unauthenticated(AuthFailure::Revoked));
    }
    assert_eq!(f.entries(tenant).await.len(), entries + 1);

    // It was this session alone.
    assert!(!f.is_ended(tenant, other.id).await);
    let (refreshed, _) = f.refresh(tenant, user, other_token).await.unwrap();
    assert!(matches!(refreshed, Refreshed::GoesOn(_)));
}

/// Of two who have the same refresh token no more than one goes on.
pub async fn of_many_refreshes_at_once_one_goes_on(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = f.with_password(tenant, "ann@example.com").await.id;
    let (session, token) = f.begin_session(tenant, user).await.unwrap();
    let refresh = async || f.refresh(tenant, user, token).await.map(|(refreshed, _)| refreshed);
    let (one, two, three) = tokio::join!(refresh(), refresh(), refresh());
    let all = [one, two, three];
    let went_on = all.iter().filter(|it| matches!(it, Ok(Refreshed::GoesOn(_)))).count();
    let reused = all.iter().filter(|it| matches!(it, Ok(Refreshed::Reused))).count();
    assert_eq!((went_on, reused), (1, 1), "{all:?}");
    assert!(f.is_ended(tenant, session.id).await);
}

/// A session that is ended is over at once, with an entry.
pub async fn a_session_is_ended_once(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = f.with_password(tenant, "ann@example.com").await.id;
    let (session, token) = f.begin_session(tenant, user).await.unwrap();
    let access = f.oneself(tenant, user).await.unwrap();
    assert!(!f.store.end_session(&access, f.secret()).await.unwrap());
    assert!(!f.is_ended(tenant, session.id).await);
    assert!(f.store.end_session(&access, token).await.unwrap());
    assert!(f.is_ended(tenant, session.id).await);
    let entry = f.newest_entry(tenant).await;
    assert_eq!((entry.action, entry.resource_id), (Action::UserSignedOut, user.to_string()));
    let entries = f.entries(tenant).await.len();
    assert!(!f.store.end_session(&access, token).await.unwrap());
    let refreshed = f.refresh(tenant, user, token).await;
    assert_fault!(refreshed, Error::Unauthenticated(AuthFailure::Revoked));
    assert_eq!(f.entries(tenant).await.len(), entries);
}

/// A session goes on for thirty days after it was last refreshed, and is forgotten then.
pub async fn a_session_ends_by_itself(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = f.with_password(tenant, "ann@example.com").await.id;
    let (_, first) = f.begin_session(tenant, user).await.unwrap();
    f.clock.advance(SESSION_MS - 1);
    assert_eq!(f.store.forget_sessions(10).await.unwrap(), 0);
    let (_, second) = f.refresh(tenant, user, first).await.unwrap();
    f.clock.advance(SESSION_MS);
    let refreshed = f.refresh(tenant, user, second).await;
    assert_fault!(refreshed, Error::Unauthenticated(AuthFailure::Revoked));
    assert_eq!(f.store.forget_sessions(10).await.unwrap(), 1);
    for token in [first, second] {
        assert_eq!(f.store.presented_session(tenant, token).await.unwrap(), None);
    }
    assert_eq!(f.store.forget_sessions(10).await.unwrap(), 0);
}

/// A session that goes on for ever keeps no more used tokens than it has had in thirty days.
pub async fn what_was_used_long_ago_is_forgotten(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = f.with_password(tenant, "ann@example.com").await.id;
    let (_, first) = f.begin_session(tenant, user).await.unwrap();
    let (_, second) = f.refresh(tenant, user, first).await.unwrap();
    f.clock.advance(SESSION_MS - 1);
    let (_, third) = f.refresh(tenant, user, second).await.unwrap();
    assert!(f.store.presented_session(tenant, first).await.unwrap().is_some());
    f.clock.advance(1);
    f.refresh(tenant, user, third).await.unwrap();
    assert_eq!(f.store.presented_session(tenant, first).await.unwrap(), None);
    assert!(f.store.presented_session(tenant, second).await.unwrap().unwrap().is_used);
}

/// Whoever may not sign in any more has no session that goes on, nor would it come back.
pub async fn who_is_shut_out_has_no_session(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let bob = f.with_password(tenant, "bob@example.com").await.id;
    let (of_bob, _) = f.begin_session(tenant, bob).await.unwrap();
    let ann = f.with_password(tenant, "ann@example.com").await.id;
    for status in [UserStatus::Disabled, UserStatus::Locked] {
        let (session, token) = f.begin_session(tenant, ann).await.unwrap();
        shut_out(f, tenant, ann, status).await;
        shut_out(f, tenant, ann, UserStatus::Active).await;
        assert!(f.is_ended(tenant, session.id).await);
        let refreshed = f.refresh(tenant, ann, token).await;
        assert_fault!(refreshed, Error::Unauthenticated(AuthFailure::Revoked));
    }
    let (_, token) = f.begin_session(tenant, ann).await.unwrap();
    f.store.invite_user(&system(tenant), ann, f.secret()).await.unwrap();
    f.store.delete_user(&system(tenant), ann).await.unwrap();
    assert_eq!(f.store.presented_session(tenant, token).await.unwrap(), None);
    assert!(!f.is_ended(tenant, of_bob.id).await);
}

/// A client's session is its own, for what it was begun for, and ends as a user's does.
pub async fn a_client_has_sessions_too(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let new = NewOauthClient { ip_allowlist: Vec::new(), ..f.new_oauth_client() };
    let client = f.store.create_oauth_client(&system(tenant), new).await.unwrap();
    let subject = SessionSubject::Client { id: client.id, scopes: client.scopes.clone() };
    let kind = PrincipalKind::Client { id: client.id, scopes: client.scopes };
    let access = f.access_of(tenant, kind, Permission::Oneself).await.unwrap();
    let entries = f.entries(tenant).await.len();
    let new = f.new_session(subject.clone());
    let (id, first) = (new.id, new.refresh_token);
    f.store.begin_session(&access, new).await.unwrap();
    assert_eq!(f.entries(tenant).await.len(), entries);
    let presented = f.store.presented_session(tenant, first).await.unwrap().unwrap();
    assert_eq!(presented.session.subject, subject);

    // Nobody goes on with what is somebody else's.
    let user = UserId::generate(f.now(), f.entropy.as_ref());
    let refreshed = f.refresh(tenant, user, first).await;
    assert_fault!(refreshed, Error::Unauthenticated(AuthFailure::Revoked));
    let next = f.secret();
    let refresh = Refresh { presented: first, next, subject };
    let refreshed = f.store.refresh_session(&access, refresh).await.unwrap();
    assert!(matches!(refreshed, Refreshed::GoesOn(_)));
    assert!(f.store.end_session(&access, next).await.unwrap());
    assert!(f.is_ended(tenant, id).await);
    let entry = f.newest_entry(tenant).await;
    assert_eq!((entry.action, entry.resource_id), (Action::TokenRevoked, id.to_string()));
}

/// A session that a user begins with its password.
pub(super) async fn sign_in(
    f: &Fixture,
    user: &User,
    access: &TenantAccess,
    hash: &str,
    attempt: &Arc<Attempt>,
) -> Result<Session> {
    let proof =
        ProvenPassword { hash: PasswordHash(hash.to_owned()), attempt: (**attempt).clone() };
    let new = f.new_session(SessionSubject::User(user.id));
    f.store.begin_session(access, NewSession { proof: Some(proof), ..new }).await
}
