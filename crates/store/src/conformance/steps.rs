//! What can happen to two tenants and to the clock, at random.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::sample::Index;
use proptest::{option, prop_oneof};

const DAY_MS: i64 = 24 * 3_600_000;

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A change of one of the two tenants, by its own principal or not.
    Change { second: bool, own: bool, change: Change },
    /// Calls received some milliseconds ago, as activity or not.
    Calls { second: bool, calls: u64, ago: i64, activity: bool },
    /// The clock moves on, or steps back.
    Move(i64),
    /// The clock moves to the start of the next month.
    NextMonth,
    /// The ledgers catch up, by this many entries.
    Settle(usize),
}

/// Expiries are in milliseconds from what the clock shows.
#[derive(Debug, Clone)]
pub(super) enum Change {
    CreateUser {
        active: bool,
        admin: bool,
    },
    PatchUser {
        which: Index,
        active: Option<bool>,
        admin: Option<bool>,
    },
    DeleteUser(Index),
    /// Each of them active or not, and an admin or not.
    ImportUsers(Vec<(bool, bool)>),
    EraseUser(Index),
    CreateKey(Option<i64>),
    RevokeKey(Index),
    RotateKey {
        which: Index,
        grace_seconds: u32,
    },
    CreateClient,
    PatchClient {
        which: Index,
        active: bool,
    },
    DeleteClient(Index),
    CreateCredential(Option<i64>),
    MoveCredential {
        which: Index,
        expiry: Option<i64>,
    },
    DeleteCredential(Index),
}

fn change() -> impl Strategy<Value = Change> {
    use Change::{
        CreateClient, CreateCredential, CreateKey, CreateUser, DeleteClient, DeleteCredential,
        DeleteUser, EraseUser, ImportUsers, MoveCredential, PatchClient, PatchUser, RevokeKey,
        RotateKey,
    };
    let which = || any::<Index>();
    // Few and near instants, so that several things meet at one.
    let expiry = || option::weighted(0.8, -3..15_i64);
    prop_oneof![
        1 => any::<(bool, bool)>().prop_map(|(active, admin)| CreateUser { active, admin }),
        1 => any::<(Index, Option<bool>, Option<bool>)>()
            .prop_map(|(which, active, admin)| PatchUser { which, active, admin }),
        1 => which().prop_map(DeleteUser),
        1 => vec(any::<(bool, bool)>(), 1..4).prop_map(ImportUsers),
        1 => which().prop_map(EraseUser),
        2 => expiry().prop_map(CreateKey),
        1 => which().prop_map(RevokeKey),
        1 => (which(), 0..2_u32)
            .prop_map(|(which, grace_seconds)| RotateKey { which, grace_seconds }),
        1 => Just(CreateClient),
        1 => any::<(Index, bool)>().prop_map(|(which, active)| PatchClient { which, active }),
        1 => which().prop_map(DeleteClient),
        3 => expiry().prop_map(CreateCredential),
        2 => (which(), expiry()).prop_map(|(which, expiry)| MoveCredential { which, expiry }),
        1 => which().prop_map(DeleteCredential),
    ]
}

/// Any step.
pub(super) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (any::<bool>(), any::<bool>(), change())
            .prop_map(|(second, own, change)| Step::Change { second, own, change }),
        2 => (any::<bool>(), 1..5_u64, 0..10_i64, any::<bool>()).prop_map(
            |(second, calls, ago, activity)| Step::Calls { second, calls, ago, activity }
        ),
        5 => (0..10_i64).prop_map(Step::Move),
        2 => (-30..0_i64).prop_map(Step::Move),
        1 => Just(Step::NextMonth),
        1 => Just(Step::Move(-32 * DAY_MS)),
        2 => (0..3_usize).prop_map(Step::Settle),
    ]
}
