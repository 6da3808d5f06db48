//! `stats`: prints a tenant's statistics.

use anyhow::{Result, bail};
use tenantry_domain::access::{CallerProbe, TenantAccess};
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::ActorKind;
use tenantry_domain::stats::Statistics;

use super::{print, table};
use crate::config::Settings;

/// Prints the statistics as a table for people, or as the JSON of the API.
pub(crate) async fn run(settings: &Settings, tenant: TenantId, json: bool) -> Result<()> {
    let store = settings.place().attach().await?;
    let access = TenantAccess::local(tenant, ActorKind::CommandLine, "tenantry stats");
    let probe = CallerProbe::of_tenant(TenantId::PLATFORM);
    let (_, statistics) = store.statistics(&probe, tenant).await?;
    let Some(statistics) = statistics.open(&access)? else {
        bail!("there is no tenant {tenant}");
    };
    if json {
        print(&format!("{}\n", tenantry_web::statistics_json(&statistics)))
    } else {
        print(&for_people(&statistics))
    }
}

fn for_people(statistics: &Statistics) -> String {
    let counts = &statistics.counts;
    let quota = statistics
        .storage_quota
        .map_or_else(|| "no limit".to_owned(), |quota| format!("{} MB", quota.megabytes()));
    let instant = |at: Option<_>| at.map_or_else(|| "never".to_owned(), |at| format!("{at}"));
    let rows = vec![
        ["users".to_owned(), counts.users().to_string()],
        ["  active".to_owned(), counts.users_active.to_string()],
        ["  inactive".to_owned(), counts.users_inactive.to_string()],
        ["  admins".to_owned(), counts.admins.to_string()],
        ["credentials".to_owned(), counts.credentials().to_string()],
        ["  active".to_owned(), counts.credentials_active.to_string()],
        ["  expired".to_owned(), counts.credentials_expired.to_string()],
        ["API keys".to_owned(), counts.api_keys().to_string()],
        ["  active".to_owned(), counts.api_keys_active.to_string()],
        ["  revoked".to_owned(), counts.api_keys_revoked.to_string()],
        ["OAuth clients".to_owned(), counts.oauth_clients().to_string()],
        ["  active".to_owned(), counts.oauth_clients_active.to_string()],
        ["API calls this month".to_owned(), statistics.calls_this_month.to_string()],
        ["API calls last month".to_owned(), statistics.calls_last_month.to_string()],
        ["storage used".to_owned(), format!("{} MB", statistics.storage_used.megabytes())],
        ["storage quota".to_owned(), quota],
        ["last activity".to_owned(), instant(statistics.last_activity)],
    ];
    format!(
        "{} ({})\nat {}\n\n{}",
        statistics.tenant_name,
        statistics.tenant,
        statistics.generated_at,
        table::render(&rows)
    )
}
