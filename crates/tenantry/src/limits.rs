//! How much clients can take, as an operator says it.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use tenantry_web::Limits;

use crate::cli::parse_ttl;

/// The limits that are given: as flags, or in the table `limits` of the settings file.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[command(next_help_heading = "Limits")]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct GivenLimits {
    /// Connections at once; beyond it those without a request for the longest are closed
    /// [default: 10000]
    #[arg(long, env = "TENANTRY_MAX_CONNECTIONS", value_name = "NUMBER")]
    max_connections: Option<Number>,
    /// Requests under way at once; those beyond it are answered 503 [default: 4096]
    #[arg(long, env = "TENANTRY_MAX_REQUESTS", value_name = "NUMBER")]
    max_requests: Option<Number>,
    /// Requests under way at once on one HTTP/2 connection [default: 100]
    #[arg(long, env = "TENANTRY_MAX_STREAMS", value_name = "NUMBER")]
    max_streams: Option<Number>,
    /// A request's line and headers; longer ones are answered 431 [default: 32KiB]
    #[arg(long, env = "TENANTRY_MAX_HEAD_SIZE", value_name = "SIZE")]
    max_head_size: Option<HeadSize>,
    /// A request's body; longer ones are answered 413 [default: 1MiB]
    #[arg(long, env = "TENANTRY_MAX_BODY_SIZE", value_name = "SIZE")]
    max_body_size: Option<BodySize>,
    /// The body of an import; longer ones are answered 413 [default: 32MiB]
    #[arg(long, env = "TENANTRY_MAX_IMPORT_SIZE", value_name = "SIZE")]
    max_import_size: Option<BodySize>,
    /// All bodies at once; a request that finds no room is answered 503 [default: 256MiB]
    #[arg(long, env = "TENANTRY_MAX_BODY_MEMORY", value_name = "SIZE")]
    max_body_memory: Option<BodySize>,
    /// How long the line and headers may take; then the connection is closed [default: 10s]
    #[arg(long, env = "TENANTRY_HEAD_TIMEOUT", value_name = "TIME")]
    head_timeout: Option<Time>,
    /// How long a body may bring nothing; then the request is answered 408 [default: 10s]
    #[arg(long, env = "TENANTRY_BODY_TIMEOUT", value_name = "TIME")]
    body_timeout: Option<Time>,
    /// How long a client may take nothing of an answer; then its connection is closed [default: 30s]
    #[arg(long, env = "TENANTRY_WRITE_TIMEOUT", value_name = "TIME")]
    write_timeout: Option<Time>,
    /// How long a connection may be without a request; then it is closed [default: 75s]
    #[arg(long, env = "TENANTRY_IDLE_TIMEOUT", value_name = "TIME")]
    idle_timeout: Option<Time>,
    /// How long a request may take, its body included; then it is answered 503 [default: 30s]
    #[arg(long, env = "TENANTRY_REQUEST_TIMEOUT", value_name = "TIME")]
    request_timeout: Option<Time>,
    /// How long requests under way may go on after SIGTERM; then they are cut off [default: 20s]
    #[arg(long, env = "TENANTRY_SHUTDOWN_GRACE", value_name = "TIME")]
    shutdown_grace: Option<Time>,
}

impl GivenLimits {
    /// The limits in force: these go before those of the file, and those before the defaults.
    pub(crate) fn over(&self, file: &Self) -> Limits {
        let Limits {
            max_connections,
            max_requests,
            max_streams,
            max_head_size,
            max_body_size,
            max_import_size,
            max_body_memory,
            head_timeout,
            body_timeout,
            write_timeout,
            idle_timeout,
            request_timeout,
            shutdown_grace,
        } = Limits::default();
        let number = |given: Option<Number>, file: Option<Number>, default: usize| {
            given.or(file).map_or(default, |Number(number)| widen(number))
        };
        let size = |given: Option<BodySize>, file: Option<BodySize>, default: usize| {
            given.or(file).map_or(default, |Size(bytes)| widen(bytes))
        };
        let time = |given: Option<Time>, file: Option<Time>, default: Duration| {
            given.or(file).map_or(default, |Time(duration)| duration)
        };
        Limits {
            max_connections: number(self.max_connections, file.max_connections, max_connections),
            max_requests: number(self.max_requests, file.max_requests, max_requests),
            max_streams: self.max_streams.or(file.max_streams).map_or(max_streams, |it| it.0),
            max_head_size: self
                .max_head_size
                .or(file.max_head_size)
                .map_or(max_head_size, |it| it.0),
            max_body_size: size(self.max_body_size, file.max_body_size, max_body_size),
            max_import_size: size(self.max_import_size, file.max_import_size, max_import_size),
            max_body_memory: size(self.max_body_memory, file.max_body_memory, max_body_memory),
            head_timeout: time(self.head_timeout, file.head_timeout, head_timeout),
            body_timeout: time(self.body_timeout, file.body_timeout, body_timeout),
            write_timeout: time(self.write_timeout, file.write_timeout, write_timeout),
            idle_timeout: time(self.idle_timeout, file.idle_timeout, idle_timeout),
            request_timeout: time(self.request_timeout, file.request_timeout, request_timeout),
            shutdown_grace: time(self.shutdown_grace, file.shutdown_grace, shutdown_grace),
        }
    }
}

