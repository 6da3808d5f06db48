//! Erasing a person, and what is told about administrators who go.

use std::sync::Arc;

use tenantry_domain::access::{
    Bearer, Caller, CallerState, CallerUser, Principal, PrincipalKind, Role, TenantAccess,
};
use tenantry_domain::counts::Counts;
use tenantry_domain::error::{AuthFailure, Error, Missing};
use tenantry_domain::id::{TenantId, UserId};
use tenantry_domain::ledger::{Action, Entry};
use tenantry_domain::patch::Patch;
use tenantry_domain::scope::Scope;
use tenantry_domain::tenant::TenantStatus;
use tenantry_domain::usage::Call;
use tenantry_domain::user::{NewUser, User, UserPatch, UserRoles, UserStatus, Warning};

use super::builders::{name, own, super_admin, system};
use super::harness::Fixture;

const ADMIN: UserRoles = UserRoles { tenant_admin: true, member: false };

/// Authority over a tenant by a user.
fn by(home: TenantId, user: &User, target: TenantId, call: Option<Arc<Call>>) -> TenantAccess {
    let role = if home == TenantId::PLATFORM { Role::SuperAdmin } else { Role::TenantAdmin };
    let principal =
        Principal { tenant: home, kind: PrincipalKind::User { id: user.id, role }, token: None };
    let known = CallerUser {
        status: user.status,
        roles: user.roles,
        email: user.email.to_string(),
        name: user.name.as_ref().map(ToString::to_string),
    };
    let state = CallerState {
        tenant: Some(TenantStatus::Active),
        bearer: Some(Bearer::User(known.into())),
        is_ended: false,
    };
    let caller = Caller::admit(&principal, &state, "192.0.2.7".parse().ok(), call).unwrap();
    caller.authorize(target, target, Scope::UsersWrite).unwrap()
}

async fn admin(f: &Fixture, tenant: TenantId, address: &str) -> User {
    let new = NewUser { name: Some(name("Adele")), roles: ADMIN, ..f.new_user(address) };
    f.store.create_user(&system(tenant), new).await.unwrap()
}

/// The entries of which something is erased: whether who acted, and whether the details.
fn gaps(entries: &[Entry]) -> Vec<(u64, bool, bool)> {
    let gap = |entry: &Entry| {
        (entry.seq, entry.actor_info.clear.is_none(), entry.details.clear.is_none())
    };
    entries.iter().map(gap).filter(|(_, actor, details)| *actor || *details).collect()
}

fn clear_texts(entries: &[Entry]) -> String {
    let parts = entries.iter().flat_map(|entry| [&entry.actor_info, &entry.details]);
    parts.filter_map(|part| part.clear.as_ref().map(|clear| clear.json.as_str())).collect()
}

/// An erased person is gone from the rows and from every entry, and the chain still holds.
pub async fn a_person_is_erased_everywhere(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let adele = admin(f, tenant, "adele@example.com").await; // entry 2
    let ben = f.user(tenant, "ben@example.com").await;
    let patch = UserPatch { name: Patch::Set(name("Adele Dazeem")), ..UserPatch::default() };
    f.store.update_user(&own(tenant, None), adele.id, patch).await.unwrap(); // entry 4
    let patch = UserPatch { name: Patch::Set(name("Ben")), ..UserPatch::default() };
    let acting = by(tenant, &adele, tenant, None);
    f.store.update_user(&acting, ben.id, patch).await.unwrap(); // entry 5
    f.clock.advance(10);

    let before = f.entries(tenant).await;
    assert!(clear_texts(&before).contains("Dazeem") && clear_texts(&before).contains("192.0.2.7"));
    let erased = f.store.erase_user(&system(tenant), adele.id).await.unwrap();
    assert_eq!((erased.value.id, erased.value.entries), (adele.id, 3));

    let entries = f.entries(tenant).await;
    assert_eq!(gaps(&entries), [(2, false, true), (4, false, true), (5, true, false)]);
    let texts = clear_texts(&entries).to_lowercase();
    assert!(!texts.contains("adele") && !texts.contains("192.0.2.7"), "{texts}");
    assert!(texts.contains("ben@example.com"));
    let newest = f.newest_entry(tenant).await;
    assert_eq!((newest.action, newest.at), (Action::UserErased, f.now()));
    assert_eq!(newest.resource_id, adele.id.to_string());
    assert_eq!(newest.counts, Counts { users_active: 1, ..Counts::default() });
    assert_eq!(f.counts(tenant).await, newest.counts);
    let gone = f.store.user(&system(tenant), adele.id).await;
    assert_fault!(gone, Error::NotFound(Missing::User));
    // Nothing but the clear text went.
    for (old, new) in before.iter().zip(&entries) {
        assert_eq!(
            (old.hash, &old.actor_id, &old.resource_id),
            (new.hash, &new.actor_id, &new.resource_id)
        );
    }
    f.user(tenant, "adele@example.com").await;
}

/// Who was deleted before can still be erased, and the second time there is nothing to do.
pub async fn a_deleted_person_is_erased(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let ann = f.user(tenant, "ann@example.com").await;
    f.store.delete_user(&system(tenant), ann.id).await.unwrap();
    let counts = f.counts(tenant).await;
    let call = f.call(tenant);
    let erased = f.store.erase_user(&own(tenant, Some(&call)), ann.id).await.unwrap();
    assert_eq!((erased.value.entries, erased.warnings), (2, Vec::new()));
    assert!(call.is_counted());
    let entries = f.entries(tenant).await;
    assert_eq!(gaps(&entries), [(2, false, true), (3, false, true)]);
    assert_eq!((entries.len(), f.counts(tenant).await), (4, counts));

    f.clock.advance(10);
    let again = f.store.erase_user(&system(tenant), ann.id).await.unwrap();
    assert_eq!((again.value.id, again.value.entries), (ann.id, 0));
    assert_eq!(f.entries(tenant).await, entries);
}

