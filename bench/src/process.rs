//! Programs that are measured, and that end with the measurement.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

/// A program beside this one: they are built together.
pub(crate) fn program(name: &str) -> Result<Command> {
    let this: PathBuf = std::env::current_exe()?;
    let directory = this.parent().context("this program is in no directory")?;
    Ok(Command::new(directory.join(name)))
}

/// What a program prints.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let text = String::from_utf8(output.stdout)?;
    anyhow::ensure!(output.status.success(), "{command:?} failed: {text}");
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
        let url = line.split_whitespace().last().context("it said no address")?.to_owned();
        Ok(Self { process, url })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has nothing to lose: its directory is a temporary one.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
