//! How each change moves the counts. Pure, and the only place that knows.
//!
//! Every thing that is counted lies in exactly one bucket of its kind at an instant, so a total is
//! always the sum of its parts. A change takes the thing out of the bucket it was in and puts it
//! into the one it is in now.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// The counts of one tenant at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Users who can sign in.
    pub users_active: u64,
    /// Users who cannot: disabled, locked, or invited and not yet there.
    pub users_inactive: u64,
    /// Users with the role `tenant_admin`, whatever their status. Not a bucket: each of them is
    /// also active or inactive.
    pub admins: u64,
    /// Credentials that have not expired.
    pub credentials_active: u64,
    /// Credentials that have.
    pub credentials_expired: u64,
    /// API keys neither revoked nor expired.
    pub api_keys_active: u64,
    /// API keys expired and not revoked.
    pub api_keys_expired: u64,
    /// API keys revoked, expired since or not.
    pub api_keys_revoked: u64,
    /// OAuth clients that may be used.
    pub oauth_clients_active: u64,
    /// OAuth clients that are disabled.
    pub oauth_clients_disabled: u64,
}

impl Counts {
    /// How many numbers there are.
    pub const LEN: usize = 10;

    /// The names of the numbers, in the order of [`Counts::to_array`].
    pub const NAMES: [&'static str; Self::LEN] = [
        "users.active",
        "users.inactive",
        "users.admins",
        "credentials.active",
        "credentials.expired",
        "apiKeys.active",
        "apiKeys.expired",
        "apiKeys.revoked",
        "oauthClients.active",
        "oauthClients.disabled",
    ];

    /// The numbers in their one fixed order: the ledger's bytes and the stores' columns.
    pub const fn to_array(self) -> [u64; Self::LEN] {
        [
            self.users_active,
            self.users_inactive,
            self.admins,
            self.credentials_active,
            self.credentials_expired,
            self.api_keys_active,
            self.api_keys_expired,
            self.api_keys_revoked,
            self.oauth_clients_active,
            self.oauth_clients_disabled,
        ]
    }

    /// The counts with these numbers, in the order of [`Counts::to_array`].
    pub const fn from_array(numbers: [u64; Self::LEN]) -> Self {
        let [
            users_active,
            users_inactive,
            admins,
            credentials_active,
            credentials_expired,
            api_keys_active,
            api_keys_expired,
            api_keys_revoked,
            oauth_clients_active,
            oauth_clients_disabled,
        ] = numbers;
        Self {
            users_active,
            users_inactive,
            admins,
            credentials_active,
            credentials_expired,
            api_keys_active,
            api_keys_expired,
            api_keys_revoked,
            oauth_clients_active,
            oauth_clients_disabled,
        }
    }

    /// All users.
    pub const fn users(&self) -> u64 {
        self.users_active + self.users_inactive
    }

    /// All credentials.
    pub const fn credentials(&self) -> u64 {
        self.credentials_active + self.credentials_expired
    }

    /// All API keys, revoked ones too.
    pub const fn api_keys(&self) -> u64 {
        self.api_keys_active + self.api_keys_expired + self.api_keys_revoked
    }

    /// All OAuth clients.
    pub const fn oauth_clients(&self) -> u64 {
        self.oauth_clients_active + self.oauth_clients_disabled
    }

    /// The counts after a change that happens at `at`.
    ///
    /// # Errors
    /// [`Drift`] if something leaves a bucket that is empty: the counts did not match the rows.
    pub fn after(mut self, change: &Change, at: Timestamp) -> Result<Self, Drift> {
        match *change {
            Change::None => {}
            Change::User { before, after } => {
                self.shift(before.map(UserFacts::bucket), after.map(UserFacts::bucket), 1)?;
                let admin = |facts: Option<UserFacts>| facts.filter(|facts| facts.admin);
                self.shift(
                    admin(before).map(|_| Bucket::Admins),
                    admin(after).map(|_| Bucket::Admins),
                    1,
                )?;
            }
            Change::Users { active, inactive, admins } => {
                self.shift(None, Some(Bucket::UsersActive), active)?;
                self.shift(None, Some(Bucket::UsersInactive), inactive)?;
                self.shift(None, Some(Bucket::Admins), admins)?;
            }
            Change::Credential { before, after } => {
                let bucket = |facts: CredentialFacts| facts.bucket(at);
                self.shift(before.map(bucket), after.map(bucket), 1)?;
            }
            Change::ApiKey { before, after } => {
                let bucket = |facts: ApiKeyFacts| facts.bucket(at);
                self.shift(before.map(bucket), after.map(bucket), 1)?;
            }
            Change::OauthClient { before, after } => {
                let bucket = |facts: OauthClientFacts| facts.bucket();
                self.shift(before.map(bucket), after.map(bucket), 1)?;
            }
            Change::Expired { kind, rows } => {
                let (from, to) = kind.buckets();
                self.shift(Some(from), Some(to), rows)?;
            }
        }
        Ok(self)
    }

