//! The server, except that no two changes share a commit: each waits for a flush of its own.
//!
//! Takes the data directory; prints the address it answers on.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tenantry_domain::clock::SystemClock;
use tenantry_security::entropy::SystemEntropy;
use tenantry_service::settler;
use tenantry_store_sqlite::SqliteStore;
use tenantry_web::WebConfig;
use tokio::net::TcpListener;

#[expect(clippy::print_stdout, reason = "whoever starts it reads the address")]
#[tokio::main]
async fn main() -> Result<()> {
    let directory = std::env::args_os().nth(1).map(PathBuf::from);
    let directory = directory.context("the data directory is missing")?;
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let store = SqliteStore::serve_in_groups(&directory, clock, entropy, NonZeroUsize::MIN)?;
    let service = Arc::new(tenantry_bench::service(Arc::new(store), &directory).await?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    tokio::spawn(settler::run(Arc::clone(service.store()), Arc::new(SystemClock)));
    println!("http://{}", listener.local_addr()?);
    tenantry_web::serve(listener, service, WebConfig::default(), std::future::pending()).await;
    Ok(())
}
