//! Users: each step and the counts after it.

use std::sync::Arc;

use tenantry_domain::access::{Bearer, BearerId, CallerProbe, CallerState, CallerUser};
use tenantry_domain::counts::Counts;
use tenantry_domain::error::{Conflict, Error, Missing};
use tenantry_domain::ledger::Action;
use tenantry_domain::patch::Patch;
use tenantry_domain::tenant::TenantStatus;
use tenantry_domain::user::{ExternalId, User, UserPatch, UserRoles, UserStatus};

use super::builders::{email, name, system};
use super::harness::Fixture;

const ADMIN: UserRoles = UserRoles { tenant_admin: true, member: false };

fn to_status(status: UserStatus) -> UserPatch {
    UserPatch { status: Some(status), ..UserPatch::default() }
}

fn to_roles(roles: UserRoles) -> UserPatch {
    UserPatch { roles: Some(roles), ..UserPatch::default() }
}

fn external(subject: &str) -> ExternalId {
    ExternalId { realm: "corporate".to_owned(), subject: subject.to_owned() }
}

/// A user is made, read, changed and removed, and the counts follow each step.
pub async fn each_step_is_counted(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let access = system(tenant);
    let mut new = f.new_user("Ann@Example.com");
    new.name = Some(name("Ann"));
    new.external_id = Some(external("ann"));
    let made = f.store.create_user(&access, new.clone()).await.unwrap();
    assert_eq!(made, new.into_user(f.now()));
    assert_eq!(f.store.user(&access, made.id).await.unwrap(), made);
    let active = Counts { users_active: 1, ..Counts::default() };
    assert_eq!(f.counts(tenant).await, active);
    assert_eq!(f.newest_entry(tenant).await.resource_id, made.id.to_string());

    let inactive = Counts { users_inactive: 1, ..Counts::default() };
    let admin = Counts { admins: 1, ..inactive };
    let mut user = made;
    for (patch, counts) in [
        (to_status(UserStatus::Disabled), inactive),
        (to_status(UserStatus::Locked), inactive),
        (to_status(UserStatus::Invited), inactive),
        (to_roles(ADMIN), admin),
        (to_status(UserStatus::Active), Counts { admins: 1, ..active }),
        (to_roles(UserRoles::default()), active),
        (UserPatch { name: Patch::Clear, ..UserPatch::default() }, active),
        (UserPatch { email: Some(email("b@example.com")), ..UserPatch::default() }, active),
        (UserPatch { external_id: Patch::Clear, ..UserPatch::default() }, active),
    ] {
        f.clock.advance(10);
        let expected = patch.clone().apply(&user, f.now());
        user = f.store.update_user(&access, user.id, patch).await.unwrap().value;
        assert_eq!(user, expected.unwrap());
        assert_eq!(f.store.user(&access, user.id).await.unwrap(), user);
        assert_eq!(f.counts(tenant).await, counts);
        let entry = f.newest_entry(tenant).await;
        assert_eq!((entry.action, entry.at), (Action::UserUpdated, f.now()));
        assert_eq!(entry.counts, counts);
    }

    f.clock.advance(10);
    assert_eq!(f.store.delete_user(&access, user.id).await.unwrap().value, user);
    assert_eq!(f.counts(tenant).await, Counts::default());
    assert_fault!(f.store.user(&access, user.id).await, Error::NotFound(Missing::User));
    let again = f.store.delete_user(&access, user.id).await;
    assert_fault!(again, Error::NotFound(Missing::User));
    let update = f.store.update_user(&access, user.id, UserPatch::default()).await;
    assert_fault!(update, Error::NotFound(Missing::User));
    assert_eq!(f.newest_entry(tenant).await.action, Action::UserDeleted);
    assert_eq!(f.entries(tenant).await.len(), 12);
}

/// A removed user leaves the number of the admins too.
pub async fn a_removed_admin_is_none(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let mut new = f.new_user("ann@example.com");
    (new.status, new.roles) = (UserStatus::Invited, ADMIN);
    let user = f.store.create_user(&system(tenant), new).await.unwrap();
    assert_eq!(
        f.counts(tenant).await,
        Counts { users_inactive: 1, admins: 1, ..Counts::default() }
    );
    f.store.delete_user(&system(tenant), user.id).await.unwrap();
    assert_eq!(f.counts(tenant).await, Counts::default());
}

/// An e-mail address is unique in its tenant, whatever its case, and free again afterwards.
pub async fn an_email_is_unique_in_its_tenant(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    let access = system(tenant);
    let ann = f.user(tenant, "Änn@Example.com").await;
    let ben = f.user(tenant, "ben@example.com").await;
    f.user(other, "änn@example.com").await;

    let before = f.statistics(tenant).await;
    let result = f.store.create_user(&access, f.new_user("äNN@example.COM")).await;
    assert_fault!(result, Error::Conflict(Conflict::Email));
    let patch = UserPatch {
        email: Some(email("änn@example.com")),
        status: Some(UserStatus::Locked),
        ..UserPatch::default()
    };
    let result = f.store.update_user(&access, ben.id, patch.clone()).await;
    assert_fault!(result, Error::Conflict(Conflict::Email));
    assert_eq!(f.statistics(tenant).await, before);
    assert_eq!(f.store.user(&access, ben.id).await.unwrap(), ben);

    // Its own address in another case is nobody else's.
    let spelled: User = f.store.update_user(&access, ann.id, patch.clone()).await.unwrap().value;
    assert_eq!(spelled.email, email("änn@example.com"));
    f.store.delete_user(&access, ann.id).await.unwrap();
    f.store.update_user(&access, ben.id, patch).await.unwrap();
    f.user(tenant, "ben@example.com").await;
    assert_eq!(f.counts(tenant).await.users(), 2);
}

