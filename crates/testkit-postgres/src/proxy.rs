//! A line between a program and its database on which things go wrong when a test says so.
//!
//! It reads as much of PostgreSQL's protocol as it must to know which statement passes: a failure is
//! at a statement, before it arrives or before its answer does, and not at some moment.

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, sink};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

use crate::Database;
use crate::cluster::USER;

/// What becomes of a connection when a statement passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Both ends lose it, and the statement does not arrive.
    CutBefore,
    /// The statement is carried out, and both ends lose the connection instead of its answer.
    CutAfter,
    /// The client loses it at once, and the statement arrives so much later.
    Late(Duration),
    /// Both ends keep it, and hear nothing any more: the statement does not arrive.
    SilentBefore,
    /// Both ends keep it, and hear nothing any more: the statement is carried out.
    SilentAfter,
}

/// When a fault strikes, once.
#[derive(Debug, Clone, Copy)]
struct Armed {
    fault: Fault,
    /// Part of a statement that came earlier in the same transaction, or when the connection was set
    /// up.
    after: &'static str,
    /// How the statement begins.
    at: &'static str,
}

#[derive(Debug, Default)]
struct Plan {
    /// The socket of the server that connections lead to.
    server: PathBuf,
    /// Whether it is said of every server that it can be written.
    hides_standbys: bool,
    armed: Option<Armed>,
    /// Each so many statements, of all connections, one fails.
    each: Option<u64>,
    statements: u64,
    /// Faults that are over with.
    struck: u64,
    closed: bool,
    latency: Duration,
}

/// A proxy on a port of 127.0.0.1, until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    plan: Arc<Mutex<Plan>>,
    /// How often all connections were cut. Its end is the end of them all.
    cuts: watch::Sender<u64>,
}

impl Proxy {
    /// One to a database.
    pub fn to(database: &Database) -> Self {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let name = database.name();
        let url = format!("postgres://{USER}@127.0.0.1:{port}/{name}?sslmode=disable");
        let plan = Plan { server: database.socket(), ..Plan::default() };
        let plan = Arc::new(Mutex::new(plan));
        let (cuts, cut) = watch::channel(0);
        let proxy = Self { url, plan: Arc::clone(&plan), cuts };
        // A thread of its own, since tests wait for processes without letting others run.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(listen(listener, plan, cut));
        });
        proxy
    }

    /// Where the database is, by way of it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets a fault strike once: at the next statement that begins like `at`, unless `after` is empty in
    /// a transaction in which a statement with `after` came before, or on a connection that was set up
    /// with such a one.
    pub fn strike(&self, fault: Fault, after: &'static str, at: &'static str) {
        lock(&self.plan).armed = Some(Armed { fault, after, at });
    }

    /// Cuts a connection at each so many statements, whichever that is: before it arrives, before its
    /// answer does, or at once although it arrives.
    pub fn strike_each(&self, statements: Option<u64>) {
        lock(&self.plan).each = statements;
    }

    /// How many faults have struck, and what they let happen has happened.
    pub fn struck(&self) -> u64 {
        lock(&self.plan).struck
    }

    /// Cuts every connection, and lets nobody connect.
    pub fn close(&self) {
        lock(&self.plan).closed = true;
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Lets everybody connect again.
    pub fn open(&self) {
        lock(&self.plan).closed = false;
    }

    /// Leads whoever connects from now on to another server, of which it says that it can be written:
    /// as where connections are shared, and the server behind them has become a standby.
    pub fn lead_to(&self, database: &Database) {
        let mut plan = lock(&self.plan);
        plan.server = database.socket();
        plan.hides_standbys = true;
    }

    /// Lets whatever passes take so much longer, either way.
    pub fn slow_down(&self, latency: Duration) {
        lock(&self.plan).latency = latency;
    }
}

fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen(listener: StdListener, plan: Arc<Mutex<Plan>>, mut cut: watch::Receiver<u64>) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (client, _) = tokio::select! {
            accepted = listener.accept() => accepted.unwrap(),
            changed = cut.changed() => if changed.is_err() { return } else { continue },
        };
        if lock(&plan).closed {
            continue;
        }
        // Messages are passed on one by one, and none is to wait for the next.
        client.set_nodelay(true).unwrap();
        // As when the server is not there.
        let server = lock(&plan).server.clone();
        let Ok(server) = UnixStream::connect(server).await else { continue };
        let (line, mut cut) = (Line::new(client, server, Arc::clone(&plan)), cut.clone());
        tokio::spawn(async move {
            tokio::select! {
                _ = line.carry() => {}
                _ = cut.changed() => {}
            }
        });
    }
}

/// What ends a connection.
type End = std::io::Result<()>;

/// A connection of a client, and the one to the server that it is passed on to.
struct Line {
    client: TcpStream,
    server: UnixStream,
    from_client: Vec<u8>,
    from_server: Vec<u8>,
    plan: Arc<Mutex<Plan>>,
    /// Whether the first message has passed, which has no type.
    begun: bool,
    /// The statements that were prepared, by the names that they were given.
    prepared: HashMap<String, String>,
    /// Those that it was set up with, and those of the transaction that is under way.
    scripts: Vec<String>,
    transaction: Vec<String>,
    /// Requests that the server answers by saying that it is ready, and such answers.
    asked: u64,
    answered: u64,
    /// Whether the next row says whether the server can be written.
    asked_if_read_only: bool,
}

impl Line {
    fn new(client: TcpStream, server: UnixStream, plan: Arc<Mutex<Plan>>) -> Self {
        Self {
            client,
            server,
            from_client: Vec::new(),
            from_server: Vec::new(),
            plan,
            begun: false,
            prepared: HashMap::new(),
            scripts: Vec::new(),
            transaction: Vec::new(),
            // It is ready when it has let the client in.
            asked: 1,
            answered: 0,
            asked_if_read_only: false,
        }
    }

    async fn carry(mut self) -> End {
        loop {
            let read = tokio::select! {
                read = self.client.read_buf(&mut self.from_client) => read?,
                read = self.server.read_buf(&mut self.from_server) => read?,
            };
            if read == 0 {
                return Ok(());
            }
            let latency = lock(&self.plan).latency;
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            while let Some(mut message) = take(&mut self.from_server, true) {
                self.hear(&mut message);
                self.client.write_all(&message).await?;
            }
            while let Some(message) = take(&mut self.from_client, self.begun) {
                if let Some(fault) = self.note(&message) {
                    return self.suffer(fault, message).await;
                }
                self.server.write_all(&message).await?;
            }
        }
    }

    /// Notes what a client says; answers what is to go wrong with it.
    fn note(&mut self, message: &[u8]) -> Option<Fault> {
        if !std::mem::replace(&mut self.begun, true) {
            return None;
        }
        let (kind, mut texts) = (message[0], message[5..].split(|byte| *byte == 0));
        let mut text = || String::from_utf8_lossy(texts.next().unwrap_or_default()).into_owned();
        self.asked += u64::from(ends(message));
        let statement = match kind {
            b'P' => {
                let name = text();
                self.prepared.insert(name, text());
                return None;
            }
            b'B' => {
                let (_portal, name) = (text(), text());
                self.prepared.get(&name).cloned().unwrap_or_default()
            }
            b'Q' => text(),
            _ => return None,
        };
        self.asked_if_read_only |= statement == "SHOW transaction_read_only";
        let fault = lock(&self.plan).judge(&statement, &self.scripts, &self.transaction);
        if statement.starts_with("BEGIN") {
            self.transaction.clear();
        }
        let said = if kind == b'Q' { &mut self.scripts } else { &mut self.transaction };
        said.push(statement);
        fault
    }

