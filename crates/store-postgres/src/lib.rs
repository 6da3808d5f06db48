//! The store for many servers: PostgreSQL, of any number of processes at once.
//!
//! Nothing is remembered in a process that another one could make untrue: each read asks the
//! database, in one round trip.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tenantry_domain::access::{PlatformAccess, TenantAccess};
use tenantry_domain::clock::Clock;
use tenantry_domain::entropy::Entropy;
use tenantry_domain::error::Error;
use tenantry_domain::tenant::{NewTenant, Tenant};
use tenantry_store::posting::SETTLE_AT_ONCE;
use tenantry_store::repeats::require_new;
use tokio::time::Instant;

use crate::books::{Books, Context, Trace};
use crate::connect::Database;
use crate::error::{Fault, Result};
use crate::meter::Meter;
use crate::session::Command;
use crate::sql::params;

/// A change of one tenant by the bearer of `access`: its books are opened and caught up with the clock,
/// what is between the bars and the end posts to them, the bearer's mark is left and its call is
/// counted, all in one transaction. It may run again, in a later transaction, if nothing of the one
/// before is there. In several transactions each part goes on from what the one before has led to.
///
/// A macro, since whether the future of a closure that borrows can be sent cannot be said.
macro_rules! change {
    ($store:expr, $access:expr, |$books:ident| $change:expr) => {
        $crate::change!($store, $access, (), |$books, _state| {
            let made: $crate::error::Result<_> = async { $change }.await;
            made.map($crate::Outcome::Done)
        })
    };
    ($store:expr, $access:expr, $start:expr, |$books:ident, $state:ident| $part:expr) => {{
        let (store, access) = ($store, $access);
        let mut attempts = $crate::Attempts::at(&store.database);
        let mut state = $start;
        loop {
            let attempt = async {
                let mut opened = store.open(access).await?;
                let ($books, $state) = (&mut opened, state);
                let outcome = { $part }?;
                store.end(opened, access, &outcome).await?;
                Ok(outcome)
            };
            match attempts.judge(attempt.await).await {
                std::ops::ControlFlow::Continue(()) => {}
                std::ops::ControlFlow::Break(Err(error)) => break Err(error),
                std::ops::ControlFlow::Break(Ok($crate::Outcome::Again(next))) => {
                    state = next;
                    attempts = $crate::Attempts::at(&store.database);
                }
                std::ops::ControlFlow::Break(Ok($crate::Outcome::Done(value))) => {
                    if let Some(call) = access.call() {
                        call.mark_counted();
                    }
                    break Ok(value);
                }
            }
        }
    }};
}
pub(crate) use change;

mod api_keys;
mod audit;
mod books;
mod connect;
mod copying;
mod counted;
mod credentials;
mod erasure;
mod error;
mod expiries;
mod imports;
mod installation;
mod locks;
mod marks;
mod meter;
mod migrate;
mod oauth_clients;
mod options;
mod pages;
mod purge;
mod realms;
mod recounts;
mod seals;
mod session;
mod sessions;
mod sign_ins;
mod sql;
mod standing;
mod statistician;
mod tenants;
mod tls;
mod together;
mod tokens;
mod turns;
mod usage;
mod users;

pub use crate::copying::{CopySource, CopyTarget};
pub use crate::error::OpenError;
pub use crate::options::{Limits, Options};

/// How often a change is tried that was undone, or whose connection was lost, and nothing of it is
/// there.
const ATTEMPTS: u32 = 5;
/// How soon it is tried again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A store in a database.
#[derive(Debug)]
pub struct PostgresStore {
    database: Database,
    context: Context,
    meter: Meter,
}

/// What a part of a change led to.
pub(crate) enum Outcome<T, S> {
    /// The answer.
    Done(T),
    /// A bounded part is done; the rest goes on from here, in another transaction.
    Again(S),
}

impl PostgresStore {
    /// Opens a database as one of its servers, and brings it to this version.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn serve(
        options: &Options,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> std::result::Result<Self, OpenError> {
        let store = Self::at(options, clock, entropy)?;
        // A pointer to it, since the compiler gives up on futures that are too deep within others.
        Box::pin(migrate::migrate(&store.database, &store.context)).await?;
        Ok(store)
    }

    /// As [`PostgresStore::serve`]; where the Citus extension was made after the tables, it spreads them
    /// too, which takes long if there is much in them. Answers also what was done: the names of the
    /// migrations that were applied, and how many tables were spread.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn migrate(
        options: &Options,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> std::result::Result<(Self, Vec<String>), OpenError> {
        let store = Self::at(options, clock, entropy)?;
        let mut done = Box::pin(migrate::migrate(&store.database, &store.context)).await?;
        done.extend(Box::pin(migrate::spread(&store.database)).await?);
        Ok((store, done))
    }

    /// Opens a database for the command line. It must be at this version.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn attach(
        options: &Options,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> std::result::Result<Self, OpenError> {
        let store = Self::at(options, clock, entropy)?;
        migrate::require_newest(&store.database).await?;
        Ok(store)
    }

