//! Attempts to sign in, and one-time tokens that set a password.

use std::sync::Arc;

use tenantry_domain::access::{Permission, PrincipalKind, TenantAccess};
use tenantry_domain::api_key::{NewApiKey, SecretHash};
use tenantry_domain::error::{AuthFailure, Conflict, Denied, Error, Result};
use tenantry_domain::id::{TenantId, UserId};
use tenantry_domain::ledger::Action;
use tenantry_domain::patch::Patch;
use tenantry_domain::scope::Scope;
use tenantry_domain::sign_in::{Attempt, FAILURES_KEPT_MS, INVITATION_MS, NewPassword, Subject};
use tenantry_domain::user::{NewUser, PasswordHash, User, UserPatch, UserRoles, UserStatus};

use super::Fixture;
use super::builders::{email, own, system};
use super::sessions::{HASH, attempt_as, sign_in};

/// After how many seconds an attempt may come; none: it has come.
async fn delay(f: &Fixture, attempt: &Attempt) -> Option<u64> {
    match f.store.attempt_sign_in(attempt).await {
        Ok(_) => None,
        Err(Error::TooManyRequests { seconds }) => Some(seconds),
        Err(error) => panic!("{error}"),
    }
}

/// A few failures cost nothing; then each costs twice as much as the one before.
pub async fn failures_slow_down_an_account(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    let user = f.with_password(tenant, "ann@example.com").await;
    let attempt = attempt_as(tenant, "ANN@example.com");
    for _ in 0..5 {
        let candidate = f.store.attempt_sign_in(&attempt).await.unwrap().unwrap();
        let hash = candidate.password_hash.unwrap();
        assert_eq!((candidate.id, hash.0.as_str()), (user.id, HASH));
    }
    for seconds in [1, 2, 4, 8] {
        assert_eq!(delay(f, &attempt).await, Some(seconds));
        // An attempt that came too early has not made it longer.
        f.clock.advance(i64::try_from(seconds).unwrap() * 1_000 - 1);
        assert_eq!(delay(f, &attempt).await, Some(1));
        f.clock.advance(1);
        assert_eq!(delay(f, &attempt).await, None);
    }
    // Neither another account nor the same one elsewhere has anything to do with it.
    assert_eq!(delay(f, &attempt_as(tenant, "bob@example.com")).await, None);
    assert_eq!(delay(f, &attempt_as(other, "ann@example.com")).await, None);
    assert_eq!(f.store.user(&system(tenant), user.id).await.unwrap(), user);
}

/// Who tries one account after the other from one address is slowed down too.
pub async fn failures_slow_down_an_address(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    for place in 0..21 {
        assert_eq!(delay(f, &attempt_as(tenant, &format!("user-{place}@example.com"))).await, None);
    }
    let next = attempt_as(tenant, "ann@example.com");
    assert_eq!(delay(f, &next).await, Some(1));
    let elsewhere = Attempt { address: Subject([1; 32]), ..next };
    assert_eq!(delay(f, &elsewhere).await, None);
}

/// Of an account that is none there is no more to see than of one that is.
pub async fn nobody_is_slowed_down_as_somebody_is(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    f.with_password(tenant, "ann@example.com").await;
    let delays = async |attempt: Attempt| {
        let mut delays = Vec::new();
        for _ in 0..8 {
            delays.push(delay(f, &attempt).await);
            f.clock.advance(700);
        }
        delays
    };
    let somebody = delays(attempt_as(tenant, "ann@example.com")).await;
    assert_eq!(delays(attempt_as(tenant, "nobody@example.com")).await, somebody);
    let nobody = Attempt { email: None, ..attempt_as(tenant, "not@example.com") };
    assert!(f.store.attempt_sign_in(&nobody).await.unwrap().is_none());
}

