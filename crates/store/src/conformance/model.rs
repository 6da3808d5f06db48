//! What a store must hold, in the simplest form there is: lists that are counted anew each time.
//! Nothing here uses `domain::counts`, which the stores use.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::sample::Index;
use tenantry_domain::api_key::{ApiKeyFilter, ApiKeyStatus, KeyRefusal};
use tenantry_domain::clock::{Month, Timestamp};
use tenantry_domain::counts::Counts;
use tenantry_domain::credential::{CredentialFilter, CredentialStatus};
use tenantry_domain::id::TenantId;
use tenantry_domain::oauth_client::{ClientStatus, OauthClientFilter};
use tenantry_domain::stats::Statistics;
use tenantry_domain::tenant::Governance;
use tenantry_domain::text::Name;
use tenantry_domain::usage::{Bytes, UsageOutcome, UsageReport};
use tenantry_domain::user::{UserFilter, UserRole, UserStatus, UserStatusFilter};
use uuid::Uuid;

use super::builders::integration;
use super::driver::{List, Refusal};
use super::steps::{Change, Kind};

#[derive(Debug, Clone, Copy, PartialEq)]
struct User {
    id: Uuid,
    status: UserStatus,
    admin: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Key {
    id: Uuid,
    expires_at: Option<Timestamp>,
    revoked: bool,
    rotations: u32,
    /// Until when the text before the newest is good.
    grace_ends_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Client {
    id: Uuid,
    public: bool,
    active: bool,
    rotations: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Credential {
    id: Uuid,
    expires_at: Option<Timestamp>,
    secrets: u32,
    reveals: u32,
}

/// Everything a tenant has and is. Two that differ have an entry of the ledger between them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Rows {
    users: Vec<User>,
    keys: Vec<Key>,
    clients: Vec<Client>,
    credentials: Vec<Credential>,
    display_name: Option<u8>,
    storage_quota: Option<Bytes>,
    suspended: bool,
}

fn count<T>(rows: &[T], counted: impl Fn(&T) -> bool) -> u64 {
    rows.iter().filter(|row| counted(row)).count() as u64
}

fn over(expires_at: Option<Timestamp>, at: Timestamp) -> bool {
    expires_at.is_some_and(|instant| at >= instant)
}

impl Rows {
    /// What there is at an instant.
    pub(super) fn counts(&self, at: Timestamp) -> Counts {
        let active = |user: &User| user.status == UserStatus::Active;
        Counts {
            users_active: count(&self.users, active),
            users_inactive: count(&self.users, |user| !active(user)),
            admins: count(&self.users, |user| user.admin),
            credentials_active: count(&self.credentials, |one| !over(one.expires_at, at)),
            credentials_expired: count(&self.credentials, |one| over(one.expires_at, at)),
            api_keys_active: count(&self.keys, |key| !key.revoked && !over(key.expires_at, at)),
            api_keys_expired: count(&self.keys, |key| !key.revoked && over(key.expires_at, at)),
            api_keys_revoked: count(&self.keys, |key| key.revoked),
            oauth_clients_active: count(&self.clients, |client| client.active),
            oauth_clients_disabled: count(&self.clients, |client| !client.active),
        }
    }

    /// Every list, filtered in every way, with the number that it holds at an instant.
    pub(super) fn lists(&self, at: Timestamp) -> Vec<(List, u64)> {
        let counts = self.counts(at);
        let users =
            |status, role, total| (List::Users(UserFilter { status, role, q: None }), total);
        let keys = |status, total| (List::ApiKeys(ApiKeyFilter { status }), total);
        let clients = |status, total| (List::OauthClients(OauthClientFilter { status }), total);
        let credentials = |status, integration_id, total| {
            (List::Credentials(CredentialFilter { status, integration_id }), total)
        };
        let mut lists = vec![
            users(None, None, self.users.len() as u64),
            users(Some(UserStatusFilter::Inactive), None, counts.users_inactive),
            users(None, Some(UserRole::TenantAdmin), counts.admins),
            users(None, Some(UserRole::Member), self.users.len() as u64),
            keys(None, self.keys.len() as u64),
            keys(Some(ApiKeyStatus::Active), counts.api_keys_active),
            keys(Some(ApiKeyStatus::Expired), counts.api_keys_expired),
            keys(Some(ApiKeyStatus::Revoked), counts.api_keys_revoked),
            clients(None, self.clients.len() as u64),
            clients(Some(ClientStatus::Active), counts.oauth_clients_active),
            clients(Some(ClientStatus::Disabled), counts.oauth_clients_disabled),
            credentials(None, None, self.credentials.len() as u64),
            credentials(None, Some(integration()), self.credentials.len() as u64),
            credentials(Some(CredentialStatus::Active), None, counts.credentials_active),
            credentials(Some(CredentialStatus::Expired), None, counts.credentials_expired),
        ];
        for status in UserStatus::ALL.iter().copied() {
            let total = count(&self.users, |user| user.status == status);
            lists.push(users(Some(UserStatusFilter::Is(status)), None, total));
        }
        lists
    }

    /// One of the things of a kind, if there is any.
    pub(super) fn pick(&self, kind: Kind, which: Index) -> Option<Uuid> {
        let ids: Vec<_> = match kind {
            Kind::User => self.users.iter().map(|user| user.id).collect(),
            Kind::Key => self.keys.iter().map(|key| key.id).collect(),
            Kind::Client => self.clients.iter().map(|client| client.id).collect(),
            Kind::Credential => self.credentials.iter().map(|one| one.id).collect(),
        };
        (!ids.is_empty()).then(|| *which.get(&ids))
    }

    /// When the things expire that do.
    pub(super) fn expiries(&self) -> impl Iterator<Item = Timestamp> + '_ {
        let keys = self.keys.iter().filter_map(|key| key.expires_at);
        keys.chain(self.credentials.iter().filter_map(|one| one.expires_at))
    }

    /// Why a change is refused at an instant, if it is, whoever allowed it.
    pub(super) fn refusal(&self, change: &Change, id: Uuid, at: Timestamp) -> Option<Refusal> {
        let key = || self.keys.iter().find(|key| key.id == id).unwrap();
        match *change {
            Change::RevokeKey => key().revoked.then_some(Refusal::AlreadyRevoked),
            Change::RotateKey { .. } if key().revoked => Some(Refusal::AlreadyRevoked),
            Change::RotateKey { .. } => {
                over(key().expires_at, at).then_some(Refusal::ApiKeyExpired)
            }
            Change::ValidateKey { newest } => {
                self.key_refusal(key(), newest, at).map(Refusal::NoGoodKey)
            }
            Change::RotateClientSecret => {
                let client = self.clients.iter().find(|client| client.id == id).unwrap();
                client.public.then_some(Refusal::PublicClient)
            }
            _ => None,
        }
    }

    fn key_refusal(&self, key: &Key, newest: bool, at: Timestamp) -> Option<KeyRefusal> {
        if self.suspended {
            Some(KeyRefusal::TenantSuspended)
        } else if key.revoked {
            Some(KeyRefusal::Revoked)
        } else if over(key.expires_at, at) {
            Some(KeyRefusal::Expired)
        } else {
            let replaced = !newest && key.rotations > 0;
            (replaced && at >= key.grace_ends_at).then_some(KeyRefusal::RotatedOut)
        }
    }

    /// Whether the tenant's own principals may change nothing.
    pub(super) const fn suspended(&self) -> bool {
        self.suspended
    }

    /// Makes a change at an instant: of the thing with this id, or with what was made by it. `due`
    /// is when what gets an expiry expires.
    pub(super) fn change(
        &mut self,
        change: &Change,
        id: Uuid,
        made: &[Uuid],
        at: Timestamp,
        due: Option<Timestamp>,
    ) {
        let key = self.keys.iter_mut().find(|key| key.id == id);
        let client = self.clients.iter_mut().find(|client| client.id == id);
        let credential = self.credentials.iter_mut().find(|one| one.id == id);
        match *change {
            Change::CreateUser(draft) => {
                self.users.push(User { id: made[0], status: draft.status, admin: draft.admin });
            }
            Change::ImportUsers(ref drafts) => {
                assert_eq!(made.len(), drafts.len());
                let users = made.iter().zip(drafts);
                self.users.extend(users.map(|(id, draft)| User {
                    id: *id,
                    status: draft.status,
                    admin: draft.admin,
                }));
            }
            Change::UpdateUser { status, admin } => {
                let user = self.users.iter_mut().find(|user| user.id == id).unwrap();
                user.status = status.unwrap_or(user.status);
                user.admin = admin.unwrap_or(user.admin);
            }
            Change::DeleteUser | Change::EraseUser => self.users.retain(|user| user.id != id),
            Change::CreateKey { .. } => self.keys.push(Key {
                id: made[0],
                expires_at: due,
                revoked: false,
                rotations: 0,
                grace_ends_at: at,
            }),
            Change::RevokeKey => key.unwrap().revoked = true,
            Change::RotateKey { grace_seconds } => {
                let key = key.unwrap();
                key.rotations += 1;
                key.grace_ends_at = at.plus_millis(i64::from(grace_seconds) * 1_000);
            }
            Change::ValidateKey { .. } => {}
            Change::CreateClient { public } => {
                self.clients.push(Client { id: made[0], public, active: true, rotations: 0 });
            }
            Change::UpdateClient { active } => client.unwrap().active = active,
            Change::RotateClientSecret => client.unwrap().rotations += 1,
            Change::DeleteClient => self.clients.retain(|client| client.id != id),
            Change::CreateCredential { .. } => self.credentials.push(Credential {
                id: made[0],
                expires_at: due,
                secrets: 0,
                reveals: 0,
            }),
            Change::MoveCredential { .. } => credential.unwrap().expires_at = due,
            Change::ReplaceSecret => credential.unwrap().secrets += 1,
            Change::RevealCredential => credential.unwrap().reveals += 1,
            Change::DeleteCredential => self.credentials.retain(|one| one.id != id),
            Change::Rename(name) => self.display_name = Some(name),
            Change::SetQuota(quota) => {
                self.storage_quota = quota.map(|bytes| Bytes::new(bytes.into()));
            }
            Change::Govern(act) => self.suspended = act == Governance::Suspend,
        }
    }
}

/// A tenant, and everything that ever happened to it.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) id: TenantId,
    name: Name,
    pub(super) rows: Rows,
    /// What there was after each change.
    pub(super) history: Vec<(Timestamp, Rows)>,
    /// The number and the instant of the newest entry.
    pub(super) head: (u64, Timestamp),
    /// When calls were received, and how many.
    pub(super) calls: Vec<(Timestamp, u64)>,
    pub(super) last_activity: Option<Timestamp>,
    /// The reports of other services that are known already.
    reports: BTreeSet<(u8, u8)>,
    /// When calls happened that others report, and how many.
    reported_calls: Vec<(Timestamp, u64)>,
    /// What each source stores, and when it said so.
    storage: BTreeMap<u8, (Timestamp, u64)>,
    /// The latest that the clock has shown.
    latest: Cell<Timestamp>,
}

