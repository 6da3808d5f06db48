//! Pages of lists, in every order there is: together they are everything once, while rows come and
//! go.

use std::collections::BTreeSet;
use std::fmt::Debug;

use tenantry_domain::api_key::{ApiKey, ApiKeyField, ApiKeyFilter};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::credential::{
    Credential, CredentialField, CredentialFilter, CredentialPatch, CredentialStatus,
};
use tenantry_domain::id::TenantId;
use tenantry_domain::oauth_client::{
    OauthClient, OauthClientField, OauthClientFilter, OauthClientPatch,
};
use tenantry_domain::page::{Page, PageRequest, PageStart};
use tenantry_domain::patch::Patch;
use tenantry_domain::sort::{Listed, Sort, SortKey};
use tenantry_domain::tenant::{Tenant, TenantField, TenantFilter, TenantPatch};
use tenantry_domain::text::{Name, fold};
use tenantry_domain::user::{
    User, UserField, UserFilter, UserPatch, UserRole, UserStatus, UserStatusFilter,
};

use super::builders::{email, integration, name, platform, system};
use super::harness::Fixture;

/// Something that is listed, as whoever reads the list sees it.
trait Item: Listed + Clone + PartialEq + Debug {
    /// Ids are in the order of their texts.
    fn id(&self) -> String;

    fn key(&self, field: Self::Field) -> SortKey;

    /// A page of all that there are.
    async fn list(f: &Fixture, tenant: TenantId, page: &PageRequest<Self>) -> Page<Self>;
}

fn text(name: &Name) -> SortKey {
    SortKey::Text(fold(name.as_str()))
}

fn expiry(at: Option<Timestamp>) -> SortKey {
    at.map_or(SortKey::Absent, SortKey::Instant)
}

impl Item for Tenant {
    fn id(&self) -> String {
        self.id.to_string()
    }

    fn key(&self, field: TenantField) -> SortKey {
        match field {
            TenantField::CreatedAt => SortKey::Instant(self.created_at),
            TenantField::UpdatedAt => SortKey::Instant(self.updated_at),
            TenantField::Name => text(&self.name),
        }
    }

    async fn list(f: &Fixture, _tenant: TenantId, page: &PageRequest<Self>) -> Page<Self> {
        f.store.list_tenants(&platform(), &TenantFilter::default(), page).await.unwrap()
    }
}

impl Item for User {
    fn id(&self) -> String {
        self.id.to_string()
    }

    fn key(&self, field: UserField) -> SortKey {
        match field {
            UserField::CreatedAt => SortKey::Instant(self.created_at),
            UserField::UpdatedAt => SortKey::Instant(self.updated_at),
            UserField::Name => self.name.as_ref().map_or(SortKey::Absent, text),
            UserField::Email => SortKey::Text(fold(self.email.as_str())),
        }
    }

    async fn list(f: &Fixture, tenant: TenantId, page: &PageRequest<Self>) -> Page<Self> {
        f.store.list_users(&system(tenant), &UserFilter::default(), page).await.unwrap()
    }
}

impl Item for ApiKey {
    fn id(&self) -> String {
        self.id.to_string()
    }

    fn key(&self, field: ApiKeyField) -> SortKey {
        match field {
            ApiKeyField::CreatedAt => SortKey::Instant(self.created_at),
            ApiKeyField::Name => text(&self.name),
            ApiKeyField::ExpiresAt => expiry(self.expires_at),
        }
    }

    async fn list(f: &Fixture, tenant: TenantId, page: &PageRequest<Self>) -> Page<Self> {
        f.store.list_api_keys(&system(tenant), ApiKeyFilter::default(), page).await.unwrap()
    }
}

impl Item for OauthClient {
    fn id(&self) -> String {
        self.id.to_string()
    }

    fn key(&self, field: OauthClientField) -> SortKey {
        match field {
            OauthClientField::CreatedAt => SortKey::Instant(self.created_at),
            OauthClientField::Name => text(&self.name),
        }
    }

    async fn list(f: &Fixture, tenant: TenantId, page: &PageRequest<Self>) -> Page<Self> {
        let filter = OauthClientFilter::default();
        f.store.list_oauth_clients(&system(tenant), filter, page).await.unwrap()
    }
}

