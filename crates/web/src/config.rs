//! What an operator can set.

use std::time::Duration;

use tenantry_domain::network::Network;

/// How the HTTP server behaves.
#[derive(Debug, Clone, Default)]
pub struct WebConfig {
    /// Whether `/metrics` answers everybody. Unless set it answers peers on the loopback
    /// interface, and is not there for others.
    pub metrics_public: bool,
    /// The proxies that are believed for whom they call; none unless set.
    pub trusted_proxies: Vec<Network>,
    /// How much of the server anybody can take.
    pub limits: Limits,
}

/// How much of the server clients can take, whoever they are and whatever they do.
///
/// The times of connections are looked at once a second, so that they cost a request nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most connections at once; 10,000 unless set. Beyond it those that have been without a
    /// request for the longest are closed.
    pub max_connections: usize,
    /// The most requests under way at once; 4,096 unless set. Those beyond it are answered 503.
    pub max_requests: usize,
    /// The most requests under way at once on one HTTP/2 connection; 100 unless set.
    pub max_streams: u32,
    /// The most bytes that a request's line and headers may have; 32 KiB unless set, and never less
    /// than [`Limits::LEAST_HEAD`]. A longer one is answered 431.
    pub max_head_size: u32,
    /// The most bytes a request's body may have; 1 MiB unless set. A longer one is answered 413.
    pub max_body_size: usize,
    /// The most bytes the body of an import may have; 32 MiB unless set.
    pub max_import_size: usize,
    /// The most bytes that all bodies together may have that are being read or were read for a request
    /// under way; 256 MiB unless set, and never less than the longest body. What finds no room is
    /// answered 503.
    pub max_body_memory: usize,
    /// How long a new connection may take to bring a request's line and headers, and any connection
    /// from the first byte of one; 10 seconds unless set. Then it is closed.
    pub head_timeout: Duration,
    /// How long a body may bring nothing; 10 seconds unless set. Then the request is answered 408.
    pub body_timeout: Duration,
    /// How long a client may take nothing of an answer; 30 seconds unless set. Then its connection
    /// is closed.
    pub write_timeout: Duration,
    /// How long a connection may be without a request; 75 seconds unless set. Then it is closed.
    pub idle_timeout: Duration,
    /// How long a request may take until it is answered 503; 30 seconds unless set.
    pub request_timeout: Duration,
    /// How long requests under way may go on once the server is told to stop; 20 seconds unless
    /// set.
    pub shutdown_grace: Duration,
}

impl Limits {
    /// The least that the head of a request may be limited to, in bytes.
    pub const LEAST_HEAD: u32 = 8_192;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_requests: 4_096,
            max_streams: 100,
            max_head_size: 32 * 1024,
            max_body_size: 1024 * 1024,
            max_import_size: 32 * 1024 * 1024,
            max_body_memory: 256 * 1024 * 1024,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            request_timeout: Duration::from_secs(30),
            shutdown_grace: Duration::from_secs(20),
        }
    }
}
