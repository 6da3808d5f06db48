//! What is measured about the server, in the Prometheus text format.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus::core::Collector;
use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};
use tenantry_domain::error::{AuthFailure, Error, Result};

/// Upper bounds in seconds, from a statistics read to a hung database.
const BUCKETS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// The meters of one router, in a registry of their own.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    auth_failures: IntCounterVec,
    calls_counted: IntCounter,
    underway: IntGauge,
    turned_away: IntCounter,
    connections: IntGauge,
    closed: IntCounterVec,
}

impl Metrics {
    /// Meters at zero.
    #[expect(clippy::expect_used, reason = "names and labels are constants, and each is one")]
    pub(crate) fn new() -> Self {
        Self::try_new().expect("the meters are well-formed")
    }

    fn try_new() -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new("tenantry_http_requests_total", "Requests answered."),
            &["method", "route", "status"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new("tenantry_http_request_seconds", "Time until the answer.")
                .buckets(BUCKETS.to_vec()),
            &["route"],
        )?;
        let auth_failures = IntCounterVec::new(
            Opts::new("tenantry_auth_failures_total", "Requests answered 401, by the reason."),
            &["reason"],
        )?;
        let calls_counted =
            IntCounter::new("tenantry_calls_counted_total", "Calls counted for their tenant.")?;
        let underway = IntGauge::new("tenantry_requests_in_flight", "Requests not answered yet.")?;
        let turned_away = IntCounter::new(
            "tenantry_requests_shed_total",
            "Requests answered 503 at once, since too many were under way.",
        )?;
        let connections = IntGauge::new("tenantry_connections", "Open connections.")?;
        let closed = IntCounterVec::new(
            Opts::new("tenantry_connections_closed_total", "Connections closed, by the reason."),
            &["reason"],
        )?;
        let registry = Registry::new();
        let all: [Box<dyn Collector>; 8] = [
            Box::new(requests.clone()),
            Box::new(seconds.clone()),
            Box::new(auth_failures.clone()),
            Box::new(calls_counted.clone()),
            Box::new(underway.clone()),
            Box::new(turned_away.clone()),
            Box::new(connections.clone()),
            Box::new(closed.clone()),
        ];
        all.into_iter().try_for_each(|meter| registry.register(meter))?;
        Ok(Self {
            registry,
            requests,
            seconds,
            auth_failures,
            calls_counted,
            underway,
            turned_away,
            connections,
            closed,
        })
    }

    /// Notes an answer.
    pub(crate) fn answered(
        &self,
        method: &'static str,
        route: &str,
        status: StatusCode,
        latency: Duration,
    ) {
        self.requests.with_label_values(&[method, route, status.as_str()]).inc();
        self.seconds.with_label_values(&[route]).observe(latency.as_secs_f64());
    }

    /// Notes why a caller was not known.
    pub(crate) fn auth_failed(&self, reason: AuthFailure) {
        self.auth_failures.with_label_values(&[reason.as_str()]).inc();
    }

    /// Notes that a call was counted.
    pub(crate) fn call_counted(&self) {
        self.calls_counted.inc();
    }

    /// Notes that a request was turned away, since too many were under way.
    pub(crate) fn turned_away(&self) {
        self.turned_away.inc();
    }

    /// Notes how many connections are open.
    pub(crate) fn connections(&self, open: usize) {
        self.connections.set(gauge(open));
    }

    /// Notes that a connection was closed for a reason of the server's.
    pub(crate) fn closed(&self, reason: &'static str) {
        self.closed.with_label_values(&[reason]).inc();
    }

    /// All of it, as text.
    pub(crate) fn text(&self, underway: usize) -> Result<Vec<u8>> {
        self.underway.set(gauge(underway));
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).map_err(Error::internal)?;
        Ok(text)
    }
}

fn gauge(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The method as a label: callers can invent methods, but not labels.
pub(crate) fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PUT => "PUT",
        _ => "other",
    }
}
