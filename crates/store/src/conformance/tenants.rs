//! Tenants: making, changing, suspending and deleting them.

use tenantry_domain::access::{CallerProbe, CallerState};
use tenantry_domain::counts::Counts;
use tenantry_domain::error::{Conflict, Error, Missing};
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::Action;
use tenantry_domain::patch::Patch;
use tenantry_domain::tenant::{Governance, Subscription, TenantFilter, TenantPatch, TenantStatus};
use tenantry_domain::usage::{Bytes, Tally};

use super::builders::{all, calls, name, own, platform, system};
use super::harness::Fixture;

/// The platform's own tenant is there from the first migration, with nothing in it.
pub async fn the_platform_is_there(f: &Fixture) {
    let tenant = f.store.tenant(&system(TenantId::PLATFORM)).await.unwrap();
    assert_eq!((tenant.id, tenant.name), (TenantId::PLATFORM, name("Platform")));
    assert_eq!(tenant.status, TenantStatus::Active);
    let statistics = f.statistics(TenantId::PLATFORM).await;
    assert_eq!(statistics.tenant_name, name("Platform"));
    assert_eq!(statistics.counts, Counts::default());
    assert_eq!(f.actions(TenantId::PLATFORM).await, [Action::TenantCreated]);
}

/// A new tenant has what it was given, nothing to count, and a ledger of its own.
pub async fn a_new_tenant_is_empty(f: &Fixture) {
    let mut new = f.new_tenant("Acme Corporation");
    new.display_name = Some(name("Acme"));
    new.server_url = Some("https://acme.example.com".to_owned());
    new.realm_name = Some("acme".to_owned());
    new.settings = serde_json::Map::from_iter([("theme".to_owned(), "dark".into())]);
    new.subscription = Subscription {
        plan: Some("gold".to_owned()),
        users_limit: Some(7),
        expires_at: Some(f.in_millis(5)),
    };
    new.storage_quota = Some(Bytes::new(10_000_000_000));
    let made = f.store.create_tenant(&platform(), new.clone()).await.unwrap();
    assert_eq!(made, new.into_tenant(f.now()));
    assert_eq!(f.store.tenant(&system(made.id)).await.unwrap(), made);

    let statistics = f.statistics(made.id).await;
    assert_eq!((statistics.tenant, statistics.tenant_name), (made.id, made.name));
    assert_eq!(statistics.counts, Counts::default());
    assert_eq!((statistics.calls_this_month, statistics.calls_last_month), (0, 0));
    assert_eq!(statistics.storage_used, Bytes::new(0));
    assert_eq!(statistics.storage_quota, Some(Bytes::new(10_000_000_000)));
    assert_eq!(statistics.last_activity, None);
    assert_eq!((statistics.ledger_seq, statistics.generated_at), (1, f.now()));

    let entry = f.newest_entry(made.id).await;
    assert_eq!((entry.action, entry.at), (Action::TenantCreated, f.now()));
    assert_eq!((entry.resource_id, entry.rows), (made.id.to_string(), 1));
}

/// A patch changes what it names and leaves the rest.
pub async fn a_patch_changes_what_it_names(f: &Fixture) {
    let mut new = f.new_tenant("Acme");
    new.display_name = Some(name("kept"));
    new.storage_quota = Some(Bytes::new(1));
    let before = f.store.create_tenant(&platform(), new).await.unwrap();
    f.clock.advance(10);
    let patch = TenantPatch {
        name: Some(name("Acme Corporation")),
        settings: Some(serde_json::json!({"theme": "dark"})),
        plan: Patch::Set("gold".to_owned()),
        storage_quota: Patch::Clear,
        ..TenantPatch::default()
    };
    let after = f.store.update_tenant(&system(before.id), patch.clone()).await.unwrap();
    assert_eq!(after, patch.apply(&before, f.now()).unwrap());
    assert_eq!(after.updated_at, f.now());
    assert_eq!(f.store.tenant(&system(before.id)).await.unwrap(), after);
    let statistics = f.statistics(before.id).await;
    assert_eq!((statistics.tenant_name, statistics.storage_quota), (after.name, None));
    assert_eq!(f.actions(before.id).await, [Action::TenantCreated, Action::TenantUpdated]);
}

