//! Lists: what is in them, and that their totals are the statistics' numbers.

use tenantry_domain::api_key::{ApiKeyFilter, ApiKeyStatus};
use tenantry_domain::credential::{CredentialFilter, CredentialStatus, IntegrationId};
use tenantry_domain::id::{TenantId, UserId};
use tenantry_domain::oauth_client::{ClientStatus, OauthClientFilter, OauthClientPatch};
use tenantry_domain::user::{
    User, UserFilter, UserPatch, UserRole, UserRoles, UserStatus, UserStatusFilter,
};

use super::builders::{all, email, integration, name, system};
use super::harness::Fixture;

/// Every filter of the users that a number stands for, and some more.
fn user_filters() -> Vec<UserFilter> {
    let is = |status| Some(UserStatusFilter::Is(status));
    let statuses = UserStatus::ALL.iter().map(|status| is(*status));
    let statuses: Vec<_> =
        [None, Some(UserStatusFilter::Inactive)].into_iter().chain(statuses).collect();
    let roles = [None, Some(UserRole::TenantAdmin), Some(UserRole::Member)];
    let both = statuses.iter().flat_map(|status| roles.map(|role| (*status, role)));
    both.map(|(status, role)| UserFilter { status, role, q: None }).collect()
}

fn matches(user: &User, filter: &UserFilter) -> bool {
    let status = match filter.status {
        None => true,
        Some(UserStatusFilter::Is(status)) => user.status == status,
        Some(UserStatusFilter::Inactive) => user.status != UserStatus::Active,
    };
    let role = match filter.role {
        None => true,
        Some(UserRole::TenantAdmin) => user.roles.tenant_admin,
        Some(UserRole::Member) => user.roles.member,
    };
    status && role
}

/// A total equals the number of the statistics that is filtered the same way.
pub async fn totals_are_the_statistics(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let other = f.tenant("Other").await;
    let access = system(tenant);
    let roles = [(true, true), (true, false), (false, true), (false, false)];
    let mut users = Vec::new();
    for (place, status) in UserStatus::ALL.iter().cycle().take(22).enumerate() {
        let mut new = f.new_user(&format!("user-{place}@example.com"));
        let (tenant_admin, member) = roles[place % 3];
        (new.status, new.roles) = (*status, UserRoles { tenant_admin, member });
        users.push(f.store.create_user(&access, new).await.unwrap());
        f.clock.advance(1);
    }
    for millis in [10, 20, 30, 40] {
        let key = f.api_key(tenant, Some(f.in_millis(millis))).await;
        f.credential(tenant, Some(f.in_millis(millis))).await;
        let client = f.oauth_client(tenant).await;
        if millis == 10 {
            f.store.revoke_api_key(&access, key.id).await.unwrap();
            let patch = OauthClientPatch {
                status: Some(ClientStatus::Disabled),
                ..OauthClientPatch::default()
            };
            f.store.update_oauth_client(&access, client.id, patch).await.unwrap();
        }
    }
    f.user(other, "user-1@example.com").await;
    f.credential(other, None).await;

    // Nothing has expired; something has, with no entry yet; the same with an entry.
    for (advance, settle) in [(0, 0), (20, 0), (0, 1), (10, 0), (0, 10)] {
        f.clock.advance(advance);
        f.store.settle(settle).await.unwrap();
        let counts = f.counts(tenant).await;
        for filter in user_filters() {
            let page = f.store.list_users(&access, &filter, &all()).await.unwrap();
            let expected: Vec<_> =
                users.iter().filter(|user| matches(user, &filter)).cloned().collect();
            assert_eq!(page.items, expected, "{filter:?}");
            assert_eq!(page.total, expected.len() as u64, "{filter:?}");
            assert!(filter.counted(&counts).is_none_or(|count| count == page.total), "{filter:?}");
        }
        for status in [None].into_iter().chain(ApiKeyStatus::ALL.iter().copied().map(Some)) {
            let filter = ApiKeyFilter { status };
            let page = f.store.list_api_keys(&access, filter, &all()).await.unwrap();
            assert!(page.items.iter().all(|key| status.is_none_or(|s| key.status(f.now()) == s)));
            let sizes = (page.items.len() as u64, page.total);
            assert_eq!(sizes, (filter.counted(&counts), filter.counted(&counts)), "{filter:?}");
        }
        for status in [None].into_iter().chain(ClientStatus::ALL.iter().copied().map(Some)) {
            let filter = OauthClientFilter { status };
            let page = f.store.list_oauth_clients(&access, filter, &all()).await.unwrap();
            assert!(page.items.iter().all(|client| status.is_none_or(|s| client.status == s)));
            let sizes = (page.items.len() as u64, page.total);
            assert_eq!(sizes, (filter.counted(&counts), filter.counted(&counts)), "{filter:?}");
        }
        for status in [None].into_iter().chain(CredentialStatus::ALL.iter().copied().map(Some)) {
            let filter = CredentialFilter { status, integration_id: None };
            let page = f.store.list_credentials(&access, &filter, &all()).await.unwrap();
            assert!(page.items.iter().all(|one| status.is_none_or(|s| one.status(f.now()) == s)));
            let count = filter.counted(&counts).unwrap();
            assert_eq!((page.items.len() as u64, page.total), (count, count), "{filter:?}");
        }
    }
}