impl Item for Credential {
    fn id(&self) -> String {
        self.id.to_string()
    }

    fn key(&self, field: CredentialField) -> SortKey {
        match field {
            CredentialField::CreatedAt => SortKey::Instant(self.created_at),
            CredentialField::UpdatedAt => SortKey::Instant(self.updated_at),
            CredentialField::CredentialName => text(&self.credential_name),
            CredentialField::ExpiresAt => expiry(self.expires_at),
        }
    }

    async fn list(f: &Fixture, tenant: TenantId, page: &PageRequest<Self>) -> Page<Self> {
        let filter = CredentialFilter::default();
        f.store.list_credentials(&system(tenant), &filter, page).await.unwrap()
    }
}

fn first<T: Listed>(sort: Sort<T::Field>, limit: u32) -> PageRequest<T> {
    PageRequest { limit, from: PageStart::Offset { sort, offset: 0 } }
}

/// The items in an order.
fn sorted<T: Item>(items: &[T], sort: Sort<T::Field>) -> Vec<T> {
    let mut items = items.to_vec();
    items.sort_by_key(|item| (item.key(sort.field), item.id()));
    if sort.descending {
        items.reverse();
    }
    items
}

/// Walks a list page by page in every order, by offset and by cursor: both see everything, once and
/// in order.
async fn walk<T: Item>(f: &Fixture, tenant: TenantId, size: usize) {
    let in_order_of_creation = T::list(f, tenant, &first(Sort::default(), 500)).await.items;
    for sort in Sort::all() {
        let expected = sorted(&in_order_of_creation, sort);
        let whole = T::list(f, tenant, &first(sort, 500)).await;
        assert_eq!(whole.items, expected, "{sort}");
        assert_eq!((whole.items.len(), whole.total, whole.next), (size, size as u64, None));
        for limit in [1, 3, 4, 12, 13] {
            let (mut by_offset, mut by_cursor) = (Vec::new(), Vec::new());
            while by_offset.len() < size {
                let from = PageStart::Offset { sort, offset: by_offset.len() as u64 };
                let page = T::list(f, tenant, &PageRequest { limit, from }).await;
                assert_eq!(page.total, size as u64);
                assert!(!page.items.is_empty() && page.items.len() <= limit as usize);
                by_offset.extend(page.items);
                assert_eq!(page.next.is_some(), by_offset.len() < size);
            }
            let mut request = Some(first(sort, limit));
            while let Some(asked) = request {
                let page = T::list(f, tenant, &asked).await;
                assert_eq!(page.total, size as u64);
                if let (Some(next), Some(last)) = (&page.next, page.items.last()) {
                    let place = (next.sort(), next.key(), next.id().to_string());
                    assert_eq!(place, (sort, &last.key(sort.field), last.id()));
                }
                by_cursor.extend(page.items);
                request = page.next.map(|next| PageRequest { limit, from: PageStart::After(next) });
            }
            assert_eq!(by_offset, expected, "{sort}, {limit} at a time");
            assert_eq!(by_cursor, expected, "{sort}, {limit} at a time");
        }
        for offset in [size as u64, size as u64 + 1, 1 << 40] {
            let from = PageStart::Offset { sort, offset };
            let page = T::list(f, tenant, &PageRequest { limit: 5, from }).await;
            assert_eq!((page.items.len(), page.total, page.next), (0, size as u64, None));
        }
    }
}

