//! The HTTP API, on a real port and a real store: SQLite, or PostgreSQL if it is asked for.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

mod administration;
mod api_keys;
mod authorization;
mod bad_input;
mod bounds;
mod clock;
mod concurrency;
mod concurrency_control;
mod credentials;
mod docs;
mod document;
mod erasure;
mod fields;
mod headline;
mod hostile;
mod idempotency;
mod import;
mod isolation;
mod key_callers;
mod lists;
mod model;
mod oauth;
mod oauth_clients;
mod provider;
mod realm_callers;
mod realms;
mod sign_in;
mod signing_keys;
mod transparency;
