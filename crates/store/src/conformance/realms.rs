//! External realms: made, read, changed, removed, and found by what tokens say.

use std::collections::BTreeMap;
use std::sync::Arc;

use tenantry_domain::access::{
    Authority as _, Caller, ExternalPrincipal, PlatformAccess, Principal, PrincipalKind, Role,
};
use tenantry_domain::counts::Counts;
use tenantry_domain::error::{AuthFailure, Conflict, Error, Missing, Result};
use tenantry_domain::etag::{ETag, IfMatch};
use tenantry_domain::id::TenantId;
use tenantry_domain::idempotency::{Idempotency, Mark};
use tenantry_domain::ledger::{Action, ActorKind, Hash};
use tenantry_domain::page::{PageRequest, PageStart};
use tenantry_domain::patch::Patch;
use tenantry_domain::realm::{Algorithm, Realm, RealmField, RealmName, RealmPatch};
use tenantry_domain::realm_rules::ClaimPath;
use tenantry_domain::scope::Scope;
use tenantry_domain::sort::Sort;
use tenantry_domain::tenant::TenantPatch;
use tenantry_domain::user::{ExternalId, UserPatch, UserRoles, UserStatus};
use tokio::task::JoinSet;

use super::builders::{all, platform, platform_if_match, realm_name, system};
use super::harness::Fixture;
use crate::RealmBy;

async fn realms(f: &Fixture) -> Vec<Realm> {
    let page = f.store.list_realms(&platform(), &all()).await.unwrap();
    assert_eq!(page.total, page.items.len() as u64);
    page.items
}

async fn found(f: &Fixture, name: &str, issuer: &str) -> [Option<Realm>; 2] {
    let by_name = f.store.find_realm(&RealmBy::Name(realm_name(name))).await.unwrap();
    let by_issuer = f.store.find_realm(&RealmBy::Issuer(issuer.to_owned())).await.unwrap();
    [by_name, by_issuer]
}

/// A realm is made, read, changed and removed, and the platform's ledger tells each step and counts
/// nothing.
pub async fn each_step_is_told(f: &Fixture) {
    assert_eq!(realms(f).await, []);
    let new = f.new_realm("corp");
    let made = f.store.create_realm(&platform(), new.clone()).await.unwrap();
    let entry = f.newest_entry(TenantId::PLATFORM).await;
    assert_eq!((entry.action, entry.at), (Action::RealmCreated, f.now()));
    assert_eq!((entry.resource_id.as_str(), entry.seq), ("corp", made.revision));
    assert_eq!(made, new.into_realm(f.now(), entry.seq));
    assert_eq!(f.store.realm(&platform(), &made.name).await.unwrap(), made);
    assert_eq!(found(f, "corp", &made.issuer).await, [Some(made.clone()), Some(made.clone())]);
    assert_eq!(realms(f).await, std::slice::from_ref(&made));

    let mut realm = made;
    let word = |word: &str, role| BTreeMap::from([(word.to_owned(), role)]);
    for patch in [
        RealmPatch {
            issuer: Some("https://new.example.com".to_owned()),
            jwks_uri: Patch::Set("https://new.example.com/keys".to_owned()),
            audience: Some("another".to_owned()),
            algorithms: Some(vec![Algorithm::EdDsa]),
            ..RealmPatch::default()
        },
        RealmPatch {
            jwks_uri: Patch::Clear,
            tenant_claim: Some(ClaimPath::parse("org").unwrap()),
            roles_claim: Some(ClaimPath::parse("https://example.com/roles").unwrap()),
            role_mapping: Patch::Set(word("staff", Some(Role::Member))),
            leeway_seconds: Some(0),
            platform: Some(true),
            ..RealmPatch::default()
        },
        RealmPatch { role_mapping: Patch::Set(word("staff", None)), ..RealmPatch::default() },
        RealmPatch { role_mapping: Patch::Clear, ..RealmPatch::default() },
    ] {
        f.clock.advance(10);
        let mut expected = patch.clone().apply(&realm, f.now()).unwrap();
        realm = f.store.update_realm(&platform(), &realm.name, patch).await.unwrap();
        let entry = f.newest_entry(TenantId::PLATFORM).await;
        assert_eq!((entry.action, entry.at), (Action::RealmUpdated, f.now()));
        expected.revision = entry.seq;
        assert_eq!(realm, expected);
        assert_eq!(f.store.realm(&platform(), &realm.name).await.unwrap(), realm);
    }
    assert_eq!(realm.role_mapping, None);
    assert_eq!(f.counts(TenantId::PLATFORM).await, Counts::default());

    let deleted = f.store.delete_realm(&platform(), &realm.name).await.unwrap();
    assert_eq!(deleted, realm);
    assert_eq!(f.newest_entry(TenantId::PLATFORM).await.action, Action::RealmDeleted);
    assert_eq!(found(f, "corp", &realm.issuer).await, [None, None]);
    let missing = f.store.realm(&platform(), &realm.name).await;
    assert_fault!(missing, Error::NotFound(Missing::Realm));
    let again = f.store.delete_realm(&platform(), &realm.name).await;
    assert_fault!(again, Error::NotFound(Missing::Realm));
    let update = f.store.update_realm(&platform(), &realm.name, RealmPatch::default()).await;
    assert_fault!(update, Error::NotFound(Missing::Realm));
}

