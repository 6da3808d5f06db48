//! Authority that was taken back between the asking and the change.

use tenantry_domain::access::{Caller, Principal, PrincipalKind, Role, TenantAccess};
use tenantry_domain::api_key::SecretHash;
use tenantry_domain::error::{AuthFailure, Denied, Error};
use tenantry_domain::id::{TenantId, UserId};
use tenantry_domain::oauth_client::{NewOauthClient, OauthClientPatch};
use tenantry_domain::patch::Patch;
use tenantry_domain::scope::{Scope, Scopes};
use tenantry_domain::tenant::Governance;
use tenantry_domain::usage::{UsageEvent, UsageReport};
use tenantry_domain::user::{ExternalId, NewUser, User, UserPatch, UserRoles, UserStatus};

use super::builders::{email, system};
use super::harness::Fixture;

const ADMIN: UserRoles = UserRoles { tenant_admin: true, member: true };

/// Authority of a user of the tenant, as it is when it asks.
async fn authority(f: &Fixture, tenant: TenantId, user: UserId, role: Role) -> TenantAccess {
    let principal = Principal { tenant, kind: PrincipalKind::User { id: user, role }, token: None };
    let state = f.store.caller_state(&principal.probe()).await.unwrap();
    let caller = Caller::admit(&principal, &state, None, None).unwrap();
    caller.authorize(tenant, tenant, Scope::UsersWrite).unwrap()
}

async fn admin(f: &Fixture, tenant: TenantId, address: &str) -> User {
    let mut new = f.new_user(address);
    new.roles = ADMIN;
    f.store.create_user(&system(tenant), new).await.unwrap()
}

/// A change that comes after its bearer was disabled, demoted or removed does not happen.
pub async fn a_change_after_the_authority_was_taken_back_does_not_happen(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = admin(f, tenant, "ann@example.com").await;
    let access = authority(f, tenant, user.id, Role::TenantAdmin).await;
    f.store.create_user(&access, f.new_user("first@example.com")).await.unwrap();

    let demoted = UserPatch { roles: Some(UserRoles::default()), ..UserPatch::default() };
    f.store.update_user(&system(tenant), user.id, demoted).await.unwrap();
    let before = f.statistics(tenant).await;
    let create = async |address| f.store.create_user(&access, f.new_user(address)).await;
    assert_fault!(create("a@example.com").await, Error::Denied(Denied::InsufficientPermissions));

    let disabled = UserPatch {
        roles: Some(ADMIN),
        status: Some(UserStatus::Disabled),
        ..UserPatch::default()
    };
    f.store.update_user(&system(tenant), user.id, disabled).await.unwrap();
    let revoked = Error::Unauthenticated(AuthFailure::Revoked);
    assert_eq!(create("b@example.com").await, Err(revoked.clone()));
    f.store.delete_user(&system(tenant), user.id).await.unwrap();
    assert_eq!(create("c@example.com").await, Err(revoked));
    assert_eq!(f.statistics(tenant).await.counts.users(), before.counts.users() - 1);
}

/// Nor does one by a principal of a tenant that was suspended meanwhile. What it reports is taken.
pub async fn a_change_after_the_tenant_was_suspended_does_not_happen(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = admin(f, tenant, "ann@example.com").await;
    let access = authority(f, tenant, user.id, Role::TenantAdmin).await;
    let principal = Principal {
        tenant,
        kind: PrincipalKind::User { id: user.id, role: Role::TenantAdmin },
        token: None,
    };
    f.store.govern_tenant(&system(tenant), Governance::Suspend).await.unwrap();
    let refused = f.store.create_user(&access, f.new_user("late@example.com")).await;
    assert_fault!(refused, Error::Denied(Denied::TenantSuspended));

    let state = f.store.caller_state(&principal.probe()).await.unwrap();
    let caller = Caller::admit(&principal, &state, None, None).unwrap();
    let reader = caller.authorize(tenant, tenant, Scope::UsageWrite).unwrap();
    let event = UsageEvent {
        source: "gateway".to_owned(),
        id: "1".to_owned(),
        time: f.now(),
        report: UsageReport::Calls(5),
    };
    f.store.report_usage(&reader, vec![event]).await.unwrap();
    assert_eq!(f.statistics(tenant).await.calls_this_month, 5);
}

