//! `demo`: loads a sample platform, serves it, and prints lines to try.

use std::fs::File;
use std::io::ErrorKind;
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
use crate::installation::{self, Place};

/// Where the sample is unless told.
const DATA_DIR: &str = "tenantry-demo";
/// Tells a directory that holds the sample, wholly.
const LOADED: &str = "demo";
/// Tells one that the sample is being loaded into, or was when the load was cut off.
const LOADING: &str = "demo.loading";
/// How long the printed tokens are valid: a day.
const TTL_SECONDS: u64 = 86_400;

/// Serves the sample; loads it first unless it is there.
pub(crate) async fn run(settings: &Settings, flags: &ServerFlags) -> Result<()> {
    if settings.database.is_some() {
        bail!("the sample is for a data directory of its own: leave out --database");
    }
    let directory = settings.data_dir_or(DATA_DIR);
    let listener = listen(settings.listen(flags)).await?;
    if !directory.join(LOADED).is_file() {
        load(settings, directory).await?;
    }
    let service =
        installation::serve(settings, Place::Directory(directory), Arc::new(SystemClock)).await?;
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

/// Loads the sample in place. The mark gets its name last, so that a load that is cut off leaves
/// nothing that looks like one.
async fn load(settings: &Settings, directory: &Path) -> Result<()> {
    let _mark = claim(directory)?;
    let now = SystemClock.now();
    let clock = Arc::new(demo::DemoClock::before(now));
    let service: Service =
        installation::serve(settings, Place::Directory(directory), Arc::clone(&clock) as _).await?;
    let bar = progress::bar(demo::STEPS, "loading the sample");
    demo::load(&service, &clock, now, || bar.inc(1)).await?;
    bar.finish_and_clear();
    service.meter().close().await;
    drop(service);
    std::fs::rename(directory.join(LOADING), directory.join(LOADED))
        .with_context(|| cannot_write(directory))
}

/// Takes a directory to load into: an empty one, or one where a load was cut off, whose remains are
/// removed. Another demo cannot take it as long as the answered file is open.
fn claim(directory: &Path) -> Result<File> {
    let mark = directory.join(LOADING);
    if !mark.is_file() && !is_empty(directory)? {
        bail!(
            "{} holds something other than the demo's data: give another --data-dir",
            directory.display()
        );
    }
    make_private(directory).with_context(|| cannot_write(directory))?;
    let mark = File::options().create(true).append(true).open(mark);
    let mark = mark.with_context(|| cannot_write(directory))?;
    // The other demo may also have ended its load since this one looked.
    if mark.try_lock().is_err() || directory.join(LOADED).is_file() {
        bail!(
            "another demo is loading the sample into {}: wait for it, or give another --data-dir",
            directory.display()
        );
    }
    installation::remove(directory).with_context(|| cannot_write(directory))?;
    Ok(mark)
}

fn is_empty(directory: &Path) -> Result<bool> {
    match std::fs::read_dir(directory) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error).with_context(|| {
            format!("cannot read {}, give another --data-dir", directory.display())
        }),
    }
}

/// Makes a directory that only its owner can read, unless it is there.
fn make_private(directory: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

fn cannot_write(directory: &Path) -> String {
    format!("cannot write to {}, make it writable or give another --data-dir", directory.display())
}