/// A patch that changes nothing leaves no trace.
pub async fn a_patch_that_changes_nothing_leaves_no_trace(f: &Fixture) {
    let realm = f.realm("corp").await;
    let before = f.entries(TenantId::PLATFORM).await;
    f.clock.advance(10);
    for patch in [
        RealmPatch::default(),
        RealmPatch { audience: Some(realm.audience.clone()), ..RealmPatch::default() },
    ] {
        let after = f.store.update_realm(&platform(), &realm.name, patch).await.unwrap();
        assert_eq!(after, realm);
    }
    assert_eq!(f.entries(TenantId::PLATFORM).await, before);
}

/// No two realms share a name or an issuer, whichever way they would come to.
pub async fn names_and_issuers_are_unique(f: &Fixture) {
    let one = f.realm("one").await;
    f.clock.advance(10);
    let two = f.realm("two").await;
    let before = f.entries(TenantId::PLATFORM).await;
    let taken = f.store.create_realm(&platform(), f.new_realm("one")).await;
    assert_fault!(taken, Error::Conflict(Conflict::RealmName));
    let mut new = f.new_realm("three");
    new.issuer = one.issuer.clone();
    let taken = f.store.create_realm(&platform(), new).await;
    assert_fault!(taken, Error::Conflict(Conflict::Issuer));
    let patch = RealmPatch { issuer: Some(one.issuer.clone()), ..RealmPatch::default() };
    let taken = f.store.update_realm(&platform(), &two.name, patch.clone()).await;
    assert_fault!(taken, Error::Conflict(Conflict::Issuer));
    assert_eq!(f.entries(TenantId::PLATFORM).await, before);
    assert_eq!(realms(f).await, [one.clone(), two.clone()]);

    // Both are whoever's that comes next.
    f.store.delete_realm(&platform(), &one.name).await.unwrap();
    f.store.update_realm(&platform(), &two.name, patch).await.unwrap();
    let mut new = f.new_realm("one");
    new.issuer = two.issuer;
    f.store.create_realm(&platform(), new).await.unwrap();
}

/// Of many who make the same realm at once one does.
pub async fn of_many_at_once_one_makes_it(f: &Fixture) {
    let mut making = JoinSet::new();
    for _ in 0..8 {
        let (store, new) = (f.store.clone(), f.new_realm("corp"));
        making.spawn(async move { store.create_realm(&platform(), new).await });
    }
    let made = making.join_all().await;
    assert_eq!(made.iter().filter(|it| it.is_ok()).count(), 1);
    for result in made.into_iter().filter(Result::is_err) {
        assert_fault!(result, Error::Conflict(Conflict::RealmName));
    }
    assert_eq!(realms(f).await.len(), 1);
}

