//! The calls that a process counts: in rows of its own, with absolute numbers, on a connection whose
//! commits do not wait for the disk.
//!
//! A process has a slot of the usage rows as long as its connection has the slot's lock. Nobody else
//! writes these rows, so it knows their numbers, and writing the same ones again changes nothing: a
//! flush of which it is not known whether it was committed is simply repeated. When the process is
//! gone, its slot is the next one's, who reads what the rows hold.

use std::collections::{BTreeMap, HashMap};

use tenantry_domain::clock::{Hour, Month, Timestamp};
use tenantry_domain::error::Error;
use tenantry_domain::id::TenantId;
use tenantry_domain::usage::CallCount;
use tokio::sync::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use crate::LOOK_AGAIN;
use crate::books::Context;
use crate::connect::Database;
use crate::error::{Fault, Result};
use crate::locks::Lock;
use crate::session::{Command, Session};
use crate::sql::{Columns as _, params};
use crate::usage::FIRST_METERED;

/// Processes that count at once, at most.
const SLOTS: i64 = 1_024;
/// Numbers that are remembered; beyond it they are read anew.
const REMEMBERED: usize = 262_144;

/// The one who counts for this process.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    session: Option<Session>,
    slot: Option<Slot>,
}

/// A slot that this process has, or had when it last had a connection.
#[derive(Debug)]
struct Slot {
    number: i64,
    /// Written into the slot when it was taken: if it is there still, nobody has had it since.
    holder: Uuid,
    /// What its rows hold.
    months: HashMap<Place, u64>,
    hours: HashMap<Place, u64>,
}

/// A tenant, and the number of one of its months or hours.
type Place = (TenantId, i64);

/// What one flush adds, in the order of tenants, so that it waits for others in one order alone.
#[derive(Debug, Default)]
struct Batch {
    months: BTreeMap<Place, u64>,
    hours: BTreeMap<Place, u64>,
    beats: BTreeMap<TenantId, (Timestamp, Option<Timestamp>)>,
}

impl Batch {
    fn of(calls: &[CallCount]) -> Self {
        let mut batch = Self::default();
        for it in calls {
            let month = i64::from(Month::of(it.last_call).index());
            *batch.months.entry((it.tenant, month)).or_default() += it.calls;
            let hour = Hour::of(it.last_call).index();
            *batch.hours.entry((it.tenant, hour)).or_default() += it.calls;
            let beat = batch.beats.entry(it.tenant).or_insert((it.last_call, None));
            *beat = (beat.0.max(it.last_call), beat.1.max(it.last_activity));
        }
        batch
    }
}

impl Meter {
    /// Counts calls, of tenants that exist: one may be gone since, and then so are its numbers, and
    /// nothing is to come back. When it returns, every read has them.
    pub(crate) async fn count(
        &self,
        database: &Database,
        context: &Context,
        calls: &[CallCount],
    ) -> Result<()> {
        if calls.is_empty() {
            return Ok(());
        }
        let batch = Batch::of(calls);
        let mut state = self.state.lock().await;
        let until = database.patience();
        // What the rows are to hold: known once the first attempt has read what they held.
        let mut numbers = None;
        loop {
            match state.flush(database, context, &batch, &mut numbers).await {
                Ok(()) => return Ok(()),
                Err(Fault::Undone(_) | Fault::Lost(_)) if Instant::now() < until => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(fault) => {
                    // It may be there: what the rows hold is read anew.
                    *state = State::default();
                    return Err(fault);
                }
            }
        }
    }
}

/// What the rows of months and of hours are to hold, of a slot as somebody has taken it.
#[derive(Debug, Clone)]
struct Numbers {
    holder: Uuid,
    months: BTreeMap<Place, u64>,
    hours: BTreeMap<Place, u64>,
}

impl State {
    async fn flush(
        &mut self,
        database: &Database,
        context: &Context,
        batch: &Batch,
        numbers: &mut Option<Numbers>,
    ) -> Result<()> {
        // Taken out, so that a session with which something went wrong is not used again.
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.connect(database, context).await?,
        };
        let slot = self.slot.as_mut().ok_or_else(|| Error::internal("there is no slot"))?;
        let numbers = match numbers {
            Some(numbers) if numbers.holder == slot.holder => numbers,
            // Somebody else has had the slot. It holds what the flush before has left, or does not,
            // and nothing tells which.
            Some(_) => {
                let text = "the slot of the calls was taken while they were being counted";
                return Err(Fault::Error(Error::Unavailable(text.to_owned())));
            }
            None => numbers.insert(slot.numbers(&mut session, batch).await?),
        };
        write(&mut session, slot.number, numbers, batch).await?;
        slot.remember(numbers);
        self.session = Some(session);
        Ok(())
    }

    /// Connects, and takes the slot again that it had, or a free one.
    async fn connect(&mut self, database: &Database, context: &Context) -> Result<Session> {
        let mut session = database.counting().await?;
        if let Some(slot) = &self.slot {
            // The server may not have noticed yet that the connection before is gone.
            if !Lock::Slot(slot.number).try_take(&mut session).await? {
                return Err(Fault::Lost("the slot of the calls is not free yet".to_owned()));
            }
            let sql = "SELECT holder FROM usage_slots WHERE slot = $1";
            let holder = session.optional(sql, params![slot.number]).await?;
            let holder: Option<Uuid> = holder.map(|row| row.try_get(0)).transpose()?;
            if holder != Some(slot.holder) {
                self.slot = Some(Slot::take(&mut session, context, slot.number).await?);
            }
            return Ok(session);
        }
        for number in FIRST_METERED..FIRST_METERED + SLOTS {
            if Lock::Slot(number).try_take(&mut session).await? {
                self.slot = Some(Slot::take(&mut session, context, number).await?);
                return Ok(session);
            }
        }
        Err(Error::Unavailable("too many processes count calls".to_owned()).into())
    }
}