/// Who administers the platform's tenant may be a super admin: somebody who is less neither makes,
/// changes nor removes one.
pub async fn nobody_lays_hands_on_somebody_more_powerful(f: &Fixture) {
    let platform = TenantId::PLATFORM;
    let operator = admin(f, platform, "root@example.com").await;
    let lesser = admin(f, platform, "helper@example.com").await;
    let access = authority(f, platform, lesser.id, Role::TenantAdmin).await;
    let before = f.entries(platform).await.len();
    let patch = UserPatch { email: Some(email("mine@example.com")), ..UserPatch::default() };
    let denied = Denied::InsufficientPermissions;
    let changed = f.store.update_user(&access, operator.id, patch).await;
    assert_eq!(changed, Err(Error::Denied(denied)));
    let removed = f.store.delete_user(&access, operator.id).await;
    assert_eq!(removed, Err(Error::Denied(denied)));
    let erased = f.store.erase_user(&access, operator.id).await;
    assert_eq!(erased, Err(Error::Denied(denied)));
    let plain = f.store.create_user(&access, f.new_user("plain@example.com")).await.unwrap();
    let promotion = UserPatch { roles: Some(ADMIN), ..UserPatch::default() };
    let promoted = f.store.update_user(&access, plain.id, promotion.clone()).await;
    assert_eq!(promoted, Err(Error::Denied(denied)));
    assert_eq!(f.entries(platform).await.len(), before + 1);
    // A super admin may.
    let above = authority(f, platform, operator.id, Role::SuperAdmin).await;
    f.store.update_user(&above, plain.id, promotion).await.unwrap();
    f.store.delete_user(&above, plain.id).await.unwrap();
    // Of who is gone nobody knows any more how powerful they were.
    let traces = f.store.erase_user(&access, plain.id).await;
    assert_eq!(traces, Err(Error::Denied(denied)));
    f.store.erase_user(&above, plain.id).await.unwrap();
}

/// What somebody of an external realm is, its tokens say: whoever could not give the most that they can
/// say neither takes it away by a row, nor back by removing the row.
pub async fn nobody_lays_hands_on_who_can_be_more_elsewhere(f: &Fixture) {
    let platform = TenantId::PLATFORM;
    let lesser = admin(f, platform, "helper@example.com").await;
    let access = authority(f, platform, lesser.id, Role::TenantAdmin).await;
    let external_id = ExternalId { realm: "staff".to_owned(), subject: "boss".to_owned() };
    let new = NewUser { external_id: Some(external_id.clone()), ..f.new_user("boss@example.com") };
    let boss = f.store.create_user(&system(platform), new).await.unwrap().id;
    let plain = f.store.create_user(&access, f.new_user("plain@example.com")).await.unwrap().id;
    let before = f.entries(platform).await;
    let denied = || Err(Error::Denied(Denied::InsufficientPermissions));
    for (id, patch) in [
        (boss, UserPatch { status: Some(UserStatus::Disabled), ..UserPatch::default() }),
        (boss, UserPatch { external_id: Patch::Clear, ..UserPatch::default() }),
        (plain, UserPatch { external_id: Patch::Set(external_id.into()), ..UserPatch::default() }),
    ] {
        assert_eq!(f.store.update_user(&access, id, patch).await.map(drop), denied());
    }
    let invited = f.store.invite_user(&access, boss, SecretHash([7; 32])).await;
    assert_eq!(invited.map(drop), denied());
    assert_eq!(f.store.delete_user(&access, boss).await.map(drop), denied());
    assert_eq!(f.store.erase_user(&access, boss).await.map(drop), denied());
    assert_eq!(f.entries(platform).await, before);
    let disabled = UserPatch { status: Some(UserStatus::Disabled), ..UserPatch::default() };
    f.store.update_user(&access, plain, disabled).await.unwrap();
}

/// A client that may do more than somebody has is not theirs to change, nor to give a new secret.
pub async fn nobody_lays_hands_on_a_more_powerful_client(f: &Fixture) {
    let platform = TenantId::PLATFORM;
    let lesser = admin(f, platform, "helper@example.com").await;
    let access = authority(f, platform, lesser.id, Role::TenantAdmin).await;
    let new = NewOauthClient {
        scopes: Scopes::parse(["usage:write:any"]).unwrap(),
        ..f.new_oauth_client()
    };
    let client = f.store.create_oauth_client(&system(platform), new).await.unwrap();
    let before = f.entries(platform).await;
    let somewhere = OauthClientPatch {
        redirect_uris: Some(vec!["https://elsewhere.example".to_owned()]),
        ..OauthClientPatch::default()
    };
    let denied = Denied::InsufficientPermissions;
    let changed = f.store.update_oauth_client(&access, client.id, somewhere.clone()).await;
    assert_eq!(changed, Err(Error::Denied(denied)));
    // The use case looks too, but before the transaction: what it saw may have changed since.
    let hash = || SecretHash([7; 32]);
    let rotated = f.store.rotate_oauth_client_secret(&access, client.id, hash()).await;
    assert_eq!(rotated, Err(Error::Denied(denied)));
    assert_eq!(f.entries(platform).await, before);
    let above = authority(f, platform, lesser.id, Role::SuperAdmin).await;
    f.store.update_oauth_client(&above, client.id, somewhere).await.unwrap();
    f.store.rotate_oauth_client_secret(&above, client.id, hash()).await.unwrap();
}
