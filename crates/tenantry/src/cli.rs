//! The commands and their flags.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tenantry_domain::access::Role;
use tenantry_domain::id::{TenantId, UserId};
use tenantry_domain::network::Network;
use tenantry_domain::text::{Email, Name};

use crate::database::{GivenDatabase, Location};
use crate::limits::GivenLimits;

/// Exact, real-time statistics for multi-tenant platforms.
#[derive(Debug, Parser)]
#[command(name = "tenantry", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes. A flag wins over its variable, a variable over the file.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// TOML file with settings, named like the flags
    #[arg(long, global = true, env = "TENANTRY_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Directory of the SQLite database and the master key [default: tenantry-data; demo: tenantry-demo]
    #[arg(long, global = true, env = "TENANTRY_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The `iss` of the built-in realm's tokens [default: tenantry]
    #[arg(long, global = true, env = "TENANTRY_ISSUER")]
    pub(crate) issuer: Option<String>,
    /// Take realms whose provider is on this machine, by http: for development and tests
    #[arg(long, global = true, env = "TENANTRY_ALLOW_LOOPBACK_REALMS")]
    pub(crate) allow_loopback_realms: bool,
    /// What to log, as in `info` or `warn,tenantry_web=debug` [default: info; off for commands that
    /// do not serve]
    #[arg(long, global = true, env = "TENANTRY_LOG")]
    pub(crate) log: Option<String>,
    /// How to log [default: text on a terminal, else json]
    #[arg(long, global = true, env = "TENANTRY_LOG_FORMAT", value_enum)]
    pub(crate) log_format: Option<LogFormat>,
    #[command(flatten)]
    pub(crate) database: GivenDatabase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// For programs: one JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    Serve(ServerFlags),
    /// Load a sample platform, serve it, and print curl lines to try
    Demo(ServerFlags),
    /// Print a token of the built-in realm
    Token(TokenFlags),
    /// Print a tenant's statistics
    Stats {
        /// The tenant's id
        tenant: TenantId,
        /// The very JSON that the API answers
        #[arg(long)]
        json: bool,
    },
    /// Recount everything from the rows and check the ledgers; exit 1 on any drift
    Verify {
        /// Only this tenant
        #[arg(long)]
        tenant: Option<TenantId>,
    },
    /// Bring the database to this version
    Migrate,
    /// Copy an installation into an empty directory or database, while no server of it runs
    Copy(CopyFlags),
    /// Print the OpenAPI document
    Openapi,
    /// The keys that the built-in realm signs its tokens with
    #[command(subcommand)]
    Keys(KeysCommand),
    /// The master keys that secrets are sealed under
    #[command(subcommand)]
    Vault(VaultCommand),
    /// Administer the installation
    #[command(subcommand)]
    Admin(AdminCommand),
}

#[derive(Debug, Args)]
pub(crate) struct ServerFlags {
    /// Address and port to listen on; port 0 picks a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "TENANTRY_LISTEN", value_name = "ADDR:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Answer /metrics to everybody, not to this machine alone
    #[arg(long, env = "TENANTRY_METRICS_PUBLIC")]
    pub(crate) metrics_public: bool,
    /// Addresses and networks of proxies that are believed for whom they call: the client is the last
    /// address in X-Forwarded-For that is none of them [default: none]
    #[arg(long, env = "TENANTRY_TRUSTED_PROXIES", value_name = "NETWORKS", value_delimiter = ',')]
    pub(crate) trusted_proxies: Option<Vec<Network>>,
    /// How old a signing key is when the server makes a new one, as in 90d; or never [default: 90d]
    #[arg(long, env = "TENANTRY_SIGNING_KEY_AGE", value_name = "TIME")]
    pub(crate) signing_key_age: Option<KeyAge>,
    #[command(flatten)]
    pub(crate) limits: GivenLimits,
}

/// At which age a signing key is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum KeyAge {
    /// At none.
    Never,
    /// At this one.
    Of(Duration),
}

impl FromStr for KeyAge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Younger ones would pile up: each stays a day for what it has signed.
        match parse_ttl(text) {
            _ if text == "never" => Ok(Self::Never),
            Ok(seconds) if seconds >= 3_600 => Ok(Self::Of(Duration::from_secs(seconds))),
            _ => Err("must be `never`, or a number with s, m, h or d, from 1h to 365d".to_owned()),
        }
    }
}

impl TryFrom<String> for KeyAge {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[derive(Debug, Args)]
pub(crate) struct CopyFlags {
    /// What to copy
    #[arg(long, value_name = "sqlite:DIR|postgres://…", value_parser = Location::parse)]
    pub(crate) from: Location,
    /// Where to
    #[arg(long, value_name = "sqlite:DIR|postgres://…", value_parser = Location::parse)]
    pub(crate) to: Location,
}

#[derive(Debug, Args)]
pub(crate) struct TokenFlags {
    /// What its bearer may do
    #[arg(long, value_name = "super_admin|tenant_admin|member")]
    pub(crate) role: Role,
    /// The bearer's tenant [default: the platform's own]
    #[arg(long, value_name = "UUID")]
    pub(crate) tenant: Option<TenantId>,
    /// The user it is for [default: an operator of the tenant, not one of its users]
    #[arg(long, value_name = "USER-ID")]
    pub(crate) subject: Option<UserId>,
    /// How long it is valid: 90s, 15m, 1h, 7d
    #[arg(long, default_value = "1h", value_parser = parse_ttl)]
    pub(crate) ttl: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a new signing key, while servers run or not; older ones verify what they have signed
    Rotate {
        /// A key has leaked: the new one signs at once, and no token of the others is good any more
        #[arg(long)]
        now: bool,
    },
    /// Print the signing keys, oldest first
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VaultCommand {
    /// Replace the master key and seal everything anew, while servers run or not; cut off, run it again.
    /// The next key is in `TENANTRY_NEXT_MASTER_KEY`; where a file holds the key, it is made
    Rewrap,
    /// Once every server has the new master key: the old one opens nothing any more
    Retire {
        /// Do not wait until servers that run can know the new key
        #[arg(long)]
        now: bool,
    },
    /// Print the ids of the master keys, and what they are for
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Make a user who administers a tenant
    Create {
        /// The user's e-mail address
        #[arg(long, value_parser = Email::parse)]
        email: Email,
        /// What to call the person
        #[arg(long, value_parser = Name::parse)]
        name: Option<Name>,
        /// The tenant [default: the platform's own, whose administrators may be super admins]
        #[arg(long, value_name = "UUID")]
        tenant: Option<TenantId>,
        /// Read the user's password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
}

/// Reads a whole number with a unit, as seconds.
pub(crate) fn parse_ttl(text: &str) -> Result<u64, String> {
    let wrong = || "must be a number with s, m, h or d, from 1s to 365d".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text.strip_suffix(unit).ok_or_else(wrong)?.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).filter(|ttl| (1..=365 * 86_400).contains(ttl)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_flags_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_to_live() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h", 3_600), ("365d", 31_536_000)] {
            assert_eq!(parse_ttl(text), Ok(seconds));
        }
        for text in ["", "0s", "1", "h", "366d", "-1h", "1hh", "99999999999999999999d"] {
            assert!(parse_ttl(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ages_of_keys() {
        assert_eq!("never".parse(), Ok(KeyAge::Never));
        assert_eq!("2h".parse(), Ok(KeyAge::Of(Duration::from_hours(2))));
        for text in ["", "0", "59m", "366d", "Never"] {
            assert!(text.parse::<KeyAge>().is_err(), "{text}");
        }
    }
}
