//! The statistics of one tenant at one instant.

use crate::clock::{Month, Timestamp};
use crate::counts::Counts;
use crate::id::TenantId;
use crate::ledger::Head;
use crate::text::Name;
use crate::usage::Bytes;

/// Everything that the statistics tell, all of it at [`Statistics::generated_at`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// The tenant.
    pub tenant: TenantId,
    /// Its name.
    pub tenant_name: Name,
    /// What it has.
    pub counts: Counts,
    /// Calls received in the month of `generated_at`, in UTC.
    pub calls_this_month: u64,
    /// Calls received in the month before.
    pub calls_last_month: u64,
    /// What it stores, over all sources that report.
    pub storage_used: Bytes,
    /// What it may store; `None`: no limit.
    pub storage_quota: Option<Bytes>,
    /// The latest counted call or change by one of its own principals.
    pub last_activity: Option<Timestamp>,
    /// The number of the ledger entry that the counts come from.
    pub ledger_seq: u64,
    /// The instant of all of this.
    pub generated_at: Timestamp,
}

/// When the newest counted call of a tenant was received, and the newest that is activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heartbeat {
    /// The newest counted call.
    pub last_call: Option<Timestamp>,
    /// The newest one that counts as activity.
    pub last_activity: Option<Timestamp>,
}

impl Heartbeat {
    /// The later of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            last_call: self.last_call.max(other.last_call),
            last_activity: self.last_activity.max(other.last_activity),
        }
    }
}

/// The instant at which a tenant is read or changed: by the clock, but never before what has happened
/// to the tenant already, by whichever process. With a clock that does not step back within a
/// process ([`MonotonicClock`](crate::clock::MonotonicClock)), no instant, count or month that was
/// shown goes back.
pub fn effective_now(clock: Timestamp, head: &Head, heartbeat: Heartbeat) -> Timestamp {
    clock.max(head.at).max(heartbeat.last_call.unwrap_or(Timestamp::MIN))
}

/// The latest sign of life: a change or a call, whichever is later.
pub fn last_activity(head: &Head, heartbeat: Heartbeat) -> Option<Timestamp> {
    head.last_activity.max(heartbeat.last_activity)
}

/// The months whose calls the statistics tell: the one of this instant, and the one before.
pub fn months(at: Timestamp) -> (Month, Month) {
    let this = Month::of(at);
    (this, this.previous())
}
