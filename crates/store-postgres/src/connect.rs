//! Where the database is, and the connections to it.

use std::str::FromStr as _;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tenantry_domain::error::Error;
use tokio_postgres::{Config, NoTls};

use crate::error::{Fault, OpenError, Result};
use crate::session::Session;

/// Connections that change something at once, and as many that read.
const CONNECTIONS: usize = 8;
/// How long to wait for a new connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait for a connection that others use. Whoever asked has given up by then.
const QUEUE: Duration = Duration::from_secs(30);

/// What is on disk before it is answered, unless the server waits for even more.
const FLUSHED: &str = "SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off'";
/// What is answered before it is on disk: counted calls.
const HANDED: &str = "SET synchronous_commit = off";

/// The connections to a database. Those that read, those that change and the one that counts calls do
/// not wait for each other.
#[derive(Debug)]
pub(crate) struct Database {
    readers: Pool,
    writers: Pool,
    counting: Pool,
}

impl Database {
    /// Reads where the database is. Nothing is connected yet.
    pub(crate) fn at(url: &str) -> std::result::Result<Self, OpenError> {
        // What the library says of a URL names what it does not know, never the password.
        let mut config =
            Config::from_str(url).map_err(|error| OpenError::Url(error.to_string()))?;
        if config.get_application_name().is_none() {
            config.application_name("tenantry");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(PATIENCE);
        }
        let pool = |size, durability| {
            pool(config.clone(), size, durability)
                .map_err(|error| OpenError::Unusable(error.to_string()))
        };
        Ok(Self {
            readers: pool(CONNECTIONS, FLUSHED)?,
            writers: pool(CONNECTIONS, FLUSHED)?,
            counting: pool(1, HANDED)?,
        })
    }

    /// For single statements that read.
    pub(crate) async fn reader(&self) -> Result<Session> {
        Ok(Session::of(get(&self.readers).await?))
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
        let mut session = Session::of(get(&self.writers).await?);
        session.begin("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
        Ok(session)
    }

    /// The connection that counts calls. There is one.
    pub(crate) async fn counting(&self) -> Result<Session> {
        Ok(Session::of(get(&self.counting).await?))
    }
}

fn pool(
    config: Config,
    size: usize,
    durability: &'static str,
) -> std::result::Result<Pool, deadpool_postgres::BuildError> {
    let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(config, NoTls, manager_config);
    let set_up = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
        Box::pin(async move { client.batch_execute(durability).await.map_err(HookError::Backend) })
    });
    Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(QUEUE))
        .create_timeout(Some(PATIENCE))
        .post_create(set_up)
        .build()
}

async fn get(pool: &Pool) -> Result<deadpool_postgres::Object> {
    use deadpool_postgres::{PoolError, TimeoutType};

    pool.get().await.map_err(|error| match error {
        PoolError::Timeout(TimeoutType::Wait) => {
            Fault::Error(Error::Unavailable("too many requests wait for the database".to_owned()))
        }
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
            error.into()
        }
        other => Fault::Lost(format!("postgres: {other}")),
    })
}