/// A patch that changes nothing leaves no trace.
pub async fn a_patch_that_changes_nothing_leaves_no_trace(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let before = f.store.tenant(&system(tenant)).await.unwrap();
    f.clock.advance(10);
    for patch in [
        TenantPatch::default(),
        TenantPatch {
            name: Some(name("Acme")),
            display_name: Patch::Clear,
            settings: Some(serde_json::json!({"absent": null})),
            ..TenantPatch::default()
        },
    ] {
        assert_eq!(f.store.update_tenant(&system(tenant), patch).await.unwrap(), before);
    }
    assert_eq!(f.entries(tenant).await.len(), 1);
}

/// The id of a tenant is taken, also when the tenant is deleted.
pub async fn an_id_is_never_used_again(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    f.user(tenant, "ann@example.com").await;
    let mut again = f.new_tenant("Another");
    again.id = tenant;
    let before = f.statistics(tenant).await;
    let taken = f.store.create_tenant(&platform(), again.clone()).await;
    assert_fault!(taken, Error::Conflict(Conflict::TenantId));
    assert_eq!(f.statistics(tenant).await, before);

    f.store.govern_tenant(&system(tenant), Governance::Delete).await.unwrap();
    let taken = f.store.create_tenant(&platform(), again).await;
    assert_fault!(taken, Error::Conflict(Conflict::TenantId));
    assert_eq!(f.find_statistics(tenant).await, None);

    let mut new = f.new_tenant("Another platform");
    new.id = TenantId::PLATFORM;
    let taken = f.store.create_tenant(&platform(), new).await;
    assert_fault!(taken, Error::Conflict(Conflict::TenantId));
}

/// Suspending and activating change the status alone, and the second time nothing.
pub async fn suspending_changes_no_count(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    f.user(tenant, "ann@example.com").await;
    f.api_key(tenant, None).await;
    let counts = f.counts(tenant).await;
    for (act, status, action) in [
        (Governance::Suspend, TenantStatus::Suspended, Action::TenantSuspended),
        (Governance::Activate, TenantStatus::Active, Action::TenantActivated),
    ] {
        f.clock.advance(10);
        let governed = f.store.govern_tenant(&system(tenant), act).await.unwrap();
        assert_eq!((governed.status, governed.updated_at), (status, f.now()));
        let entries = f.entries(tenant).await;
        assert_eq!(f.newest_entry(tenant).await.action, action);
        assert_eq!(f.counts(tenant).await, counts);
        let state = f.store.caller_state(&CallerProbe::of_tenant(tenant)).await.unwrap();
        assert_eq!(state, CallerState { tenant: Some(status), ..CallerState::default() });

        f.clock.advance(10);
        let again = f.store.govern_tenant(&system(tenant), act).await.unwrap();
        assert_eq!(again, governed);
        assert_eq!(f.store.tenant(&system(tenant)).await.unwrap(), governed);
        assert_eq!(f.entries(tenant).await, entries);
    }
}