/// Two states of realms never have the same revision, not even those of realms of one name.
pub async fn every_state_has_a_revision_of_its_own(f: &Fixture) {
    let mut revisions = Vec::new();
    for _ in 0..2 {
        let realm = f.realm("corp").await;
        revisions.push(realm.revision);
        let patch = RealmPatch { leeway_seconds: Some(1), ..RealmPatch::default() };
        let changed = f.store.update_realm(&platform(), &realm.name, patch).await.unwrap();
        revisions.push(changed.revision);
        f.store.delete_realm(&platform(), &realm.name).await.unwrap();
    }
    assert!(revisions.is_sorted_by(|one, next| one < next), "{revisions:?}");
}

/// A change and a removal meet the state they mean; making leaves a mark.
pub async fn conditions_and_marks_hold(f: &Fixture) {
    let mark = Mark {
        tenant: TenantId::PLATFORM,
        id: Hash([1; 32]),
        request: Hash([1; 32]),
        before: None,
    };
    let answer = tenantry_domain::credential::Sealed(b"done".to_vec());
    let kept = answer.clone();
    let record = move |_: &Realm| Ok(kept.clone());
    let access = platform().with_idempotency(Idempotency::new(mark, record));
    let realm = f.store.create_realm(&access, f.new_realm("corp")).await.unwrap();
    let again = f.store.create_realm(&access, f.new_realm("another")).await;
    assert_eq!(again, Err(Error::Repeated(answer)));

    let tag = ETag::of(&realm).unwrap().to_string();
    let only_if = |text: &str| -> PlatformAccess { platform_if_match(IfMatch::parse(text)) };
    let patch = RealmPatch { leeway_seconds: Some(1), ..RealmPatch::default() };
    let name = &realm.name;
    let refused = f.store.update_realm(&only_if("\"else\""), name, patch.clone()).await;
    assert_fault!(refused, Error::PreconditionFailed);
    f.store.update_realm(&only_if(&tag), name, patch).await.unwrap();
    let refused = f.store.delete_realm(&only_if(&tag), name).await;
    assert_fault!(refused, Error::PreconditionFailed);
    f.store.delete_realm(&only_if("*"), name).await.unwrap();
}

/// A list goes on where a page ended, in every order.
pub async fn pages_leave_nothing_out(f: &Fixture) {
    let mut names = Vec::new();
    for name in ["b", "A", "c"] {
        names.push(f.realm(name).await.name);
        f.clock.advance(10);
    }
    for (sort, expected) in [
        ("createdAt", ["b", "A", "c"]),
        ("-createdAt", ["c", "A", "b"]),
        ("name", ["A", "b", "c"]),
        ("-updatedAt", ["c", "A", "b"]),
    ] {
        let sort: Sort<RealmField> = sort.parse().unwrap();
        let mut request = PageRequest { limit: 1, from: PageStart::Offset { sort, offset: 0 } };
        let mut listed: Vec<RealmName> = Vec::new();
        loop {
            let page = f.store.list_realms(&platform(), &request).await.unwrap();
            assert_eq!(page.total, 3);
            listed.extend(page.items.into_iter().map(|realm| realm.name));
            let Some(next) = page.next else { break };
            request.from = PageStart::After(next);
        }
        assert_eq!(listed, expected.map(realm_name), "{sort}");
    }
}

/// A tenant whose people come from this realm.
async fn tenant_of(f: &Fixture, realm: &Realm) -> TenantId {
    let mut new = f.new_tenant("Acme");
    new.realm_name = Some(realm.name.to_string());
    f.store.create_tenant(&platform(), new).await.unwrap().id
}

fn ann(tenant: TenantId, realm: &Realm, role: Role) -> Principal {
    let id = ExternalId { realm: realm.name.to_string(), subject: "ann".to_owned() };
    let external = ExternalPrincipal { id: Arc::new(id), revision: realm.revision, role };
    Principal { tenant, kind: PrincipalKind::External(external), token: None }
}

