//! The sample platform: real rows, made through the use cases under a clock that starts last month,
//! so that what has expired has expired and last month's calls were last month's.

use std::sync::atomic::{AtomicI64, Ordering};

use tenantry_domain::clock::{Clock, Month, Timestamp};
use tenantry_domain::error::Result;
use tenantry_domain::id::TenantId;
use tenantry_domain::usage::Bytes;
use tenantry_service::Service;

use life::Life;

mod life;
mod sample;
#[cfg(test)]
mod tests;

pub(crate) use sample::ACME;

/// How many steps a load takes.
pub(crate) const STEPS: u64 = sample::TENANTS * Chapter::ALL.len() as u64;

/// A clock that is moved by hand.
#[derive(Debug)]
pub(crate) struct DemoClock(AtomicI64);

impl Clock for DemoClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

impl DemoClock {
    /// A clock that shows when the sample of `now` begins.
    pub(crate) fn before(now: Timestamp) -> Self {
        Self(AtomicI64::new(Era::before(now).start.as_millis()))
    }

    fn set(&self, at: Timestamp) {
        self.0.store(at.as_millis(), Ordering::Relaxed);
    }
}

/// The time the sample lives in: from the first of last month to ten minutes ago.
#[derive(Debug, Clone, Copy)]
struct Era {
    start: Timestamp,
    this_month: Timestamp,
    end: Timestamp,
}

impl Era {
    fn before(now: Timestamp) -> Self {
        let this_month = Month::of(now);
        Self {
            start: this_month.previous().start(),
            this_month: this_month.start(),
            end: now.plus_millis(-600_000),
        }
    }

    /// The instant at this share, in thousandths, of the whole era.
    fn at(&self, thousandths: i64) -> Timestamp {
        let length = self.end.as_millis() - self.start.as_millis();
        self.start.plus_millis(length / 1_000 * thousandths)
    }
}

/// What happens to every tenant at one time.
#[derive(Debug, Clone, Copy)]
enum Chapter {
    Founding,
    SignUp,
    Equipment,
    Clients,
    Farewells,
    LastSignOfLife,
    Reports,
}

impl Chapter {
    /// All of them, in their order.
    const ALL: [Self; 7] = [
        Self::Founding,
        Self::SignUp,
        Self::Equipment,
        Self::Clients,
        Self::Farewells,
        Self::LastSignOfLife,
        Self::Reports,
    ];

    /// When it happens.
    fn begins(self, era: Era) -> Timestamp {
        match self {
            Self::Founding => era.start,
            Self::SignUp => era.at(50),
            Self::Equipment => era.at(200),
            Self::Clients => era.at(400),
            Self::Farewells => era.at(700),
            Self::LastSignOfLife => era.end,
            // A month that is minutes old has its calls already, and none is reported ahead of
            // its time.
            Self::Reports => era.end.max(era.this_month),
        }
    }
}

/// Loads the sample as it is at `now`, chapter by chapter, since time does not step back; `done` is
/// called [`STEPS`] times.
pub(crate) async fn load(
    service: &Service,
    clock: &DemoClock,
    now: Timestamp,
    mut done: impl FnMut(),
) -> Result<()> {
    let era = Era::before(now);
    let plans = sample::plans();
    let lives: Result<Vec<_>> = plans.iter().map(|plan| Life::new(service, plan, era)).collect();
    let mut lives = lives?;
    for chapter in Chapter::ALL {
        clock.set(chapter.begins(era));
        for life in &mut lives {
            life.live(chapter).await?;
            done();
        }
    }
    Ok(())
}

/// What one tenant of the sample comes to have.
#[derive(Debug, Clone)]
struct Plan {
    id: TenantId,
    name: &'static str,
    subscription: &'static str,
    users: Users,
    credentials: Credentials,
    api_keys: ApiKeys,
    oauth_clients: Clients,
    calls_last_month: u64,
    calls_this_month: u64,
    /// In bytes, over its sources.
    storage: Bytes,
    storage_quota: Option<Bytes>,
    suspended: bool,
    /// Whether one of its own principals has done anything.
    active: bool,
}

#[derive(Debug, Clone, Copy)]
struct Users {
    active: u64,
    inactive: u64,
    admins: u64,
}

#[derive(Debug, Clone, Copy)]
struct Credentials {
    active: u64,
    expired: u64,
}

#[derive(Debug, Clone, Copy)]
struct ApiKeys {
    active: u64,
    expired: u64,
    revoked: u64,
}

#[derive(Debug, Clone, Copy)]
struct Clients {
    active: u64,
    disabled: u64,
}
