//! An installation: its store, its master key, and the use cases over them.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use tenantry_domain::clock::{Clock, SystemClock};
use tenantry_domain::entropy::Entropy;
use tenantry_security::entropy::SystemEntropy;
use tenantry_service::{Service, Wiring};
use tenantry_store::Store;
use tenantry_store::copying::{Source, Target};
use tenantry_store_postgres::{Options, PostgresStore};
use tenantry_store_sqlite::SqliteStore;

use crate::config::Settings;
use crate::master_key::{KEY_FILE, Key};

/// Where the data of an installation is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    /// In SQLite, in a directory that has the master key too, unless that is given.
    Directory(&'a Path),
    /// In PostgreSQL. Nothing is kept beside it, so any number of processes is alike.
    Database(&'a Options),
}

impl Place<'_> {
    /// Opens the store of a server, and brings it to this version.
    async fn serve(self, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>> {
        Ok(match self {
            Self::Directory(path) => Arc::new(SqliteStore::serve(path, clock, entropy())?),
            Self::Database(it) => Arc::new(PostgresStore::serve(it, clock, entropy()).await?),
        })
    }

    /// Opens the store beside its servers, if any runs. It takes no key.
    pub(crate) async fn attach(self) -> Result<Arc<dyn Store>> {
        let clock = Arc::new(SystemClock);
        Ok(match self {
            Self::Directory(path) => Arc::new(SqliteStore::attach(path, clock, entropy())?),
            Self::Database(it) => Arc::new(PostgresStore::attach(it, clock, entropy()).await?),
        })
    }

    /// Brings the store to this version; answers what was applied.
    pub(crate) async fn migrate(self) -> Result<Vec<String>> {
        let clock = Arc::new(SystemClock);
        Ok(match self {
            Self::Directory(path) => SqliteStore::migrate(path, clock, entropy())?.1,
            Self::Database(it) => PostgresStore::migrate(it, clock, entropy()).await?.1,
        })
    }
}

/// Takes an installation to copy it; nobody can use it meanwhile. Its secrets are sealed with its
/// master key, so whoever copies it shows that the key is there.
pub(crate) async fn copy_from(settings: &Settings, place: Place<'_>) -> Result<Box<dyn Source>> {
    let key = Key::of(settings, place)?;
    let (source, bound): (Box<dyn Source>, _) = match place {
        Place::Directory(path) => {
            let source = tenantry_store_sqlite::CopySource::open(path)?;
            let bound = source.master_key_id()?;
            (Box::new(source), bound)
        }
        Place::Database(options) => {
            let source = tenantry_store_postgres::CopySource::open(options).await?;
            let bound = source.master_key_id().await?;
            (Box::new(source), bound)
        }
    };
    let Some(bound) = bound else { return Ok(source) };
    if key.read(true)?.id() != bound {
        bail!(
            "the master key does not match the installation that is copied: give it in \
             TENANTRY_MASTER_KEY, or as the file {KEY_FILE} of its data directory"
        );
    }
    Ok(source)
}

/// Makes an empty store to copy into.
pub(crate) async fn copy_to(place: Place<'_>) -> Result<Box<dyn Target>> {
    let clock = Arc::new(SystemClock);
    Ok(match place {
        Place::Directory(path) => {
            Box::new(tenantry_store_sqlite::CopyTarget::create(path, clock, entropy())?)
        }
        Place::Database(it) => {
            Box::new(tenantry_store_postgres::CopyTarget::create(it, clock, entropy()).await?)
        }
    })
}

/// Opens an installation as its server, or one of them.
pub(crate) async fn serve(
    settings: &Settings,
    place: Place<'_>,
    clock: Arc<dyn Clock>,
) -> Result<Service> {
    let key = Key::of(settings, place)?;
    let store = place.serve(Arc::clone(&clock)).await?;
    start(settings, key, store, clock).await
}

/// Opens an installation beside its servers, if any runs.
pub(crate) async fn attach(settings: &Settings) -> Result<Service> {
    let place = settings.place();
    let key = Key::of(settings, place)?;
    start(settings, key, place.attach().await?, Arc::new(SystemClock)).await
}

/// Removes the files of an installation that nobody uses; others in its directory stay.
pub(crate) fn remove(directory: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // The key's file, and those that are to become it.
        if name.starts_with("tenantry.") || name.starts_with(KEY_FILE) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Chance, from the operating system.
pub(crate) fn entropy() -> Arc<dyn Entropy> {
    Arc::new(SystemEntropy)
}

async fn start(
    settings: &Settings,
    key: Key,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
) -> Result<Service> {
    let is_bound = store.master_keys().await?.bound.is_some();
    let wiring = Wiring {
        store,
        clock,
        entropy: entropy(),
        master_key: key.read(is_bound)?,
        issuer: settings.issuer.clone(),
        reach: settings.reach,
    };
    Ok(Service::start(wiring).await?)
}