async fn admitted(f: &Fixture, principal: &Principal) -> Result<Caller> {
    let probe = principal.probe();
    let state = f.store.caller_state(&probe).await.unwrap();
    let (with_statistics, _) = f.store.statistics(&probe, TenantId::PLATFORM).await.unwrap();
    assert_eq!(state, with_statistics);
    Caller::admit(principal, &state, None, None)
}

/// What somebody of an external realm may do, as far as it tells one role from another.
async fn role(f: &Fixture, principal: &Principal) -> Result<Role, AuthFailure> {
    let tenant = principal.tenant;
    match admitted(f, principal).await {
        Err(Error::Unauthenticated(reason)) => Err(reason),
        Err(error) => panic!("{error}"),
        Ok(caller) if caller.authorize_platform().is_ok() => Ok(Role::SuperAdmin),
        Ok(caller) => Ok(caller
            .authorize(tenant, tenant, Scope::UsersWrite)
            .map_or(Role::Member, |_| Role::TenantAdmin)),
    }
}

/// Who comes from a realm is known as the realm, the tenant and its users are now.
pub async fn whom_a_realm_vouches_for_is_known_as_of_now(f: &Fixture) {
    let realm = f.realm("corp").await;
    let tenant = tenant_of(f, &realm).await;
    let ann = |role| self::ann(tenant, &realm, role);
    for asserted in [Role::Member, Role::TenantAdmin] {
        assert_eq!(role(f, &ann(asserted)).await, Ok(asserted));
    }
    // Where the tenant has a user of it, that one rules.
    let mut new = f.new_user("ann@example.com");
    new.external_id = Some(ExternalId { realm: "corp".to_owned(), subject: "ann".to_owned() });
    let user = f.store.create_user(&system(tenant), new).await.unwrap();
    assert_eq!(role(f, &ann(Role::TenantAdmin)).await, Ok(Role::Member));
    let update = async |patch| {
        f.store.update_user(&system(tenant), user.id, patch).await.unwrap();
        role(f, &ann(Role::Member)).await
    };
    let roles = Some(UserRoles { tenant_admin: true, member: true });
    let promoted = UserPatch { roles, ..UserPatch::default() };
    assert_eq!(update(promoted).await, Ok(Role::TenantAdmin));
    let disabled = UserPatch { status: Some(UserStatus::Disabled), ..UserPatch::default() };
    assert_eq!(update(disabled).await, Err(AuthFailure::Revoked));
    let another = UserPatch { external_id: Patch::Clear, ..UserPatch::default() };
    assert_eq!(update(another).await, Ok(Role::Member));

    // Only of a tenant that is bound to the realm.
    let other = f.tenant("Other").await;
    let elsewhere = self::ann(other, &realm, Role::Member);
    assert_eq!(role(f, &elsewhere).await, Err(AuthFailure::ForeignTenant));
    let bind = async |realm: &str| {
        let realm_name = Patch::Set(realm.to_owned());
        let patch = TenantPatch { realm_name, ..TenantPatch::default() };
        f.store.update_tenant(&system(tenant), patch).await.unwrap();
        role(f, &ann(Role::Member)).await
    };
    assert_eq!(bind("Corp").await, Err(AuthFailure::ForeignTenant));
    assert_eq!(bind("corp").await, Ok(Role::Member));
    let unknown = self::ann(f.new_tenant("unknown").id, &realm, Role::Member);
    assert_eq!(role(f, &unknown).await, Err(AuthFailure::Revoked));

    // Only for the state in which the realm has vouched.
    let patch = RealmPatch { leeway_seconds: Some(1), ..RealmPatch::default() };
    let changed = f.store.update_realm(&platform(), &realm.name, patch).await.unwrap();
    assert_eq!(role(f, &ann(Role::Member)).await, Err(AuthFailure::RealmChanged));
    let anew = self::ann(tenant, &changed, Role::Member);
    assert_eq!(role(f, &anew).await, Ok(Role::Member));
    f.store.delete_realm(&platform(), &realm.name).await.unwrap();
    assert_eq!(role(f, &anew).await, Err(AuthFailure::RealmChanged));
    let again = f.realm("corp").await;
    assert_eq!(role(f, &anew).await, Err(AuthFailure::RealmChanged));
    assert_eq!(role(f, &self::ann(tenant, &again, Role::Member)).await, Ok(Role::Member));
}

