//! The service on a real store, without HTTP.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod master_keys;
mod meter;
mod secrets;
mod settler;
