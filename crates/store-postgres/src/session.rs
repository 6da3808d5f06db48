//! A connection in use: statements are prepared once, and what need not wait for an answer is sent
//! together with what comes next.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use deadpool_postgres::Object;
use futures_util::future::{MaybeDone, maybe_done};
use tenantry_domain::error::Error;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use crate::error::{Fault, Result};
use crate::sql::Value;
use crate::turns::Turn;

/// A statement and its parameters.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    sql: Cow<'static, str>,
    params: Vec<Value>,
    /// How many rows it must change, if that is known.
    expected: Option<u64>,
}

impl Command {
    pub(crate) fn new(sql: impl Into<Cow<'static, str>>, params: Vec<Value>) -> Self {
        Self { sql: sql.into(), params, expected: None }
    }

    /// What its failure means.
    fn fault(&self, error: tokio_postgres::Error) -> Fault {
        if self.sql.starts_with("BEGIN") { Fault::while_beginning(error) } else { error.into() }
    }
}

/// A connection of a pool, given back when it is dropped.
///
/// What is written waits until something is read, or until the end, and is then sent in one go. So a
/// transaction costs a round trip for what it reads, one for what it writes, and one for its commit.
#[derive(Debug)]
pub(crate) struct Session {
    /// There until it is dropped.
    connection: Option<Object>,
    waiting: Vec<Command>,
    /// Whether a transaction is open, or about to be.
    open: bool,
    /// Whether something was sent whose answer has not come yet.
    busy: bool,
    /// Given up together with the connection.
    turn: Option<Turn>,
    /// How long it may take from one answer to the next, if there is an end to it.
    limit: Option<Duration>,
}

/// How long what was left half done may take to end; then its connection is closed.
const END: Duration = Duration::from_secs(5);

impl Session {
    /// For single statements, each a transaction of its own. A server that does not answer one in so
    /// much time is given up: whoever is between may keep the connection long after it is gone.
    pub(crate) fn of(connection: Object, limit: Duration) -> Self {
        Self {
            connection: Some(connection),
            waiting: Vec::new(),
            open: false,
            busy: false,
            turn: None,
            limit: Some(limit),
        }
    }

    /// Begins a transaction. It is undone unless it is committed.
    pub(crate) fn begin(&mut self, how: &'static str) {
        self.write(how, Vec::new());
        self.open = true;
    }

    /// Holds a turn until the end.
    pub(crate) fn keep(&mut self, turn: Turn) {
        self.turn = Some(turn);
    }

    /// Lets the statements of this transaction, and their waiting for others, take as long as they do.
    pub(crate) fn take_time(&mut self) {
        self.limit = None;
        self.write("SET LOCAL statement_timeout = 0", Vec::new());
        self.write("SET LOCAL lock_timeout = 0", Vec::new());
        self.write("SET LOCAL idle_in_transaction_session_timeout = 0", Vec::new());
    }

    /// Writes, at the latest before the next answer that is waited for.
    pub(crate) fn write(&mut self, sql: impl Into<Cow<'static, str>>, params: Vec<Value>) {
        self.waiting.push(Command::new(sql, params));
    }

    /// As [`Session::write`], for what changes exactly one row if everything is as it must be.
    pub(crate) fn write_one(&mut self, sql: &'static str, params: Vec<Value>) {
        self.waiting.push(Command { expected: Some(1), ..Command::new(sql, params) });
    }

    /// Writes now; answers how many rows that changed.
    pub(crate) async fn execute(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        params: Vec<Value>,
    ) -> Result<u64> {
        let mut commands = std::mem::take(&mut self.waiting);
        commands.push(Command::new(sql, params));
        let answers = self.send_all(commands).await?;
        Ok(answers.last().map_or(0, |(changed, _)| *changed))
    }

