//! Many users at once.

use tenantry_domain::counts::Counts;
use tenantry_domain::error::{Conflict, Error, Missing};
use tenantry_domain::ledger::Action;
use tenantry_domain::user::{
    Collision, ExternalId, Identity, NewUser, UserFilter, UserRoles, UserStatus,
};

use super::builders::{all, email, own, system};
use super::harness::Fixture;

fn external(subject: &str) -> ExternalId {
    ExternalId { realm: "corporate".to_owned(), subject: subject.to_owned() }
}

fn identity(address: &str) -> Identity {
    Identity { email: Some(email(address)), external_id: None }
}

const fn collision(index: usize, conflict: Conflict) -> Collision {
    Collision { index, conflict }
}

/// An import is one entry with a number, and moves every count at once.
pub async fn an_import_is_one_entry(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    f.user(tenant, "ann@example.com").await;
    f.clock.advance(10);
    let new: Vec<NewUser> = (0..600)
        .map(|place| {
            let mut new = f.new_user(&format!("user-{place}@example.com"));
            if place % 3 == 0 {
                new.status = UserStatus::Invited;
            }
            if place % 100 == 0 {
                new.roles = UserRoles { tenant_admin: true, member: false };
                new.external_id = Some(external(&place.to_string()));
            }
            new
        })
        .collect();
    let call = f.call(tenant);
    let access = own(tenant, Some(&call));
    assert_eq!(f.store.import_users(&access, new.clone()).await.unwrap(), []);
    assert!(call.is_counted());
    let counts = Counts { users_active: 401, users_inactive: 200, admins: 6, ..Counts::default() };
    assert_eq!(f.counts(tenant).await, counts);
    let entry = f.newest_entry(tenant).await;
    assert_eq!((entry.action, entry.seq, entry.rows), (Action::UsersImported, 3, 600));
    assert_eq!((entry.at, entry.counts), (f.now(), counts));
    // It names nobody, so that there is nobody to erase in it.
    assert_eq!(
        (entry.resource_id.as_str(), entry.details.clear.unwrap().json.as_str()),
        ("", "{}")
    );
    for new in [&new[0], &new[599]] {
        let user = f.store.user(&access, new.id).await.unwrap();
        assert_eq!(user, new.clone().into_user(f.now()));
    }
}

/// An import of nobody leaves no trace.
pub async fn an_import_of_nobody_leaves_no_trace(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    assert_eq!(f.store.import_users(&system(tenant), Vec::new()).await.unwrap(), []);
    assert_eq!(f.entries(tenant).await.len(), 1);
}

/// If one of many collides with a user that is there, or with one before it, none is made.
pub async fn one_collision_keeps_all_out(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    let mut ann = f.new_user("Ann@example.com");
    ann.external_id = Some(external("ann"));
    f.store.create_user(&system(tenant), ann).await.unwrap();
    let before = f.statistics(tenant).await;
    let new = |address: &str, subject: Option<&str>| {
        let mut new = f.new_user(address);
        new.external_id = subject.map(external);
        new
    };
    let many = vec![
        new("ben@example.com", Some("ben")),
        new("ANN@example.com", None),
        new("cid@example.com", Some("ann")),
        new("BEN@example.com", Some("dan")),
        new("eve@example.com", Some("ben")),
        new("fay@example.com", None),
    ];
    let collisions = f.store.import_users(&system(tenant), many.clone()).await.unwrap();
    assert_eq!(
        collisions,
        [
            collision(1, Conflict::Email),
            collision(2, Conflict::ExternalId),
            collision(3, Conflict::Email),
            collision(4, Conflict::ExternalId),
        ]
    );
    assert_eq!(f.statistics(tenant).await, before);
    let users = f.store.list_users(&system(tenant), &UserFilter::default(), &all()).await.unwrap();
    assert_eq!((users.items.len(), users.total), (1, 1));
    // Nobody there collides with them.
    let good = vec![many[0].clone(), many[5].clone()];
    assert_eq!(f.store.import_users(&system(other), good).await.unwrap(), []);
    assert_eq!(f.counts(other).await.users(), 2);
}

/// What is taken is known before anything is made.
pub async fn what_is_taken_is_known(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    let mut ann = f.new_user("Änn@example.com");
    ann.external_id = Some(external("ann"));
    f.store.create_user(&system(tenant), ann).await.unwrap();
    let asked = vec![
        identity("ben@example.com"),
        identity("äNN@Example.com"),
        Identity { email: None, external_id: Some(external("ann")) },
        Identity { email: None, external_id: Some(external("Ann")) },
        Identity { email: Some(email("änn@example.com")), external_id: Some(external("ann")) },
        Identity::default(),
    ];
    assert_eq!(
        f.store.taken(&system(tenant), asked.clone()).await.unwrap(),
        [
            collision(1, Conflict::Email),
            collision(2, Conflict::ExternalId),
            collision(4, Conflict::Email),
            collision(4, Conflict::ExternalId),
        ]
    );
    assert_eq!(f.store.taken(&system(other), asked.clone()).await.unwrap(), []);
    let unknown = system(f.new_tenant("unknown").id);
    assert_fault!(f.store.taken(&unknown, asked).await, Error::NotFound(Missing::Tenant));
    let new = vec![f.new_user("ann@example.com")];
    assert_fault!(f.store.import_users(&unknown, new).await, Error::NotFound(Missing::Tenant));
}
