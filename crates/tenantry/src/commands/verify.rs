//! `verify`: recounts everything and checks the ledgers.

use std::process::ExitCode;

use anyhow::{Result, bail};
use tenantry_domain::id::TenantId;
use tenantry_store::Store;
use tenantry_store::verify::{Report, all_tenants, verify};

use super::{print, progress, table};
use crate::config::Settings;

/// Prints a line for each tenant and what does not fit; the exit code says whether all does.
pub(crate) async fn run(settings: &Settings, tenant: Option<TenantId>) -> Result<ExitCode> {
    let store = settings.place().attach().await?;
    let tenants = match tenant {
        Some(tenant) => vec![tenant],
        None => all_tenants(&*store).await?,
    };
    let reports = recount(&*store, tenants).await?;
    let drifted = reports.iter().filter(|report| !report.flaws.is_empty()).count();
    print(&for_people(&reports, drifted))?;
    Ok(if drifted == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Recounts these tenants and walks their ledgers.
pub(super) async fn recount(store: &dyn Store, tenants: Vec<TenantId>) -> Result<Vec<Report>> {
    let bar = progress::bar(tenants.len() as u64, "recounting");
    let mut reports = Vec::with_capacity(tenants.len());
    for tenant in tenants {
        let Some(report) = verify(store, tenant).await? else {
            bail!("there never was a tenant {tenant}");
        };
        reports.push(report);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(reports)
}

fn for_people(reports: &[Report], drifted: usize) -> String {
    let heading = ["tenant", "ledger entries", "rows", "result"].map(str::to_owned);
    let mut rows = vec![heading];
    for report in reports {
        let result = if report.flaws.is_empty() { "exact" } else { "DRIFT" };
        rows.push([
            report.tenant.to_string(),
            report.entries.to_string(),
            report.rows.to_string(),
            result.to_owned(),
        ]);
    }
    let flaws = reports
        .iter()
        .flat_map(|report| report.flaws.iter().map(|flaw| format!("{}: {flaw}\n", report.tenant)));
    let total = match reports.len() {
        1 => "1 tenant".to_owned(),
        total => format!("{total} tenants"),
    };
    let conclusion = match drifted {
        0 => format!("\n{total} recounted, all exact\n"),
        _ => format!("\n{total} recounted, {drifted} with drift\n"),
    };
    std::iter::once(table::render(&rows)).chain(flaws).chain([conclusion]).collect()
}