    /// Moves `rows` things from one bucket to another, out of all or into the first.
    fn shift(&mut self, from: Option<Bucket>, to: Option<Bucket>, rows: u64) -> Result<(), Drift> {
        if let Some(bucket) = from {
            let count = self.bucket_mut(bucket);
            *count = count.checked_sub(rows).ok_or(Drift(bucket))?;
        }
        if let Some(bucket) = to {
            let count = self.bucket_mut(bucket);
            *count = count.checked_add(rows).ok_or(Drift(bucket))?;
        }
        Ok(())
    }

    fn bucket_mut(&mut self, bucket: Bucket) -> &mut u64 {
        match bucket {
            Bucket::UsersActive => &mut self.users_active,
            Bucket::UsersInactive => &mut self.users_inactive,
            Bucket::Admins => &mut self.admins,
            Bucket::CredentialsActive => &mut self.credentials_active,
            Bucket::CredentialsExpired => &mut self.credentials_expired,
            Bucket::ApiKeysActive => &mut self.api_keys_active,
            Bucket::ApiKeysExpired => &mut self.api_keys_expired,
            Bucket::ApiKeysRevoked => &mut self.api_keys_revoked,
            Bucket::OauthClientsActive => &mut self.oauth_clients_active,
            Bucket::OauthClientsDisabled => &mut self.oauth_clients_disabled,
        }
    }
}

/// Something left a bucket that was empty, or a bucket overflowed: the counts do not match the
/// rows they were made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the counts do not match the rows: {0:?}")]
pub struct Drift(Bucket);

/// The places a counted thing can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of `Counts` of the same name")]
pub enum Bucket {
    UsersActive,
    UsersInactive,
    Admins,
    CredentialsActive,
    CredentialsExpired,
    ApiKeysActive,
    ApiKeysExpired,
    ApiKeysRevoked,
    OauthClientsActive,
    OauthClientsDisabled,
}

/// What a change does to the things that are counted: each has a state before and after, and
/// lacks the one if it is made, the other if it is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "`before` and `after` say what they are")]
pub enum Change {
    /// Nothing that is counted.
    None,
    /// A user.
    User { before: Option<UserFacts>, after: Option<UserFacts> },
    /// Many users are made at once.
    Users { active: u64, inactive: u64, admins: u64 },
    /// A credential.
    Credential { before: Option<CredentialFacts>, after: Option<CredentialFacts> },
    /// An API key.
    ApiKey { before: Option<ApiKeyFacts>, after: Option<ApiKeyFacts> },
    /// An OAuth client.
    OauthClient { before: Option<OauthClientFacts>, after: Option<OauthClientFacts> },
    /// Time passed, and this many things expired.
    Expired { kind: ExpiringKind, rows: u64 },
}

impl Change {
    /// Many users that are made at once.
    pub fn of_new_users(users: impl IntoIterator<Item = UserFacts>) -> Self {
        let (mut active, mut inactive, mut admins) = (0, 0, 0);
        for facts in users {
            active += u64::from(facts.active);
            inactive += u64::from(!facts.active);
            admins += u64::from(facts.admin);
        }
        Self::Users { active, inactive, admins }
    }

    /// How many things it happens to.
    pub const fn rows(&self) -> u64 {
        match *self {
            Self::Users { active, inactive, .. } => active + inactive,
            Self::Expired { rows, .. } => rows,
            Self::None
            | Self::User { .. }
            | Self::Credential { .. }
            | Self::ApiKey { .. }
            | Self::OauthClient { .. } => 1,
        }
    }

    /// The instant at which the changed thing would have expired by itself, and the one at which
    /// it will now: what the schedule of expiries loses and gains. An instant that is not after
    /// `at` is no longer, or never was, in the schedule.
    pub fn schedule(&self, at: Timestamp) -> (Option<Expiry>, Option<Expiry>) {
        let due = |kind, expires_at: Option<Timestamp>| {
            expires_at.filter(|instant| *instant > at).map(|at| Expiry { kind, at })
        };
        match *self {
            Self::Credential { before, after } => {
                let due = |facts: Option<CredentialFacts>| {
                    due(ExpiringKind::Credential, facts.and_then(|facts| facts.expires_at))
                };
                (due(before), due(after))
            }
            Self::ApiKey { before, after } => {
                let due = |facts: Option<ApiKeyFacts>| {
                    let facts = facts.filter(|facts| !facts.revoked);
                    due(ExpiringKind::ApiKey, facts.and_then(|facts| facts.expires_at))
                };
                (due(before), due(after))
            }
            Self::None
            | Self::User { .. }
            | Self::Users { .. }
            | Self::OauthClient { .. }
            | Self::Expired { .. } => (None, None),
        }
    }
}

