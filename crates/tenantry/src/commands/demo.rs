//! `demo`: loads a sample platform, serves it, and prints lines to try.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use tenantry_domain::access::Role;
use tenantry_domain::clock::{Clock as _, SystemClock};
use tenantry_domain::id::TenantId;
use tenantry_service::Service;

use super::serve::{listen, serve};
use super::{print, progress};
use crate::cli::ServerFlags;
use crate::config::Settings;
use crate::demo::{self, ACME};
use crate::installation;

/// Where the sample is unless told.
const DATA_DIR: &str = "tenantry-demo";
/// Tells a directory that the sample was loaded into, wholly.
const MARK: &str = "demo";
/// How long the printed tokens are valid: a day.
const TTL_SECONDS: u64 = 86_400;

/// Serves the sample; loads it first unless it is there.
pub(crate) async fn run(settings: &Settings, flags: &ServerFlags) -> Result<()> {
    let directory = settings.data_dir_or(DATA_DIR);
    let listener = listen(settings.listen(flags)).await?;
    if !is_loaded(directory)? {
        load(settings, directory).await?;
    }
    let service = installation::serve(settings, directory, Arc::new(SystemClock)).await?;
    let operator =
        service.issue_token(TenantId::PLATFORM, None, Role::SuperAdmin, TTL_SECONDS).await?;
    let admin = service.issue_token(ACME, None, Role::TenantAdmin, TTL_SECONDS).await?;
    serve(settings, flags, listener, service, |url| {
        print(&format!(
            "\nAs a platform operator, whose calls count for the platform's own tenant:\n\n{}\n\n\
             As an administrator of Acme Corporation, whose calls count for Acme:\n\n{}\n\n",
            curl(url, operator.text.expose()),
            curl(url, admin.text.expose()),
        ))
    })
    .await
}

fn curl(url: &str, token: &str) -> String {
    format!(
        "curl -s '{url}/api/v1/admin/tenants/{ACME}/stats' -H 'x-tenantid: {ACME}' \
         -H 'Authorization: Bearer {token}'"
    )
}

/// Whether the sample is in the directory. One that holds anything else is refused.
fn is_loaded(directory: &Path) -> Result<bool> {
    if directory.join(MARK).is_file() {
        return Ok(true);
    }
    let empty = match std::fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", directory.display()));
        }
    };
    if !empty {
        bail!(
            "{} holds something other than the demo's data: give another --data-dir",
            directory.display()
        );
    }
    Ok(false)
}

/// Loads the sample beside the directory and then puts it there, so that a load that is cut off
/// leaves nothing that looks like one.
async fn load(settings: &Settings, directory: &Path) -> Result<()> {
    let name = directory.file_name().context("--data-dir must name a directory")?;
    let mut loading = name.to_owned();
    loading.push(".loading");
    let loading = directory.with_file_name(loading);
    let cannot = |what: &str| format!("cannot {what} {}", loading.display());
    if loading.exists() {
        std::fs::remove_dir_all(&loading).with_context(|| cannot("remove"))?;
    }
    let clock = Arc::new(demo::DemoClock::default());
    let service: Service = installation::serve(settings, &loading, Arc::clone(&clock) as _).await?;
    let bar = progress::bar(demo::TENANTS, "loading the sample");
    demo::load(&service, &clock, SystemClock.now(), || bar.inc(1)).await?;
    bar.finish_and_clear();
    service.meter().close().await;
    drop(service);
    std::fs::write(loading.join(MARK), "The data of `tenantry demo`.\n")
        .with_context(|| cannot("write into"))?;
    if directory.exists() {
        std::fs::remove_dir(directory)
            .with_context(|| format!("cannot replace {}", directory.display()))?;
    }
    std::fs::rename(&loading, directory).with_context(|| cannot("rename"))
}