impl Tenant {
    pub(super) fn new(id: TenantId, name: Name, at: Timestamp) -> Self {
        Self {
            id,
            name,
            rows: Rows::default(),
            history: vec![(at, Rows::default())],
            head: (1, at),
            calls: Vec::new(),
            last_activity: None,
            reports: BTreeSet::new(),
            reported_calls: Vec::new(),
            storage: BTreeMap::new(),
            latest: Cell::new(at),
        }
    }

    /// The instant at which the tenant is read or changed.
    pub(super) fn now(&self, clock: Timestamp) -> Timestamp {
        let newest_call = self.calls.iter().map(|(at, _)| *at).max();
        self.latest.set(self.latest.get().max(clock));
        self.latest.get().max(self.head.1).max(newest_call.unwrap_or(Timestamp::MIN))
    }

    /// The statistics at that instant.
    pub(super) fn statistics(&self, clock: Timestamp) -> Statistics {
        let at = self.now(clock);
        Statistics {
            tenant: self.id,
            tenant_name: self.name.clone(),
            counts: self.rows.counts(at),
            calls_this_month: self.calls_in(Month::of(at)),
            calls_last_month: self.calls_in(Month::of(at).previous()),
            storage_used: Bytes::new(self.storage.values().map(|(_, bytes)| bytes).sum()),
            storage_quota: self.rows.storage_quota,
            last_activity: self.last_activity,
            ledger_seq: self.head.0,
            generated_at: at,
        }
    }

