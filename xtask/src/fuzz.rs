//! `cargo xtask fuzz`: readers attacked by themselves (`targets`), and the API attacked from its own
//! document, by callers of every role.
//!
//! Schemathesis makes requests from `openapi.json`, right ones and wrong ones, and holds each answer
//! to it. Its configuration and its version are in `xtask/fuzz`. The server is the real one with the
//! sample platform in it, and must be exact afterwards.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::{env, fs, thread};

use anyhow::{Context, Result, anyhow, ensure};

use crate::packages;
use crate::step::{self, command, succeeds};

mod targets;

const REQUIREMENTS: &str = "xtask/fuzz/requirements.txt";
const CONFIG: &str = "xtask/fuzz/schemathesis.toml";
/// Where Schemathesis is installed, away from the user's own tools.
const TOOLS: &str = "target/tools/schemathesis";
/// The server's data.
const DATA: &str = "target/fuzz";
/// Acme Corporation, the tenant of the sample that the configuration names too.
const ACME: &str = "3fa85f64-5717-4562-b3fc-2c963f66afa6";

/// Somebody who attacks.
struct Caller {
    /// What `tenantry token` is told; nothing: the caller has no token.
    token: &'static [&'static str],
    phases: &'static str,
}

/// Who attacks, all at once. Every edge of the document is tried by the one who may do everything.
const CALLERS: [Caller; 4] = [
    Caller { token: &["--role", "super_admin"], phases: "coverage,fuzzing,stateful" },
    Caller { token: &["--role", "tenant_admin", "--tenant", ACME], phases: "fuzzing,stateful" },
    Caller { token: &["--role", "member", "--tenant", ACME], phases: "fuzzing" },
    Caller { token: &[], phases: "fuzzing" },
];

/// All of it; or the target of this name alone, until it is stopped.
pub(crate) fn run(parts: &[&str]) -> Result<()> {
    match parts {
        [] => {
            targets::attack_all()?;
            attack_api()
        }
        parts => parts.iter().try_for_each(|target| targets::attack_one(target)),
    }
}

fn attack_api() -> Result<()> {
    install()?;
    step::build_all()?;
    let data = step::root().join(DATA);
    if data.exists() {
        fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))?;
    }
    let server = Server::start()?;
    attack(&server.url)?;
    server.stop()?;
    step::quietly(&mut tenantry(&["verify"])?)
}

/// Installs Schemathesis, unless it is there in this version.
fn install() -> Result<()> {
    let root = step::root();
    let installed = root.join(TOOLS).join("requirements.txt");
    let wanted = fs::read(root.join(REQUIREMENTS)).context(REQUIREMENTS)?;
    if fs::read(&installed).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    packages::need_that("python3 with venv", "python3-venv", || {
        succeeds("python3", &["-c", "import ensurepip, venv"])
    })?;
    step::run(&mut command("python3", &["-m", "venv", "--clear", TOOLS]))?;
    let pip = format!("{TOOLS}/bin/pip");
    let quietly = ["install", "--quiet", "--disable-pip-version-check"];
    step::run(command(&pip, &quietly).args(["--requirement", REQUIREMENTS]))?;
    fs::write(&installed, wanted).with_context(|| format!("cannot write {}", installed.display()))
}

/// Has everybody attack, and fails with what was found.
fn attack(url: &str) -> Result<()> {
    all_at_once(CALLERS.iter().map(|caller| schemathesis(url, caller)).collect::<Result<_>>()?)
}

fn all_at_once(attacks: Vec<Command>) -> Result<()> {
    thread::scope(|scope| {
        let quietly = |mut attack| scope.spawn(move || step::quietly(&mut attack));
        let under_way: Vec<_> = attacks.into_iter().map(quietly).collect();
        let outcomes = under_way
            .into_iter()
            .map(|attack| attack.join().map_err(|_| anyhow!("an attack panicked")).flatten());
        outcomes.collect()
    })
}

fn schemathesis(url: &str, caller: &Caller) -> Result<Command> {
    let program = format!("{TOOLS}/bin/schemathesis");
    let mut schemathesis = command(&program, &["--config-file", CONFIG, "run"]);
    schemathesis.args(["--phases", caller.phases]).arg(format!("{url}/openapi.json"));
    schemathesis.env("TENANTRY_TOKEN", token(caller)?);
    Ok(schemathesis)
}

fn token(caller: &Caller) -> Result<String> {
    if caller.token.is_empty() {
        return Ok(String::new());
    }
    let words = [&["token"], caller.token].concat();
    let token = step::output(&mut tenantry(&words)?)?;
    Ok(String::from_utf8(token)?.trim_end().to_owned())
}

/// The binary, which is built beside this one, on the data of the attack.
fn tenantry(words: &[&str]) -> Result<Command> {
    let program = env::current_exe()?.with_file_name("tenantry");
    let mut tenantry = command(&program.display().to_string(), words);
    tenantry.args(["--data-dir", DATA]);
    Ok(tenantry)
}

/// A running server, killed at the latest when it goes out of scope.
struct Server {
    child: Child,
    url: String,
    /// What it goes on to print must go somewhere.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Loads the sample and serves it.
    fn start() -> Result<Self> {
        let mut demo = tenantry(&["demo", "--listen", "127.0.0.1:0", "--log", "warn"])?;
        let mut child = step::spawn(demo.stdout(Stdio::piped()))?;
        let stdout = child.stdout.take().context("the server has no standard output")?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let url = line.trim_end().strip_prefix("tenantry listening on ");
        let url = url.context("the server did not start")?.to_owned();
        Ok(Self { child, url, _stdout: stdout })
    }

    /// Asks it to stop, and fails unless it ends well.
    fn stop(mut self) -> Result<()> {
        let id = self.child.id().to_string();
        step::run(&mut command("kill", &["-TERM", &id]))?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
