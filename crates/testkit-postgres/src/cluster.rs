//! The server and its databases.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::programs;
use crate::tls::{self, Tls};

/// The one user of the cluster, who may do everything.
pub(crate) const USER: &str = "tenantry";

/// Waits until its standard input ends, stops the server, and leaves nothing behind. That input is a
/// pipe from the tests' process, so it ends with that process, also if it is killed.
const SUPERVISOR: &str = r#"
    read -r _
    "$1/pg_ctl" -D "$2/data" -m immediate -w stop >/dev/null 2>&1
    rm -rf "$2"
"#;

/// What tests do without: nothing of theirs is to survive the machine. The number of connections is
/// that of many small servers at once.
const FOR_TESTS: &str = "
    fsync = off
    full_page_writes = off
    autovacuum = off
    max_connections = 300
    shared_buffers = 64MB
";

/// What is measured is on the disk when it says so, and all of it is in memory too.
const TO_MEASURE: &str = "
    max_connections = 300
    shared_buffers = 512MB
";

/// A running server.
#[derive(Debug)]
pub struct Cluster {
    programs: PathBuf,
    directory: PathBuf,
    settings: &'static str,
    user: Option<(u32, u32)>,
    /// Where it answers beside its socket, if it speaks TLS.
    tls: Option<Tls>,
    databases: AtomicU32,
    template: OnceCell<Database>,
    /// One at a time: a template can be copied by one only.
    copying: Mutex<()>,
    _supervisor: Child,
    _alive: ChildStdin,
}

/// A database, until it is dropped.
#[derive(Debug)]
pub struct Database {
    cluster: &'static Cluster,
    name: String,
}

impl Cluster {
    /// Makes a cluster and starts it. It is for the whole process: keep it in a static.
    ///
    /// Its databases sort text as people would, by ICU, unless they are told otherwise: so that a
    /// test notices where they should have been told.
    pub fn start() -> Self {
        Self::make(FOR_TESTS, false, None)
    }

    /// As [`Cluster::start`], with a server that does all that one does which is in use.
    pub fn start_to_measure() -> Self {
        Self::make(TO_MEASURE, false, None)
    }

    /// As [`Cluster::start`], also on a port of 127.0.0.1, where it is `localhost` and asks for
    /// [`PASSWORD`](tls::PASSWORD): [`ENCRYPTED`](tls::ENCRYPTED) is admitted by TLS alone, and
    /// [`PLAIN`](tls::PLAIN) without it alone.
    pub fn start_with_tls() -> Self {
        Self::make(FOR_TESTS, true, None)
    }

    /// Starts a standby of this one, which follows it.
    #[must_use]
    pub fn standby(&self) -> Self {
        Self::make(self.settings, false, Some(self))
    }

    fn make(settings: &'static str, with_tls: bool, primary: Option<&Self>) -> Self {
        let programs = programs::directory();
        // Below /tmp, since the path of a socket must be short.
        let directory = tempfile::Builder::new().prefix("tenantry-pg-").tempdir_in("/tmp").unwrap();
        let user = programs::server_user(directory.path());
        if let Some((user, group)) = user {
            chown(directory.path(), Some(user), Some(group)).unwrap();
        }
        // From here on it is the supervisor's to remove, and readable by whoever runs the tests.
        let directory = directory.keep();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        let data = directory.join("data");
        if let Some(primary) = primary {
            run(as_user(&programs.join("pg_basebackup"), user)
                .arg("-D")
                .arg(&data)
                .args(["-U", USER, "-p", &primary.port().to_string(), "-h"])
                .arg(&primary.directory)
                .args(["--checkpoint=fast", "--no-sync", "--write-recovery-conf"]));
        } else {
            run(as_user(&programs.join("initdb"), user)
                .arg("-D")
                .arg(&data)
                .args(["-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8"])
                .args(["--locale-provider=icu", "--icu-locale=en-US"]));
        }
        let mut supervisor = as_user(Path::new("/bin/sh"), user)
            .arg("-c")
            .arg(SUPERVISOR)
            .arg("supervisor")
            .arg(&programs)
            .arg(&directory)
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let alive = supervisor.stdin.take().unwrap();
        let mut cluster = Self {
            programs,
            directory,
            settings,
            user,
            tls: None,
            databases: AtomicU32::new(0),
            template: OnceCell::new(),
            copying: Mutex::default(),
            _supervisor: supervisor,
            _alive: alive,
        };
        // Somebody else can have taken the port meanwhile.
        let started = (0..10).any(|_| {
            cluster.tls = with_tls.then(|| Tls::prepare(&cluster.directory, user));
            cluster.configure();
            if let Some(primary) = primary {
                let (host, port) = (primary.directory.display(), primary.port());
                cluster.set(&format!("primary_conninfo = 'host={host} port={port} user={USER}'"));
            }
            cluster.control("start").output().unwrap().status.success()
        });
        assert!(started, "PostgreSQL did not start: {}", cluster.log());
        if with_tls {
            run(&mut cluster.sql("postgres", &tls::users()));
        }
        cluster
    }