    /// What there was at an instant.
    pub(super) fn counts_at(&self, at: Timestamp) -> Option<Counts> {
        let before = self.history.iter().rev().find(|(since, _)| *since <= at);
        before.map(|(_, rows)| rows.counts(at))
    }

    /// The calls of a month.
    fn calls_in(&self, month: Month) -> u64 {
        let calls = self.calls.iter().chain(&self.reported_calls);
        calls.filter(|(at, _)| Month::of(*at) == month).map(|(_, calls)| calls).sum()
    }

    /// Notes what another service reports.
    pub(super) fn report(
        &mut self,
        source: u8,
        id: u8,
        time: Timestamp,
        report: UsageReport,
    ) -> UsageOutcome {
        if !self.reports.insert((source, id)) {
            return UsageOutcome::Duplicate;
        }
        match report {
            UsageReport::Calls(calls) => self.reported_calls.push((time, calls)),
            UsageReport::Storage(bytes) => {
                let held = self.storage.entry(source).or_insert((time, 0));
                if time >= held.0 {
                    *held = (time, bytes.get());
                }
            }
        }
        UsageOutcome::Counted
    }

    /// Notes a sign of life.
    pub(super) fn alive(&mut self, at: Timestamp) {
        self.last_activity = self.last_activity.max(Some(at));
    }
}
