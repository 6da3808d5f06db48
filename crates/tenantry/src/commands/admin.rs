//! `admin create`: makes a user who administers a tenant.

use std::io::Read as _;

use anyhow::{Context as _, Result};
use tenantry_domain::access::TenantAccess;
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::ActorKind;
use tenantry_domain::text::{Email, Name};
use tenantry_domain::user::{UserRoles, UserStatus};
use tenantry_security::secret::SecretText;
use tenantry_service::UserDraft;

use super::print;
use crate::config::Settings;
use crate::installation;

/// Makes the user and says how to get a token for it.
pub(crate) async fn create(
    settings: &Settings,
    tenant: Option<TenantId>,
    email: Email,
    name: Option<Name>,
    password_stdin: bool,
) -> Result<()> {
    let password = if password_stdin { Some(read_password()?) } else { None };
    let service = installation::attach(settings).await?;
    let tenant = tenant.unwrap_or(TenantId::PLATFORM);
    let access = TenantAccess::local(tenant, ActorKind::CommandLine, "tenantry admin create");
    let roles = UserRoles { tenant_admin: true, member: true };
    let role = roles.highest_in(tenant);
    let draft =
        UserDraft { external_id: None, email, name, status: UserStatus::Active, roles, password };
    let user = service.create_user(&access, draft).await?;
    print(&format!(
        "created user {id}\nget a token: tenantry token --role {role} --tenant {tenant} \
         --subject {id}\n",
        id = user.id
    ))
}

fn read_password() -> Result<SecretText> {
    let mut text = String::new();
    std::io::stdin()
        .take(1_024)
        .read_to_string(&mut text)
        .context("cannot read the password from standard input")?;
    let length = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(length);
    Ok(SecretText::new(text))
}
