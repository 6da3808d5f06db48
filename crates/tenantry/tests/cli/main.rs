//! The real binary: its commands, on real ports and real directories.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

mod clock;
mod commands;
mod copy;
mod crashes;
mod cuts;
mod demo;
mod disk;
mod faults;
mod fleet;
mod held_up;
mod hostile;
mod idempotency;
mod kills;
mod load;
mod locks;
mod open_files;
mod postgres;
mod provider;
mod read_only;
mod readme;
mod secrets;
mod serve;
mod settings;
mod signing_keys;
mod site;
mod stopping;
mod storm;
mod support;
mod vault;