    fn port(&self) -> u16 {
        self.tls.as_ref().map_or(5432, |tls| tls.port)
    }

    fn configure(&self) {
        let tls = self.tls.as_ref().map(|tls| tls.settings(&self.directory)).unwrap_or_default();
        let (settings, directory) = (self.settings, self.directory.display());
        let settings = format!(
            "listen_addresses = ''\nunix_socket_directories = '{directory}'\n{settings}\n{tls}"
        );
        fs::write(self.directory.join("data/postgresql.auto.conf"), settings).unwrap();
    }

    /// Stops the server, as an administrator in a hurry would: connections are cut.
    pub fn stop(&self) {
        run(self.control("stop").args(["-m", "fast"]));
    }

    /// Starts it again.
    pub fn start_again(&self) {
        let started = self.control("start").status().unwrap().success();
        assert!(started, "PostgreSQL did not start: {}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Kills it, all of its processes at once, so that it can write nothing any more.
    pub fn kill(&self) {
        let file = self.directory.join("data/postmaster.pid");
        let first = fs::read_to_string(&file).unwrap();
        let first = first.lines().next().unwrap().to_owned();
        // It begins no process any more, so all that it has begun are found.
        run(Command::new("kill").args(["-STOP", &first]));
        while stat(&first).is_some_and(|(state, _)| state != "T") {
            std::thread::sleep(Duration::from_millis(1));
        }
        let of_it =
            |id: &String| *id == first || stat(id).is_some_and(|(_, parent)| parent == first);
        let ids = fs::read_dir("/proc").unwrap();
        let ids = ids.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
        let ids: Vec<_> = ids.filter(of_it).collect();
        run(Command::new("kill").arg("-KILL").args(&ids));
        // One that has ended may be there until somebody has asked for how.
        while ids.iter().any(|id| stat(id).is_some_and(|(state, _)| state != "Z")) {
            std::thread::sleep(Duration::from_millis(5));
        }
        // By its number it may seem to run still.
        fs::remove_file(file).unwrap();
        let lock = format!(".s.PGSQL.{}.lock", self.port());
        fs::remove_file(self.directory.join(lock)).unwrap();
    }

    /// Adds to its settings, for when it is started the next time.
    pub fn set(&self, settings: &str) {
        let file = self.directory.join("data/postgresql.auto.conf");
        let before = fs::read_to_string(&file).unwrap();
        fs::write(file, format!("{before}\n{settings}\n")).unwrap();
    }

    fn control(&self, what: &str) -> Command {
        let mut control = as_user(&self.programs.join("pg_ctl"), self.user);
        control.arg("-D").arg(self.directory.join("data"));
        control.arg("-l").arg(self.directory.join("log")).args(["-w", what]);
        // The server inherits what it writes to, and would keep a pipe open.
        control.stdout(Stdio::null()).stderr(Stdio::null());
        control
    }

    /// An empty database.
    pub fn database(&'static self) -> Database {
        self.create("template1")
    }

    /// A copy of a database that was prepared once for all.
    pub async fn prepared(&'static self, prepare: impl AsyncFnOnce(&Database)) -> Database {
        let template = self.template.get_or_init(async || {
            let database = self.database();
            prepare(&database).await;
            // It can be copied while nobody is connected to it.
            let others = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()";
            while database.run(others) != "0" {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            database
        });
        self.copy_of(template.await)
    }

    /// A database that is like this one, to which nobody may be connected.
    pub fn copy_of(&'static self, template: &Database) -> Database {
        self.create(&template.name)
    }

    /// The database of a standby that is the same as one of whom it follows, once it has all that is
    /// there.
    pub fn following(&'static self, database: &Database) -> Database {
        let written = database.run("SELECT pg_current_wal_lsn()");
        let following = Database { cluster: self, name: database.name.clone() };
        let has_it = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'");
        while following.run(&has_it) != "t" {
            std::thread::sleep(Duration::from_millis(10));
        }
        following
    }

    fn create(&'static self, template: &str) -> Database {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        // Whoever panicked while copying has left nothing half done.
        let _turn = self.copying.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let sql = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY");
        run(&mut self.sql("postgres", &sql));
        Database { cluster: self, name }
    }

    fn sql(&self, database: &str, sql: &str) -> Command {
        let mut psql = self.psql(database);
        psql.args(["-c", sql]);
        psql
    }

    fn psql(&self, database: &str) -> Command {
        let mut psql = as_user(&self.programs.join("psql"), self.user);
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", USER, "-d", database, "-h"])
            .arg(&self.directory)
            .args(["-p", &self.port().to_string(), "-A", "-t"]);
        psql
    }
}

impl Database {
    /// Where it is, as a connection string.
    pub fn url(&self) -> String {
        let Self { cluster, name } = self;
        let (directory, port) = (cluster.directory.display(), cluster.port());
        format!("postgresql:///{name}?host={directory}&port={port}&user={USER}")
    }

    /// What the cluster's log says.
    pub fn log(&self) -> String {
        fs::read_to_string(self.cluster.directory.join("log")).unwrap()
    }

    /// PostgreSQL's own load generator, which asks it.
    pub fn pgbench(&self) -> Command {
        let Self { cluster, name } = self;
        let mut pgbench = Command::new(cluster.programs.join("pgbench"));
        pgbench.env("PGHOST", &cluster.directory).env("PGPORT", cluster.port().to_string());
        pgbench.env("PGUSER", USER).env("PGDATABASE", name);
        pgbench
    }

    /// Where it is for a user, by TCP, with these options.
    pub fn tcp_url(&self, user: &str, options: &str) -> String {
        let port = self.cluster.port();
        format!("postgres://{user}@localhost:{port}/{}?{options}", self.name)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The socket that its server listens on.
    pub(crate) fn socket(&self) -> PathBuf {
        self.cluster.directory.join(format!(".s.PGSQL.{}", self.cluster.port()))
    }

    /// The certificate of whoever signed the server's, as a file.
    pub fn root_certificate(&self) -> PathBuf {
        self.cluster.directory.join(tls::ROOT)
    }

    /// The directory with the files of its tables, where everything is that was written so far.
    pub fn directory(&self) -> PathBuf {
        self.run("CHECKPOINT");
        let number = self.run("SELECT oid FROM pg_database WHERE datname = current_database()");
        self.cluster.directory.join("data/base").join(number)
    }

    /// Runs SQL on it, behind the back of whoever uses it. Answers what `psql` prints.
    pub fn run(&self, sql: &str) -> String {
        let output = run(&mut self.cluster.sql(&self.name, sql));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// A transaction of somebody else that does not come to an end until this is dropped.
#[derive(Debug)]
pub struct Held {
    psql: Child,
}

impl Database {
    /// Begins a transaction, runs SQL in it, and leaves it open.
    pub fn hold(&self, sql: &str) -> Held {
        let mut psql = self.cluster.psql(&self.name);
        let mut psql = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let script = format!("BEGIN;\n{sql};\n\\echo held\n");
        psql.stdin.as_mut().unwrap().write_all(script.as_bytes()).unwrap();
        let lines = BufReader::new(psql.stdout.as_mut().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "held"), "{sql}");
        Held { psql }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It ends with its input, and its transaction with it.
        drop(self.psql.stdin.take());
        let _ = self.psql.wait();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        // If this fails, it goes with the cluster.
        let _ = self.cluster.sql("postgres", &sql).output();
    }
}

/// The state of a process, and the number of the one that it comes from.
fn stat(id: &str) -> Option<(String, String)> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The fields after the name, which may hold anything.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned);
    Some((fields.next()?, fields.next()?))
}

fn as_user(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    command
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
    output
}
