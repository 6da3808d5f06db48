//! The projection: what the statistics need of a tenant, in memory, just as it is committed.
//!
//! A read of the statistics takes what it finds here, under one lock: what the database says of the
//! tenant, and its metered calls. So all numbers of an answer belong to one instant. For that to be
//! exact, nothing may stand here that is older than what anybody could have seen elsewhere:
//!
//! - A transaction that changes a tenant has it forgotten before it is committed
//!   ([`Projection::begin_change`]), and nothing is remembered again until it is over
//!   ([`Projection::end_changes`]). Meanwhile reads go to the database.
//! - What a read has found in the database is remembered only if nothing has happened here since
//!   before it looked ([`Ticket`]).
//! - Metered calls are taken in after their commit and before they are answered, by whoever holds
//!   the book of calls, which alone reads and writes their file.
//! - Changes by another program, the command line, are announced, which every read looks at first
//!   ([`Projection::memory`]).

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::Error;
use tenantry_domain::id::TenantId;
use tenantry_domain::stats::{Heartbeat, Statistics};
use tenantry_domain::usage::CallCount;

use crate::error::Result;
use crate::outside::OutsideChanges;
use crate::snapshot::{Calls, Snapshot};

/// Parts with a lock each, so that two tenants seldom share one.
const SHARDS: usize = 64;
/// Tenants that a part remembers; a full one forgets all of them and begins anew.
const TENANTS_OF_A_SHARD: usize = 2_048;

/// What is remembered of all tenants.
#[derive(Debug)]
pub(crate) struct Projection {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    outside: OutsideChanges,
    /// Those that the group under way changes.
    changing: Mutex<Vec<TenantId>>,
}

#[derive(Debug, Default)]
struct Shard {
    /// Counts what happens here, so that a read can tell that nothing has.
    version: u64,
    tenants: HashMap<TenantId, Place>,
}

#[derive(Debug, Default)]
struct Place {
    snapshot: Option<Arc<Snapshot>>,
    metered: Option<Calls>,
    /// Whether a transaction that changes it is under way.
    changing: bool,
}

/// What a read needs to know before it looks into the database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    version: u64,
    /// The newest metered call.
    pub(crate) metered: Heartbeat,
}

/// Whether a read may use what is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// It is what the database says.
    Current,
    /// Another program has changed the database since, or is about to.
    InDoubt,
}

