//! What a store must hold, in the simplest form there is: lists that are counted anew each time.
//! Nothing here uses `domain::counts`, which the stores use.

use std::cell::Cell;

use tenantry_domain::clock::{Month, Timestamp};
use tenantry_domain::counts::Counts;
use tenantry_domain::id::{ApiKeyId, CredentialId, OauthClientId, TenantId, UserId};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct User {
    pub(super) id: UserId,
    pub(super) active: bool,
    pub(super) admin: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Key {
    pub(super) id: ApiKeyId,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) revoked: bool,
    pub(super) rotations: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Client {
    pub(super) id: OauthClientId,
    pub(super) active: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Credential {
    pub(super) id: CredentialId,
    pub(super) expires_at: Option<Timestamp>,
}

/// Everything a tenant has.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Rows {
    pub(super) users: Vec<User>,
    pub(super) keys: Vec<Key>,
    pub(super) clients: Vec<Client>,
    pub(super) credentials: Vec<Credential>,
}

fn count<T>(rows: &[T], counted: impl Fn(&T) -> bool) -> u64 {
    rows.iter().filter(|row| counted(row)).count() as u64
}

impl Rows {
    /// What there is at an instant.
    pub(super) fn counts(&self, at: Timestamp) -> Counts {
        let over = |expires_at: Option<Timestamp>| expires_at.is_some_and(|instant| at >= instant);
        Counts {
            users_active: count(&self.users, |user| user.active),
            users_inactive: count(&self.users, |user| !user.active),
            admins: count(&self.users, |user| user.admin),
            credentials_active: count(&self.credentials, |one| !over(one.expires_at)),
            credentials_expired: count(&self.credentials, |one| over(one.expires_at)),
            api_keys_active: count(&self.keys, |key| !key.revoked && !over(key.expires_at)),
            api_keys_expired: count(&self.keys, |key| !key.revoked && over(key.expires_at)),
            api_keys_revoked: count(&self.keys, |key| key.revoked),
            oauth_clients_active: count(&self.clients, |client| client.active),
            oauth_clients_disabled: count(&self.clients, |client| !client.active),
        }
    }
}

/// A tenant, and everything that ever happened to it.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) id: TenantId,
    pub(super) rows: Rows,
    /// What there was after each change.
    pub(super) history: Vec<(Timestamp, Rows)>,
    /// The number and the instant of the newest entry.
    pub(super) head: (u64, Timestamp),
    /// When calls were received, and how many.
    pub(super) calls: Vec<(Timestamp, u64)>,
    pub(super) last_activity: Option<Timestamp>,
    /// The latest that the clock has shown.
    latest: Cell<Timestamp>,
}

impl Tenant {
    pub(super) fn new(id: TenantId, at: Timestamp) -> Self {
        Self {
            id,
            rows: Rows::default(),
            history: vec![(at, Rows::default())],
            head: (1, at),
            calls: Vec::new(),
            last_activity: None,
            latest: Cell::new(at),
        }
    }

    /// The instant at which the tenant is read or changed.
    pub(super) fn now(&self, clock: Timestamp) -> Timestamp {
        let newest_call = self.calls.iter().map(|(at, _)| *at).max();
        self.latest.set(self.latest.get().max(clock));
        self.latest.get().max(self.head.1).max(newest_call.unwrap_or(Timestamp::MIN))
    }

    /// What there was at an instant.
    pub(super) fn counts_at(&self, at: Timestamp) -> Option<Counts> {
        let before = self.history.iter().rev().find(|(since, _)| *since <= at);
        before.map(|(_, rows)| rows.counts(at))
    }

    /// The calls of a month.
    pub(super) fn calls_in(&self, month: Month) -> u64 {
        let calls = self.calls.iter().filter(|(at, _)| Month::of(*at) == month);
        calls.map(|(_, calls)| calls).sum()
    }

    /// Notes a sign of life.
    pub(super) fn alive(&mut self, at: Timestamp) {
        self.last_activity = self.last_activity.max(Some(at));
    }
}
