//! `token`: prints a token of the built-in realm.

use anyhow::Result;
use tenantry_domain::id::TenantId;

use super::print;
use crate::cli::TokenFlags;
use crate::config::Settings;
use crate::installation;

/// Prints a token, alone on standard output.
pub(crate) async fn run(settings: &Settings, flags: &TokenFlags) -> Result<()> {
    let service = installation::attach(settings).await?;
    let tenant = flags.tenant.unwrap_or(TenantId::PLATFORM);
    let token = service.issue_token(tenant, flags.subject, flags.role, flags.ttl).await?;
    print(&format!("{}\n", token.text.expose()))
}
