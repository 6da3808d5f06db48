//! `migrate`: brings the database to this version.

use anyhow::Result;

use super::print;
use crate::config::Settings;

/// Applies what is missing and says what that was.
pub(crate) async fn run(settings: &Settings) -> Result<()> {
    let applied = settings.place().migrate().await?;
    if applied.is_empty() {
        return print("the database is at this version already\n");
    }
    print(&format!("applied {}\n", applied.join(", ")))
}
