//! The rows of calls that a process counts, as one flush writes them.
//!
//! In one database all of them are written by one statement for each table: for 64 tenants that takes a
//! fifth of the time, for 1,000 a seventh. Where tenants are spread over machines each statement is of
//! one tenant, so that one machine alone has to do with it, and so is each transaction.

use std::collections::BTreeMap;

use tenantry_domain::api_key::KeyUse;
use tenantry_domain::clock::{Hour, Month, Timestamp};
use tenantry_domain::error::Error;
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::Hash;
use tenantry_domain::usage::Tally;

use crate::error::Result;
use crate::locks::Lock;
use crate::session::{Command, Session};
use crate::sql::{Value, params};

/// What there is to write, in the order of tenants.
pub(crate) type Rows = BTreeMap<TenantId, Counted>;

/// What was counted of a tenant.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) calls: BTreeMap<Period, u64>,
    last_call: Option<Timestamp>,
    last_activity: Option<Timestamp>,
    uses: Vec<KeyUse>,
}

/// A month or an hour, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Period {
    Month(i64),
    Hour(i64),
}

/// The rows of calls.
pub(crate) fn rows(calls: &Tally) -> Rows {
    let mut rows = Rows::new();
    for it in calls.counts() {
        let counted = rows.entry(it.tenant).or_default();
        let month = Period::Month(Month::of(it.last_call).index().into());
        let hour = Period::Hour(Hour::of(it.last_call).index());
        for period in [month, hour] {
            *counted.calls.entry(period).or_default() += it.calls;
        }
        counted.last_call = counted.last_call.max(Some(it.last_call));
        counted.last_activity = counted.last_activity.max(it.last_activity);
    }
    for it in calls.uses() {
        rows.entry(it.tenant).or_default().uses.push(*it);
    }
    rows
}

impl Period {
    /// Asks for the calls of a tenant in a slot.
    pub(crate) fn ask(self, tenant: TenantId, slot: i64) -> Command {
        let (sql, number) = match self {
            Self::Month(month) => (
                "SELECT calls FROM usage_months WHERE tenant_id = $1 AND month = $2 AND slot = $3",
                month,
            ),
            Self::Hour(hour) => (
                "SELECT calls FROM usage_hours WHERE tenant_id = $1 AND hour = $2 AND slot = $3",
                hour,
            ),
        };
        Command::new(sql, params![tenant, number, slot])
    }
}

/// Statements that write a table's rows, each of a tenant, a slot and two numbers, of tenants that are
/// there. Either one has the slot as its first parameter, then tenants, then the numbers.
#[derive(Debug)]
struct Table {
    of_many: &'static str,
    of_one: &'static str,
}

macro_rules! table {
    ($name:literal, $first:literal, $second:literal, $when_there:literal) => {
        Table {
            of_many: concat!(
                table!(@into $name, $first, $second),
                "SELECT t.tenant_id, $1, it.first, it.second
                 FROM unnest($2::uuid[], $3::bigint[], $4::bigint[]) AS it (tenant_id, first, second)
                     JOIN tenants t ON t.tenant_id = it.tenant_id AND t.status <> 'deleted'
                 ORDER BY t.tenant_id, it.first ",
                $when_there
            ),
            of_one: concat!(
                table!(@into $name, $first, $second),
                "SELECT tenant_id, $1, $3, $4 FROM tenants
                 WHERE tenant_id = $2 AND status <> 'deleted' ",
                $when_there
            ),
        }
    };
    (@into $name:literal, $first:literal, $second:literal) => {
        concat!("INSERT INTO ", $name, " (tenant_id, slot, ", $first, ", ", $second, ") ")
    };
}

const MONTHS: Table = table!(
    "usage_months",
    "month",
    "calls",
    "ON CONFLICT (tenant_id, month, slot) DO UPDATE SET calls = excluded.calls"
);
const HOURS: Table = table!(
    "usage_hours",
    "hour",
    "calls",
    "ON CONFLICT (tenant_id, hour, slot) DO UPDATE SET calls = excluded.calls"
);
const HEARTBEATS: Table = table!(
    "usage_heartbeats",
    "last_call_at",
    "last_activity_at",
    "ON CONFLICT (tenant_id, slot) DO UPDATE SET
         last_call_at = greatest(usage_heartbeats.last_call_at, excluded.last_call_at),
         last_activity_at = greatest(usage_heartbeats.last_activity_at, excluded.last_activity_at)"
);