/// Every list, also among things that are the same in whatever they are sorted by.
pub async fn pages_leave_nothing_out(f: &Fixture) {
    let names = ["ben", "Ann", "ann", "Ærø", "ærø", "Zoë"];
    let tenant = f.tenant("Acme").await;
    let access = system(tenant);
    for place in 0..12 {
        f.clock.advance(i64::from(place % 4 == 0));
        let name = name(names[place % names.len()]);
        let expires_at = [None, Some(f.in_millis(1)), Some(f.in_millis(90))][place % 3];
        let mut user = f.new_user(&format!("{name}-{place}@example.com"));
        user.name = (place % 4 > 0).then(|| name.clone());
        f.store.create_user(&access, user).await.unwrap();
        let mut key = f.new_api_key(expires_at);
        key.name = name.clone();
        f.store.create_api_key(&access, key).await.unwrap();
        let mut client = f.new_oauth_client();
        client.name = name.clone();
        f.store.create_oauth_client(&access, client).await.unwrap();
        let mut credential = f.new_credential(expires_at);
        credential.credential_name = name.clone();
        f.store.create_credential(&access, credential).await.unwrap();
        if place < 10 {
            f.tenant(name.as_str()).await;
        }
    }
    walk::<Tenant>(f, tenant, 12).await;
    walk::<User>(f, tenant, 12).await;
    walk::<ApiKey>(f, tenant, 12).await;
    walk::<OauthClient>(f, tenant, 12).await;
    walk::<Credential>(f, tenant, 12).await;
}

/// Makes users with these names, in this order.
async fn people(f: &Fixture, tenant: TenantId, names: &[Option<&str>]) -> Vec<User> {
    let mut users = Vec::new();
    for (place, text) in names.iter().enumerate() {
        f.clock.advance(1);
        let mut new = f.new_user(&format!("user-{place}@example.com"));
        new.name = text.map(name);
        users.push(f.store.create_user(&system(tenant), new).await.unwrap());
    }
    users
}

const fn by_name(descending: bool) -> Sort<UserField> {
    Sort { field: UserField::Name, descending }
}

async fn names(f: &Fixture, tenant: TenantId, descending: bool) -> Vec<String> {
    let page = User::list(f, tenant, &first(by_name(descending), 500)).await;
    let shown = |user: &User| user.name.as_ref().map_or("-".to_owned(), ToString::to_string);
    page.items.iter().map(shown).collect()
}

/// Text is in the order of its code points once it is folded, which no database's own collation is.
pub async fn text_is_sorted_without_regard_to_case(f: &Fixture) {
    let expected = [
        "10",
        "2",
        "_",
        "a b",
        "a-b",
        "AB",
        "aC",
        "ann",
        "Anna",
        "annb",
        "Zoe",
        "zoë",
        "Ärger",
        "ärgern",
        "ΟΔΟΣ",
        "οδοσ 1",
        "東京",
        "ｱ",
        "😀",
    ];
    let tenant = f.tenant("Acme").await;
    let in_another_order: Vec<_> =
        (0..expected.len()).map(|place| Some(expected[place * 7 % expected.len()])).collect();
    people(f, tenant, &in_another_order).await;
    assert_eq!(names(f, tenant, false).await, expected);
    assert_eq!(names(f, tenant, true).await, expected.into_iter().rev().collect::<Vec<_>>());
}

/// What has no key is after what has one, and turning the order round turns that round too.
pub async fn what_has_no_key_is_last(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let users = people(f, tenant, &[None, Some("b"), None, Some("a")]).await;
    let ids = |places: [usize; 4]| places.map(|place| users[place].id);
    for (sort, expected) in
        [(by_name(false), ids([3, 1, 0, 2])), (by_name(true), ids([2, 0, 1, 3]))]
    {
        let page = User::list(f, tenant, &first(sort, 500)).await;
        assert_eq!(page.items.iter().map(|user| user.id).collect::<Vec<_>>(), expected);
    }
}

