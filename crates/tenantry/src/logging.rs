//! Structured logs on standard error.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result};
use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;
use crate::config::Settings;

/// Starts logging.
pub(crate) fn start(settings: &Settings) -> Result<()> {
    let filter = EnvFilter::try_new(&settings.log)
        .with_context(|| format!("--log does not understand {:?}", settings.log))?;
    let terminal = std::io::stderr().is_terminal();
    let fitting = if terminal { LogFormat::Text } else { LogFormat::Json };
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.log_format.unwrap_or(fitting) {
        LogFormat::Text => logs.with_ansi(terminal).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
    Ok(())
}