/// Each of many attempts is counted before any of them is known to have failed.
pub async fn many_at_once_gain_nothing(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    f.with_password(tenant, "ann@example.com").await;
    let attempts = (0..12).map(|_| {
        let (store, attempt) = (Arc::clone(&f.store), attempt_as(tenant, "ann@example.com"));
        tokio::spawn(async move { store.attempt_sign_in(&attempt).await.is_ok() })
    });
    let mut through = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        through += u32::from(attempt.await.unwrap());
    }
    assert_eq!(through, 5);
}

/// Who signs in has not failed; what somebody else has failed at from the same address stays.
pub async fn success_takes_failures_back(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = f.with_password(tenant, "ann@example.com").await;
    let attempt = Arc::new(attempt_as(tenant, "ann@example.com"));
    let access = f.oneself(tenant, user.id).await.unwrap();
    for _ in 0..5 {
        assert_eq!(delay(f, &attempt).await, None);
    }
    sign_in(f, &user, &access, HASH, &attempt).await.unwrap();
    // The account has none, the address four.
    for place in 0..16 {
        assert_eq!(delay(f, &attempt_as(tenant, &format!("user-{place}@example.com"))).await, None);
    }
    assert_eq!(delay(f, &attempt).await, None);
    sign_in(f, &user, &access, HASH, &attempt).await.unwrap();
    assert_eq!(delay(f, &attempt).await, None);
    assert_eq!(delay(f, &attempt).await, Some(1));
}

/// A password that was right when it was looked at lets nobody in once there is another one.
pub async fn a_password_that_was_set_meanwhile_is_another_one(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = f.with_password(tenant, "ann@example.com").await;
    let attempt = Arc::new(attempt_as(tenant, "ann@example.com"));
    let access = f.oneself(tenant, user.id).await.unwrap();
    let token = invite(f, tenant, user.id).await;
    set(f, tenant, user.id, token).await.unwrap();
    let signed_in = sign_in(f, &user, &access, HASH, &attempt).await;
    assert_fault!(signed_in, Error::Unauthenticated(AuthFailure::WrongPassword));
    let then = f.store.user(&system(tenant), user.id).await.unwrap();
    assert_eq!(then.last_login_at, None);
    sign_in(f, &user, &access, NEW_HASH, &attempt).await.unwrap();
}

/// A day after the last one nothing is left of failures.
pub async fn failures_are_forgotten_after_a_day(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let attempt = attempt_as(tenant, "ann@example.com");
    for _ in 0..5 {
        assert_eq!(delay(f, &attempt).await, None);
    }
    f.clock.advance(FAILURES_KEPT_MS - 1);
    assert_eq!(f.store.forget_sign_ins(10).await.unwrap(), 0);
    f.clock.advance(1);
    assert_eq!(f.store.forget_sign_ins(1).await.unwrap(), 1);
    assert_eq!(f.store.forget_sign_ins(10).await.unwrap(), 1);
    assert_eq!(f.store.forget_sign_ins(10).await.unwrap(), 0);
    for _ in 0..5 {
        assert_eq!(delay(f, &attempt).await, None);
    }
    // Also where nobody has forgotten them.
    f.clock.advance(FAILURES_KEPT_MS);
    for _ in 0..5 {
        assert_eq!(delay(f, &attempt).await, None);
    }
}

/// What [`set`] sets.
const NEW_HASH: &str = "$argon2id$another";

async fn invite(f: &Fixture, tenant: TenantId, user: UserId) -> SecretHash {
    let token = f.secret();
    f.store.invite_user(&system(tenant), user, token).await.unwrap();
    token
}

async fn invitee(f: &Fixture, tenant: TenantId, user: UserId) -> Result<TenantAccess> {
    f.access_of(tenant, PrincipalKind::Invited(user), Permission::OwnPassword).await
}

async fn set(f: &Fixture, tenant: TenantId, user: UserId, token: SecretHash) -> Result<User> {
    let access = invitee(f, tenant, user).await?;
    let hash = PasswordHash(NEW_HASH.to_owned());
    f.store.set_password(&access, NewPassword { token, user, hash }).await
}