/// The order follows the change of what it is by, and an import has one too.
pub async fn an_order_follows_a_change(f: &Fixture) {
    let tenant = f.tenant("c").await;
    let access = system(tenant);
    for (place, text) in ["a", "B"].into_iter().enumerate() {
        let mut new = f.new_user(&format!("imported-{place}@example.com"));
        new.name = Some(name(text));
        assert!(f.store.import_users(&access, vec![new]).await.unwrap().is_empty());
    }
    let user = people(f, tenant, &[Some("c")]).await.remove(0).id;
    f.tenant("B").await;
    let (first_client, _) = (f.oauth_client(tenant).await, f.oauth_client(tenant).await);
    let (first_one, _) = (f.credential(tenant, None).await, f.credential(tenant, None).await);
    walk::<User>(f, tenant, 3).await;
    f.clock.advance(1);
    for text in ["Aa", "b1", "ZZ"] {
        let name = name(text);
        let patch = UserPatch { name: Patch::Set(name.clone()), ..UserPatch::default() };
        f.store.update_user(&access, user, patch).await.unwrap();
        let patch = TenantPatch { name: Some(name.clone()), ..TenantPatch::default() };
        f.store.update_tenant(&access, patch).await.unwrap();
        let patch = OauthClientPatch { name: Some(name.clone()), ..OauthClientPatch::default() };
        f.store.update_oauth_client(&access, first_client.id, patch).await.unwrap();
        let patch = CredentialPatch { credential_name: Some(name), ..CredentialPatch::default() };
        f.store.update_credential(&access, &integration(), first_one.id, patch).await.unwrap();
        walk::<User>(f, tenant, 3).await;
        walk::<Tenant>(f, tenant, 3).await;
        walk::<OauthClient>(f, tenant, 2).await;
        walk::<Credential>(f, tenant, 2).await;
    }
    let patch = UserPatch {
        name: Patch::Clear,
        email: Some(email("AA@example.com")),
        ..UserPatch::default()
    };
    f.store.update_user(&access, user, patch).await.unwrap();
    walk::<User>(f, tenant, 3).await;
    let patch =
        CredentialPatch { expires_at: Patch::Set(f.in_millis(5)), ..CredentialPatch::default() };
    f.store.update_credential(&access, &integration(), first_one.id, patch).await.unwrap();
    walk::<Credential>(f, tenant, 2).await;
}

/// Pages by cursor while everything on a page is removed once it was seen, the item that the
/// cursor points at too, and others are made: what was there from the beginning is seen once, what
/// is made at a later place is seen too, and totals are those of the moment.
async fn keeps_its_place<T: Item>(
    f: &Fixture,
    make: impl AsyncFn(TenantId, usize) -> T,
    remove: impl AsyncFn(TenantId, &T),
    count: impl AsyncFn(TenantId) -> u64,
) {
    for sort in Sort::all() {
        let tenant = f.tenant("Acme").await;
        let mut there = Vec::new();
        for place in 0..10 {
            f.clock.advance(i64::from(place % 2 == 0));
            there.push(make(tenant, place).await);
        }
        let is_before = |one: &T, other: &T| {
            let place = |item: &T| (item.key(sort.field), item.id());
            if sort.descending { place(one) > place(other) } else { place(one) < place(other) }
        };
        let mut expected: BTreeSet<_> = there.iter().map(Item::id).collect();
        let mut seen = BTreeSet::new();
        let mut request = Some(first(sort, 3));
        let mut made = 10;
        while let Some(asked) = request {
            let page = T::list(f, tenant, &asked).await;
            assert_eq!(page.total, count(tenant).await, "{sort}");
            for item in &page.items {
                assert!(seen.insert(item.id()), "{sort}: seen twice");
                remove(tenant, item).await;
            }
            let last = page.items.last().unwrap().clone();
            request = page.next.map(|next| PageRequest { limit: 3, from: PageStart::After(next) });
            // Without end, if there were always a new last one.
            if made < 16 && request.is_some() {
                for _ in 0..2 {
                    f.clock.advance(1);
                    let new = make(tenant, made).await;
                    made += 1;
                    if is_before(&last, &new) {
                        expected.insert(new.id());
                    }
                }
            }
        }
        assert_eq!(seen, expected, "{sort}");
    }
}

/// A cursor keeps its place while things before it are removed and things on both sides of it are
/// made, in every order.
pub async fn a_cursor_keeps_its_place(f: &Fixture) {
    // As others are added, some come before and some after what is there.
    let spread = |place: usize| format!("{}-{place}", place * 7 % 10);
    keeps_its_place(
        f,
        async |tenant, place| {
            let mut new = f.new_user(&format!("{}@example.com", spread(place)));
            new.name = (place % 4 > 0).then(|| name(&spread(place)));
            f.store.create_user(&system(tenant), new).await.unwrap()
        },
        async |tenant, user: &User| {
            f.store.delete_user(&system(tenant), user.id).await.unwrap();
        },
        async |tenant| f.counts(tenant).await.users(),
    )
    .await;
    keeps_its_place(
        f,
        async |tenant, place| {
            let due = i64::try_from(place * 7 % 10).unwrap();
            let mut new = f.new_credential((due % 4 > 0).then(|| f.in_millis(due)));
            new.credential_name = name(&spread(place));
            f.store.create_credential(&system(tenant), new).await.unwrap()
        },
        async |tenant, one: &Credential| {
            f.store.delete_credential(&system(tenant), &integration(), one.id).await.unwrap();
        },
        async |tenant| f.counts(tenant).await.credentials(),
    )
    .await;
}

