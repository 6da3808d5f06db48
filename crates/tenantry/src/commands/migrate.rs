//! `migrate`: brings the database to this version.

use std::sync::Arc;

use anyhow::Result;
use tenantry_domain::clock::SystemClock;
use tenantry_store_sqlite::SqliteStore;

use super::print;
use crate::config::Settings;
use crate::installation;

/// Applies what is missing and says what that was.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let directory = settings.data_dir();
    let (_store, applied) =
        SqliteStore::migrate(directory, Arc::new(SystemClock), installation::entropy())?;
    if applied.is_empty() {
        return print("the database is at this version already\n");
    }
    print(&format!("applied {}\n", applied.join(", ")))
}