    /// Notes what the server says, and changes it if it is to be hidden.
    fn hear(&mut self, message: &mut Vec<u8>) {
        match message[0] {
            b'D' if std::mem::take(&mut self.asked_if_read_only)
                && lock(&self.plan).hides_standbys =>
            {
                // A row of one column.
                *message = b"D\0\0\0\x0d\0\x01\0\0\0\x03off".to_vec();
            }
            b'Z' => self.answered += 1,
            // It wants the rows of a copy, and overlooks that it was asked for an answer before them.
            b'G' => self.asked -= 1,
            _ => {}
        }
    }

    /// Ends a connection by a fault at the statement that begins with this message.
    async fn suffer(mut self, fault: Fault, mut statement: Vec<u8>) -> End {
        let mut whole = ends(&statement);
        while !whole {
            if let Some(message) = take(&mut self.from_client, true) {
                whole = ends(&message);
                self.asked += u64::from(whole);
                statement.extend(message);
            } else if self.client.read_buf(&mut self.from_client).await? == 0 {
                return Ok(());
            }
        }
        match fault {
            Fault::CutBefore | Fault::SilentBefore => {}
            Fault::CutAfter | Fault::SilentAfter => {
                self.server.write_all(&statement).await?;
                while self.answer().await? {}
            }
            Fault::Late(delay) => {
                self.client.shutdown().await?;
                tokio::time::sleep(delay).await;
                self.server.write_all(&statement).await?;
                self.server.shutdown().await?;
                copy(&mut self.server, &mut sink()).await?;
            }
        }
        lock(&self.plan).struck += 1;
        if matches!(fault, Fault::SilentBefore | Fault::SilentAfter) {
            // Whichever end gives up first, the other one is not told.
            let (mut client, mut server) = (sink(), sink());
            let (said, answered) = tokio::join!(
                copy(&mut self.client, &mut server),
                copy(&mut self.server, &mut client),
            );
            said.and(answered)?;
        }
        Ok(())
    }

    /// Passes on an answer to what was asked before, or swallows one to what was asked last; false once
    /// there is no more to come.
    async fn answer(&mut self) -> std::io::Result<bool> {
        while self.answered < self.asked {
            if let Some(mut message) = take(&mut self.from_server, true) {
                if self.answered + 1 < self.asked {
                    self.client.write_all(&message).await?;
                }
                self.hear(&mut message);
                return Ok(true);
            }
            if self.server.read_buf(&mut self.from_server).await? == 0 {
                break;
            }
        }
        Ok(false)
    }
}

impl Plan {
    /// What is to go wrong with a statement, after those that came before it.
    fn judge(&mut self, statement: &str, scripts: &[String], before: &[String]) -> Option<Fault> {
        const ANY: [Fault; 3] =
            [Fault::CutBefore, Fault::CutAfter, Fault::Late(Duration::from_millis(50))];
        self.statements += 1;
        let fault = match (self.armed, self.each) {
            (Some(Armed { fault, after, at }), _)
                if statement.starts_with(at)
                    && (after.is_empty()
                        || scripts.iter().chain(before).any(|it| it.contains(after))) =>
            {
                self.armed = None;
                fault
            }
            (_, Some(each)) if self.statements.is_multiple_of(each) => {
                ANY[usize::try_from(self.statements / each).unwrap() % ANY.len()]
            }
            _ => return None,
        };
        Some(fault)
    }
}

/// Whether a message of a client is the last one before the server says that it is ready.
fn ends(message: &[u8]) -> bool {
    matches!(message[0], b'Q' | b'S')
}

/// Takes a whole message out of what was read, if one has come.
fn take(read: &mut Vec<u8>, typed: bool) -> Option<Vec<u8>> {
    let start = usize::from(typed);
    let length = read.get(start..start + 4)?;
    let length = u32::from_be_bytes(length.try_into().unwrap());
    let end = start + usize::try_from(length).unwrap();
    (read.len() >= end).then(|| read.drain(..end).collect())
}
