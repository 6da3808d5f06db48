//! The PostgreSQL database, as an operator says where it is and how it is used.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Deserialize;
use tenantry_security::secret::SecretText;
use tenantry_store_postgres::{Limits, Options};

use crate::limits::Time;

/// Holds the password. Not a flag: other users of the machine could read it there.
const PASSWORD: &str = "TENANTRY_DATABASE_PASSWORD";

/// How far a server's clock may be off the database's.
const CLOCK_TOLERANCE: Duration = Duration::from_millis(500);

/// What is given: as flags, or in the table `database` of the settings file.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[command(next_help_heading = "PostgreSQL")]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct GivenDatabase {
    /// PostgreSQL database, as `postgres://user@host:5432/name?sslmode=verify-full` [default: SQLite
    /// in the data directory]
    #[arg(
        id = "database",
        long = "database",
        global = true,
        env = "TENANTRY_DATABASE",
        hide_env_values = true,
        value_name = "URL",
        value_parser = secret
    )]
    url: Option<SecretText>,
    #[arg(skip)]
    password: Option<SecretText>,
    /// File with the database's password, if neither the URL nor `TENANTRY_DATABASE_PASSWORD` has it
    #[arg(
        id = "database_password_file",
        long = "database-password-file",
        global = true,
        env = "TENANTRY_DATABASE_PASSWORD_FILE",
        value_name = "FILE"
    )]
    password_file: Option<PathBuf>,
    /// Connections that change something at once, and as many that read [default: 8]
    #[arg(
        id = "database_pool_size",
        long = "database-pool-size",
        global = true,
        env = "TENANTRY_DATABASE_POOL_SIZE",
        value_name = "NUMBER"
    )]
    pool_size: Option<PoolSize>,
    /// How long a new connection may take [default: 5s]
    #[arg(
        id = "database_connect_timeout",
        long = "database-connect-timeout",
        global = true,
        env = "TENANTRY_DATABASE_CONNECT_TIMEOUT",
        value_name = "TIME"
    )]
    connect_timeout: Option<Time>,
    /// How long a statement may take; then its request is answered 503 [default: 30s]
    #[arg(
        id = "database_statement_timeout",
        long = "database-statement-timeout",
        global = true,
        env = "TENANTRY_DATABASE_STATEMENT_TIMEOUT",
        value_name = "TIME"
    )]
    statement_timeout: Option<Time>,
    /// How long a request may wait for a connection, or for others who change the same tenant; then
    /// it is answered 503 [default: 10s]
    #[arg(
        id = "database_queue_timeout",
        long = "database-queue-timeout",
        global = true,
        env = "TENANTRY_DATABASE_QUEUE_TIMEOUT",
        value_name = "TIME"
    )]
    queue_timeout: Option<Time>,
}

/// Where the data of an installation is, as `copy` is told.
#[derive(Debug, Clone)]
pub(crate) enum Location {
    /// A data directory.
    Directory(PathBuf),
    /// The URL of a database.
    Database(SecretText),
}

impl Location {
    /// Repeats nothing of what it refuses: it can be a URL with a password.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        match text.strip_prefix("sqlite:") {
            Some("") => Err("must name a directory after sqlite:"),
            Some(directory) => Ok(Self::Directory(directory.into())),
            // What is wrong with it is said without it.
            None => Ok(Self::Database(SecretText::new(text.to_owned()))),
        }
    }
}

impl GivenDatabase {
    /// These settings, and those of the file where these say nothing.
    pub(crate) fn over(self, file: Self) -> Self {
        Self {
            url: self.url.or(file.url),
            password: self.password.or(file.password),
            password_file: self.password_file.or(file.password_file),
            pool_size: self.pool_size.or(file.pool_size),
            connect_timeout: self.connect_timeout.or(file.connect_timeout),
            statement_timeout: self.statement_timeout.or(file.statement_timeout),
            queue_timeout: self.queue_timeout.or(file.queue_timeout),
        }
    }

    /// The database in force, if there is one.
    pub(crate) fn options(&self) -> Result<Option<Options>> {
        self.url.as_ref().map(|url| self.options_of(url)).transpose()
    }