impl Slot {
    /// Takes a slot whose lock the session has.
    async fn take(session: &mut Session, context: &Context, number: i64) -> Result<Self> {
        let holder = Uuid::from_bytes(context.entropy.bytes());
        let sql = "INSERT INTO usage_slots (slot, holder) VALUES ($1, $2)
             ON CONFLICT (slot) DO UPDATE SET holder = excluded.holder";
        session.execute(sql, params![number, holder]).await?;
        Ok(Self { number, holder, months: HashMap::new(), hours: HashMap::new() })
    }

    /// What the rows are to hold after a batch.
    async fn numbers(&mut self, session: &mut Session, batch: &Batch) -> Result<Numbers> {
        if self.months.len() + self.hours.len() > REMEMBERED {
            self.months.clear();
            self.hours.clear();
        }
        let ask = |sql: &'static str, known: &HashMap<Place, u64>, more: &BTreeMap<Place, u64>| {
            let unknown = more.keys().filter(|place| !known.contains_key(*place));
            let (tenants, periods): (Vec<_>, Vec<_>) =
                unknown.map(|(tenant, period)| (tenant.as_uuid(), *period)).unzip();
            Command::new(sql, params![self.number, tenants, periods])
        };
        let months = "SELECT tenant_id, month, calls FROM usage_months
             JOIN unnest($2::uuid[], $3::bigint[]) AS asked (tenant_id, month)
                 USING (tenant_id, month)
             WHERE slot = $1";
        let hours = "SELECT tenant_id, hour, calls FROM usage_hours
             JOIN unnest($2::uuid[], $3::bigint[]) AS asked (tenant_id, hour)
                 USING (tenant_id, hour)
             WHERE slot = $1";
        let asked =
            [ask(months, &self.months, &batch.months), ask(hours, &self.hours, &batch.hours)];
        let [months, hours] = session.each(asked).await?;
        for (rows, known) in [(months, &mut self.months), (hours, &mut self.hours)] {
            for row in rows {
                let tenant = TenantId::from_uuid(row.try_get(0)?);
                known.insert((tenant, row.try_get(1)?), row.number(2)?);
            }
        }
        let after = |known: &HashMap<Place, u64>, more: &BTreeMap<Place, u64>| {
            more.iter()
                .map(|(place, more)| (*place, known.get(place).map_or(0, |it| *it) + more))
                .collect()
        };
        Ok(Numbers {
            holder: self.holder,
            months: after(&self.months, &batch.months),
            hours: after(&self.hours, &batch.hours),
        })
    }

    fn remember(&mut self, numbers: &Numbers) {
        self.months.extend(numbers.months.iter().map(|(place, calls)| (*place, *calls)));
        self.hours.extend(numbers.hours.iter().map(|(place, calls)| (*place, *calls)));
    }
}

async fn write(session: &mut Session, slot: i64, numbers: &Numbers, batch: &Batch) -> Result<()> {
    session.begin("BEGIN");
    // Whoever removes what is left of a tenant waits for those who may have seen it alive.
    Lock::Counting.share_here(session);
    let months = "INSERT INTO usage_months (tenant_id, month, slot, calls)
         SELECT t.tenant_id, it.month, $1, it.calls
         FROM unnest($2::uuid[], $3::bigint[], $4::bigint[]) AS it (tenant_id, month, calls)
             JOIN tenants t ON t.tenant_id = it.tenant_id AND t.status <> 'deleted'
         ORDER BY t.tenant_id, it.month
         ON CONFLICT (tenant_id, month, slot) DO UPDATE SET calls = excluded.calls";
    let hours = "INSERT INTO usage_hours (tenant_id, hour, slot, calls)
         SELECT t.tenant_id, it.hour, $1, it.calls
         FROM unnest($2::uuid[], $3::bigint[], $4::bigint[]) AS it (tenant_id, hour, calls)
             JOIN tenants t ON t.tenant_id = it.tenant_id AND t.status <> 'deleted'
         ORDER BY t.tenant_id, it.hour
         ON CONFLICT (tenant_id, hour, slot) DO UPDATE SET calls = excluded.calls";
    for (sql, rows) in [(months, &numbers.months), (hours, &numbers.hours)] {
        let tenants: Vec<_> = rows.keys().map(|(tenant, _)| tenant.as_uuid()).collect();
        let periods: Vec<_> = rows.keys().map(|(_, period)| *period).collect();
        let calls: Vec<u64> = rows.values().copied().collect();
        session.write(sql, params![slot, tenants, periods, calls]);
    }
    let tenants: Vec<_> = batch.beats.keys().map(TenantId::as_uuid).collect();
    let calls: Vec<_> = batch.beats.values().map(|(call, _)| call.as_millis()).collect();
    let activities: Vec<_> =
        batch.beats.values().map(|(_, activity)| activity.map(Timestamp::as_millis)).collect();
    session.write(
        "INSERT INTO usage_heartbeats (tenant_id, slot, last_call_at, last_activity_at)
         SELECT t.tenant_id, $1, it.call, it.activity
         FROM unnest($2::uuid[], $3::bigint[], $4::bigint[]) AS it (tenant_id, call, activity)
             JOIN tenants t ON t.tenant_id = it.tenant_id AND t.status <> 'deleted'
         ORDER BY t.tenant_id
         ON CONFLICT (tenant_id, slot) DO UPDATE SET
             last_call_at = greatest(usage_heartbeats.last_call_at, excluded.last_call_at),
             last_activity_at =
                 greatest(usage_heartbeats.last_activity_at, excluded.last_activity_at)",
        params![slot, tenants, calls, activities],
    );
    session.commit().await
}
