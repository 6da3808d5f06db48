//! The store on real files.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod conformance;
mod opening;
mod projection;
mod purge;
mod tampering;
