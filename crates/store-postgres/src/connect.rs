//! The connections to a database.

use std::time::Duration;

use deadpool_postgres::{
    ClientWrapper, Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError,
    RecyclingMethod, Runtime, TimeoutType, Timeouts,
};
use tenantry_domain::error::Error;
use tenantry_domain::id::TenantId;
use tokio::time::{Instant, timeout};
use tokio_postgres::Row;

use crate::error::{Fault, OpenError, Result};
use crate::options::{Limits, Options};
use crate::session::{Command, Session};
use crate::together::Together;
use crate::turns::Turns;

/// What is on disk before it is answered, unless the server waits for even more.
const FLUSHED: &str = "SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off'";
/// What is answered before it is on disk: counted calls.
const HANDED: &str = "SET synchronous_commit = off";

/// The connections to a database. Those that read, those that change and the one that counts calls do
/// not wait for each other.
#[derive(Debug)]
pub(crate) struct Database {
    readers: Readers,
    together: Together,
    writers: Pool,
    counting: Pool,
    turns: Turns,
    limits: Limits,
    clock_tolerance: Option<Duration>,
}

impl Database {
    /// Nothing is connected yet.
    pub(crate) fn at(options: &Options) -> std::result::Result<Self, OpenError> {
        let pool = |size, durability| {
            pool(options, size, durability).map_err(|error| OpenError::Unusable(error.to_string()))
        };
        let limits = options.limits;
        let readers = Readers { pool: pool(limits.pool_size, FLUSHED)?, limits };
        Ok(Self {
            together: Together::of(readers.clone()),
            readers,
            writers: pool(limits.pool_size, FLUSHED)?,
            counting: pool(1, HANDED)?,
            turns: Turns::default(),
            limits,
            clock_tolerance: options.clock_tolerance,
        })
    }

    /// Until when to try what is begun now.
    pub(crate) fn patience(&self) -> Instant {
        Instant::now() + self.limits.queue_timeout
    }

    /// How far a process's clock may be off its own.
    pub(crate) const fn clock_tolerance(&self) -> Option<Duration> {
        self.clock_tolerance
    }

    /// For single statements that read.
    pub(crate) async fn reader(&self) -> Result<Session> {
        self.readers.get().await
    }

    /// Reads by few small statements, in one round trip that others may share.
    pub(crate) async fn ask<const N: usize>(&self, queries: [Command; N]) -> Result<[Vec<Row>; N]> {
        let answer = self.together.ask(queries.into()).await?;
        answer.try_into().map_err(|_| Error::internal("a statement has no answer").into())
    }

    /// Reads one snapshot of the database, in several statements.
    pub(crate) async fn snapshot(&self) -> Result<Session> {
        let mut session = self.reader().await?;
        session.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        Ok(session)
    }

    /// Changes something, in one transaction. Each statement of it sees what was committed before the
    /// statement began, so what is read after a lock is what whoever had the lock before has left.
    pub(crate) async fn transaction(&self) -> Result<Session> {
        let mut session = Session::of(get(&self.writers).await?, silence(&self.limits));
        session.begin("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
        Ok(session)
    }

    /// As [`Database::transaction`], to change a tenant: whoever else of this process changes it is
    /// waited for first.
    pub(crate) async fn change_of(&self, tenant: TenantId) -> Result<Session> {
        let turn = self.turns.take(tenant, self.limits.queue_timeout).await;
        let turn = turn.ok_or_else(|| queued("too many changes wait for the tenant"))?;
        let mut session = self.transaction().await?;
        session.keep(turn);
        Ok(session)
    }

    /// As [`Database::transaction`], for what takes as long as it takes.
    pub(crate) async fn patient(&self) -> Result<Session> {
        let mut session = self.transaction().await?;
        session.take_time();
        Ok(session)
    }

    /// A connection of one's own, closed when it is dropped.
    pub(crate) async fn alone(&self) -> Result<ClientWrapper> {
        Ok(Object::take(get(&self.writers).await?))
    }

    /// The connection that counts calls. There is one.
    pub(crate) async fn counting(&self) -> Result<Session> {
        // Everybody waits for it, so that a silent one is given up while there is time for another.
        Ok(Session::of(get(&self.counting).await?, self.limits.queue_timeout / 2))
    }
}

/// Connections for single statements that read.
#[derive(Debug, Clone)]
pub(crate) struct Readers {
    pool: Pool,
    limits: Limits,
}

impl Readers {
    /// One of them, once there is one.
    pub(crate) async fn get(&self) -> Result<Session> {
        Ok(Session::of(get(&self.pool).await?, silence(&self.limits)))
    }

    /// One that nobody uses, or may be made, if there is one.
    pub(crate) async fn free(&self) -> Result<Option<Session>> {
        self.until(Instant::now()).await
    }

    /// One of them, if there is one until then.
    pub(crate) async fn until(&self, until: Instant) -> Result<Option<Session>> {
        let wait = until.saturating_duration_since(Instant::now());
        let timeouts = Timeouts { wait: Some(wait), ..self.pool.timeouts() };
        match self.pool.timeout_get(&timeouts).await {
            Ok(connection) => Ok(Some(Session::of(connection, silence(&self.limits)))),
            Err(PoolError::Timeout(TimeoutType::Wait)) => Ok(None),
            Err(error) => Err(fault(error)),
        }
    }

    /// Until when to wait for one from now.
    pub(crate) fn patience(&self) -> Instant {
        Instant::now() + self.limits.queue_timeout
    }
}

/// After how long a server that does not answer is given up: it would have ended the statement.
fn silence(limits: &Limits) -> Duration {
    limits.statement_timeout + limits.connect_timeout
}

fn pool(
    options: &Options,
    size: usize,
    durability: &'static str,
) -> std::result::Result<Pool, deadpool_postgres::BuildError> {
    let Options { config, tls, limits, .. } = options.clone();
    let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(config, tls, manager_config);
    let set_up = format!("{durability}; {}", timeouts(&limits));
    let patience = limits.connect_timeout;
    let set_up = Hook::async_fn(move |client: &mut ClientWrapper, _| {
        let set_up = set_up.clone();
        Box::pin(async move {
            let silent = |_| HookError::message("the server does not answer");
            let done = timeout(patience, client.batch_execute(&set_up)).await.map_err(silent)?;
            done.map_err(HookError::Backend)
        })
    });
    Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(limits.queue_timeout))
        .create_timeout(Some(limits.connect_timeout))
        .post_create(set_up)
        .build()
}

/// A transaction that does nothing is ended too: a process that is held up must not hold up the
/// others.
fn timeouts(limits: &Limits) -> String {
    let milliseconds = |time: Duration| time.as_millis();
    let (statement, queue) =
        (milliseconds(limits.statement_timeout), milliseconds(limits.queue_timeout));
    format!(
        "SET statement_timeout = {statement}; SET lock_timeout = {queue}; \
         SET idle_in_transaction_session_timeout = {statement}"
    )
}

/// A connection, once there is one.
async fn get(pool: &Pool) -> Result<Object> {
    pool.get().await.map_err(fault)
}

fn fault(error: PoolError) -> Fault {
    match error {
        PoolError::Timeout(TimeoutType::Wait) => queued(BUSY),
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
            Fault::while_connecting(error)
        }
        other => Fault::Lost(format!("postgres: {other}")),
    }
}

/// What is told to whoever finds no connection in time.
pub(crate) const BUSY: &str = "too many requests wait for the database";

pub(crate) fn queued(why: &str) -> Fault {
    Fault::Error(Error::Unavailable(why.to_owned()))
}