/// What is changed so that it has another place is there from then on: it is seen again if it
/// moves to a later place, and not if it moves to one that is past.
pub async fn what_moves_is_where_it_is_then(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let users = people(f, tenant, &["a", "b", "c", "d"].map(Some)).await;
    let page = User::list(f, tenant, &first(by_name(false), 2)).await;
    assert_eq!(page.items, users[..2]);
    for (user, text) in [(&users[0], "x"), (&users[2], "A")] {
        let patch = UserPatch { name: Patch::Set(name(text)), ..UserPatch::default() };
        f.store.update_user(&system(tenant), user.id, patch).await.unwrap();
    }
    let from = PageStart::After(page.next.unwrap());
    let page = User::list(f, tenant, &PageRequest { limit: 2, from }).await;
    let ids: Vec<_> = page.items.iter().map(|user| user.id).collect();
    assert_eq!((ids, page.total, page.next), (vec![users[3].id, users[0].id], 4, None));
}

/// Filters, a search and an order at once, page by page; totals are the statistics' numbers.
pub async fn filters_and_orders_go_together(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let access = system(tenant);
    for place in 0..24 {
        let mut new = f.new_user(&format!("user-{place}@example.com"));
        new.name = (place % 5 > 0).then(|| name(["Zoë", "ann", "Ben"][place % 3]));
        new.status = [UserStatus::Active, UserStatus::Locked, UserStatus::Invited][place / 6 % 3];
        new.roles.tenant_admin = place % 2 == 0;
        f.store.create_user(&access, new).await.unwrap();
        let due = f.in_millis([5, 20, 10][place % 3]);
        let credential = f.new_credential((place % 4 > 0).then_some(due));
        f.store.create_credential(&access, credential).await.unwrap();
    }
    f.clock.advance(10);
    let counts = f.counts(tenant).await;
    for (status, role, q) in [
        (Some(UserStatusFilter::Inactive), None, None),
        (None, Some(UserRole::TenantAdmin), None),
        (Some(UserStatusFilter::Inactive), Some(UserRole::TenantAdmin), Some("ZO")),
        (Some(UserStatusFilter::Is(UserStatus::Active)), None, Some("USER-1")),
    ] {
        let filter = UserFilter { status, role, q: q.map(str::to_owned) };
        pages_of_some(
            async |page| f.store.list_users(&access, &filter, &page).await.unwrap(),
            filter.counted(&counts),
        )
        .await;
    }
    for status in CredentialStatus::ALL {
        let filter = CredentialFilter { status: Some(*status), integration_id: None };
        pages_of_some(
            async |page| f.store.list_credentials(&access, &filter, &page).await.unwrap(),
            filter.counted(&counts),
        )
        .await;
    }
}

/// A list of some of what there is has the same items in every order, on whichever pages.
async fn pages_of_some<T: Item>(
    list: impl AsyncFn(PageRequest<T>) -> Page<T>,
    counted: Option<u64>,
) {
    let some = list(first(Sort::default(), 500)).await.items;
    assert!(some.len() > 1);
    for sort in Sort::all() {
        let expected = sorted(&some, sort);
        let (mut items, mut request) = (Vec::new(), Some(first(sort, 2)));
        while let Some(asked) = request {
            let page = list(asked).await;
            assert_eq!(page.total, some.len() as u64);
            assert!(counted.is_none_or(|count| count == page.total));
            items.extend(page.items);
            request = page.next.map(|next| PageRequest { limit: 2, from: PageStart::After(next) });
        }
        assert_eq!(items, expected, "{sort}");
    }
}
