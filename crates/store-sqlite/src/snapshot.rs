//! What the statistics of a tenant are made of, at one instant of its database.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, params};
use tenantry_domain::access::{Bearer, BearerId};
use tenantry_domain::clock::{Month, Timestamp};
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::Head;
use tenantry_domain::realm::RealmStanding;
use tenantry_domain::stats::{Heartbeat, Statistics, effective_now, last_activity, months};
use tenantry_domain::tenant::TenantStatus;
use tenantry_domain::text::Name;
use tenantry_domain::usage::{Bytes, CallCount};

use crate::books::{corrected, head, next_due};
use crate::error::Result;
use crate::sql::{self, Number, Word, tenant_id};
use crate::usage::{self, Schema};
use crate::{installation, tokens};

/// Months that are kept of a tenant's calls: the statistics tell two, and a report can be early.
const MONTHS: usize = 4;
/// Callers that are remembered with a tenant.
const CALLERS: usize = 256;

/// Calls by month, and the newest of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Calls {
    /// The oldest month of which the number is known.
    since: Month,
    months: Vec<(Month, u64)>,
    pub(crate) heartbeat: Heartbeat,
}

impl Calls {
    /// What a file has of a tenant's calls, for statistics of `clock`, or of the newest call if that
    /// is later, or of later.
    pub(crate) fn load(
        connection: &Connection,
        file: Schema,
        tenant: TenantId,
        clock: Timestamp,
    ) -> Result<Self> {
        let heartbeat = usage::heartbeat_in(connection, file, tenant)?;
        let (_, since) = months(heartbeat.last_call.map_or(clock, |last| last.max(clock)));
        let months = usage::months_since(connection, file, tenant, since)?;
        Ok(Self { since, months, heartbeat })
    }

    /// How many fell into a month; `None` if that is not known any more.
    fn in_month(&self, month: Month) -> Option<u64> {
        let found = self.months.iter().find(|(it, _)| *it == month);
        (month >= self.since).then(|| found.map_or(0, |(_, calls)| *calls))
    }

    /// Takes in calls that were counted.
    pub(crate) fn add(&mut self, counted: &CallCount) {
        self.heartbeat = self.heartbeat.max(Heartbeat {
            last_call: Some(counted.last_call),
            last_activity: counted.last_activity,
        });
        let month = Month::of(counted.last_call);
        match self.months.iter_mut().find(|(it, _)| *it == month) {
            Some((_, calls)) => *calls += counted.calls,
            None if month < self.since => {}
            None => self.begin(month, counted.calls),
        }
    }

    fn begin(&mut self, month: Month, calls: u64) {
        self.months.push((month, calls));
        if self.months.len() > MONTHS {
            self.months.sort_unstable();
            let (oldest, _) = self.months.remove(0);
            self.since = self.since.max(oldest.next());
        }
    }
}

/// What the database says of a tenant. It stays true until the tenant is changed, but for what
/// expires meanwhile.
#[derive(Debug)]
pub(crate) struct Snapshot {
    name: Name,
    pub(crate) status: TenantStatus,
    storage_used: Bytes,
    storage_quota: Option<Bytes>,
    /// With the counts corrected by what had expired at this instant.
    head: Head,
    at: Timestamp,
    /// When the next thing expires.
    next_due: Option<Timestamp>,
    /// Calls that were changes, and those that other services have reported.
    calls: Calls,
    /// Whether tokens were ended before their time of late: then each is looked for.
    pub(crate) has_ended_tokens: bool,
    /// What has called since.
    callers: Mutex<HashMap<BearerId, Bearer>>,
    /// In the snapshot of the platform's tenant, the realms of those who have called since.
    realms: Mutex<HashMap<String, RealmStanding>>,
    /// In the snapshot of the platform's tenant, the ids of the signing keys.
    signing_keys: Vec<String>,
}

impl Snapshot {
    /// Reads it, for statistics of now or later; `None` if there is no such tenant (any more).
    pub(crate) fn load(
        connection: &Connection,
        tenant: TenantId,
        clock: Timestamp,
        metered: Heartbeat,
    ) -> Result<Option<Self>> {
        let Some(head) = head(connection, tenant)? else { return Ok(None) };
        let heartbeat = usage::heartbeat_in(connection, Schema::Main, tenant)?;
        let at = effective_now(clock, &head, heartbeat.max(metered));
        let (name, status, storage_quota) = sql::one(
            connection,
            "SELECT name, status, storage_quota FROM tenants WHERE tenant_id = ?1",
            params![tenant_id(tenant)],
            |row| {
                let quota = row.get::<_, Option<Number>>(2)?.map(|quota| Bytes::new(quota.0));
                let status = row.get::<_, Word<TenantStatus>>(1)?.0;
                Ok((Name::from_stored(row.get(0)?), status, quota))
            },
        )?;
        Ok(Some(Self {
            name,
            status,
            storage_used: usage::storage(connection, tenant)?,
            storage_quota,
            head: Head { counts: corrected(connection, tenant, head.counts, at)?, ..head },
            at,
            next_due: next_due(connection, tenant, at)?,
            calls: Calls::load(connection, Schema::Main, tenant, at)?,
            has_ended_tokens: tokens::has_ended(connection, tenant)?,
            callers: Mutex::default(),
            realms: Mutex::default(),
            signing_keys: match tenant {
                TenantId::PLATFORM => installation::kids(connection)?,
                _ => Vec::new(),
            },
        }))
    }