/// Somebody the tenant never had cannot be erased, nor somebody of another tenant.
pub async fn a_stranger_is_not_erased(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    let ann = f.user(other, "ann@example.com").await;
    let unknown = UserId::generate(f.now(), f.entropy.as_ref());
    for id in [ann.id, unknown] {
        let result = f.store.erase_user(&system(tenant), id).await;
        assert_fault!(result, Error::NotFound(Missing::User));
    }
    assert_eq!(f.entries(tenant).await.len(), 1);
    assert_eq!(gaps(&f.entries(other).await), []);
    let nowhere = system(f.new_tenant("unknown").id);
    assert_fault!(f.store.erase_user(&nowhere, ann.id).await, Error::NotFound(Missing::Tenant));
}

/// Whoever erases themselves is not named by the entry that says so.
pub async fn a_person_can_erase_themselves(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let adele = admin(f, tenant, "adele@example.com").await;
    let erased = f.store.erase_user(&by(tenant, &adele, tenant, None), adele.id).await.unwrap();
    assert_eq!((erased.value.entries, erased.warnings), (1, vec![Warning::NoActiveTenantAdmin]));
    let entries = f.entries(tenant).await;
    assert_eq!(gaps(&entries), [(2, false, true), (3, true, false)]);
    assert_eq!(entries[2].actor_id, adele.id.to_string());
    assert!(!clear_texts(&entries).contains("adele"));
}

/// What a ledger tells of somebody from the platform who acted there, only the platform erases.
pub async fn a_platform_user_is_erased_by_the_platform(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let root = admin(f, TenantId::PLATFORM, "root@example.com").await;
    let acting = by(TenantId::PLATFORM, &root, tenant, None);
    f.store.create_user(&acting, f.new_user("ann@example.com")).await.unwrap();
    let result = f.store.erase_user(&own(tenant, None), root.id).await;
    assert_fault!(result, Error::NotFound(Missing::User));
    assert_eq!(gaps(&f.entries(tenant).await), []);
    let erased = f.store.erase_user(&super_admin(tenant, None), root.id).await.unwrap();
    assert_eq!(erased.value.entries, 1);
    assert_eq!(gaps(&f.entries(tenant).await), [(2, true, false)]);
    // Its row and its own tenant's ledger are another matter.
    f.store.user(&system(TenantId::PLATFORM), root.id).await.unwrap();
    assert_eq!(gaps(&f.entries(TenantId::PLATFORM).await), []);
}

/// A long history is erased to its end, in as many parts as it takes.
pub async fn a_long_history_is_erased(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let ann = f.user(tenant, "ann@example.com").await;
    for place in 0..1_100 {
        let patch = UserPatch {
            name: Patch::Set(name(&format!("Ann the {place}th"))),
            ..UserPatch::default()
        };
        f.store.update_user(&system(tenant), ann.id, patch).await.unwrap();
    }
    let erased = f.store.erase_user(&system(tenant), ann.id).await.unwrap();
    assert_eq!(erased.value.entries, 1_101);
    let entries = f.entries(tenant).await;
    assert_eq!((entries.len(), gaps(&entries).len()), (1_103, 1_101));
    assert!(!clear_texts(&entries).contains("Ann"));
}

/// Somebody who was admitted and is gone when their change's turn comes changes nothing: its entry
/// would tell of them again.
pub async fn who_is_gone_changes_nothing(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let adele = admin(f, tenant, "adele@example.com").await;
    let call = f.call(tenant);
    let access = by(tenant, &adele, tenant, Some(Arc::clone(&call)));
    f.store.erase_user(&system(tenant), adele.id).await.unwrap();
    let result = f.store.create_user(&access, f.new_user("ben@example.com")).await;
    assert_fault!(result, Error::Unauthenticated(AuthFailure::Revoked));
    assert!(!call.is_counted());
    assert!(!clear_texts(&f.entries(tenant).await).contains("adele"));
}

/// The change after which nobody can administer the tenant says so, and no other does.
pub async fn the_last_active_admin_is_warned_about(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    admin(f, other, "elsewhere@example.com").await;
    let adele = admin(f, tenant, "adele@example.com").await;
    let idina = admin(f, tenant, "idina@example.com").await;
    let member = f.user(tenant, "ben@example.com").await;
    let access = system(tenant);
    let status = |status| UserPatch { status: Some(status), ..UserPatch::default() };
    let roles = |roles| UserPatch { roles: Some(roles), ..UserPatch::default() };
    let update = async |user: &User, patch| {
        f.store.update_user(&access, user.id, patch).await.unwrap().warnings
    };
    let warned = [Warning::NoActiveTenantAdmin];
    assert_eq!(update(&idina, status(UserStatus::Disabled)).await, []);
    assert_eq!(update(&adele, UserPatch { name: Patch::Clear, ..UserPatch::default() }).await, []);
    assert_eq!(update(&adele, status(UserStatus::Locked)).await, warned);
    // Nobody else took it away.
    assert_eq!(update(&adele, status(UserStatus::Invited)).await, []);
    assert_eq!(f.store.delete_user(&access, member.id).await.unwrap().warnings, []);
    assert_eq!(update(&adele, status(UserStatus::Active)).await, []);
    assert_eq!(update(&adele, roles(UserRoles::default())).await, warned);
    assert_eq!(update(&adele, roles(ADMIN)).await, []);
    assert_eq!(f.store.delete_user(&access, adele.id).await.unwrap().warnings, warned);
    assert_eq!(f.store.delete_user(&access, idina.id).await.unwrap().warnings, []);
}
