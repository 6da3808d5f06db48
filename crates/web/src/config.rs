//! What an operator can set.

use std::time::Duration;

/// How the HTTP server behaves.
#[derive(Debug, Clone)]
pub struct WebConfig {
    /// Whether `/metrics` answers everybody. Unless set it answers peers on the loopback
    /// interface, and is not there for others.
    pub metrics_public: bool,
    /// The most bytes a request's body may have; 1 MiB unless set. A longer one is answered 413.
    pub body_limit: usize,
    /// The most bytes the body of an import may have; 32 MiB unless set.
    pub import_body_limit: usize,
    /// How long a request may take until it is answered 503; 30 seconds unless set.
    pub request_timeout: Duration,
    /// How long requests under way may go on once the server is told to stop; 20 seconds unless
    /// set.
    pub shutdown_grace: Duration,
}

impl Default for WebConfig {
    fn default() -> Self {
        Self {
            metrics_public: false,
            body_limit: 1024 * 1024,
            import_body_limit: 32 * 1024 * 1024,
            request_timeout: Duration::from_secs(30),
            shutdown_grace: Duration::from_secs(20),
        }
    }
}
