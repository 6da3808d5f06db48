//! Settings: a flag wins over its variable, a variable over the file, the file over the default.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use tenantry_domain::network::Network;
use tenantry_domain::realm_rules::Reach;
use tenantry_security::secret::SecretText;
use tenantry_store_postgres::Options;
use tenantry_web::WebConfig;

use crate::cli::{Common, KeyAge, LogFormat, ServerFlags};
use crate::database::GivenDatabase;
use crate::installation::Place;
use crate::limits::GivenLimits;

/// The settings that a file may hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct File {
    data_dir: Option<PathBuf>,
    issuer: Option<String>,
    allow_loopback_realms: bool,
    log: Option<String>,
    log_format: Option<LogFormat>,
    master_key: Option<SecretText>,
    next_master_key: Option<SecretText>,
    listen: Option<SocketAddr>,
    metrics_public: bool,
    trusted_proxies: Vec<Network>,
    signing_key_age: Option<KeyAge>,
    limits: GivenLimits,
    database: GivenDatabase,
}

/// The settings in force.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The PostgreSQL database, if the data is there.
    pub(crate) database: Option<Options>,
    /// How it is used, or another one.
    given_database: GivenDatabase,
    /// Where the data is else, and the master key; `None`: the command's default.
    data_dir: Option<PathBuf>,
    /// The `iss` of the built-in realm's tokens.
    pub(crate) issuer: String,
    /// Where the providers of external realms may be.
    pub(crate) reach: Reach,
    /// What to log; `None`: what fits the command.
    pub(crate) log: Option<String>,
    /// How to log; `None`: as fits where the log goes.
    pub(crate) log_format: Option<LogFormat>,
    /// The master key in base64, if it was given.
    pub(crate) master_key: Option<SecretText>,
    /// The one that is to replace it, if it was given.
    pub(crate) next_master_key: Option<SecretText>,
    listen: Option<SocketAddr>,
    metrics_public: bool,
    trusted_proxies: Vec<Network>,
    signing_key_age: Option<KeyAge>,
    limits: GivenLimits,
}

/// Where the server listens unless told.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// At which age a signing key is replaced unless told.
const SIGNING_KEY_AGE: Duration = Duration::from_hours(90 * 24);
/// Where the data is unless told.
const DATA_DIR: &str = "tenantry-data";
/// Holds the master key. Not a flag: other users of the machine could read it there.
pub(crate) const MASTER_KEY: &str = "TENANTRY_MASTER_KEY";
/// Holds the one that is to replace it.
pub(crate) const NEXT_MASTER_KEY: &str = "TENANTRY_NEXT_MASTER_KEY";

impl Settings {
    /// Reads the file, if one is named, and puts the flags over it.
    pub(crate) fn read(common: Common) -> Result<Self> {
        let file = common.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let (master_key, next_master_key) = (given_key(MASTER_KEY)?, given_key(NEXT_MASTER_KEY)?);
        let given_database = common.database.over(file.database);
        let loopback = common.allow_loopback_realms || file.allow_loopback_realms;
        Ok(Self {
            database: given_database.options()?,
            given_database,
            data_dir: common.data_dir.or(file.data_dir),
            issuer: common.issuer.or(file.issuer).unwrap_or_else(|| "tenantry".to_owned()),
            reach: if loopback { Reach::OrLoopback } else { Reach::Encrypted },
            log: common.log.or(file.log),
            log_format: common.log_format.or(file.log_format),
            master_key: master_key.or(file.master_key),
            next_master_key: next_master_key.or(file.next_master_key),
            listen: file.listen,
            metrics_public: file.metrics_public,
            trusted_proxies: file.trusted_proxies,
            signing_key_age: file.signing_key_age,
            limits: file.limits,
        })
    }

    /// Where the data is.
    pub(crate) fn place(&self) -> Place<'_> {
        match &self.database {
            Some(database) => Place::Database(database),
            None => Place::Directory(self.data_dir_or(DATA_DIR)),
        }
    }

    /// How a database is used that is not the one in force.
    pub(crate) fn database_at(&self, url: &SecretText) -> Result<Options> {
        self.given_database.options_of(url)
    }

    /// The data directory, for a command with a default of its own.
    pub(crate) fn data_dir_or<'a>(&'a self, default: &'a str) -> &'a Path {
        self.data_dir.as_deref().unwrap_or(Path::new(default))
    }

    /// Where to listen.
    pub(crate) fn listen(&self, flags: &ServerFlags) -> SocketAddr {
        flags.listen.or(self.listen).unwrap_or(LISTEN)
    }

    /// At which age a signing key is replaced; `None`: at none.
    pub(crate) fn signing_key_age(&self, flags: &ServerFlags) -> Option<Duration> {
        match flags.signing_key_age.or(self.signing_key_age) {
            None => Some(SIGNING_KEY_AGE),
            Some(KeyAge::Never) => None,
            Some(KeyAge::Of(age)) => Some(age),
        }
    }

    /// How the HTTP API behaves.
    pub(crate) fn web(&self, flags: &ServerFlags) -> WebConfig {
        WebConfig {
            metrics_public: flags.metrics_public || self.metrics_public,
            trusted_proxies: flags
                .trusted_proxies
                .as_ref()
                .unwrap_or(&self.trusted_proxies)
                .clone(),
            limits: flags.limits.over(&self.limits),
        }
    }
}

/// A key in an environment variable.
fn given_key(variable: &str) -> Result<Option<SecretText>> {
    match std::env::var(variable) {
        Ok(key) => Ok(Some(SecretText::new(key))),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            anyhow::bail!("{variable} must be 32 bytes in base64")
        }
    }
}

fn read_file(path: &Path) -> Result<File> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the settings in {}", path.display()))?;
    // The library quotes the offending line, which could be the one with the master key.
    toml::from_str(&text).map_err(|error| {
        let setting = error.span().and_then(|span| setting_at(&text, span.start));
        let setting = setting.map_or_else(String::new, |name| format!("{name}: "));
        anyhow::anyhow!("{} is not valid: {setting}{}", path.display(), error.message())
    })
}

/// The name of the setting that is on the same line. Not sought where a value may have several
/// lines, of which none may be repeated.
fn setting_at(text: &str, at: usize) -> Option<&str> {
    if ["\"\"\"", "'''"].iter().any(|quote| text.contains(quote)) {
        return None;
    }
    let line = text.get(..at)?.rfind('\n').map_or(0, |end| end.saturating_add(1));
    let (name, _) = text.get(line..)?.lines().next()?.split_once('=')?;
    Some(name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_listens_on_port_8080_of_this_machine_alone_unless_told() {
        let untold = Common {
            config: None,
            data_dir: None,
            issuer: None,
            allow_loopback_realms: false,
            log: None,
            log_format: None,
            database: GivenDatabase::default(),
        };
        let flags = ServerFlags {
            listen: None,
            metrics_public: false,
            trusted_proxies: None,
            signing_key_age: None,
            limits: GivenLimits::default(),
        };
        let settings = Settings::read(untold).unwrap();
        assert_eq!(settings.listen(&flags).to_string(), "127.0.0.1:8080");
        let place = settings.place();
        assert!(matches!(place, Place::Directory(it) if it == Path::new("tenantry-data")));
    }
}
