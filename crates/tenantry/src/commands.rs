//! What each command does.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::cli::{AdminCommand, Cli, Command, KeysCommand, VaultCommand};
use crate::config::Settings;
use crate::logging;

mod admin;
mod copy;
mod demo;
mod keys;
mod migrate;
mod progress;
mod serve;
mod stats;
mod table;
mod token;
mod vault;
mod verify;

/// Runs the command.
pub(crate) fn run(cli: Cli) -> Result<ExitCode> {
    let settings = Settings::read(cli.common)?;
    let server = matches!(cli.command, Command::Serve(_) | Command::Demo(_));
    logging::start(&settings, server)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        match cli.command {
            Command::Serve(flags) => serve::run(&settings, &flags).await,
            Command::Demo(flags) => demo::run(&settings, &flags).await,
            Command::Token(flags) => token::run(&settings, &flags).await,
            Command::Stats { tenant, json } => stats::run(&settings, tenant, json).await,
            Command::Verify { tenant } => return verify::run(&settings, tenant).await,
            Command::Migrate => migrate::run(&settings).await,
            Command::Copy(flags) => copy::run(&settings, &flags).await,
            Command::Openapi => print(&tenantry_web::openapi_json()),
            Command::Keys(KeysCommand::Rotate { now }) => keys::rotate(&settings, now).await,
            Command::Keys(KeysCommand::List) => keys::list(&settings).await,
            Command::Vault(VaultCommand::Rewrap) => vault::rewrap(&settings).await,
            Command::Vault(VaultCommand::Retire { now }) => vault::retire(&settings, now).await,
            Command::Vault(VaultCommand::List) => vault::list(&settings).await,
            Command::Admin(AdminCommand::Create { email, name, tenant, password_stdin }) => {
                admin::create(&settings, tenant, email, name, password_stdin).await
            }
        }?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Writes to standard output, where results go. A reader that has gone away is no failure.
fn print(text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}