/// Credentials are found by their integration, and by their status within it.
pub async fn credentials_are_found_by_integration(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let access = system(tenant);
    let ours = f.credential(tenant, Some(f.in_millis(10))).await;
    let mut new = f.new_credential(None);
    new.integration_id = IntegrationId::parse("GitHub").unwrap();
    f.store.create_credential(&access, new).await.unwrap();
    f.clock.advance(10);
    for (integration, status, found) in [
        (integration(), None, true),
        (integration(), Some(CredentialStatus::Expired), true),
        (integration(), Some(CredentialStatus::Active), false),
        (IntegrationId::parse("other").unwrap(), None, false),
    ] {
        let filter = CredentialFilter { status, integration_id: Some(integration) };
        let page = f.store.list_credentials(&access, &filter, &all()).await.unwrap();
        let ids: Vec<_> = page.items.iter().map(|credential| credential.id).collect();
        assert_eq!(ids, if found { vec![ours.id] } else { Vec::new() }, "{filter:?}");
        assert_eq!(page.total, u64::from(found), "{filter:?}");
    }
}

/// Users are found by a part of their e-mail or name, whatever its case; nothing in the search is
/// a wildcard.
pub async fn users_are_found_by_a_part(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let mut new = f.new_user("Ann.Lee@Example.com");
    new.name = Some(name("Ærø 100%"));
    let ann = f.store.create_user(&system(tenant), new).await.unwrap().id;
    f.clock.advance(1);
    let mut new = f.new_user("under_score@example.com");
    new.status = UserStatus::Disabled;
    let ben = f.store.create_user(&system(tenant), new).await.unwrap().id;
    let found = async |q: &str, status| -> Vec<UserId> {
        let filter = UserFilter { q: Some(q.to_owned()), status, role: None };
        let page = f.store.list_users(&system(tenant), &filter, &all()).await.unwrap();
        assert_eq!(page.total, page.items.len() as u64);
        page.items.iter().map(|user| user.id).collect()
    };
    for (q, expected) in [
        ("EXAMPLE", vec![ann, ben]),
        ("ann.l", vec![ann]),
        ("æRØ", vec![ann]),
        ("%", vec![ann]),
        ("_", vec![ben]),
        ("r_s", vec![ben]),
        ("n_l", vec![]),
        ("e%a", vec![]),
        ("\\", vec![]),
        ("nobody", vec![]),
    ] {
        assert_eq!(found(q, None).await, expected, "{q}");
    }
    assert_eq!(found("example", Some(UserStatusFilter::Inactive)).await, [ben]);

    // What is found follows a change.
    let patch = UserPatch { email: Some(email("ben@example.com")), ..Default::default() };
    f.store.update_user(&system(tenant), ben, patch).await.unwrap();
    assert_eq!(found("under", None).await, []);
    assert_eq!(found("ben@", None).await, [ben]);
}

/// A list holds one tenant's things alone.
pub async fn a_list_holds_one_tenant_alone(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    f.user(tenant, "ann@example.com").await;
    f.api_key(tenant, None).await;
    f.oauth_client(tenant).await;
    f.credential(tenant, None).await;
    let sizes = async |tenant: TenantId| {
        let access = system(tenant);
        let users = f.store.list_users(&access, &UserFilter::default(), &all()).await.unwrap();
        let keys = f.store.list_api_keys(&access, ApiKeyFilter::default(), &all()).await.unwrap();
        let filter = OauthClientFilter::default();
        let clients = f.store.list_oauth_clients(&access, filter, &all()).await.unwrap();
        let filter = CredentialFilter::default();
        let credentials = f.store.list_credentials(&access, &filter, &all()).await.unwrap();
        let totals = [users.total, keys.total, clients.total, credentials.total];
        let lengths =
            [users.items.len(), keys.items.len(), clients.items.len(), credentials.items.len()];
        assert_eq!(totals, lengths.map(|length| length as u64));
        totals
    };
    assert_eq!(sizes(tenant).await, [1; 4]);
    assert_eq!(sizes(other).await, [0; 4]);
}
