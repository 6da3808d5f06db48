//! Who calls, and the numbers.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, params};
use tenantry_domain::access::{
    Bearer, BearerId, CallerProbe, CallerState, CallerUser, ExternalPerson, TenantAccess,
};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::Counts;
use tenantry_domain::error::Error;
use tenantry_domain::guarded::Guarded;
use tenantry_domain::id::{TenantId, UserId};
use tenantry_domain::realm::RealmStanding;
use tenantry_domain::stats::Statistics;
use tenantry_domain::user::User;
use tenantry_store::Statistician;

use crate::books::{self, Context, corrected};
use crate::error::{Fault, Result};
use crate::projection::Memory;
use crate::snapshot::{Calls, Snapshot};
use crate::sql::{self, At, count_columns, tenant_id};
use crate::usage::Schema;
use crate::{
    Server, SqliteStore, api_keys, installation, oauth_clients, realms, tenants, tokens, users,
};

/// Reads of the database between which somebody else was quicker; then calls are held up for one.
const ATTEMPTS: usize = 8;

#[async_trait]
impl Statistician for SqliteStore {
    async fn caller_state(
        &self,
        probe: &CallerProbe,
    ) -> tenantry_domain::error::Result<CallerState> {
        let clock = self.context.clock.now();
        let found = self.memory().and_then(|memory| self.caller(probe, memory, clock));
        found.map_err(|fault| fault.0)
    }

    async fn statistics(
        &self,
        probe: &CallerProbe,
        tenant: TenantId,
    ) -> tenantry_domain::error::Result<(CallerState, Guarded<Option<Statistics>>)> {
        let read = || {
            // The clock is read before anything else: the answer then holds everything that was done
            // before its instant.
            let clock = self.context.clock.now();
            let memory = self.memory()?;
            let caller = self.caller(probe, memory, clock)?;
            Ok((caller, Guarded::new(tenant, self.current(tenant, memory, clock)?)))
        };
        read().map_err(|fault: Fault| fault.0)
    }

    async fn counts_at(
        &self,
        access: &TenantAccess,
        at: Timestamp,
    ) -> tenantry_domain::error::Result<Option<Counts>> {
        self.read(|connection| {
            tenants::require(connection, access.tenant())?;
            counts_at(connection, access.tenant(), at)
        })
    }
}

impl SqliteStore {
    /// Whether a tenant exists. That it does is remembered.
    pub(crate) fn exists(&self, tenant: TenantId) -> Result<bool> {
        let remembered = self.server.as_ref().and_then(|it| it.projection.snapshot(tenant));
        if remembered.is_some() {
            return Ok(true);
        }
        Ok(self.readers.snapshot(|connection| tenants::status(connection, tenant))?.is_some())
    }

    /// Whether what the server remembers may be used.
    fn memory(&self) -> Result<Memory> {
        let Some(server) = &self.server else { return Ok(Memory::InDoubt) };
        server.projection.memory(|| self.writer.nudge())
    }

    /// What a caller is worth now.
    fn caller(&self, probe: &CallerProbe, memory: Memory, clock: Timestamp) -> Result<CallerState> {
        let in_database =
            || self.readers.snapshot(|connection| caller_state(connection, probe, clock));
        let Some(server) = &self.server else { return in_database() };
        if memory == Memory::InDoubt {
            return in_database();
        }
        let snapshot = match server.projection.snapshot(probe.tenant) {
            Some(snapshot) => snapshot,
            // Whatever is read of it now is not remembered: no more than what is asked for.
            None if server.projection.is_changing(probe.tenant) => return in_database(),
            None => match self.read_through(server, probe.tenant, memory)? {
                Some((snapshot, _)) => snapshot,
                None => return Ok(CallerState::default()),
            },
        };
        let bearer = match &probe.bearer {
            None => None,
            Some(id) => snapshot.caller(id, clock, || {
                self.readers.snapshot(|connection| bearer(connection, probe.tenant, id, clock))
            })?,
        };
        let bearer = match (bearer, &probe.bearer) {
            (Some(Bearer::External { person, .. }), Some(BearerId::External(id))) => {
                Some(Bearer::External { person, realm: self.realm_standing(server, &id.realm)? })
            }
            (bearer, _) => bearer,
        };
        let is_ended = match &probe.token {
            None => false,
            Some(token) => {
                let is_ended =
                    |connection: &Connection| tokens::is_ended(connection, probe.tenant, token);
                !self.has_signing_key(server, &token.key)?
                    || snapshot.has_ended_tokens && self.readers.snapshot(is_ended)?
            }
        };
        Ok(CallerState { tenant: Some(snapshot.status), bearer, is_ended })
    }