/// Only a realm of the platform vouches for super admins, and only in the platform's own tenant.
pub async fn only_a_realm_of_the_platform_vouches_for_super_admins(f: &Fixture) {
    let realm = f.realm("corp").await;
    let root = |realm: &Realm| ann(TenantId::PLATFORM, realm, Role::SuperAdmin);
    assert_eq!(role(f, &root(&realm)).await, Err(AuthFailure::ForeignTenant));
    let realm_name = Patch::Set("corp".to_owned());
    let bound = TenantPatch { realm_name, ..TenantPatch::default() };
    f.store.update_tenant(&system(TenantId::PLATFORM), bound).await.unwrap();
    assert_eq!(role(f, &root(&realm)).await, Ok(Role::TenantAdmin));
    // Not even of somebody who may be one otherwise.
    let mut new = f.new_user("ann@example.com");
    new.external_id = Some(ExternalId { realm: "corp".to_owned(), subject: "ann".to_owned() });
    new.roles.tenant_admin = true;
    f.store.create_user(&system(TenantId::PLATFORM), new).await.unwrap();
    assert_eq!(role(f, &root(&realm)).await, Ok(Role::TenantAdmin));

    let patch = RealmPatch { platform: Some(true), ..RealmPatch::default() };
    let realm = f.store.update_realm(&platform(), &realm.name, patch).await.unwrap();
    assert_eq!(role(f, &root(&realm)).await, Ok(Role::SuperAdmin));
    let unbound = TenantPatch { realm_name: Patch::Clear, ..TenantPatch::default() };
    f.store.update_tenant(&system(TenantId::PLATFORM), unbound).await.unwrap();
    assert_eq!(role(f, &root(&realm)).await, Ok(Role::SuperAdmin));
    let tenant = tenant_of(f, &realm).await;
    let elsewhere = ann(tenant, &realm, Role::SuperAdmin);
    assert_eq!(role(f, &elsewhere).await, Ok(Role::TenantAdmin));
}

/// A change that comes after the realm, or what the tenant says of it, has changed does not happen.
pub async fn a_change_after_the_realm_has_changed_does_not_happen(f: &Fixture) {
    let realm = f.realm("corp").await;
    let tenant = tenant_of(f, &realm).await;
    let access = async |realm: &Realm| {
        let caller = admitted(f, &ann(tenant, realm, Role::TenantAdmin)).await.unwrap();
        caller.authorize(tenant, tenant, Scope::UsersWrite).unwrap()
    };
    let early = access(&realm).await;
    f.store.create_user(&early, f.new_user("first@example.com")).await.unwrap();
    let entry = f.newest_entry(tenant).await;
    assert_eq!((entry.actor_kind, entry.actor_id.as_str()), (ActorKind::External, "corp/ann"));
    let patch = RealmPatch { leeway_seconds: Some(1), ..RealmPatch::default() };
    let realm = f.store.update_realm(&platform(), &realm.name, patch).await.unwrap();
    let late = f.store.create_user(&early, f.new_user("late@example.com")).await;
    assert_eq!(late, Err(Error::Unauthenticated(AuthFailure::RealmChanged)));
    let early = access(&realm).await;
    let unbound = TenantPatch { realm_name: Patch::Clear, ..TenantPatch::default() };
    f.store.update_tenant(&system(tenant), unbound).await.unwrap();
    let late = f.store.create_user(&early, f.new_user("late@example.com")).await;
    assert_eq!(late, Err(Error::Unauthenticated(AuthFailure::ForeignTenant)));
    assert_eq!(f.counts(tenant).await.users(), 1);
}
