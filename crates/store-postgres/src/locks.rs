//! Locks of the database as a whole. They are the database's own advisory locks: whoever holds one
//! loses it with its connection, however that ends.

use tenantry_domain::id::TenantId;

use crate::error::Result;
use crate::session::{Command, Session};
use crate::sql::params;

/// Tells our locks from those of whoever else uses the database ("Tnry").
const CLASS: i64 = 0x546e_7279;

/// What there is a lock for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Bringing the database to this version.
    Migration,
    /// Doing what time does: one process at a time.
    Settler,
    /// Counting calls, which many do, beside removing what is left of a tenant, which nobody may do
    /// meanwhile.
    Counting,
    /// A slot of usage rows.
    Slot(i64),
}

impl Lock {
    const fn number(self) -> i64 {
        match self {
            Self::Migration => -1,
            Self::Settler => -2,
            Self::Counting => -3,
            Self::Slot(slot) => slot,
        }
    }

    /// Takes it if nobody has it; held until the session's connection ends.
    pub(crate) async fn try_take(self, session: &mut Session) -> Result<bool> {
        let sql = "SELECT pg_try_advisory_lock($1::bigint::int, $2::bigint::int)";
        Ok(session.one(sql, params![CLASS, self.number()]).await?.try_get(0)?)
    }

    /// Takes it if nobody has it; held until the transaction's end.
    pub(crate) async fn try_take_here(self, session: &mut Session) -> Result<bool> {
        let sql = "SELECT pg_try_advisory_xact_lock($1::bigint::int, $2::bigint::int)";
        Ok(session.one(sql, params![CLASS, self.number()]).await?.try_get(0)?)
    }

    /// Waits for it with whatever comes next; held until the transaction's end.
    pub(crate) fn take_here(self, session: &mut Session) {
        let sql = "SELECT pg_advisory_xact_lock($1::bigint::int, $2::bigint::int)";
        session.write(sql, params![CLASS, self.number()]);
    }

    /// The same, beside others who share it.
    pub(crate) fn share_here(self, session: &mut Session) {
        let sql = "SELECT pg_advisory_xact_lock_shared($1::bigint::int, $2::bigint::int)";
        session.write(sql, params![CLASS, self.number()]);
    }
}

/// Waits for whoever makes a tenant of this id, and has them wait until the transaction's end: as long
/// as it is not there, it has no ledger's head that could be locked.
pub(crate) fn making(tenant: TenantId) -> Command {
    let (_, number) = tenant.as_uuid().as_u64_pair();
    Command::new("SELECT pg_advisory_xact_lock($1)", params![number.cast_signed()])
}
