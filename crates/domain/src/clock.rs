//! Instants, calendar months in UTC, and the clock as a parameter.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds of one hour.
const HOUR_MS: i64 = 3_600_000;

/// An instant in UTC with millisecond precision, between the years 1 and 9999.
///
/// Its text is RFC 3339 with exactly three decimals: `2025-07-10T14:30:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first instant that can be written: `0001-01-01T00:00:00.000Z`.
    pub const MIN: Self = Self(-62_135_596_800_000);
    /// The last instant that can be written: `9999-12-30T22:00:00.000Z`, the last one that every
    /// RFC 3339 reader shows in every time zone.
    pub const MAX: Self = Self(253_402_207_200_000);

    /// The instant this many milliseconds after 1970-01-01T00:00:00Z, brought into range.
    pub const fn from_millis(millis: i64) -> Self {
        if millis < Self::MIN.0 {
            Self::MIN
        } else if millis > Self::MAX.0 {
            Self::MAX
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down (the `NumericDate` of RFC 7519).
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The instant `millis` later (earlier if negative), held at the ends of the range.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = jiff::Timestamp::from_millisecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{instant:.3}")
    }
}

/// The text was not an RFC 3339 instant with a time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an RFC 3339 time such as 2025-07-10T14:30:00.000Z")]
pub struct NotATimestamp;

impl FromStr for Timestamp {
    type Err = NotATimestamp;

    /// Reads RFC 3339 with any offset; what is finer than a millisecond is cut off.
    fn from_str(text: &str) -> Result<Self, NotATimestamp> {
        // The library also reads other notations (a zone in brackets, a comma for the point).
        let plain = text.is_ascii() && !text.contains(['[', ',']) && text.len() <= 40;
        if !plain {
            return Err(NotATimestamp);
        }
        let instant: jiff::Timestamp = text.parse().map_err(|_| NotATimestamp)?;
        let millis = instant.as_nanosecond().div_euclid(1_000_000);
        let millis = i64::try_from(millis).map_err(|_| NotATimestamp)?;
        if (Self::MIN.0..=Self::MAX.0).contains(&millis) {
            Ok(Self(millis))
        } else {
            Err(NotATimestamp)
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A calendar month in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(i32);

impl Month {
    /// The month an instant lies in.
    pub fn of(at: Timestamp) -> Self {
        let instant =
            jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let date = jiff::tz::TimeZone::UTC.to_datetime(instant);
        Self(i32::from(date.year()) * 12 + i32::from(date.month()) - 1)
    }

    /// The month before.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0 - 1)
    }

    /// The month after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The month's first instant.
    pub fn start(self) -> Timestamp {
        let year = i16::try_from(self.0.div_euclid(12)).unwrap_or(1970);
        let month = i8::try_from(self.0.rem_euclid(12) + 1).unwrap_or(1);
        let start = jiff::civil::Date::new(year, month, 1)
            .and_then(|date| jiff::tz::TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)))
            .map(jiff::Timestamp::as_millisecond);
        Timestamp::from_millis(start.unwrap_or_default())
    }

    /// The month with this number, see [`Month::index`].
    pub const fn from_index(index: i32) -> Self {
        Self(index)
    }

    /// The number a store keeps: months since January of the year 0.
    pub const fn index(self) -> i32 {
        self.0
    }
}

/// An hour in UTC, counted from 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(i64);

impl Hour {
    /// The hour an instant lies in.
    pub const fn of(at: Timestamp) -> Self {
        Self(at.0.div_euclid(HOUR_MS))
    }

    /// The number a store keeps: hours since 1970-01-01T00:00:00Z.
    pub const fn index(self) -> i64 {
        self.0
    }
}

/// Where the time comes from. Production reads the system's clock; tests move one by hand.
pub trait Clock: Send + Sync {
    /// The present instant. It may step back; whoever needs order takes the maximum of this and
    /// what was recorded before.
    fn now(&self) -> Timestamp;
}

/// A clock that never shows less than it has shown before, whatever the one behind it does.
pub struct MonotonicClock {
    behind: Arc<dyn Clock>,
    latest: AtomicI64,
}

impl MonotonicClock {
    /// Stands before another clock.
    pub fn new(behind: Arc<dyn Clock>) -> Self {
        Self { behind, latest: AtomicI64::new(i64::MIN) }
    }
}

impl Clock for MonotonicClock {
    fn now(&self) -> Timestamp {
        let now = self.behind.now().as_millis();
        Timestamp::from_millis(self.latest.fetch_max(now, Ordering::Relaxed).max(now))
    }
}

impl fmt::Debug for MonotonicClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MonotonicClock")
    }
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place where the system's clock is read"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn text_has_three_decimals_and_z() {
        for (given, shown) in [
            ("2025-07-10T14:30:00Z", "2025-07-10T14:30:00.000Z"),
            ("2025-07-10T14:30:00.1239+02:00", "2025-07-10T12:30:00.123Z"),
            ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(at(given).to_string(), shown);
        }
    }

    #[test]
    fn impossible_dates_are_refused() {
        for text in [
            "2025-02-30T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-07-10T25:00:00Z",
            "2025-07-10T14:30:00",
            "2025-07-10",
            "10000-01-01T00:00:00Z",
            "2025-07-10T14:30:00+02:00[Europe/Berlin]",
            "yesterday",
            "",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(NotATimestamp), "{text}");
        }
    }

    #[test]
    fn months_turn_at_midnight_in_utc() {
        let last = at("2024-12-31T23:59:59.999Z");
        let first = at("2025-01-01T00:00:00.000Z");
        assert_eq!(Month::of(last), Month::of(first).previous());
        assert_eq!(Month::of(last).next(), Month::of(first));
        assert_eq!(Month::of(first).start(), first);
        assert_eq!(Hour::of(last).index() + 1, Hour::of(first).index());
    }
}
