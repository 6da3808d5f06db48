//! Calls and storage: what is metered, and in which units.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::api_key::{KeyUse, SecretHash};
use crate::clock::{Hour, Timestamp};
use crate::id::{ApiKeyId, TenantId};

/// One authenticated request, to be counted once: by the change it makes, in that change's own
/// transaction, or else by the meter before it is answered.
#[derive(Debug)]
pub struct Call {
    /// When it was received; the month of this instant is the month it counts in.
    pub received: Timestamp,
    /// Whether it makes its tenant look alive. Reading statistics does not.
    activity: bool,
    caller: TenantId,
    on_behalf: OnceLock<TenantId>,
    /// The API keys that it was made with: the caller's own, and one that it asks about.
    uses: [OnceLock<KeyUse>; 2],
    counted: AtomicBool,
}

impl Call {
    /// A call by a principal of `caller` that nobody has counted yet.
    pub fn new(caller: TenantId, received: Timestamp, activity: bool) -> Self {
        Self {
            received,
            activity,
            caller,
            on_behalf: OnceLock::new(),
            uses: Default::default(),
            counted: AtomicBool::new(false),
        }
    }

    /// The tenant it counts for: the caller's own, unless it was made on behalf of another.
    pub fn tenant(&self) -> TenantId {
        self.on_behalf.get().copied().unwrap_or(self.caller)
    }

    /// Has it count for the tenant on whose behalf it was made. The first one named stays.
    pub fn count_for(&self, tenant: TenantId) {
        self.on_behalf.get_or_init(|| tenant);
    }

    /// Notes that an API key is used by it: the caller's, or one that is asked about.
    pub fn note_use(&self, key: KeyUse) {
        let [own, asked] = &self.uses;
        if own.set(key).is_err() {
            asked.get_or_init(|| key);
        }
    }

    /// Whether it makes the tenant it counts for look alive: what somebody else does on a tenant's
    /// behalf is no sign of the tenant's life.
    pub fn is_activity(&self) -> bool {
        self.activity && self.tenant() == self.caller
    }

    /// Notes that the transaction that counted it is committed.
    pub fn mark_counted(&self) {
        self.counted.store(true, Ordering::Release);
    }

    /// Whether a committed transaction has counted it.
    pub fn is_counted(&self) -> bool {
        self.counted.load(Ordering::Acquire)
    }
}

/// A number of calls of one tenant that fall into one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallCount {
    /// The tenant they count for.
    pub tenant: TenantId,
    /// How many.
    pub calls: u64,
    /// When the last of them was received. All of them fall into the hour of this instant.
    pub last_call: Timestamp,
    /// When the last one that counts as activity was received.
    pub last_activity: Option<Timestamp>,
}

impl CallCount {
    /// One call.
    pub fn of(call: &Call) -> Self {
        Self {
            tenant: call.tenant(),
            calls: 1,
            last_call: call.received,
            last_activity: call.is_activity().then_some(call.received),
        }
    }
}

/// Calls that are counted together: one number for each tenant and hour, however many they are, and
/// the newest use of each text of an API key that they were made with.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    counts: BTreeMap<(TenantId, Hour), CallCount>,
    uses: BTreeMap<(TenantId, ApiKeyId, SecretHash), KeyUse>,
}

impl Tally {
    /// One call.
    pub fn of(call: &Call) -> Self {
        let mut tally = Self::default();
        tally.add(call);
        tally
    }

    /// Adds a call.
    pub fn add(&mut self, call: &Call) {
        self.count(CallCount::of(call));
        call.uses.iter().filter_map(OnceLock::get).for_each(|key| self.note_use(*key));
    }

    /// Adds what another holds.
    pub fn merge(&mut self, other: Self) {
        other.counts.into_values().for_each(|count| self.count(count));
        other.uses.into_values().for_each(|key| self.note_use(key));
    }

    /// Adds calls to those of their tenant and hour.
    fn count(&mut self, more: CallCount) {
        match self.counts.entry((more.tenant, Hour::of(more.last_call))) {
            Entry::Vacant(slot) => {
                slot.insert(more);
            }
            Entry::Occupied(mut slot) => {
                let count = slot.get_mut();
                count.calls += more.calls;
                count.last_call = count.last_call.max(more.last_call);
                count.last_activity = count.last_activity.max(more.last_activity);
            }
        }
    }

    fn note_use(&mut self, key: KeyUse) {
        let newest = self.uses.entry((key.tenant, key.key, key.secret)).or_insert(key);
        if key.last.at > newest.last.at {
            *newest = key;
        }
    }

    /// The numbers, in the order of tenants: of two processes that write such numbers, none waits
    /// for the other while the other waits for it.
    pub fn counts(&self) -> impl Iterator<Item = &CallCount> {
        self.counts.values()
    }

