//! The load generator: `wrk`, over connections that stay.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::process::output;

/// Connections unless told.
const CONNECTIONS: u32 = 32;

/// What one round showed.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Round {
    pub(crate) requests_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// What to ask for.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    url: &'a str,
    headers: &'a [String],
    connections: u32,
    script: Option<(&'a str, Vec<&'a OsStr>)>,
}

/// Asks for one URL as fast as it is answered.
pub(crate) fn run(url: &str, headers: &[String], seconds: u32) -> Result<Round> {
    Load::of(url, headers).run(seconds)
}

impl<'a> Load<'a> {
    /// One URL, over 32 connections.
    pub(crate) fn of(url: &'a str, headers: &'a [String]) -> Self {
        Self { url, headers, connections: CONNECTIONS, script: None }
    }

    /// Over as many connections.
    pub(crate) fn over(self, connections: u32) -> Self {
        Self { connections, ..self }
    }

    /// What a script makes of it, which is given one argument.
    pub(crate) fn by(self, script: &'a str, argument: &'a (impl AsRef<OsStr> + ?Sized)) -> Self {
        Self { script: Some((script, vec![argument.as_ref()])), ..self }
    }

    /// The script is given one more.
    pub(crate) fn and(mut self, argument: &'a (impl AsRef<OsStr> + ?Sized)) -> Self {
        if let Some((_, arguments)) = &mut self.script {
            arguments.push(argument.as_ref());
        }
        self
    }

    /// Asks as fast as it is answered.
    pub(crate) fn run(&self, seconds: u32) -> Result<Round> {
        let mut command = Command::new("wrk");
        command.args(["-t1", &format!("-c{}", self.connections), "--latency"]);
        command.arg(format!("-d{seconds}s"));
        for header in self.headers {
            command.args(["-H", header]);
        }
        if let Some((script, arguments)) = &self.script {
            let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("wrk");
            command.arg("-s").arg(scripts.join(script)).args([self.url, "--"]).args(arguments);
        } else {
            command.arg(self.url);
        }
        read(&output(&mut command)?)
    }
}

fn read(text: &str) -> Result<Round> {
    // It counts whatever is answered; a failure is no answer.
    ensure!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{text}");
    let after = |label: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(label));
        line.map(str::trim).with_context(|| format!("no {label} in {text}"))
    };
    Ok(Round {
        requests_per_second: after("Requests/sec:")?.parse()?,
        p50_ms: milliseconds(after("50%")?)?,
        p99_ms: milliseconds(after("99%")?)?,
    })
}

fn milliseconds(text: &str) -> Result<f64> {
    for (unit, factor) in [("us", 0.001), ("ms", 1.0), ("s", 1_000.0)] {
        if let Some(Ok(number)) = text.strip_suffix(unit).map(str::parse::<f64>) {
            return Ok(number * factor);
        }
    }
    anyhow::bail!("{text} is no time")
}
