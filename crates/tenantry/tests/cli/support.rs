//! Processes of the binary: their output, their end, and requests to them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::Value;
use tempfile::TempDir;
use tenantry_domain::clock::Timestamp;

/// Acme Corporation, the tenant of the documented example.
pub(crate) const ACME: &str = "3fa85f64-5717-4562-b3fc-2c963f66afa6";
/// The platform's own tenant.
pub(crate) const PLATFORM: &str = "00000000-0000-7000-8000-000000000000";

/// How long anything may take before the test fails: far more than it does.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// What serves on a free port.
pub(crate) const SERVE: &str = "serve --listen 127.0.0.1:0";

/// The path of the binary.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_tenantry");

/// A temporary data directory, not made yet.
pub(crate) struct DataDir(TempDir);

impl DataDir {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.0.path().join("data")
    }

    /// The command line with these arguments (separated by blanks) on this directory.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = tenantry(arguments);
        command.arg("--data-dir").arg(self.path());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &str) -> Output {
        run(&mut self.command(arguments))
    }

    /// Starts `serve` on a free port.
    pub(crate) fn serve(&self) -> Server {
        Server::start(&mut self.command(SERVE))
    }

    /// Starts `serve` on a free port, with more flags.
    pub(crate) fn serve_with(&self, flags: &str) -> Server {
        Server::start(&mut self.command(&format!("{SERVE} {flags}")))
    }

    /// Starts `demo` on a free port.
    pub(crate) fn demo(&self) -> Server {
        Server::start(&mut self.command("demo --listen 127.0.0.1:0"))
    }

    /// A token of an operator of the platform.
    pub(crate) fn operator(&self) -> String {
        let output = self.run("token --role super_admin").succeeded();
        output.stdout.trim_end().to_owned()
    }
}

/// The binary with these arguments, separated by blanks, in a clean environment.
pub(crate) fn tenantry(arguments: &str) -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TENANTRY_") {
            command.env_remove(name);
        }
    }
    command.args(arguments.split_whitespace()).env("TENANTRY_LOG", "warn");
    command
}

/// What a process that ended has said.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// Fails the test unless the command succeeded and complained of nothing.
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert_eq!(self.stderr, "", "{self:?}");
        self
    }

    /// Fails the test unless the command failed with one sentence, and that one has these words.
    pub(crate) fn failed_with(self, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        assert!(self.stderr.starts_with("tenantry: "), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?}: {self:?}");
        }
        self
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    run_with_input(command, "")
}

/// Runs a command that reads this to its end.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Output {
    let mut process = Process::start(command, Stdio::piped());
    let mut stdin = process.child.stdin.take().unwrap();
    // Who does not read it has closed its end.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    process.end()
}

/// A process, killed at the latest when the test ends.
struct Process {
    child: Child,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
}

impl Process {
    fn start(command: &mut Command, stdin: Stdio) -> Self {
        let command = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut line = String::new();
            while stdout.read_line(&mut line).unwrap() > 0 && sender.send(line).is_ok() {
                line = String::new();
            }
        });
        let mut stderr = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        Self { child, lines, stderr: Some(stderr) }
    }

    /// The next line of standard output, with its end.
    fn line(&mut self) -> String {
        self.lines.recv_timeout(LIMIT).unwrap_or_else(|_| {
            let _ = self.child.kill();
            let stderr = self.stderr.take().map(|stderr| stderr.join().unwrap());
            panic!("no line on standard output; on standard error: {stderr:?}")
        })
    }

    /// Waits for the end; answers what was not read yet.
    fn end(mut self) -> Output {
        let mut stdout = String::new();
        loop {
            match self.lines.recv_timeout(LIMIT) {
                Ok(line) if line.starts_with("tenantry listening") => panic!("it serves"),
                Ok(line) => stdout.push_str(&line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end; so far: {stdout}"),
            }
        }
        let stderr = self.stderr.take().unwrap().join().unwrap();
        let status: ExitStatus = self.child.wait().unwrap();
        Output { code: status.code(), stdout, stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running server.
pub(crate) struct Server {
    process: Process,
    /// Where it answers.
    pub(crate) url: String,
    client: reqwest::Client,
}

impl Server {
    /// Starts a server; returns when it is ready.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut process = Process::start(command, Stdio::null());
        let line = process.line();
        let url = line.strip_prefix("tenantry listening on ").unwrap().trim_end().to_owned();
        assert_eq!(line, format!("tenantry listening on {url}\n"));
        let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build().unwrap();
        Self { process, url, client }
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        self.process.line().trim_end().to_owned()
    }

    /// The id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// Its address and port.
    pub(crate) fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// The bearer of a token, who acts in a tenant.
    pub(crate) fn caller(&self, token: &str, tenant: &str) -> Caller {
        Caller {
            client: self.client.clone(),
            url: self.url.clone(),
            token: token.to_owned(),
            tenant: tenant.to_owned(),
        }
    }

    /// A request by the bearer of a token that acts in a tenant.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        token: &str,
        tenant: &str,
    ) -> reqwest::RequestBuilder {
        self.caller(token, tenant).request(method, path)
    }

    /// The body of what must be answered 200.
    pub(crate) async fn get(&self, path: &str, token: &str, tenant: &str) -> String {
        let answer = self.request("GET", path, token, tenant).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, 200, "{path}: {text}");
        text
    }

    /// The `data` of what must be answered 200.
    pub(crate) async fn data(&self, path: &str, token: &str, tenant: &str) -> Value {
        let mut body: Value = serde_json::from_str(&self.get(path, token, tenant).await).unwrap();
        body["data"].take()
    }

    /// What it answers to everybody.
    pub(crate) async fn public(&self, path: &str) -> reqwest::Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    /// What it measures, by its name and labels as Prometheus writes them; 0 if it never was.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = self.public("/metrics").await.text().await.unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    /// The most memory that it has used so far, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let file = format!("/proc/{}/status", self.id());
        let text = std::fs::read_to_string(file).unwrap();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Lets it open no more than this many files beside those that are open, whatever it has asked
    /// for.
    pub(crate) fn leave_room_for(&self, files: usize) {
        let id = self.process.child.id();
        let open = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap();
        let open: Vec<_> = open.map(|file| file.unwrap().file_name()).collect();
        // The limit is one of the numbers that files have: it takes the lowest free ones.
        let mut free = (0_u64..).filter(|number| !open.contains(&number.to_string().into()));
        let current = free.nth(files);
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let id = Pid::from_child(&self.process.child);
        prlimit(Some(id), Resource::Nofile, Rlimit { current, maximum }).unwrap();
    }

    /// The processor's time that it has used so far.
    pub(crate) fn processor_time(&self) -> Duration {
        let text =
            std::fs::read_to_string(format!("/proc/{}/stat", self.process.child.id())).unwrap();
        // The fields after the name, which may hold anything; in hundredths of a second.
        let fields: Vec<_> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<u64>().unwrap();
        Duration::from_millis(10 * (ticks(11) + ticks(12)))
    }

    /// Whether it takes requests.
    pub(crate) async fn is_ready(&self) -> bool {
        let answer = self.client.get(format!("{}/health/ready", self.url)).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    /// Waits for its end; answers what was not read yet.
    pub(crate) fn end(self) -> Output {
        self.process.end()
    }

    /// Stops it. It must have nothing more to say.
    pub(crate) fn stop(self) {
        self.terminate();
        assert_eq!(self.end().succeeded().stdout, "");
    }

    /// Kills it without a warning.
    pub(crate) fn kill(mut self) {
        self.process.child.kill().unwrap();
        assert_eq!(self.end().code, None);
    }
}

/// Somebody who asks a server, also one that is gone.
#[derive(Clone)]
pub(crate) struct Caller {
    client: reqwest::Client,
    url: String,
    token: String,
    /// The tenant that it acts in.
    pub(crate) tenant: String,
}

impl Caller {
    /// The same at another server.
    pub(crate) fn of(&self, server: &Server) -> Self {
        server.caller(&self.token, &self.tenant)
    }

    /// A request.
    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/api/v1{path}", self.url);
        let request = self.client.request(method.parse().unwrap(), url);
        request.bearer_auth(&self.token).header("x-tenantid", &self.tenant)
    }
}

