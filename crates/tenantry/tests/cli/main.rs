//! The real binary: its commands, on real ports and real directories.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

mod commands;
mod demo;
mod faults;
mod hostile;
mod idempotency;
mod kills;
mod open_files;
mod readme;
mod secrets;
mod serve;
mod settings;
mod stopping;
mod support;