/// A deleted tenant is gone for reading and for writing; its ledger stays.
pub async fn a_deleted_tenant_is_gone(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let user = f.user(tenant, "ann@example.com").await;
    f.credential(tenant, Some(f.in_millis(10))).await;
    f.api_key(tenant, Some(f.in_millis(20))).await;
    f.store.count_calls(Tally::from_iter([calls(tenant, 3, f.now())])).await.unwrap();
    let before = f.store.tenant(&system(tenant)).await.unwrap();
    let access = system(tenant);
    f.clock.advance(5);
    let deleted = f.store.govern_tenant(&access, Governance::Delete).await.unwrap();
    assert_eq!((deleted.id, deleted.name), (before.id, before.name));

    assert_eq!(f.find_statistics(tenant).await, None);
    let state = f.store.caller_state(&CallerProbe::of_tenant(tenant)).await.unwrap();
    assert_eq!(state.tenant, None);
    assert_fault!(f.store.tenant(&access).await, Error::NotFound(Missing::Tenant));
    assert_fault!(f.store.user(&access, user.id).await, Error::NotFound(Missing::Tenant));
    for act in [Governance::Delete, Governance::Suspend, Governance::Activate] {
        let result = f.store.govern_tenant(&access, act).await;
        assert_fault!(result, Error::NotFound(Missing::Tenant));
    }
    let result = f.store.create_user(&access, f.new_user("ben@example.com")).await;
    assert_fault!(result, Error::NotFound(Missing::Tenant));
    let tenants =
        f.store.list_tenants(&platform(), &TenantFilter::default(), &all()).await.unwrap();
    assert_eq!((tenants.items.len(), tenants.total), (1, 1));

    // What would have expired does so no longer.
    f.clock.advance(100);
    let settled = f.store.settle(10).await.unwrap();
    assert_eq!((settled.entries, settled.next_due), (0, None));
    let newest = f.newest_entry(tenant).await;
    assert_eq!((newest.action, newest.at), (Action::TenantDeleted, f.in_millis(-100)));
    assert!(f.store.recount(tenant).await.unwrap().unwrap().deleted);
    assert!(f.store.tenant_ids(None, 10).await.unwrap().contains(&tenant));
}

/// Calls that were received before their tenant was deleted do not hold up those of others.
pub async fn calls_of_a_deleted_tenant_hold_nobody_up(f: &Fixture) {
    let (gone, here) = (f.tenant("Gone").await, f.tenant("Here").await);
    f.store.govern_tenant(&system(gone), Governance::Delete).await.unwrap();
    let batch = vec![calls(gone, 1, f.now()), calls(here, 2, f.now())];
    f.store.count_calls(batch.into_iter().collect()).await.unwrap();
    assert_eq!(f.find_statistics(gone).await, None);
    assert_eq!(f.statistics(here).await.calls_this_month, 2);
}

/// Tenants are found by status, and by a part of their name or display name.
pub async fn tenants_are_found(f: &Fixture) {
    let mut new = f.new_tenant("Ärzte 100%");
    new.display_name = Some(name("Under_score"));
    let found = f.store.create_tenant(&platform(), new).await.unwrap().id;
    let other = f.tenant("Acme").await;
    f.store.govern_tenant(&system(other), Governance::Suspend).await.unwrap();
    let ids = async |status: Option<TenantStatus>, q: Option<&str>| -> Vec<TenantId> {
        let filter = TenantFilter { status, q: q.map(str::to_owned) };
        let page = f.store.list_tenants(&platform(), &filter, &all()).await.unwrap();
        assert_eq!(page.total, page.items.len() as u64);
        page.items.iter().map(|tenant| tenant.id).collect()
    };
    assert_eq!(ids(None, None).await.len(), 3);
    assert_eq!(ids(Some(TenantStatus::Suspended), None).await, [other]);
    assert_eq!(ids(Some(TenantStatus::Active), None).await.len(), 2);
    assert_eq!(ids(Some(TenantStatus::Active), Some("acme")).await, []);
    for q in ["äRZTE", "100%", "under_S", "%", "_"] {
        assert_eq!(ids(None, Some(q)).await, [found], "{q}");
    }
    for q in ["\\", "%%", "none", "1_0"] {
        assert_eq!(ids(None, Some(q)).await, [], "{q}");
    }
}

/// A tenant's own principal may change it, and that is its activity.
pub async fn a_tenant_changes_itself(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    f.clock.advance(10);
    let patch =
        TenantPatch { display_name: Patch::Set(name("Acme & Co")), ..TenantPatch::default() };
    f.store.update_tenant(&own(tenant, None), patch).await.unwrap();
    assert_eq!(f.statistics(tenant).await.last_activity, Some(f.now()));
}
