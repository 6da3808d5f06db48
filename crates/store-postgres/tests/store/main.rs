//! The store on a real PostgreSQL: one server for all, and others for what stops or locks out.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

mod conformance;
mod crashes;
mod cuts;
mod databases;
mod opening;
mod outage;
mod plans;
mod processes;
mod refused;
mod settling;
mod standby;
mod tls;
mod together;
