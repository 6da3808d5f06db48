//! Random sequences of changes, calls and moves of the clock: after each step every number is the
//! one that the model counts, and at the end every past one too.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use tenantry_domain::access::TenantAccess;
use tenantry_domain::api_key::{ApiKeyFilter, ApiKeyStatus};
use tenantry_domain::clock::{Month, Timestamp};
use tenantry_domain::credential::{CredentialFilter, CredentialPatch, CredentialStatus};
use tenantry_domain::error::{Conflict, Error};
use tenantry_domain::ledger::Action;
use tenantry_domain::oauth_client::{ClientStatus, OauthClientFilter, OauthClientPatch};
use tenantry_domain::patch::Patch;
use tenantry_domain::usage::CallCount;
use tenantry_domain::user::{UserFilter, UserPatch, UserRoles, UserStatus};

use super::builders::{all, integration, own, system};
use super::harness::{Factory, Fixture, assert_exact, runtime};
use super::model::{Client, Credential, Key, Rows, Tenant, User};
use super::steps::{Change, Step, step};

const CASES: u32 = 128;
const STEPS: usize = 60;

/// Whatever happens in whatever order, the numbers are those of a recount.
pub fn random_sequences_match_a_recount(factory: &dyn Factory) {
    let config =
        Config { failure_persistence: None, max_shrink_iters: 1_000, ..Config::with_cases(CASES) };
    let runtime = runtime();
    let result = TestRunner::new(config).run(&vec(step(), 1..=STEPS), |steps| {
        runtime.block_on(async {
            let fixture = factory.fixture().await;
            World::new(&fixture).await.live(&steps).await;
            assert_exact(&fixture).await;
        });
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

/// A store and what it must hold.
struct World<'a> {
    fixture: &'a Fixture,
    tenants: [Tenant; 2],
    /// Instants at which the tenants were read.
    seen: BTreeSet<Timestamp>,
}

impl<'a> World<'a> {
    async fn new(fixture: &'a Fixture) -> Self {
        let (one, two) = (fixture.tenant("One").await, fixture.tenant("Two").await);
        let tenants = [one, two].map(|id| Tenant::new(id, fixture.now()));
        Self { fixture, tenants, seen: BTreeSet::new() }
    }

    async fn live(&mut self, steps: &[Step]) {
        for step in steps {
            self.take(step).await;
            self.compare_the_present().await;
        }
        // Every instant seen is in the past now, whatever the clock did meanwhile.
        let last = self.seen.last().copied().unwrap();
        self.fixture.clock.set(last.max(self.fixture.now()));
        self.compare_the_lists().await;
        self.compare_the_past().await;
    }

    async fn take(&mut self, step: &Step) {
        let (f, clock) = (self.fixture, &self.fixture.clock);
        match *step {
            Step::Change { second, own, ref change } => {
                change_tenant(f, &mut self.tenants[usize::from(second)], own, change).await;
            }
            Step::Calls { second, calls, ago, activity } => {
                let tenant = &mut self.tenants[usize::from(second)];
                let at = f.in_millis(-ago);
                let last_activity = activity.then_some(at);
                let count = CallCount { tenant: tenant.id, calls, last_call: at, last_activity };
                f.store.count_calls(vec![count]).await.unwrap();
                tenant.calls.push((at, calls));
                tenant.last_activity = tenant.last_activity.max(last_activity);
            }
            Step::Move(millis) => clock.advance(millis),
            Step::NextMonth => clock.set(Month::of(f.now()).next().start()),
            Step::Settle(limit) => {
                let settled = f.store.settle(limit).await.unwrap();
                // The limit is of instants, and two kinds of thing can expire at one.
                assert!(settled.entries <= 2 * limit as u64);
                let mut appended = 0;
                for tenant in &mut self.tenants {
                    appended += catch_up(f, tenant).await.len() as u64;
                }
                assert_eq!(appended, settled.entries);
            }
        }
    }

    async fn compare_the_present(&mut self) {
        for tenant in &self.tenants {
            let at = tenant.now(self.fixture.now());
            let statistics = self.fixture.statistics(tenant.id).await;
            assert_eq!(statistics.generated_at, at);
            assert_eq!(statistics.counts, tenant.rows.counts(at));
            assert_eq!(statistics.calls_this_month, tenant.calls_in(Month::of(at)));
            assert_eq!(statistics.calls_last_month, tenant.calls_in(Month::of(at).previous()));
            assert_eq!(statistics.last_activity, tenant.last_activity);
            assert_eq!(statistics.ledger_seq, tenant.head.0);
            self.seen.insert(at);
        }
    }

    async fn compare_the_past(&self) {
        for tenant in &self.tenants {
            let changes = tenant.history.iter().map(|(at, _)| *at);
            let expiries = tenant.history.iter().flat_map(|(_, rows)| {
                let keys = rows.keys.iter().filter_map(|key| key.expires_at);
                keys.chain(rows.credentials.iter().filter_map(|one| one.expires_at))
            });
            let instants: BTreeSet<_> = changes
                .chain(expiries)
                .chain(self.seen.iter().copied())
                .flat_map(|at| [at.plus_millis(-1), at])
                .filter(|at| *at <= self.fixture.now())
                .collect();
            for at in instants {
                let counts = self.fixture.store.counts_at(&system(tenant.id), at).await.unwrap();
                assert_eq!(counts, tenant.counts_at(at), "at {at}");
            }
        }
    }

    async fn compare_the_lists(&self) {
        let store = &self.fixture.store;
        for tenant in &self.tenants {
            let (access, rows) = (system(tenant.id), &tenant.rows);
            let counts = rows.counts(tenant.now(self.fixture.now()));
            let users = store.list_users(&access, &UserFilter::default(), &all()).await.unwrap();
            let listed: BTreeSet<_> = users.items.iter().map(|user| user.id).collect();
            assert_eq!(listed, rows.users.iter().map(|user| user.id).collect());
            assert_eq!(users.total, counts.users());
            for status in [None].into_iter().chain(ApiKeyStatus::ALL.iter().copied().map(Some)) {
                let filter = ApiKeyFilter { status };
                let keys = store.list_api_keys(&access, filter, &all()).await.unwrap();
                let count = filter.counted(&counts);
                assert_eq!((keys.total, keys.items.len() as u64), (count, count), "{status:?}");
            }
            for status in [None, Some(ClientStatus::Active), Some(ClientStatus::Disabled)] {
                let filter = OauthClientFilter { status };
                let clients = store.list_oauth_clients(&access, filter, &all()).await.unwrap();
                let count = filter.counted(&counts);
                assert_eq!((clients.total, clients.items.len() as u64), (count, count));
            }
            for status in [None, Some(CredentialStatus::Active), Some(CredentialStatus::Expired)] {
                let filter = CredentialFilter { status, integration_id: None };
                let credentials = store.list_credentials(&access, &filter, &all()).await.unwrap();
                let count = filter.counted(&counts).unwrap();
                assert_eq!((credentials.total, credentials.items.len() as u64), (count, count));
            }
        }
    }
}

/// Reads what was appended to a tenant's ledger; answers its actions.
async fn catch_up(f: &Fixture, tenant: &mut Tenant) -> Vec<Action> {
    let entries = f.store.entries_after(tenant.id, tenant.head.0, 1_000).await.unwrap();
    for entry in &entries {
        assert!(entry.at >= tenant.head.1, "entry {} goes back", entry.seq);
        tenant.head = (entry.seq, entry.at);
    }
    entries.iter().map(|entry| entry.action).collect()
}

/// Makes one change, in the store and in the model.
async fn change_tenant(f: &Fixture, tenant: &mut Tenant, is_own: bool, change: &Change) {
    let (clock, at) = (f.now(), tenant.now(f.now()));
    let call = f.call(tenant.id);
    let access = if is_own { own(tenant.id, Some(&call)) } else { system(tenant.id) };
    let mut rows = tenant.rows.clone();
    apply(f, &access, at, &mut rows, change).await;

    let mut actions = catch_up(f, tenant).await;
    if rows != tenant.rows {
        assert_eq!(tenant.head.1, at, "the change's instant");
        let newest = f.store.entries_after(tenant.id, tenant.head.0 - 1, 1).await.unwrap();
        assert_eq!(newest[0].counts, rows.counts(at));
        actions.pop();
        tenant.rows.clone_from(&rows);
        tenant.history.push((at, rows));
        assert_eq!(call.is_counted(), is_own);
        if is_own {
            tenant.alive(at);
        }
    }
    // Apart from the change itself, nothing but the passing of time is told.
    let expiries = [Action::ApiKeyExpired, Action::CredentialExpired];
    assert!(actions.iter().all(|action| expiries.contains(action)), "{actions:?}");
    if Arc::as_ref(&call).is_counted() {
        tenant.calls.push((clock, 1));
        tenant.alive(clock);
    }
}

/// The place of something in a list, if there is anything in it.
fn place<T>(list: &[T], which: Index) -> Option<usize> {
    (!list.is_empty()).then(|| which.index(list.len()))
}

#[expect(clippy::too_many_lines, reason = "one short arm for each kind of change")]
async fn apply(
    f: &Fixture,
    access: &TenantAccess,
    at: Timestamp,
    rows: &mut Rows,
    change: &Change,
) {
    let store = &f.store;
    let due = |expiry: Option<i64>| expiry.map(|millis| f.in_millis(millis));
    let to_status = |active| if active { UserStatus::Active } else { UserStatus::Invited };
    let to_roles = |admin| UserRoles { tenant_admin: admin, member: true };
    match *change {
        Change::CreateUser { active, admin } => {
            let mut new = f.new_user("someone@example.com");
            new.email = super::builders::email(&format!("{}@example.com", new.id));
            (new.status, new.roles) = (to_status(active), to_roles(admin));
            let id = store.create_user(access, new).await.unwrap().id;
            rows.users.push(User { id, active, admin });
        }
        Change::PatchUser { which, active, admin } => {
            let Some(place) = place(&rows.users, which) else { return };
            let user = &mut rows.users[place];
            let patch = UserPatch {
                status: active.map(to_status),
                roles: admin.map(to_roles),
                ..UserPatch::default()
            };
            store.update_user(access, user.id, patch).await.unwrap();
            user.active = active.unwrap_or(user.active);
            user.admin = admin.unwrap_or(user.admin);
        }
        Change::DeleteUser(which) => {
            let Some(place) = place(&rows.users, which) else { return };
            store.delete_user(access, rows.users.remove(place).id).await.unwrap();
        }
        Change::ImportUsers(ref users) => {
            let mut many = Vec::new();
            for (active, admin) in users.iter().copied() {
                let mut new = f.new_user("someone@example.com");
                new.email = super::builders::email(&format!("{}@example.com", new.id));
                (new.status, new.roles) = (to_status(active), to_roles(admin));
                rows.users.push(User { id: new.id, active, admin });
                many.push(new);
            }
            assert!(store.import_users(access, many).await.unwrap().is_empty());
        }
        Change::EraseUser(which) => {
            let Some(place) = place(&rows.users, which) else { return };
            store.erase_user(access, rows.users.remove(place).id).await.unwrap();
        }
        Change::CreateKey(expiry) => {
            let key = store.create_api_key(access, f.new_api_key(due(expiry))).await.unwrap();
            rows.keys.push(Key {
                id: key.id,
                expires_at: due(expiry),
                revoked: false,
                rotations: 0,
            });
        }
        Change::RevokeKey(which) => {
            let Some(place) = place(&rows.keys, which) else { return };
            let key = &mut rows.keys[place];
            let result = store.revoke_api_key(access, key.id).await;
            if key.revoked {
                assert_fault!(result, Error::Conflict(Conflict::AlreadyRevoked));
            } else {
                result.unwrap();
            }
            key.revoked = true;
        }
        Change::RotateKey { which, grace_seconds } => {
            let Some(place) = place(&rows.keys, which) else { return };
            let key = &mut rows.keys[place];
            let result = store.rotate_api_key(access, key.id, f.rotation(grace_seconds)).await;
            if key.revoked {
                assert_fault!(result, Error::Conflict(Conflict::AlreadyRevoked));
            } else if key.expires_at.is_some_and(|instant| at >= instant) {
                assert_fault!(result, Error::Conflict(Conflict::ApiKeyExpired));
            } else {
                result.unwrap();
                key.rotations += 1;
            }
        }
        Change::CreateClient => {
            let client = store.create_oauth_client(access, f.new_oauth_client()).await.unwrap();
            rows.clients.push(Client { id: client.id, active: true });
        }
        Change::PatchClient { which, active } => {
            let Some(place) = place(&rows.clients, which) else { return };
            let client = &mut rows.clients[place];
            let status = if active { ClientStatus::Active } else { ClientStatus::Disabled };
            let patch = OauthClientPatch { status: Some(status), ..OauthClientPatch::default() };
            store.update_oauth_client(access, client.id, patch).await.unwrap();
            client.active = active;
        }
        Change::DeleteClient(which) => {
            let Some(place) = place(&rows.clients, which) else { return };
            store.delete_oauth_client(access, rows.clients.remove(place).id).await.unwrap();
        }
        Change::CreateCredential(expiry) => {
            let new = f.new_credential(due(expiry));
            let id = store.create_credential(access, new).await.unwrap().id;
            rows.credentials.push(Credential { id, expires_at: due(expiry) });
        }
        Change::MoveCredential { which, expiry } => {
            let Some(place) = place(&rows.credentials, which) else { return };
            let credential = &mut rows.credentials[place];
            let patch = CredentialPatch {
                expires_at: due(expiry).map_or(Patch::Clear, Patch::Set),
                ..CredentialPatch::default()
            };
            store.update_credential(access, &integration(), credential.id, patch).await.unwrap();
            credential.expires_at = due(expiry);
        }
        Change::DeleteCredential(which) => {
            let Some(place) = place(&rows.credentials, which) else { return };
            let id = rows.credentials.remove(place).id;
            store.delete_credential(access, &integration(), id).await.unwrap();
        }
    }
}
