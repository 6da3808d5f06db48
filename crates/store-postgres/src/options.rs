//! Where the database is, and how it is used.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::OpenError;
use crate::tls::{self, Mode};

/// How much of the database a process takes, and how long it waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections that change something at once, and as many that read. Beside them one counts calls.
    pub pool_size: usize,
    /// How long a new connection may take.
    pub connect_timeout: Duration,
    /// How long a statement may take, and how long a transaction may do nothing.
    pub statement_timeout: Duration,
    /// How long to wait for a connection, for whoever has the same tenant, or for a database that is
    /// gone.
    pub queue_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pool_size: 8,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            queue_timeout: Duration::from_secs(10),
        }
    }
}

/// A database, and how connections to it are made.
#[derive(Clone)]
pub struct Options {
    pub(crate) config: Config,
    pub(crate) tls: MakeRustlsConnect,
    pub(crate) limits: Limits,
    /// How far the clock may be off the database's.
    pub(crate) clock_tolerance: Option<Duration>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// The options that a URL may have and that the library reads.
const KNOWN: [&str; 12] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "sslnegotiation",
    "user",
];

/// How long a connection may be silent until it is asked whether it is still there, and how long it
/// may not say so.
const SILENCE: Duration = Duration::from_secs(15);

impl Options {
    /// How much is taken, and waited for.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Has a store that is asked whether it is there say so if its clock is further than this off the
    /// database's.
    #[must_use]
    pub fn with_clock_tolerance(self, tolerance: Duration) -> Self {
        Self { clock_tolerance: Some(tolerance), ..self }
    }

    /// Reads a URL as PostgreSQL's own programs do: `postgres://user:password@host:port/database`,
    /// with options after a `?`. `password` is for a URL that has none.
    ///
    /// # Errors
    /// [`OpenError::Url`], which repeats nothing of the URL: a password can be anywhere in one.
    pub fn new(url: &str, password: Option<&str>, limits: Limits) -> Result<Self, OpenError> {
        Self::read(url, password, limits).map_err(|problem| OpenError::Url(problem.into_owned()))
    }

    fn read(url: &str, password: Option<&str>, limits: Limits) -> Result<Self, Cow<'static, str>> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err("it must begin with postgres://".into());
        }
        let (place, options) = split(url);
        let mut mode = Mode::Prefer;
        let mut roots = None;
        let mut known = Vec::new();
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            match name {
                "sslmode" => {
                    mode = Mode::named(value)
                        .ok_or("sslmode must be disable, prefer, require or verify-full")?;
                }
                "sslrootcert" => {
                    let path = percent_decode_str(value).decode_utf8();
                    let path = path.map_err(|_| "sslrootcert must be the path of a file")?;
                    roots = Some(PathBuf::from(path.into_owned()));
                }
                _ => {
                    let name = KNOWN.into_iter().find(|it| *it == name).ok_or_else(|| {
                        format!(
                            "an option of it is none of sslmode, sslrootcert, {}",
                            KNOWN.join(", ")
                        )
                    })?;
                    Config::from_str(&format!("postgres:///?{option}"))
                        .map_err(|_| format!("its option {name} cannot be read"))?;
                    known.push(option);
                }
            }
        }
        if roots.is_some() && mode != Mode::VerifyFull {
            return Err("sslrootcert is for sslmode=verify-full: no other looks at it".into());
        }
        let mut config = Config::from_str(&format!("{place}?{}", known.join("&")))
            .map_err(|_| "its user, host, port or database cannot be read")?;
        if let (None, Some(password)) = (config.get_password(), password) {
            config.password(password);
        }
        if config.get_application_name().is_none() {
            config.application_name("tenantry");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(limits.connect_timeout);
        }
        // A server that has gone without a word is noticed.
        config.keepalives_idle(SILENCE).keepalives_interval(SILENCE / 3).keepalives_retries(3);
        config.tcp_user_timeout(2 * SILENCE);
        config.ssl_mode(mode.into());
        // Of several hosts the one that is written: another one tells what is over.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        let tls = MakeRustlsConnect::new(tls::client(mode, roots.as_deref())?);
        Ok(Self { config, tls, limits, clock_tolerance: None })
    }
}

/// A URL without its options, and those. A password may have a question mark in it.
fn split(url: &str) -> (&str, &str) {
    let host = url.find('@').unwrap_or_default();
    let (before, after) = url.split_at(host);
    match after.split_once('?') {
        Some((place, options)) => (url.get(..before.len() + place.len()).unwrap_or(url), options),
        None => (url, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Options, OpenError> {
        Options::new(url, Some("given"), Limits::default())
    }

    #[test]
    fn the_password_of_the_url_goes_before_another() {
        let config = read("postgres://ann@db.example/acme").unwrap().config;
        assert_eq!(config.get_password(), Some(&b"given"[..]));
        let config =
            read("postgres://ann:h?nter%402@db.example:5433/acme?sslmode=disable").unwrap();
        let Options { config, .. } = config;
        assert_eq!(config.get_password(), Some(&b"h?nter@2"[..]));
        assert_eq!((config.get_user(), config.get_dbname()), (Some("ann"), Some("acme")));
        assert_eq!(config.get_ports(), [5433]);
        assert_eq!(config.get_ssl_mode(), tokio_postgres::config::SslMode::Disable);
    }

    #[test]
    fn nothing_of_a_url_is_repeated() {
        for (url, problem) in [
            ("hunter2", "begin with postgres://"),
            ("host=db password=hunter2", "begin with postgres://"),
            ("postgres://ann:hunter2@db:port/acme", "user, host, port or database"),
            ("postgres://ann:hunter2@db/acme?hunter2=1", "an option of it is none of"),
            ("postgres://ann:hunter2@db/acme?hunter2", "an option of it is none of"),
            ("postgres://ann:hunter2@db/acme?connect_timeout=hunter2", "connect_timeout"),
            ("postgres://ann:hunter2@db/acme?sslmode=hunter2", "sslmode must be"),
            ("postgres://ann:hunter2@db/acme?sslrootcert=hunter2", "sslmode=verify-full"),
            (
                "postgres://ann:hunter2@db/acme?sslmode=verify-full&sslrootcert=hunter2",
                "cannot be used",
            ),
        ] {
            let error = read(url).unwrap_err();
            assert!(error.to_string().contains(problem), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        let options = read("postgres://ann:hunter2@db/acme").unwrap();
        assert!(!format!("{options:?}").contains("hunter2"), "{options:?}");
    }
}