    fn at(
        options: &Options,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> std::result::Result<Self, OpenError> {
        let context = Context::new(clock, entropy);
        Ok(Self { database: Database::at(options)?, meter: Meter::default(), context })
    }

    /// Opens the books of a tenant for a change by the bearer of `access`, caught up with the clock:
    /// the bearer may make it, and has not made it before.
    async fn open(&self, access: &TenantAccess) -> Result<Books> {
        loop {
            let session = self.database.change_of(access.tenant()).await?;
            let mut books =
                Books::open(session, &self.context, access.tenant(), Some(access)).await?;
            if books.settle(SETTLE_AT_ONCE).await?.instants == SETTLE_AT_ONCE {
                self.close(books, None).await?;
                continue;
            }
            books.confirm(access)?;
            if let Some(idempotency) = access.idempotency() {
                require_new(idempotency.mark(), books.take_mark())?;
            }
            return Ok(books);
        }
    }

    /// Ends a change, or a part of it. Once all of it is made, the bearer's mark is left, with what is
    /// answered, and its call is counted.
    async fn end<T: 'static, S>(
        &self,
        mut books: Books,
        access: &TenantAccess,
        outcome: &Outcome<T, S>,
    ) -> Result<()> {
        let mut left = None;
        if let Outcome::Done(value) = outcome {
            if let Some(idempotency) = access.idempotency() {
                let now = self.context.clock.now();
                let person = books.person;
                left = Some(marks::keep(&mut books.session, idempotency, value, person, now)?);
            }
            if let Some(call) = access.call() {
                usage::count_change(&mut books.session, call);
            }
        }
        self.close(books, left).await
    }

    /// Makes a tenant. Its mark is among those of its maker's tenant.
    async fn found(
        &self,
        access: &PlatformAccess,
        new: NewTenant,
    ) -> std::result::Result<Tenant, Error> {
        let access = access.tenant(new.id);
        let idempotency = access.idempotency();
        let access = &access;
        let attempt = || async {
            let mut session = self.database.transaction().await?;
            if let Some(idempotency) = idempotency {
                // Nobody has the new tenant's lock, so whoever repeats the request waits here.
                let [first, ..] = idempotency.mark().id.0.as_chunks().0 else {
                    return Err(short());
                };
                let sql = "SELECT pg_advisory_xact_lock($1)";
                session.write(sql, params![i64::from_be_bytes(*first)]);
            }
            let probe = access.probe();
            let asked = [
                locks::making(new.id),
                statistician::ask_caller(probe.as_ref()),
                marks::ask(idempotency.map(|it| *it.mark())),
            ];
            let [_, caller, mark] = session.each(asked).await?;
            let now = self.context.clock.now();
            access.confirm(&statistician::read_caller(probe.as_ref(), &caller, now)?)?;
            if let Some(idempotency) = idempotency {
                require_new(idempotency.mark(), marks::read(&mark, now)?)?;
            }
            let mut books = Books::begin(session, &self.context, new.id);
            let tenant = tenants::create(&mut books, access, new.clone()).await?;
            if let Some(idempotency) = idempotency {
                marks::keep(&mut books.session, idempotency, &tenant, None, now)?;
            }
            self.close(books, None).await?;
            Ok(tenant)
        };
        self.retried(attempt).await
    }

    /// Tries again what was undone, or has left nothing.
    async fn retried<T, F: Future<Output = Result<T>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> std::result::Result<T, Error> {
        let mut attempts = Attempts::at(&self.database);
        loop {
            if let ControlFlow::Break(result) = attempts.judge(attempt().await).await {
                return result;
            }
        }
    }

    /// Writes what is left to write and commits. A commit that fails may have happened all the same:
    /// then it is looked for.
    async fn close(&self, books: Books, mark: Option<marks::Left>) -> Result<()> {
        let (mut session, trace) = books.finish(mark);
        session.flush().await?;
        match session.commit().await {
            Ok(()) => Ok(()),
            Err(fault @ Fault::Undone(_)) => Err(fault),
            Err(fault) => {
                tracing::warn!(?fault, "it is looked for whether a change was committed");
                drop(session);
                if self.is_there(trace).await? { Ok(()) } else { Err(fault) }
            }
        }
    }

    /// Whether a transaction has left its trace.
    async fn is_there(&self, trace: Trace) -> Result<bool> {
        let until = self.database.patience();
        loop {
            let look = async { trace.is_there(self.database.transaction().await?).await };
            match look.await {
                Ok(found) => return Ok(found),
                Err(Fault::Undone(_) | Fault::Lost(_)) if Instant::now() < until => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                // It may be there, so it is not tried again.
                Err(fault) => return Err(Fault::Error(fault.into_error())),
            }
        }
    }

    /// A read of one or more statements that need not be one snapshot, in one round trip.
    async fn read<T, const N: usize>(
        &self,
        queries: [Command; N],
        read: impl FnOnce([Vec<tokio_postgres::Row>; N]) -> Result<T>,
    ) -> std::result::Result<T, Error> {
        let ask = || self.database.ask(queries.clone());
        read(self.retried(ask).await?).map_err(Fault::into_error)
    }
}

/// How often something was tried, and until when it may be tried again.
#[derive(Debug)]
struct Attempts {
    made: u32,
    until: Instant,
}

impl Attempts {
    fn at(database: &Database) -> Self {
        Self { made: 0, until: database.patience() }
    }

    /// Whether what came of an attempt is the end of it. Waits a little if it is not.
    async fn judge<T>(&mut self, result: Result<T>) -> ControlFlow<std::result::Result<T, Error>> {
        self.made += 1;
        let again = self.made < ATTEMPTS && Instant::now() < self.until;
        match result {
            Ok(value) => ControlFlow::Break(Ok(value)),
            Err(fault @ (Fault::Undone(_) | Fault::Lost(_))) if again => {
                tracing::debug!(?fault, attempts = self.made, "a transaction is tried again");
                tokio::time::sleep(LOOK_AGAIN * self.made).await;
                ControlFlow::Continue(())
            }
            Err(fault) => ControlFlow::Break(Err(fault.into_error())),
        }
    }
}

fn short() -> Fault {
    Fault::Error(Error::internal("a digest is too short"))
}
