//! The load generator: `wrk`, over 32 connections that stay.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::process::output;

const CONNECTIONS: &str = "-c32";

/// What one round showed.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Round {
    pub(crate) requests_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Asks for one URL as fast as it is answered.
pub(crate) fn run(url: &str, headers: &[String], seconds: u32) -> Result<Round> {
    let mut command = Command::new("wrk");
    command.args(["-t1", CONNECTIONS, "--latency", &format!("-d{seconds}s")]);
    for header in headers {
        command.args(["-H", header]);
    }
    let text = output(command.arg(url))?;
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