async fn hash_of(f: &Fixture, tenant: TenantId, address: &str) -> Option<String> {
    let candidate = f.store.attempt_sign_in(&attempt_as(tenant, address)).await.unwrap();
    candidate.unwrap().password_hash.map(|hash| hash.0)
}

async fn invited_user(f: &Fixture, tenant: TenantId, address: &str) -> User {
    let new = NewUser { status: UserStatus::Invited, ..f.new_user(address) };
    f.store.create_user(&system(tenant), new).await.unwrap()
}

/// Whoever is invited sets a password, is active then, and cannot do so again.
pub async fn an_invitation_sets_a_password_once(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    let user = invited_user(f, tenant, "ann@example.com").await;
    let replaced = invite(f, tenant, user.id).await;
    let token = invite(f, tenant, user.id).await;
    let entry = f.newest_entry(tenant).await;
    assert_eq!((entry.action, entry.resource_id), (Action::UserInvited, user.id.to_string()));
    assert_eq!(f.store.invited(tenant, token).await.unwrap(), Some(user.id));
    for (tenant, token) in [(tenant, replaced), (other, token)] {
        assert_eq!(f.store.invited(tenant, token).await.unwrap(), None);
    }
    let refused = set(f, tenant, user.id, replaced).await;
    assert_fault!(refused, Error::Unauthenticated(AuthFailure::Revoked));
    let before = f.counts(tenant).await;
    assert_eq!((before.users_active, before.users_inactive), (0, 1));

    f.clock.advance(10);
    let then = set(f, tenant, user.id, token).await.unwrap();
    assert_eq!((then.status, then.updated_at), (UserStatus::Active, f.now()));
    assert_eq!(f.store.user(&system(tenant), user.id).await.unwrap(), then);
    let after = f.counts(tenant).await;
    assert_eq!((after.users_active, after.users_inactive), (1, 0));
    let entry = f.newest_entry(tenant).await;
    assert_eq!((entry.action, entry.actor_id), (Action::UserPasswordSet, user.id.to_string()));
    assert_eq!(hash_of(f, tenant, "ann@example.com").await.as_deref(), Some(NEW_HASH));
    assert_eq!(f.store.invited(tenant, token).await.unwrap(), None);
    let again = set(f, tenant, user.id, token).await;
    assert_fault!(again, Error::Unauthenticated(AuthFailure::Revoked));
}

/// Of two who have a one-time token one sets a password.
pub async fn an_invitation_is_used_once_by_two_at_once(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = invited_user(f, tenant, "ann@example.com").await.id;
    let token = invite(f, tenant, user).await;
    let (one, two) = tokio::join!(set(f, tenant, user, token), set(f, tenant, user, token));
    let set = [one, two].iter().filter(|it| it.is_ok()).count();
    assert_eq!(set, 1);
}

/// An invitation is good for three days, and forgotten then.
pub async fn an_invitation_has_its_time(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = f.with_password(tenant, "ann@example.com").await.id;
    let token = invite(f, tenant, user).await;
    f.clock.advance(INVITATION_MS - 1);
    f.store.forget_sign_ins(10).await.unwrap();
    assert_eq!(f.store.invited(tenant, token).await.unwrap(), Some(user));
    f.clock.advance(1);
    assert_eq!(f.store.invited(tenant, token).await.unwrap(), None);
    let refused = set(f, tenant, user, token).await;
    assert_fault!(refused, Error::Unauthenticated(AuthFailure::Revoked));
    assert_eq!(f.store.forget_sign_ins(10).await.unwrap(), 1);
    assert_eq!(hash_of(f, tenant, "ann@example.com").await.as_deref(), Some(HASH));
}