    /// The statistics, unless something has expired since the snapshot was read.
    pub(crate) fn statistics(
        &self,
        tenant: TenantId,
        metered: &Calls,
        clock: Timestamp,
    ) -> Option<Statistics> {
        let heartbeat = self.calls.heartbeat.max(metered.heartbeat);
        // Somebody whose clock was read later can have read the snapshot, and what has expired by then
        // has expired in it.
        let at = effective_now(clock, &self.head, heartbeat).max(self.at);
        if self.next_due.is_some_and(|due| due <= at) {
            return None;
        }
        let (this_month, last_month) = months(at);
        let calls = |month| Some(self.calls.in_month(month)? + metered.in_month(month)?);
        Some(Statistics {
            tenant,
            tenant_name: self.name.clone(),
            counts: self.head.counts,
            calls_this_month: calls(this_month)?,
            calls_last_month: calls(last_month)?,
            storage_used: self.storage_used,
            storage_quota: self.storage_quota,
            last_activity: last_activity(&self.head, heartbeat),
            ledger_seq: self.head.seq,
            generated_at: at,
        })
    }

    /// What is known of something that calls; `read` reads it if nothing is.
    pub(crate) fn caller(
        &self,
        bearer: &BearerId,
        clock: Timestamp,
        read: impl FnOnce() -> Result<Option<Bearer>>,
    ) -> Result<Option<Bearer>> {
        // What the lock guards is whole between any two statements.
        let lock = || self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(bearer) {
            return Ok(Some(match known.clone() {
                // Calls that were counted since were not received before the clock shows it.
                Bearer::ApiKey { key, at } => Bearer::ApiKey { key, at: at.max(clock) },
                known @ (Bearer::User(_) | Bearer::Client(_) | Bearer::External { .. }) => known,
            }));
        }
        // Nothing is remembered of what is not there: anybody can make up any number of keys.
        let Some(found) = read()? else { return Ok(None) };
        let mut callers = lock();
        if callers.len() >= CALLERS {
            callers.clear();
        }
        callers.insert(bearer.clone(), found.clone());
        Ok(Some(found))
    }

    /// Whether a signing key is known, in the snapshot of the platform's tenant. It stays there until
    /// that tenant is changed, whose ledger tells when it is removed.
    pub(crate) fn has_signing_key(&self, kid: &str) -> bool {
        self.signing_keys.iter().any(|it| it == kid)
    }

    /// What is known of a realm, in the snapshot of the platform's tenant; `read` reads it if nothing
    /// is.
    pub(crate) fn realm(
        &self,
        name: &str,
        read: impl FnOnce() -> Result<Option<RealmStanding>>,
    ) -> Result<Option<RealmStanding>> {
        // What the lock guards is whole between any two statements.
        let lock = || self.realms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(name) {
            return Ok(Some(*known));
        }
        // Nothing is remembered of what is not there.
        let Some(found) = read()? else { return Ok(None) };
        lock().insert(name.to_owned(), found);
        Ok(Some(found))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tenantry_store::conformance::{Fixture, ManualClock, SeededEntropy};

    use super::*;
    use crate::SqliteStore;

    #[tokio::test]
    async fn a_clock_that_was_read_before_the_snapshot_takes_nothing_back() {
        let directory = tempfile::tempdir().unwrap();
        let (clock, entropy) = <(Arc<ManualClock>, Arc<SeededEntropy>)>::default();
        let store = SqliteStore::serve(directory.path(), clock.clone(), entropy.clone()).unwrap();
        let store = Arc::new(store);
        let f = Fixture::new(Arc::clone(&store) as _, clock, entropy, ());
        let tenant = f.tenant("Acme").await;
        let (before, due) = (f.in_millis(0), f.in_millis(1_000));
        f.credential(tenant, Some(due)).await;

        f.clock.set(due);
        let load = |connection: &Connection| {
            let metered = Calls::load(connection, Schema::Metered, tenant, due)?;
            let snapshot = Snapshot::load(connection, tenant, due, metered.heartbeat)?;
            Ok(snapshot.and_then(|snapshot| snapshot.statistics(tenant, &metered, before)))
        };
        let statistics = store.readers.snapshot(load).unwrap().unwrap();
        assert_eq!(statistics.counts.credentials_expired, 1);
        assert_eq!(statistics.generated_at, due);
        tenantry_store::conformance::assert_exact(&f).await;
    }
}