    /// Sends what waits.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        let commands = std::mem::take(&mut self.waiting);
        self.send_all(commands).await.map(drop)
    }

    /// All rows.
    pub(crate) async fn all(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        params: Vec<Value>,
    ) -> Result<Vec<Row>> {
        let [rows] = self.each([Command::new(sql, params)]).await?;
        Ok(rows)
    }

    /// The rows of several statements, in one round trip.
    pub(crate) async fn each<const N: usize>(
        &mut self,
        queries: [Command; N],
    ) -> Result<[Vec<Row>; N]> {
        let rows = self.several(queries.into()).await?;
        rows.try_into().map_err(|_| Error::internal("a statement has no answer").into())
    }

    /// As [`Session::each`], of any number of statements.
    pub(crate) async fn several(&mut self, queries: Vec<Command>) -> Result<Vec<Vec<Row>>> {
        let mut commands = std::mem::take(&mut self.waiting);
        let before = commands.len();
        commands.extend(queries);
        let answers = self.send_all(commands).await?;
        Ok(answers.into_iter().skip(before).map(|(_, rows)| rows).collect())
    }

    /// As [`Session::several`], of statements that have nothing to do with each other: each has an
    /// answer of its own, or a fault.
    pub(crate) async fn apart(&mut self, queries: Vec<Command>) -> Result<Vec<Result<Vec<Row>>>> {
        let answers = self.send(queries).await?;
        Ok(answers.into_iter().map(|answer| Ok(answer?.1)).collect())
    }

    /// The row, if there is one.
    pub(crate) async fn optional(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        params: Vec<Value>,
    ) -> Result<Option<Row>> {
        Ok(self.all(sql, params).await?.into_iter().next())
    }

    /// The one row that there always is.
    pub(crate) async fn one(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        params: Vec<Value>,
    ) -> Result<Row> {
        let row = self.optional(sql, params).await?;
        row.ok_or_else(|| Error::internal("a row is missing that there always is").into())
    }

    /// Runs what is no statement of ours to prepare, such as a migration, after what waits.
    pub(crate) async fn run(&mut self, script: &str) -> Result<()> {
        self.flush().await?;
        Ok(self.connection()?.batch_execute(script).await?)
    }

    /// Commits. If this fails after [`Session::flush`], it may have happened all the same.
    pub(crate) async fn commit(&mut self) -> Result<()> {
        self.flush().await?;
        self.send_all(vec![Command::new("COMMIT", Vec::new())]).await?;
        self.open = false;
        Ok(())
    }

    /// Has what was written since the beginning committed, together with what is sent next, or undone
    /// if one of its statements fails. Whoever sends it is told if something fails, and not whether it
    /// was committed: this is for what can be written again.
    pub(crate) fn then_commit(&mut self) {
        self.write("COMMIT", Vec::new());
        self.open = false;
    }

    fn connection(&self) -> Result<&Object> {
        self.connection.as_ref().ok_or_else(|| Fault::Lost("the connection is gone".to_owned()))
    }

    /// Sends statements in their order without waiting in between; answers how many rows each
    /// changed, and the rows that it led to.
    async fn send_all(&mut self, commands: Vec<Command>) -> Result<Vec<(u64, Vec<Row>)>> {
        self.send(commands).await?.into_iter().collect()
    }

    /// The same, with each one's fault.
    async fn send(&mut self, commands: Vec<Command>) -> Result<Vec<Result<(u64, Vec<Row>)>>> {
        // Still so if whoever waits for the answers gives up.
        self.busy = true;
        let answers = self.ask_all(&commands).await;
        self.busy = false;
        let is_lost = match &answers {
            Ok(answers) => answers.iter().any(|it| matches!(it, Err(Fault::Lost(_)))),
            Err(fault) => matches!(fault, Fault::Lost(_)),
        };
        if is_lost {
            // Nobody else is to have it: it may lead to a server that will not serve any more.
            drop(self.connection.take().map(Object::take));
        }
        answers
    }

    async fn ask_all(&self, commands: &[Command]) -> Result<Vec<Result<(u64, Vec<Row>)>>> {
        let connection = self.connection()?;
        // Before anything is sent: preparing one would let the others overtake it.
        let mut prepared = Vec::with_capacity(commands.len());
        for command in commands {
            prepared.push(within(self.limit, connection.prepare_cached(&command.sql)).await??);
        }
        let sending = commands.iter().zip(&prepared).map(|(it, statement)| async move {
            let answer = ask(connection, statement, &it.params).await;
            let answer = answer.map_err(|error| it.fault(error))?;
            if it.expected.is_some_and(|expected| expected != answer.0) {
                return Err(Error::internal("a row is missing that there always is").into());
            }
            Ok(answer)
        });
        in_order(sending, self.limit).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let ending = match (self.open, self.busy) {
            (true, _) => "ROLLBACK",
            (false, true) => "",
            (false, false) => return,
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return drop(Object::take(connection));
        };
        runtime.spawn(async move {
            // A connection that cannot be brought to an end so is closed, which ends it.
            let end = timeout(END, connection.batch_execute(ending)).await;
            if !matches!(end, Ok(Ok(()))) {
                drop(Object::take(connection));
            }
        });
    }
}

async fn ask(
    connection: &Object,
    statement: &Statement,
    params: &[Value],
) -> std::result::Result<(u64, Vec<Row>), tokio_postgres::Error> {
    let params: Vec<_> = params.iter().map(|it| it as &(dyn ToSql + Sync)).collect();
    if statement.columns().is_empty() {
        Ok((connection.execute(statement, &params).await?, Vec::new()))
    } else {
        let rows = connection.query(statement, &params).await?;
        Ok((rows.len() as u64, rows))
    }
}

/// Awaits an answer of the server, so long at most.
async fn within<T>(limit: Option<Duration>, answer: impl Future<Output = T>) -> Result<T> {
    let Some(limit) = limit else { return Ok(answer.await) };
    let answer = timeout(limit, answer).await;
    answer.map_err(|_| Fault::Lost("the server does not answer".to_owned()))
}

/// Awaits all of them, each so long at most after the one before. Each is begun before any is waited
/// for, so that what they send is sent at once and in their order, and is waited for in that order, in
/// which the answers come.
async fn in_order<F: Future>(
    futures: impl Iterator<Item = F>,
    limit: Option<Duration>,
) -> Result<Vec<F::Output>> {
    let mut begun: Vec<Pin<Box<MaybeDone<F>>>> =
        futures.map(|future| Box::pin(maybe_done(future))).collect();
    poll_fn(|context| {
        for future in &mut begun {
            // Those that are not done are asked again below.
            let _ = future.as_mut().poll(context);
        }
        Poll::Ready(())
    })
    .await;
    let mut outputs = Vec::with_capacity(begun.len());
    for mut future in begun {
        within(limit, future.as_mut()).await?;
        outputs.extend(future.as_mut().take_output());
    }
    Ok(outputs)
}