/// A one-time token that was given for a user ends when that is given other roles: whoever has it may be
/// nobody who could give those.
pub async fn an_invitation_is_for_who_the_user_was(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = f.with_password(tenant, "ann@example.com").await.id;
    let roles = |tenant_admin| Some(UserRoles { tenant_admin, member: true });
    let patch = async |patch| f.store.update_user(&system(tenant), user, patch).await.unwrap();
    patch(UserPatch { roles: roles(false), ..UserPatch::default() }).await;
    let token = invite(f, tenant, user).await;
    patch(UserPatch { name: Patch::Clear, roles: roles(false), ..UserPatch::default() }).await;
    assert_eq!(f.store.invited(tenant, token).await.unwrap(), Some(user));
    patch(UserPatch { roles: roles(true), ..UserPatch::default() }).await;
    assert_eq!(f.store.invited(tenant, token).await.unwrap(), None);
    let refused = set(f, tenant, user, token).await;
    assert_fault!(refused, Error::Unauthenticated(AuthFailure::Revoked));
    assert_eq!(hash_of(f, tenant, "ann@example.com").await.as_deref(), Some(HASH));
}

/// Who is to stay outside stays there, whatever they have, and nobody gives access to somebody who
/// has more.
pub async fn nobody_gets_around_an_administrator_by_an_invitation(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = f.with_password(tenant, "ann@example.com").await.id;
    let update = async |status| {
        let patch = UserPatch { status: Some(status), ..UserPatch::default() };
        f.store.update_user(&system(tenant), user, patch).await.unwrap()
    };
    for status in [UserStatus::Disabled, UserStatus::Locked] {
        let token = invite(f, tenant, user).await;
        let access = invitee(f, tenant, user).await.unwrap();
        update(status).await;
        let again = f.store.invite_user(&system(tenant), user, token).await;
        assert_fault!(again, Error::Conflict(Conflict::UserNotInvitable));
        let hash = PasswordHash(NEW_HASH.to_owned());
        let refused = f.store.set_password(&access, NewPassword { token, user, hash }).await;
        assert_fault!(refused, Error::Unauthenticated(AuthFailure::Revoked));
        // What was sent before does not come back.
        update(UserStatus::Active).await;
        assert_eq!(f.store.invited(tenant, token).await.unwrap(), None);
    }
    // A change of something else leaves an invitation as it is.
    update(UserStatus::Invited).await;
    let token = invite(f, tenant, user).await;
    let patch = UserPatch { email: Some(email("new@example.com")), ..UserPatch::default() };
    f.store.update_user(&system(tenant), user, patch).await.unwrap();
    assert_eq!(f.store.invited(tenant, token).await.unwrap(), Some(user));

    let admin = NewUser { roles: UserRoles::ALL, ..f.new_user("root@example.com") };
    let admin = f.store.create_user(&system(tenant), admin).await.unwrap();
    let key = NewApiKey { ip_allowlist: Vec::new(), ..f.new_api_key(None) };
    let kind = PrincipalKind::ApiKey(key.secret_hash);
    f.store.create_api_key(&system(tenant), key).await.unwrap();
    let permission = Permission::Scope(Scope::UsersWrite);
    let by_a_key = f.access_of(tenant, kind, permission).await.unwrap();
    let token = f.secret();
    let refused = f.store.invite_user(&by_a_key, admin.id, token).await;
    assert_fault!(refused, Error::Denied(Denied::InsufficientPermissions));
    f.store.invite_user(&own(tenant, None), admin.id, token).await.unwrap();
}

/// Whoever else had got in is out.
pub async fn a_password_that_is_set_ends_sessions(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = f.with_password(tenant, "ann@example.com").await.id;
    let bob = f.with_password(tenant, "bob@example.com").await.id;
    let (one, _) = f.begin_session(tenant, user).await.unwrap();
    let (two, _) = f.begin_session(tenant, user).await.unwrap();
    let (of_bob, _) = f.begin_session(tenant, bob).await.unwrap();
    let token = invite(f, tenant, user).await;
    assert!(!f.is_ended(tenant, one.id).await);
    set(f, tenant, user, token).await.unwrap();
    assert!(f.is_ended(tenant, one.id).await && f.is_ended(tenant, two.id).await);
    assert!(!f.is_ended(tenant, of_bob.id).await);
}
