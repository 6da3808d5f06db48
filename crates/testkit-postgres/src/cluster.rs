//! The server and its databases.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{fs, thread};

use crate::programs;

/// The one user of the cluster, who may do everything.
const USER: &str = "tenantry";

/// Runs the server until its standard input ends, and leaves nothing behind. That input is a pipe
/// from the tests' process, so it ends with that process, also if it is killed.
const SUPERVISOR: &str = r#"
    "$1/postgres" -D "$2/data" >"$2/log" 2>&1 </dev/null &
    server=$!
    read -r _
    kill -QUIT "$server"
    wait "$server"
    rm -rf "$2"
"#;

/// What tests do without: nothing of theirs is to survive the machine. The number of connections is
/// that of many small servers at once.
const SETTINGS: &str = "
    listen_addresses = ''
    fsync = off
    full_page_writes = off
    autovacuum = off
    max_connections = 300
    shared_buffers = 64MB
";

/// A running server.
#[derive(Debug)]
pub struct Cluster {
    programs: PathBuf,
    directory: PathBuf,
    user: Option<(u32, u32)>,
    databases: AtomicU32,
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
        run(as_user(&programs.join("initdb"), user)
            .arg("-D")
            .arg(&data)
            .args(["-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8"])
            .args(["--locale-provider=icu", "--icu-locale=en-US"]));
        let settings = format!("{SETTINGS}\nunix_socket_directories = '{}'\n", directory.display());
        fs::write(data.join("postgresql.auto.conf"), settings).unwrap();
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
        let cluster = Self {
            programs,
            directory,
            user,
            databases: AtomicU32::new(0),
            copying: Mutex::default(),
            _supervisor: supervisor,
            _alive: alive,
        };
        cluster.wait_until_ready();
        cluster
    }

    /// An empty database.
    pub fn database(&'static self) -> Database {
        self.create("template1")
    }

    /// A database that is like this one, to which nobody may be connected.
    pub fn copy_of(&'static self, template: &Database) -> Database {
        self.create(&template.name)
    }

    fn create(&'static self, template: &str) -> Database {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        // Whoever panicked while copying has left nothing half done.
        let _turn = self.copying.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let sql = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY");
        run(&mut self.psql("postgres", &sql));
        Database { cluster: self, name }
    }

    fn psql(&self, database: &str, sql: &str) -> Command {
        let mut psql = as_user(&self.programs.join("psql"), self.user);
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", USER, "-d", database, "-h"])
            .arg(&self.directory)
            .args(["-A", "-t", "-c", sql]);
        psql
    }

    fn wait_until_ready(&self) {
        let mut last = None;
        for _ in 0..600 {
            let output = self.psql("postgres", "SELECT 1").output().unwrap();
            if output.status.success() {
                return;
            }
            last = Some(output);
            thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        panic!("PostgreSQL did not start: {last:?}\n{log}");
    }
}

impl Database {
    /// Where it is, as a connection string.
    pub fn url(&self) -> String {
        let Self { cluster, name } = self;
        format!("postgresql:///{name}?host={}&user={USER}", cluster.directory.display())
    }

    /// Runs SQL on it, behind the back of whoever uses it. Answers what `psql` prints.
    pub fn run(&self, sql: &str) -> String {
        let output = run(&mut self.cluster.psql(&self.name, sql));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        // If this fails, it goes with the cluster.
        let _ = self.cluster.psql("postgres", &sql).output();
    }
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
