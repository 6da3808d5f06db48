//! `copy`: moves an installation between a data directory and a database.

use std::path::Path;

use anyhow::{Result, bail};
use tenantry_store::copying::copy_rows;
use tenantry_store_postgres::Options;

use super::{print, progress, verify};
use crate::cli::CopyFlags;
use crate::config::Settings;
use crate::database::Location;
use crate::installation::{self, Place};

/// Copies every row, recounts the copy, and only then lets it be used.
pub(crate) async fn run(settings: &Settings, flags: &CopyFlags) -> Result<()> {
    let (from, to) = (Site::of(settings, &flags.from)?, Site::of(settings, &flags.to)?);
    let mut source = installation::copy_from(settings, from.place()).await?;
    let mut target = installation::copy_to(to.place()).await?;
    let mut bar = None;
    let mut told = Ok(());
    copy_rows(&mut *source, &mut *target, |table, total, copied| {
        let bar = bar.get_or_insert_with(|| progress::bar(total, "copying"));
        bar.set_length(total);
        bar.set_position(copied);
        if copied == total && told.is_ok() {
            told = bar.suspend(|| print(&format!("{table}: {total} rows\n")));
        }
    })
    .await?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    told?;
    let store = target.keep().await?;
    let reports =
        verify::recount(&*store, tenantry_store::verify::all_tenants(&*store).await?).await?;
    let drifted: Vec<_> =
        reports.iter().filter(|it| !it.flaws.is_empty()).map(|it| it.tenant.to_string()).collect();
    if !drifted.is_empty() {
        bail!(
            "the copy is not exact ({}) and cannot be used: see what `tenantry verify` says of the \
             installation that was copied",
            drifted.join(", ")
        );
    }
    drop(store);
    target.complete().await?;
    print(&format!(
        "{} tenants recounted, all exact\nit is served with the same master key\n",
        reports.len()
    ))
}

/// A location that can be opened.
enum Site<'a> {
    Directory(&'a Path),
    Database(Box<Options>),
}

impl<'a> Site<'a> {
    fn of(settings: &Settings, location: &'a Location) -> Result<Self> {
        Ok(match location {
            Location::Directory(path) => Self::Directory(path),
            Location::Database(url) => Self::Database(Box::new(settings.database_at(url)?)),
        })
    }

    fn place(&self) -> Place<'_> {
        match self {
            Self::Directory(path) => Place::Directory(path),
            Self::Database(options) => Place::Database(options),
        }
    }
}