fn widen(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A number of things: none is no limit that a server can serve under.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
struct Number(u32);

impl TryFrom<i64> for Number {
    type Error = &'static str;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        u32::try_from(number)
            .ok()
            .filter(|number| (1..=1_000_000).contains(number))
            .map(Self)
            .ok_or("must be a whole number from 1 to 1000000")
    }
}

impl FromStr for Number {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.parse().unwrap_or(0))
    }
}

type HeadSize = Size<{ Limits::LEAST_HEAD }, { 1 << 20 }>;
type BodySize = Size<1, { 1 << 30 }>;

/// A number of bytes, from the least to the most.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Size<const LEAST: u32, const MOST: u32>(u32);

impl<const LEAST: u32, const MOST: u32> FromStr for Size<LEAST, MOST> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("B", 1)];
        units
            .into_iter()
            .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, bytes)))
            .and_then(|(number, bytes)| number.parse::<u32>().ok()?.checked_mul(bytes))
            .filter(|size| (LEAST..=MOST).contains(size))
            .map(Self)
            .ok_or_else(|| format!("must be a number with B, KiB or MiB, from {LEAST}B to {MOST}B"))
    }
}

impl<const LEAST: u32, const MOST: u32> TryFrom<String> for Size<LEAST, MOST> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A time of whole seconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Time(pub(crate) Duration);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_ttl(text).map(Duration::from_secs).map(Self)
    }
}

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::{Cli, Command};

    fn given(flags: &[String]) -> GivenLimits {
        let words = ["tenantry", "serve"].map(str::to_owned);
        let cli = Cli::try_parse_from(words.iter().chain(flags)).unwrap();
        let Command::Serve(flags) = cli.command else { panic!("{cli:?}") };
        flags.limits
    }

    #[test]
    fn the_help_tells_the_defaults() {
        let command = Cli::command();
        let serve = command.find_subcommand("serve").unwrap();
        let told: Vec<_> = serve
            .get_arguments()
            .filter(|flag| flag.get_help_heading() == Some("Limits"))
            .flat_map(|flag| {
                let help = flag.get_help().unwrap().to_string();
                let default = help.split_once("[default: ").unwrap().1.trim_end_matches(']');
                [format!("--{}", flag.get_long().unwrap()), default.to_owned()]
            })
            .collect();
        assert_eq!(told.len(), 2 * 13);
        assert_eq!(given(&told).over(&GivenLimits::default()), Limits::default());
    }

    #[test]
    fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
        let file: GivenLimits =
            toml::from_str("max-requests = 7\nmax-streams = 8\nhead-timeout = \"3s\"").unwrap();
        let flags = given(&["--max-requests=9".to_owned(), "--idle-timeout=2m".to_owned()]);
        let limits = flags.over(&file);
        assert_eq!((limits.max_requests, limits.max_streams), (9, 8));
        assert_eq!(limits.head_timeout, Duration::from_secs(3));
        assert_eq!(limits.idle_timeout, Duration::from_mins(2));
        assert_eq!(limits.write_timeout, Limits::default().write_timeout);
    }

    #[test]
    fn what_is_no_limit() {
        for text in ["", "0", "-1", "1.5", "1000001", "many"] {
            assert!(text.parse::<Number>().is_err(), "{text}");
        }
        for text in ["", "0B", "8191B", "2MiB", "9000", "9kib", "KiB", "99999999MiB"] {
            assert!(text.parse::<HeadSize>().is_err(), "{text}");
        }
        assert_eq!("8KiB".parse::<HeadSize>().unwrap().0, Limits::LEAST_HEAD);
        assert_eq!("1B".parse::<BodySize>().unwrap().0, 1);
    }
}
