//! What the programs of the benchmarks share.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tenantry_domain::clock::SystemClock;
use tenantry_domain::realm_rules::Reach;
use tenantry_security::entropy::SystemEntropy;
use tenantry_security::master_key::MasterKey;
use tenantry_service::{Service, Wiring};
use tenantry_store::Store;

/// The use cases over the store of a data directory that the binary has set up.
pub async fn service(store: Arc<dyn Store>, directory: &Path) -> Result<Service> {
    let key = std::fs::read_to_string(directory.join("master.key"));
    let wiring = Wiring {
        store,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        master_key: MasterKey::from_base64(&key.context("the master key is missing")?)?,
        issuer: "tenantry".to_owned(),
        reach: Reach::default(),
    };
    Ok(Service::start(wiring).await?)
}