    /// Another database under the same settings.
    pub(crate) fn options_of(&self, url: &SecretText) -> Result<Options> {
        let limits = Limits::default();
        let time = |given: Option<Time>, default: Duration| {
            given.map_or(default, |Time(duration)| duration)
        };
        let limits = Limits {
            pool_size: self.pool_size.map_or(limits.pool_size, |it| it.0),
            connect_timeout: time(self.connect_timeout, limits.connect_timeout),
            statement_timeout: time(self.statement_timeout, limits.statement_timeout),
            queue_timeout: time(self.queue_timeout, limits.queue_timeout),
        };
        let password = match std::env::var(PASSWORD) {
            Ok(password) => Some(SecretText::new(password)),
            Err(std::env::VarError::NotPresent) => self.password.clone(),
            Err(std::env::VarError::NotUnicode(_)) => anyhow::bail!("{PASSWORD} must be text"),
        };
        let password = match (password, &self.password_file) {
            (None, Some(path)) => Some(read_password(path)?),
            (password, _) => password,
        };
        let password = password.as_ref().map(SecretText::expose);
        let options = Options::new(url.expose(), password, limits)?;
        Ok(options.with_clock_tolerance(CLOCK_TOLERANCE))
    }
}

/// What ends its line does not belong to it.
fn read_password(path: &std::path::Path) -> Result<SecretText> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the database's password in {}", path.display()))?;
    let text = SecretText::new(text);
    Ok(SecretText::new(text.expose().trim_end_matches(['\r', '\n']).to_owned()))
}

/// Takes anything: whoever refuses a flag repeats it.
#[expect(clippy::unnecessary_wraps, reason = "a parser can fail, and this one must not")]
fn secret(text: &str) -> Result<SecretText, Infallible> {
    Ok(SecretText::new(text.to_owned()))
}

/// A number of connections: of two, one can wait for what the other does.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
struct PoolSize(usize);

impl TryFrom<i64> for PoolSize {
    type Error = &'static str;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        usize::try_from(number)
            .ok()
            .filter(|number| (2..=1_000).contains(number))
            .map(Self)
            .ok_or("must be a whole number from 2 to 1000")
    }
}

impl std::str::FromStr for PoolSize {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.parse().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::Cli;

    fn given(flags: &[String]) -> GivenDatabase {
        let words = ["tenantry", "--database=postgres://h/d", "migrate"].map(str::to_owned);
        Cli::try_parse_from(words.iter().chain(flags)).unwrap().common.database
    }

    #[test]
    fn the_help_tells_the_defaults() {
        let command = Cli::command();
        let told: Vec<_> = command
            .get_arguments()
            .filter(|flag| flag.get_help_heading() == Some("PostgreSQL"))
            .filter_map(|flag| {
                let help = flag.get_help().unwrap().to_string();
                let default = help.split_once("[default: ")?.1.trim_end_matches(']').to_owned();
                let default =
                    default.starts_with(|it: char| it.is_ascii_digit()).then_some(default)?;
                Some([format!("--{}", flag.get_long().unwrap()), default])
            })
            .flatten()
            .collect();
        assert_eq!(told.len(), 2 * 4);
        let options = given(&told).options().unwrap().unwrap();
        assert_eq!(options.limits(), Limits::default());
    }

    #[test]
    fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
        let file: GivenDatabase =
            toml::from_str("pool-size = 3\nconnect-timeout = \"2s\"").unwrap();
        let flags = given(&["--database-pool-size=4".to_owned()]);
        let limits = flags.over(file).options().unwrap().unwrap().limits();
        assert_eq!(limits.pool_size, 4);
        assert_eq!(limits.connect_timeout, Duration::from_secs(2));
        assert_eq!(limits.queue_timeout, Limits::default().queue_timeout);
        assert!("1".parse::<PoolSize>().is_err());
    }

    #[test]
    fn nothing_of_the_url_is_shown() {
        let words = ["tenantry", "migrate", "--database", "postgres://ann:hunter2@h/d?hunter2"];
        let cli = Cli::try_parse_from(words).unwrap();
        assert!(!format!("{cli:?}").contains("hunter2"));
        let error = cli.common.database.options().unwrap_err();
        assert!(!format!("{error:#} {error:?}").contains("hunter2"));
    }
}