    /// A realm as it is now; `None` if there is no such realm (any more). What the server remembers of
    /// the platform's tenant tells it, whose ledger has every change of a realm.
    fn realm_standing(&self, server: &Server, name: &str) -> Result<Option<RealmStanding>> {
        let read = || self.readers.snapshot(|connection| realms::standing(connection, name));
        match self.platform(server)? {
            Some(snapshot) => snapshot.realm(name, read),
            None => read(),
        }
    }

    /// Whether a signing key is (still) there, which the ledger of the platform's tenant tells, too.
    fn has_signing_key(&self, server: &Server, kid: &str) -> Result<bool> {
        match self.platform(server)? {
            Some(snapshot) if snapshot.has_signing_key(kid) => Ok(true),
            // The first one comes without an entry.
            _ => self.readers.snapshot(|connection| installation::has_key(connection, kid)),
        }
    }

    /// What the server remembers of the platform's tenant, or could.
    fn platform(&self, server: &Server) -> Result<Option<Arc<Snapshot>>> {
        let platform = TenantId::PLATFORM;
        match server.projection.snapshot(platform) {
            Some(snapshot) => Ok(Some(snapshot)),
            None if server.projection.is_changing(platform) => Ok(None),
            None => {
                let read = self.read_through(server, platform, Memory::Current)?;
                Ok(read.map(|(snapshot, _)| snapshot))
            }
        }
    }

    /// The statistics of a tenant now; `None` if there is no such tenant (any more).
    fn current(
        &self,
        tenant: TenantId,
        memory: Memory,
        clock: Timestamp,
    ) -> Result<Option<Statistics>> {
        let Some(server) = &self.server else { return self.read_beside(tenant) };
        if memory == Memory::Current
            && let Some(statistics) = server.projection.statistics(tenant, clock)
        {
            return Ok(Some(statistics));
        }
        Ok(self.read_through(server, tenant, memory)?.map(|(_, statistics)| statistics))
    }

    /// Reads a tenant from the database, and has it remembered if nothing is in doubt.
    fn read_through(
        &self,
        server: &Server,
        tenant: TenantId,
        memory: Memory,
    ) -> Result<Option<(Arc<Snapshot>, Statistics)>> {
        let load = |clock, metered| {
            let load = |connection: &Connection| Snapshot::load(connection, tenant, clock, metered);
            Ok::<_, Fault>(self.readers.snapshot(load)?.map(Arc::new))
        };
        for _ in 0..ATTEMPTS {
            let clock = self.context.clock.now();
            let Some(ticket) = server.projection.ticket(tenant) else {
                if !self.exists(tenant)? {
                    return Ok(None);
                }
                server.calls.hold().calls(tenant, clock)?;
                continue;
            };
            let Some(snapshot) = load(clock, ticket.metered)? else { return Ok(None) };
            let offered = server.projection.offer(tenant, ticket, &snapshot, clock, memory);
            if let Some(statistics) = offered {
                return Ok(Some((snapshot, statistics)));
            }
        }
        // Calls come in faster than the database can be read: they wait for it once.
        let book = server.calls.hold();
        let clock = self.context.clock.now();
        let metered = book.calls(tenant, clock)?;
        let Some(snapshot) = load(clock, metered.heartbeat)? else { return Ok(None) };
        let statistics = snapshot.statistics(tenant, &metered, clock);
        statistics.map(|statistics| Some((snapshot, statistics))).ok_or_else(unsteady)
    }