impl Projection {
    pub(crate) fn new(outside: OutsideChanges) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            outside,
            changing: Mutex::default(),
        }
    }

    /// The snapshot of a tenant, if it is remembered.
    pub(crate) fn snapshot(&self, tenant: TenantId) -> Option<Arc<Snapshot>> {
        self.shard(tenant)?.tenants.get(&tenant)?.snapshot.clone()
    }

    /// The statistics of a tenant, if what is remembered tells them.
    pub(crate) fn statistics(&self, tenant: TenantId, clock: Timestamp) -> Option<Statistics> {
        self.shard(tenant)?.tenants.get(&tenant)?.statistics(tenant, clock)
    }

    /// What to look into the database with, if the tenant's metered calls are known.
    pub(crate) fn ticket(&self, tenant: TenantId) -> Option<Ticket> {
        let shard = self.shard(tenant)?;
        let metered = shard.tenants.get(&tenant)?.metered.as_ref()?.heartbeat;
        Some(Ticket { version: shard.version, metered })
    }

    /// The statistics by a snapshot that was read with this ticket, if nothing has happened since;
    /// then it is remembered, too, unless the tenant is just being changed, or might be.
    pub(crate) fn offer(
        &self,
        tenant: TenantId,
        ticket: Ticket,
        snapshot: &Arc<Snapshot>,
        clock: Timestamp,
        memory: Memory,
    ) -> Option<Statistics> {
        let mut shard = self.shard(tenant)?;
        if shard.version != ticket.version {
            return None;
        }
        let place = shard.tenants.get_mut(&tenant)?;
        let statistics = snapshot.statistics(tenant, place.metered.as_ref()?, clock);
        if memory == Memory::Current && !place.changing {
            place.snapshot = Some(Arc::clone(snapshot));
        }
        statistics
    }

    /// The metered calls of a tenant, if they are known.
    pub(crate) fn metered(&self, tenant: TenantId) -> Option<Calls> {
        self.shard(tenant)?.tenants.get(&tenant)?.metered.clone()
    }

    /// Remembers the metered calls of a tenant. For whoever holds the book of calls.
    pub(crate) fn remember_metered(&self, tenant: TenantId, calls: Calls) {
        let Some(mut shard) = self.shard(tenant) else { return };
        if shard.tenants.len() >= TENANTS_OF_A_SHARD && !shard.tenants.contains_key(&tenant) {
            shard.forget();
        }
        shard.version += 1;
        shard.tenants.entry(tenant).or_default().metered = Some(calls);
    }

    /// Takes in calls that were counted. For whoever holds the book of calls.
    pub(crate) fn add_metered(&self, counted: &CallCount) {
        let Some(mut shard) = self.shard(counted.tenant) else { return };
        shard.version += 1;
        let place = shard.tenants.get_mut(&counted.tenant);
        if let Some(calls) = place.and_then(|place| place.metered.as_mut()) {
            calls.add(counted);
        }
    }

    /// Forgets the metered calls of a tenant: nobody knows what became of the last ones.
    pub(crate) fn forget_metered(&self, tenant: TenantId) {
        let Some(mut shard) = self.shard(tenant) else { return };
        shard.version += 1;
        if let Some(place) = shard.tenants.get_mut(&tenant) {
            place.metered = None;
        }
    }

    /// Forgets what the database says of a tenant, before a transaction that changes it is
    /// committed.
    pub(crate) fn begin_change(&self, tenant: TenantId) {
        let Some(mut shard) = self.shard(tenant) else { return };
        shard.version += 1;
        let place = shard.tenants.entry(tenant).or_default();
        place.snapshot = None;
        if !place.changing {
            place.changing = true;
            drop(shard);
            lock(&self.changing).push(tenant);
        }
    }

    /// Notes that the changes under way are over, committed or not, and that whoever was to settle
    /// has done what it could.
    pub(crate) fn end_changes(&self) {
        self.outside.answer();
        for tenant in std::mem::take(&mut *lock(&self.changing)) {
            let Some(mut shard) = self.shard(tenant) else { continue };
            shard.version += 1;
            match shard.tenants.get_mut(&tenant) {
                Some(place) if place.metered.is_some() => place.changing = false,
                // Nothing of it is remembered.
                _ => drop(shard.tenants.remove(&tenant)),
            }
        }
    }

    /// Whether what is remembered may be used. If it is in doubt, `settle` has to be brought about,
    /// unless somebody has been asked to already.
    pub(crate) fn memory(&self, bring_about: impl FnOnce() -> Result<()>) -> Result<Memory> {
        if self.outside.are_settled().map_err(Error::internal)? {
            return Ok(Memory::Current);
        }
        if self.outside.ask() && bring_about().is_err() {
            // The next read asks again; this one needs nobody to.
            self.outside.answer();
        }
        Ok(Memory::InDoubt)
    }

    /// For whoever alone can change the database now: forgets what another program has changed.
    pub(crate) fn settle(&self) -> Result<()> {
        let forget = || {
            for shard in &self.shards {
                let mut shard = lock(shard);
                shard.version += 1;
                for place in shard.tenants.values_mut() {
                    place.snapshot = None;
                }
            }
        };
        Ok(self.outside.settle(forget).map_err(Error::internal)?)
    }

    fn shard(&self, tenant: TenantId) -> Option<MutexGuard<'_, Shard>> {
        let hash = usize::try_from(self.hasher.hash_one(tenant) % SHARDS as u64).ok()?;
        self.shards.get(hash).map(lock)
    }
}

impl Shard {
    /// Forgets every tenant that is not just being changed.
    fn forget(&mut self) {
        self.tenants.retain(|_, place| place.changing);
    }
}

impl Place {
    fn statistics(&self, tenant: TenantId, clock: Timestamp) -> Option<Statistics> {
        self.snapshot.as_ref()?.statistics(tenant, self.metered.as_ref()?, clock)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the lock guards is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
