//! Test support: a whole Tenantry on a store, a port and a clock of its own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test that cannot be set up has failed"
)]

mod app;
mod backend;
mod browser;
mod document;
mod request;

pub use app::{Bearer, Locked, TestApp, on_disk, tamper};
pub use browser::Browser;
pub use document::Document;
pub use request::{Answer, Request};
pub use tenantry_store::conformance::{ManualClock, START, SeededEntropy};
