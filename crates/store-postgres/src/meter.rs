//! The calls that a process counts: in rows of its own, with absolute numbers, on a connection whose
//! commits do not wait for the disk.
//!
//! A process has a slot of the usage rows as long as its connection has the slot's lock. Nobody else
//! writes these rows, so it knows their numbers, and writing the same ones again changes nothing: a
//! flush of which it is not known whether it was committed is simply repeated. When the process is
//! gone, its slot is the next one's, who reads what the rows hold.

use std::collections::HashMap;

use tenantry_domain::error::Error;
use tenantry_domain::id::TenantId;
use tenantry_domain::usage::Tally;
use tokio::sync::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use crate::LOOK_AGAIN;
use crate::books::Context;
use crate::connect::Database;
use crate::counted::{self, Period, Rows};
use crate::error::{Fault, Result};
use crate::locks::Lock;
use crate::migrate;
use crate::session::Session;
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
    /// Whether tenants are spread over machines.
    spread: bool,
    /// Whether a connection has the slot's lock that is not this one.
    is_held_back: bool,
}

/// A slot that this process has, or had when it last had a connection.
#[derive(Debug)]
struct Slot {
    number: i64,
    /// Written into the slot when it was taken: if it is there still, nobody has had it since.
    holder: Uuid,
    /// What its rows hold.
    calls: HashMap<Place, u64>,
    /// What they hold at least, where a batch was given up that may be there.
    in_doubt: HashMap<Place, u64>,
}

/// What a row is about.
type Place = (TenantId, Period);

impl Meter {
    /// Counts calls, of tenants that exist: one may be gone since, and then so are its numbers, and
    /// nothing is to come back. When it returns, every read has them.
    pub(crate) async fn count(
        &self,
        database: &Database,
        context: &Context,
        calls: &Tally,
    ) -> Result<()> {
        let mut rows = counted::rows(calls);
        if rows.is_empty() {
            return Ok(());
        }
        let mut state = self.state.lock().await;
        let until = database.patience();
        // In whose slot the rows are absolute: known once the first attempt has read what they held.
        let mut holder = None;
        loop {
            match state.flush(database, context, &mut rows, &mut holder).await {
                Ok(()) => return Ok(()),
                Err(Fault::Undone(_) | Fault::Lost(_)) if Instant::now() < until => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(fault) => {
                    state.give_up();
                    return Err(fault);
                }
            }
        }
    }
}

impl State {
    /// Lets a batch be that could not be written, or may have been.
    fn give_up(&mut self) {
        self.session = None;
        if std::mem::take(&mut self.is_held_back) {
            // Who knows for how long: another slot will do.
            self.slot = None;
        } else if let Some(slot) = &mut self.slot {
            // The rows may hold more than what is known, if the batch is there, and less, if what was
            // written before it was lost in a crash.
            slot.in_doubt.extend(slot.calls.drain());
        }
    }

    async fn flush(
        &mut self,
        database: &Database,
        context: &Context,
        rows: &mut Rows,
        holder: &mut Option<Uuid>,
    ) -> Result<()> {
        // Taken out, so that a session with which something went wrong is not used again.
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.connect(database, context).await?,
        };
        let slot = self.slot.as_mut().ok_or_else(|| Error::internal("there is no slot"))?;
        match holder {
            Some(holder) if *holder == slot.holder => {}
            // Somebody else has had the slot. It holds what the flush before has left, or does not,
            // and nothing tells which.
            Some(_) => {
                let text = "the slot of the calls was taken while they were being counted";
                return Err(Fault::Error(Error::Unavailable(text.to_owned())));
            }
            None => {
                slot.add_to(&mut session, rows).await?;
                *holder = Some(slot.holder);
            }
        }
        counted::write(&mut session, slot.number, rows, self.spread).await?;
        slot.remember(rows);
        self.session = Some(session);
        Ok(())
    }

    /// Connects, and takes the slot again that it had, or a free one.
    async fn connect(&mut self, database: &Database, context: &Context) -> Result<Session> {
        let mut session = database.counting().await?;
        self.spread = migrate::are_tables_spread(&mut session).await?;
        if let Some(slot) = &self.slot {
            let is_free = Lock::Slot(slot.number).try_take(&mut session).await?;
            let sql = "SELECT holder FROM usage_slots WHERE slot = $1";
            let holder = session.optional(sql, params![slot.number]).await?;
            let holder: Option<Uuid> = holder.map(|row| row.try_get(0)).transpose()?;
            // The server may not have noticed yet that the connection before is gone.
            self.is_held_back = !is_free && holder == Some(slot.holder);
            if self.is_held_back {
                return Err(Fault::Lost("the slot of the calls is not free yet".to_owned()));
            }
            if is_free && holder != Some(slot.holder) {
                self.slot = Some(Slot::take(&mut session, context, slot.number).await?);
            }
            if is_free {
                return Ok(session);
            }
            self.slot = None;
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
        session.begin("BEGIN");
        // A crash that took this back would have others believe what it has left of the rows.
        session.write("SET LOCAL synchronous_commit = on", Vec::new());
        let sql = "INSERT INTO usage_slots (slot, holder) VALUES ($1, $2)
             ON CONFLICT (slot) DO UPDATE SET holder = excluded.holder";
        session.write(sql, params![number, holder]);
        session.commit().await?;
        Ok(Self { number, holder, calls: HashMap::new(), in_doubt: HashMap::new() })
    }

    /// Adds what the slot's rows hold to those of a batch.
    async fn add_to(&mut self, session: &mut Session, batch: &mut Rows) -> Result<()> {
        if self.calls.len() > REMEMBERED {
            self.calls.clear();
        }
        if self.in_doubt.len() > REMEMBERED {
            self.in_doubt.clear();
        }
        let places =
            batch.iter().flat_map(|(tenant, it)| it.calls.keys().map(|period| (*tenant, *period)));
        let unknown: Vec<_> = places.filter(|place| !self.calls.contains_key(place)).collect();
        let asked = unknown.iter().map(|(tenant, period)| period.ask(*tenant, self.number));
        let found = session.several(asked.collect()).await?;
        for (place, rows) in unknown.into_iter().zip(found) {
            let found = rows.first().map_or(Ok(0), |row| row.number(0))?;
            let at_least = self.in_doubt.remove(&place).unwrap_or_default();
            self.calls.insert(place, found.max(at_least));
        }
        for (tenant, counted) in batch {
            for (period, calls) in &mut counted.calls {
                *calls += self.calls.get(&(*tenant, *period)).copied().unwrap_or_default();
            }
        }
        Ok(())
    }

    fn remember(&mut self, rows: &Rows) {
        for (tenant, counted) in rows {
            self.calls
                .extend(counted.calls.iter().map(|(period, calls)| ((*tenant, *period), *calls)));
        }
    }
}