    /// The uses of keys, in the order of tenants.
    pub fn uses(&self) -> impl Iterator<Item = &KeyUse> {
        self.uses.values()
    }

    /// Leaves only what is about some of the tenants.
    pub fn retain(&mut self, mut is_wanted: impl FnMut(TenantId) -> bool) {
        self.counts.retain(|(tenant, _), _| is_wanted(*tenant));
        self.uses.retain(|(tenant, ..), _| is_wanted(*tenant));
    }
}

impl FromIterator<CallCount> for Tally {
    fn from_iter<I: IntoIterator<Item = CallCount>>(counts: I) -> Self {
        let mut tally = Self::default();
        counts.into_iter().for_each(|count| tally.count(count));
        tally
    }
}

/// The most calls of a month, and bytes of a tenant, that are kept: every JSON reader holds these
/// numbers exactly.
pub const MAX_REPORTED: u64 = 1 << 53;

/// Bytes of storage. One megabyte (MB) is 1,000,000 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Bytes(u64);

const BYTES_PER_MB: u64 = 1_000_000;

impl Bytes {
    /// The most that can be kept.
    pub const MAX: Self = Self(MAX_REPORTED);

    /// This many bytes, at most [`Bytes::MAX`].
    pub const fn new(bytes: u64) -> Self {
        if bytes > Self::MAX.0 { Self::MAX } else { Self(bytes) }
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Exact megabytes as a JSON number: an integer when whole, else up to six decimals.
    pub fn megabytes(self) -> Megabytes {
        Megabytes(self)
    }
}

/// Shows [`Bytes`] in megabytes and reads them back, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Megabytes(pub Bytes);

impl fmt::Display for Megabytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0.0 / BYTES_PER_MB, self.0.0 % BYTES_PER_MB);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let decimals = format!("{rest:06}");
        write!(f, "{whole}.{}", decimals.trim_end_matches('0'))
    }
}

/// The text was not a number of megabytes that can be kept exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a number of megabytes from 0 to 9007199254.740992 with at most six decimals")]
pub struct NotMegabytes;

impl FromStr for Megabytes {
    type Err = NotMegabytes;

    fn from_str(text: &str) -> Result<Self, NotMegabytes> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let decimals = decimals.trim_end_matches('0');
        if !digits(whole) || !(decimals.is_empty() || digits(decimals)) || decimals.len() > 6 {
            return Err(NotMegabytes);
        }
        let whole: u64 = whole.parse().map_err(|_| NotMegabytes)?;
        let rest: u64 = format!("{decimals:0<6}").parse().map_err(|_| NotMegabytes)?;
        whole
            .checked_mul(BYTES_PER_MB)
            .and_then(|bytes| bytes.checked_add(rest))
            .filter(|bytes| *bytes <= Bytes::MAX.0)
            .map(|bytes| Self(Bytes(bytes)))
            .ok_or(NotMegabytes)
    }
}

/// Usage that another service reports for a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageEvent {
    /// Which service reports. With `id` it identifies the event within the tenant.
    pub source: String,
    /// The event's id within its source.
    pub id: String,
    /// When it happened.
    pub time: Timestamp,
    /// What it says.
    pub report: UsageReport,
}

/// What a usage event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageReport {
    /// This many calls were served, in the month of the event's time.
    Calls(u64),
    /// The source now holds this much for the tenant.
    Storage(Bytes),
}

/// What became of a usage event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageOutcome {
    /// It is in the numbers now.
    Counted,
    /// It was in the numbers already.
    Duplicate,
    /// The number it would lead to is more than can be kept: 2^53. Nothing was noted.
    TooMuch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn megabytes_are_exact() {
        for (bytes, shown) in [
            (0, "0"),
            (2_500_000_000, "2500"),
            (1, "0.000001"),
            (2_500_500_000, "2500.5"),
            (1 << 53, "9007199254.740992"),
            ((1 << 53) - 1, "9007199254.740991"),
        ] {
            let size = Bytes::new(bytes);
            assert_eq!(size.megabytes().to_string(), shown);
            assert_eq!(shown.parse(), Ok(Megabytes(size)));
        }
    }

    #[test]
    fn what_cannot_be_kept_exactly_is_refused() {
        for text in ["", "-1", "1e3", "0.0000001", ".", "9007199254.740993", "1.2.3", "+1", " 1"] {
            assert_eq!(text.parse::<Megabytes>(), Err(NotMegabytes), "{text}");
        }
        assert_eq!("1.500000000".parse(), Ok(Megabytes(Bytes::new(1_500_000))));
    }
}
