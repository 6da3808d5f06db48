//! What can happen to two tenants and to the clock, at random.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::sample::{Index, select};
use proptest::{option, prop_oneof};
use tenantry_domain::tenant::Governance;
use tenantry_domain::usage::{Bytes, UsageReport};
use tenantry_domain::user::UserStatus;

const DAY_MS: i64 = 24 * 3_600_000;

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A change of one of the two tenants, by its own principal or not, of one of its things.
    Change { second: bool, own: bool, which: Index, change: Change },
    /// Calls received some milliseconds ago, as activity or not.
    Calls { second: bool, calls: u64, ago: i64, activity: bool },
    /// Another service reports usage of some milliseconds ago, maybe for the second time.
    Report { second: bool, source: u8, id: u8, ago: i64, report: UsageReport },
    /// One of the two is deleted, and another tenant takes its place.
    Replace { second: bool },
    /// The clock moves on, or steps back.
    Move(i64),
    /// The clock moves to the start of the next month.
    NextMonth,
    /// The ledgers catch up, by this many entries.
    Settle(usize),
}

impl Step {
    /// Which of the two tenants it is about; `None` if both.
    pub(super) const fn about(&self) -> Option<bool> {
        match *self {
            Self::Change { second, .. }
            | Self::Calls { second, .. }
            | Self::Report { second, .. }
            | Self::Replace { second } => Some(second),
            Self::Move(_) | Self::NextMonth | Self::Settle(_) => None,
        }
    }
}

/// A change of a tenant or of one of its things. Expiries are in milliseconds from what the clock
/// shows.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each says what is done")]
pub enum Change {
    CreateUser(UserDraft),
    UpdateUser {
        status: Option<UserStatus>,
        admin: Option<bool>,
    },
    DeleteUser,
    EraseUser,
    ImportUsers(Vec<UserDraft>),
    CreateKey {
        expiry: Option<i64>,
    },
    RevokeKey,
    RotateKey {
        grace_seconds: u32,
    },
    /// Asks what the key's newest text is worth, or the one before that. Changes nothing.
    ValidateKey {
        newest: bool,
    },
    CreateClient {
        public: bool,
    },
    UpdateClient {
        active: bool,
    },
    RotateClientSecret,
    DeleteClient,
    CreateCredential {
        expiry: Option<i64>,
    },
    MoveCredential {
        expiry: Option<i64>,
    },
    /// Gives a credential another secret.
    ReplaceSecret,
    RevealCredential,
    DeleteCredential,
    /// Gives the tenant another display name: its own business.
    Rename(u8),
    /// Sets the tenant's storage quota, in bytes: the platform's business.
    SetQuota(Option<u32>),
    /// Suspends or activates the tenant; never deletes it.
    Govern(Governance),
}

/// A user to be made.
#[derive(Debug, Clone, Copy)]
pub struct UserDraft {
    /// Whether it can sign in.
    pub status: UserStatus,
    /// Whether it holds `tenant_admin`, beside `member`.
    pub admin: bool,
}

/// The kinds of thing that a change can be about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    User,
    Key,
    Client,
    Credential,
}

impl Change {
    /// What it is about, if that must be there already.
    pub(super) const fn about(&self) -> Option<Kind> {
        match self {
            Self::UpdateUser { .. } | Self::DeleteUser | Self::EraseUser => Some(Kind::User),
            Self::RevokeKey | Self::RotateKey { .. } | Self::ValidateKey { .. } => Some(Kind::Key),
            Self::UpdateClient { .. } | Self::RotateClientSecret | Self::DeleteClient => {
                Some(Kind::Client)
            }
            Self::MoveCredential { .. }
            | Self::ReplaceSecret
            | Self::RevealCredential
            | Self::DeleteCredential => Some(Kind::Credential),
            Self::CreateUser(_)
            | Self::ImportUsers(_)
            | Self::CreateKey { .. }
            | Self::CreateClient { .. }
            | Self::CreateCredential { .. }
            | Self::Rename(_)
            | Self::SetQuota(_)
            | Self::Govern(_) => None,
        }
    }

    /// The expiry that it gives something, if it does.
    pub(super) const fn expiry(&self) -> Option<i64> {
        match *self {
            Self::CreateKey { expiry }
            | Self::CreateCredential { expiry }
            | Self::MoveCredential { expiry } => expiry,
            _ => None,
        }
    }
}

fn user() -> impl Strategy<Value = UserDraft> + Clone {
    (status(), any::<bool>()).prop_map(|(status, admin)| UserDraft { status, admin })
}

fn status() -> impl Strategy<Value = UserStatus> + Clone {
    prop_oneof![1 => Just(UserStatus::Active), 1 => select(UserStatus::ALL)]
}

fn change() -> impl Strategy<Value = Change> {
    // Few and near instants, so that several things meet at one.
    let expiry = || option::weighted(0.8, -3..15_i64);
    prop_oneof![
        1 => user().prop_map(Change::CreateUser),
        1 => (option::of(status()), any::<Option<bool>>())
            .prop_map(|(status, admin)| Change::UpdateUser { status, admin }),
        1 => Just(Change::DeleteUser),
        1 => vec(user(), 1..4).prop_map(Change::ImportUsers),
        1 => Just(Change::EraseUser),
        2 => expiry().prop_map(|expiry| Change::CreateKey { expiry }),
        1 => Just(Change::RevokeKey),
        1 => (0..2_u32).prop_map(|grace_seconds| Change::RotateKey { grace_seconds }),
        1 => any::<bool>().prop_map(|newest| Change::ValidateKey { newest }),
        1 => any::<bool>().prop_map(|public| Change::CreateClient { public }),
        1 => any::<bool>().prop_map(|active| Change::UpdateClient { active }),
        1 => Just(Change::RotateClientSecret),
        1 => Just(Change::DeleteClient),
        3 => expiry().prop_map(|expiry| Change::CreateCredential { expiry }),
        2 => expiry().prop_map(|expiry| Change::MoveCredential { expiry }),
        1 => Just(Change::ReplaceSecret),
        1 => Just(Change::RevealCredential),
        1 => Just(Change::DeleteCredential),
        1 => (0..2_u8).prop_map(Change::Rename),
        1 => any::<Option<u32>>().prop_map(Change::SetQuota),
        1 => Just(Change::Govern(Governance::Suspend)),
        2 => Just(Change::Govern(Governance::Activate)),
    ]
}

fn report() -> impl Strategy<Value = UsageReport> {
    let few = 0..5_000_000_u64;
    prop_oneof![
        few.clone().prop_map(UsageReport::Calls),
        few.prop_map(|bytes| UsageReport::Storage(Bytes::new(bytes))),
    ]
}

/// Any step.
pub(super) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        24 => (any::<bool>(), any::<bool>(), any::<Index>(), change())
            .prop_map(|(second, own, which, change)| Step::Change { second, own, which, change }),
        4 => (any::<bool>(), 1..5_u64, 0..10_i64, any::<bool>()).prop_map(
            |(second, calls, ago, activity)| Step::Calls { second, calls, ago, activity }
        ),
        4 => (any::<bool>(), 0..2_u8, 0..8_u8, -5..10_i64, report()).prop_map(
            |(second, source, id, ago, report)| Step::Report { second, source, id, ago, report }
        ),
        1 => any::<bool>().prop_map(|second| Step::Replace { second }),
        10 => (0..10_i64).prop_map(Step::Move),
        4 => (-30..0_i64).prop_map(Step::Move),
        2 => Just(Step::NextMonth),
        2 => Just(Step::Move(-32 * DAY_MS)),
        4 => (0..3_usize).prop_map(Step::Settle),
    ]
}