    /// Reads a tenant from a process that remembers nothing and can keep nobody from counting calls:
    /// again and again, until none was counted while it read.
    fn read_beside(&self, tenant: TenantId) -> Result<Option<Statistics>> {
        let metered = |clock| {
            self.readers
                .snapshot(|connection| Calls::load(connection, Schema::Metered, tenant, clock))
        };
        let mut before = metered(self.context.clock.now())?;
        loop {
            let clock = self.context.clock.now();
            let load = |connection: &Connection| {
                Snapshot::load(connection, tenant, clock, before.heartbeat)
            };
            let Some(snapshot) = self.readers.snapshot(load)? else { return Ok(None) };
            let after = metered(clock)?;
            if after == before {
                let statistics = snapshot.statistics(tenant, &after, clock);
                return statistics.map(Some).ok_or_else(unsteady);
            }
            before = after;
        }
    }
}

fn unsteady() -> Fault {
    Fault(Error::internal("a snapshot does not tell the statistics of its own instant"))
}

/// Refuses a change whose bearer may no longer make it.
pub(crate) fn confirm(
    connection: &Connection,
    context: &Context,
    access: &TenantAccess,
) -> Result<()> {
    match access.probe() {
        None => Ok(()),
        Some(probe) => {
            let state = caller_state(connection, &probe, context.clock.now())?;
            Ok(access.confirm(&state)?)
        }
    }
}

fn caller_state(
    connection: &Connection,
    probe: &CallerProbe,
    clock: Timestamp,
) -> Result<CallerState> {
    let tenant = tenants::status(connection, probe.tenant)?;
    let bearer = match &probe.bearer {
        Some(id) if tenant.is_some() => bearer(connection, probe.tenant, id, clock)?,
        _ => None,
    };
    let is_ended = match &probe.token {
        None => false,
        Some(token) => {
            !installation::has_key(connection, &token.key)?
                || tokens::is_ended(connection, probe.tenant, token)?
        }
    };
    Ok(CallerState { tenant, bearer, is_ended })
}

fn bearer(
    connection: &Connection,
    tenant: TenantId,
    id: &BearerId,
    clock: Timestamp,
) -> Result<Option<Bearer>> {
    Ok(match id {
        BearerId::User(id) => {
            caller_user(connection, tenant, *id)?.map(|user| Bearer::User(Arc::new(user)))
        }
        BearerId::External(id) => {
            let user = users::find_external(connection, tenant, id)?;
            let user = user.map(|user| (user.id, caller(user)));
            let tenant_realm = tenants::realm_name(connection, tenant)?;
            let realm = realms::standing(connection, &id.realm)?;
            Some(Bearer::External {
                person: Arc::new(ExternalPerson { tenant_realm, user }),
                realm,
            })
        }
        BearerId::Client(id) => oauth_clients::find(connection, tenant, *id)?
            .map(|client| Bearer::Client(Arc::new(client))),
        BearerId::ApiKey(secret) => {
            let key = api_keys::presented(connection, tenant, *secret)?;
            // The tenant may be gone since it was looked for, and its keys are nobody's then.
            let at = books::now(connection, tenant, clock)?;
            key.zip(at).map(|(key, at)| Bearer::ApiKey { key: Arc::new(key), at })
        }
    })
}

fn caller_user(
    connection: &Connection,
    tenant: TenantId,
    user: UserId,
) -> Result<Option<CallerUser>> {
    Ok(users::find(connection, tenant, user)?.map(caller))
}

fn caller(user: User) -> CallerUser {
    CallerUser {
        status: user.status,
        roles: user.roles,
        email: user.email.to_string(),
        name: user.name.map(|name| name.to_string()),
    }
}

/// The counts after the last entry not later than `at`, corrected by what expired between the
/// two. Only after the newest entry can anything have expired without an entry of its own.
fn counts_at(connection: &Connection, tenant: TenantId, at: Timestamp) -> Result<Option<Counts>> {
    let sql = concat!(
        "SELECT ",
        count_columns!(),
        " FROM ledger WHERE tenant_id = ?1 AND at <= ?2 ORDER BY at DESC, seq DESC LIMIT 1"
    );
    let counts = sql::optional(connection, sql, params![tenant_id(tenant), At(at)], |row| {
        sql::counts(row, 0)
    })?;
    counts.map(|counts| corrected(connection, tenant, counts, at)).transpose()
}