/// Starts a command, waits until something is so, and kills it: what it had printed.
pub(crate) fn kill_once(command: &mut Command, is_so: impl Fn() -> bool) -> Output {
    let mut process = Process::start(command, Stdio::null());
    let until = Instant::now() + LIMIT;
    while !is_so() {
        assert!(process.child.try_wait().unwrap().is_none(), "it ended by itself");
        assert!(Instant::now() < until, "it does not come so far");
        std::thread::yield_now();
    }
    process.child.kill().unwrap();
    process.end()
}

/// How many entries of a tenant's audit log tell of changes: what somebody of the platform reads is told
/// there, too. `total` asks how many entries there are, with one more parameter.
pub(crate) async fn entries_of_changes(mut total: impl AsyncFnMut(&str) -> u64) -> u64 {
    const LOOKS: [&str; 3] = ["STATISTICS_READ", "USERS_READ", "AUDIT_LOG_READ"];
    loop {
        let before = total(&format!("&action={}", LOOKS[2])).await;
        let mut entries = total("").await;
        for action in LOOKS {
            entries -= total(&format!("&action={action}")).await;
        }
        // One of these looks can have been the first in its hour.
        if total(&format!("&action={}", LOOKS[2])).await == before {
            return entries;
        }
    }
}

/// Statistics with every instant replaced, after a look at the instants.
pub(crate) fn without_times(statistics: &str) -> String {
    let mut text = statistics.to_owned();
    let mut replace = |member: &str| {
        let start = text.find(&format!("\"{member}\":\"")).unwrap() + member.len() + 4;
        let end = start + text[start..].find('"').unwrap();
        let at: Timestamp = text[start..end].parse().unwrap();
        text.replace_range(start..end, "TIME");
        at
    };
    let last_activity = replace("lastActivity");
    let generated_at = replace("generatedAt");
    assert!(last_activity <= generated_at, "{statistics}");
    assert_eq!(replace("timestamp"), generated_at, "{statistics}");
    text
}

/// JSON without the blanks between its parts, in the same order.
pub(crate) fn compact(json: &str) -> String {
    let mut text = String::new();
    let (mut quoted, mut escaped) = (false, false);
    for character in json.chars() {
        if quoted || !character.is_whitespace() {
            text.push(character);
        }
        quoted ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
    }
    text
}

/// The documented example, as it is answered.
pub(crate) fn sample() -> String {
    compact(
        r#"{
          "success": true,
          "message": "Tenant statistics retrieved successfully",
          "data": {
            "tenantId": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
            "tenantName": "Acme Corporation",
            "users": { "total": 150, "active": 142, "inactive": 8, "admins": 5 },
            "credentials": { "total": 25, "active": 23, "expired": 2 },
            "apiKeys": { "total": 10, "active": 9, "revoked": 1 },
            "oauthClients": { "total": 5, "active": 5 },
            "usage": {
              "apiCallsThisMonth": 125000,
              "apiCallsLastMonth": 118000,
              "storageUsedMB": 2500,
              "storageQuotaMB": 10000
            },
            "lastActivity": "TIME",
            "generatedAt": "TIME"
          },
          "timestamp": "TIME"
        }"#,
    )
}
