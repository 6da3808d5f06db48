//! Test support: a PostgreSQL of one's own, for as long as a test process lives.
//!
//! [`Cluster::start`] makes one in a temporary directory, run by an unprivileged user and reached by
//! a socket in that directory, so that it meets no other. Databases are copies of a template that is
//! prepared once.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test that cannot be set up has failed"
)]

mod cluster;
mod programs;
mod proxy;
mod tls;

pub use cluster::{Cluster, Database, Held};
pub use proxy::{Fault, Proxy};
pub use tls::{ENCRYPTED, PASSWORD, PLAIN, other_root};
