//! What Tenantry counts, and how: types and rules without I/O.

pub mod access;
mod action;
pub mod api_key;
pub mod client_rules;
pub mod clock;
pub mod counts;
pub mod credential;
pub mod credential_rules;
pub mod entropy;
pub mod error;
pub mod etag;
pub mod guarded;
pub mod id;
pub mod idempotency;
pub mod ledger;
pub mod network;
pub mod oauth_client;
pub mod page;
pub mod patch;
pub mod scope;
pub mod signing_key;
pub mod sort;
pub mod stats;
pub mod tenant;
pub mod text;
pub mod usage;
pub mod user;
