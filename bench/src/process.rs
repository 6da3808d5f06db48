//! Programs that are measured, and that end with the measurement.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// Where the programs are that are measured, if not beside this one.
const BINARIES: &str = "TENANTRY_BINARIES";

/// A program that is measured: usually they are built together with this one.
pub(crate) fn program(name: &str) -> Result<Command> {
    if let Some(directory) = std::env::var_os(BINARIES) {
        return Ok(Command::new(PathBuf::from(directory).join(name)));
    }
    let this: PathBuf = std::env::current_exe()?;
    let directory = this.parent().context("this program is in no directory")?;
    Ok(Command::new(directory.join(name)))
}

/// What a program prints.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "{command:?} failed: {text}");
    Ok(text)
}

/// A server, until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    /// Where it answers.
    pub(crate) url: String,
}

impl Server {
    /// Starts a server that prints a line which ends in its URL once it answers.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let stdout = process.stdout.take().context("it has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let url = line.split_whitespace().last();
        let url = url.with_context(|| format!("{command:?} said no address"))?.to_owned();
        Ok(Self { process, url })
    }

    /// The URL of a tenant's statistics.
    pub(crate) fn statistics(&self, tenant: &str) -> String {
        format!("{}/api/v1/admin/tenants/{tenant}/stats", self.url)
    }

    /// Asks it to stop and waits until it has.
    pub(crate) fn stop(mut self) -> Result<()> {
        output(Command::new("kill").args(["-TERM", &self.process.id().to_string()]))?;
        let status = self.process.wait()?;
        ensure!(status.success(), "the server failed: {status}");
        Ok(())
    }

    /// The memory that it has in use, in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        let status = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(status)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u64 = kib.context("the system does not tell its memory")?.parse()?;
        Ok(kib * 1_024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has nothing to lose: its directory is a temporary one.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