/// What matters of a user for the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserFacts {
    /// Can sign in now.
    pub active: bool,
    /// Holds `tenant_admin`.
    pub admin: bool,
}

impl UserFacts {
    const fn bucket(self) -> Bucket {
        if self.active { Bucket::UsersActive } else { Bucket::UsersInactive }
    }
}

/// What matters of a credential for the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CredentialFacts {
    /// From this instant on it is expired.
    pub expires_at: Option<Timestamp>,
}

impl CredentialFacts {
    fn bucket(self, at: Timestamp) -> Bucket {
        if is_expired(self.expires_at, at) {
            Bucket::CredentialsExpired
        } else {
            Bucket::CredentialsActive
        }
    }
}

/// What matters of an API key for the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiKeyFacts {
    /// From this instant on it is expired, unless it was revoked.
    pub expires_at: Option<Timestamp>,
    /// Revoked, for good.
    pub revoked: bool,
}

impl ApiKeyFacts {
    fn bucket(self, at: Timestamp) -> Bucket {
        if self.revoked {
            Bucket::ApiKeysRevoked
        } else if is_expired(self.expires_at, at) {
            Bucket::ApiKeysExpired
        } else {
            Bucket::ApiKeysActive
        }
    }
}

/// What matters of an OAuth client for the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OauthClientFacts {
    /// May be used.
    pub active: bool,
}

impl OauthClientFacts {
    const fn bucket(self) -> Bucket {
        if self.active { Bucket::OauthClientsActive } else { Bucket::OauthClientsDisabled }
    }
}

/// Whether something with this expiry is expired at `at`. It expires *at* its instant: the
/// instant itself is the first one at which it is expired.
pub fn is_expired(expires_at: Option<Timestamp>, at: Timestamp) -> bool {
    expires_at.is_some_and(|instant| instant <= at)
}

/// The kinds of thing that expire by the clock alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExpiringKind {
    /// A credential of the vault.
    Credential,
    /// An API key.
    ApiKey,
}

impl ExpiringKind {
    const fn buckets(self) -> (Bucket, Bucket) {
        match self {
            Self::Credential => (Bucket::CredentialsActive, Bucket::CredentialsExpired),
            Self::ApiKey => (Bucket::ApiKeysActive, Bucket::ApiKeysExpired),
        }
    }
}

/// A thing of this kind expires at this instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expiry {
    /// What expires.
    pub kind: ExpiringKind,
    /// When.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    #[test]
    fn a_disabled_admin_is_still_an_admin() {
        let user = |active, admin| Some(UserFacts { active, admin });
        let counts = Counts::default()
            .after(&Change::User { before: None, after: user(true, true) }, NOW)
            .unwrap()
            .after(&Change::User { before: user(true, true), after: user(false, true) }, NOW)
            .unwrap();
        assert_eq!((counts.users(), counts.users_inactive, counts.admins), (1, 1, 1));
    }

    #[test]
    fn users_that_are_made_at_once_count_each() {
        let facts = [(true, true), (true, false), (false, true)];
        let change = Change::of_new_users(facts.map(|(active, admin)| UserFacts { active, admin }));
        let counts = Counts::default().after(&change, NOW).unwrap();
        assert_eq!((counts.users_active, counts.users_inactive, counts.admins), (2, 1, 2));
        assert_eq!(change.rows(), 3);
    }

    #[test]
    fn revoked_and_then_past_its_expiry_is_revoked() {
        let key = |revoked| Some(ApiKeyFacts { expires_at: Some(NOW.plus_millis(1)), revoked });
        let later = NOW.plus_millis(5);
        let revoke = Change::ApiKey { before: key(false), after: key(true) };
        assert_eq!(
            revoke.schedule(NOW),
            (Some(Expiry { kind: ExpiringKind::ApiKey, at: NOW.plus_millis(1) }), None)
        );
        let counts = Counts { api_keys_expired: 1, ..Counts::default() };
        let counts = counts.after(&revoke, later).unwrap();
        assert_eq!((counts.api_keys(), counts.api_keys_revoked), (1, 1));
    }

    #[test]
    fn the_instant_of_expiry_is_expired() {
        let facts = CredentialFacts { expires_at: Some(NOW) };
        assert_eq!(facts.bucket(NOW), Bucket::CredentialsExpired);
        assert_eq!(facts.bucket(NOW.plus_millis(-1)), Bucket::CredentialsActive);
    }

    #[test]
    fn taking_from_an_empty_bucket_is_drift() {
        let gone =
            Change::OauthClient { before: Some(OauthClientFacts { active: true }), after: None };
        assert_eq!(Counts::default().after(&gone, NOW), Err(Drift(Bucket::OauthClientsActive)));
    }

    #[test]
    fn the_array_is_the_struct() {
        let numbers = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        assert_eq!(Counts::from_array(numbers).to_array(), numbers);
    }
}