/// An external id is unique in its tenant.
pub async fn an_external_id_is_unique_in_its_tenant(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    for tenant in [tenant, other] {
        let mut new = f.new_user("ann@example.com");
        new.external_id = Some(external("ann"));
        f.store.create_user(&system(tenant), new).await.unwrap();
    }
    let ben = f.user(tenant, "ben@example.com").await;
    f.user(tenant, "two.without.one@example.com").await;

    let before = f.statistics(tenant).await;
    let mut new = f.new_user("cid@example.com");
    new.external_id = Some(external("ann"));
    let result = f.store.create_user(&system(tenant), new).await;
    assert_fault!(result, Error::Conflict(Conflict::ExternalId));
    let set =
        |id: ExternalId| UserPatch { external_id: Patch::Set(id.into()), ..UserPatch::default() };
    let result = f.store.update_user(&system(tenant), ben.id, set(external("ann"))).await;
    assert_fault!(result, Error::Conflict(Conflict::ExternalId));
    assert_eq!(f.statistics(tenant).await, before);

    // The same subject of another realm, and a subject in another case, are other people.
    let elsewhere = ExternalId { realm: "partner".to_owned(), subject: "ann".to_owned() };
    for id in [elsewhere, external("Ann")] {
        f.store.update_user(&system(tenant), ben.id, set(id)).await.unwrap();
    }
}

/// A patch that changes nothing leaves no trace.
pub async fn a_patch_that_changes_nothing_leaves_no_trace(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = f.user(tenant, "ann@example.com").await;
    let before = f.entries(tenant).await;
    f.clock.advance(10);
    let same = UserPatch {
        email: Some(user.email.clone()),
        name: Patch::Clear,
        status: Some(user.status),
        roles: Some(user.roles),
        external_id: Patch::Clear,
    };
    for patch in [UserPatch::default(), same] {
        let after = f.store.update_user(&system(tenant), user.id, patch).await.unwrap().value;
        assert_eq!(after, user);
    }
    assert_eq!(f.store.user(&system(tenant), user.id).await.unwrap(), user);
    assert_eq!(f.entries(tenant).await, before);
}

/// What a caller is worth follows its tenant's and its user's row at once.
pub async fn callers_are_known_as_they_are_now(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    let unknown = f.new_tenant("unknown").id;
    let user = f.user(tenant, "Ann@example.com").await;
    let probe = |tenant| CallerProbe { tenant, bearer: Some(BearerId::User(user.id)), token: None };
    let known = |status, roles| CallerState {
        tenant: Some(TenantStatus::Active),
        bearer: Some(Bearer::User(Arc::new(CallerUser {
            status,
            roles,
            email: "Ann@example.com".to_owned(),
            name: None,
        }))),
        is_ended: false,
    };
    let nobody = CallerState { tenant: Some(TenantStatus::Active), ..CallerState::default() };

    let state = async || {
        let state = f.store.caller_state(&probe(tenant)).await.unwrap();
        let (with_statistics, _) = f.store.statistics(&probe(tenant), other).await.unwrap();
        assert_eq!(state, with_statistics);
        state
    };
    assert_eq!(state().await, known(UserStatus::Active, user.roles));
    let patch =
        UserPatch { status: Some(UserStatus::Locked), roles: Some(ADMIN), ..UserPatch::default() };
    f.store.update_user(&system(tenant), user.id, patch).await.unwrap();
    assert_eq!(state().await, known(UserStatus::Locked, ADMIN));
    f.store.delete_user(&system(tenant), user.id).await.unwrap();
    assert_eq!(state().await, nobody);

    assert_eq!(f.store.caller_state(&probe(other)).await.unwrap(), nobody);
    let state = f.store.caller_state(&probe(unknown)).await.unwrap();
    assert_eq!(state, CallerState::default());
}

/// The statistics of a tenant open for nobody but who has authority over it.
pub async fn statistics_open_with_authority_alone(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    let probe = CallerProbe::of_tenant(tenant);
    let (_, closed) = f.store.statistics(&probe, tenant).await.unwrap();
    assert_fault!(closed.open(&system(other)), Error::Denied(_));
    let unknown = f.new_tenant("unknown").id;
    let (state, closed) = f.store.statistics(&probe, unknown).await.unwrap();
    assert_eq!(state.tenant, Some(TenantStatus::Active));
    assert_eq!(closed.open(&system(unknown)).unwrap(), None);
}
