//! Structured logs on standard error.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result};
use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;
use crate::config::Settings;

/// Starts logging. A server logs; a command that is done in a moment says what it has to say itself,
/// unless it is asked for more.
pub(crate) fn start(settings: &Settings, server: bool) -> Result<()> {
    let fitting = if server { "info" } else { "off" };
    let log = settings.log.as_deref().unwrap_or(fitting);
    let filter =
        EnvFilter::try_new(log).with_context(|| format!("--log does not understand {log:?}"))?;
    let terminal = std::io::stderr().is_terminal();
    let fitting = if terminal { LogFormat::Text } else { LogFormat::Json };
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A line that cannot be written is lost. To say so on standard error would panic.
        .log_internal_errors(false);
    match settings.log_format.unwrap_or(fitting) {
        LogFormat::Text => logs.with_ansi(terminal).init(),
        LogFormat::Json => logs.json().flatten_event(true).with_span_list(false).init(),
    }
    Ok(())
}