macro_rules! uses {
    ($from:literal) => {
        concat!(
            "INSERT INTO api_key_uses (tenant_id, key_id, secret_hash, slot, used_at, used_from)
             SELECT t.tenant_id, it.key_id, decode(it.secret_hash, 'hex'), $1, it.used_at,
                 nullif(it.used_from, '') ",
            $from,
            " AND t.status <> 'deleted'
             ORDER BY t.tenant_id, it.key_id, it.secret_hash
             ON CONFLICT (tenant_id, key_id, secret_hash, slot) DO UPDATE SET
                 used_at = excluded.used_at, used_from = excluded.used_from
                 WHERE excluded.used_at > api_key_uses.used_at"
        )
    };
}
/// Notes uses of API keys, if there are any. Those of one tenant say whose they are, so that one
/// machine alone has to do with it.
pub(crate) fn write_uses<'a>(
    session: &mut Session,
    slot: i64,
    tenant: Option<TenantId>,
    uses: impl IntoIterator<Item = &'a KeyUse>,
) {
    let (mut tenants, mut keys, mut secrets) = (vec![], vec![], vec![]);
    let (mut ats, mut froms) = (vec![], vec![]);
    for it in uses {
        tenants.push(it.tenant.as_uuid());
        keys.push(it.key.as_uuid());
        secrets.push(Hash(it.secret.0).to_string());
        ats.push(Some(it.last.at.as_millis()));
        froms.push(it.last.from.map_or_else(String::new, |address| address.to_string()));
    }
    if tenants.is_empty() {
        return;
    }
    let of_whom = tenant.map_or_else(|| Value::from(tenants), Value::from);
    let sql = match tenant {
        Some(_) => uses!(
            "FROM unnest($3::uuid[], $4::text[], $5::bigint[], $6::text[])
                     AS it (key_id, secret_hash, used_at, used_from)
                 JOIN tenants t ON t.tenant_id = $2"
        ),
        None => uses!(
            "FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::text[])
                     AS it (tenant_id, key_id, secret_hash, used_at, used_from)
                 JOIN tenants t ON t.tenant_id = it.tenant_id"
        ),
    };
    session.write(sql, params![slot, of_whom, keys, secrets, ats, froms]);
}

/// The numbers of one row.
type Numbers = (i64, Option<i64>);

impl Counted {
    /// The rows of each table.
    fn by_table(&self) -> Result<[(&'static Table, Vec<Numbers>); 3]> {
        let (mut months, mut hours) = (Vec::new(), Vec::new());
        for (period, calls) in &self.calls {
            let calls = Some(i64::try_from(*calls).map_err(Error::internal)?);
            match period {
                Period::Month(month) => months.push((*month, calls)),
                Period::Hour(hour) => hours.push((*hour, calls)),
            }
        }
        let last_activity = self.last_activity.map(Timestamp::as_millis);
        let heartbeat = self.last_call.map(|last_call| (last_call.as_millis(), last_activity));
        Ok([(&MONTHS, months), (&HOURS, hours), (&HEARTBEATS, heartbeat.into_iter().collect())])
    }
}

/// Writes rows, in one round trip. `spread`: tenants are spread over machines.
pub(crate) async fn write(
    session: &mut Session,
    slot: i64,
    rows: &Rows,
    spread: bool,
) -> Result<()> {
    if spread {
        for (tenant, counted) in rows {
            begin(session);
            for (table, numbers) in counted.by_table()? {
                for (first, second) in numbers {
                    session.write(table.of_one, params![slot, *tenant, first, second]);
                }
            }
            write_uses(session, slot, Some(*tenant), &counted.uses);
            session.then_commit();
        }
    } else {
        let mut columns = [&MONTHS, &HOURS, &HEARTBEATS].map(|it| (it, (vec![], vec![], vec![])));
        for (tenant, counted) in rows {
            for ((_, (tenants, firsts, seconds)), (_, numbers)) in
                columns.iter_mut().zip(counted.by_table()?)
            {
                for (first, second) in numbers {
                    tenants.push(tenant.as_uuid());
                    firsts.push(first);
                    seconds.push(second);
                }
            }
        }
        begin(session);
        for (table, (tenants, firsts, seconds)) in columns {
            session.write(table.of_many, params![slot, tenants, firsts, seconds]);
        }
        write_uses(session, slot, None, rows.values().flat_map(|counted| &counted.uses));
        session.then_commit();
    }
    session.flush().await
}

fn begin(session: &mut Session) {
    session.begin("BEGIN");
    // Whoever removes what is left of a tenant waits for those who may have seen it alive.
    Lock::Counting.share_here(session);
}
