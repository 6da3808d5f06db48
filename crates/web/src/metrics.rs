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
    in_flight: IntGauge,
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
        let in_flight = IntGauge::new("tenantry_requests_in_flight", "Requests not answered yet.")?;
        let registry = Registry::new();
        let all: [Box<dyn Collector>; 5] = [
            Box::new(requests.clone()),
            Box::new(seconds.clone()),
            Box::new(auth_failures.clone()),
            Box::new(calls_counted.clone()),
            Box::new(in_flight.clone()),
        ];
        all.into_iter().try_for_each(|meter| registry.register(meter))?;
        Ok(Self { registry, requests, seconds, auth_failures, calls_counted, in_flight })
    }

    /// Counts a request as being under way until the guard is dropped.
    pub(crate) fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
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

    /// All of it, as text.
    pub(crate) fn text(&self) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).map_err(Error::internal)?;
        Ok(text)
    }
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
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
