//! An installation: its store, its master key, and the use cases over them.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use tenantry_domain::clock::{Clock, SystemClock};
use tenantry_domain::entropy::Entropy;
use tenantry_security::entropy::SystemEntropy;
use tenantry_security::master_key::MasterKey;
use tenantry_security::secret::SecretText;
use tenantry_service::{Service, Wiring};
use tenantry_store::Store;
use tenantry_store::copying::{Source, Target};
use tenantry_store_postgres::{Options, PostgresStore};
use tenantry_store_sqlite::SqliteStore;

use crate::config::Settings;

/// The master key's file in the data directory.
const KEY_FILE: &str = "master.key";

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

/// Where the master key comes from.
enum Key {
    Given(MasterKey),
    InFile(PathBuf),
}

impl Key {
    /// Known before anything is opened, so that a mistake changes nothing.
    fn of(settings: &Settings, place: Place<'_>) -> Result<Self> {
        match (&settings.master_key, place) {
            (Some(given), _) => MasterKey::from_base64(given.expose())
                .context("TENANTRY_MASTER_KEY")
                .map(Self::Given),
            (None, Place::Directory(directory)) => Ok(Self::InFile(directory.join(KEY_FILE))),
            (None, Place::Database(_)) => bail!(
                "with --database the master key must be given in TENANTRY_MASTER_KEY, to every \
                 server the same: 32 bytes in base64, as from `openssl rand -base64 32`"
            ),
        }
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
    let key = match key {
        Key::Given(key) => key,
        Key::InFile(path) => key_from_file(&path, true)?,
    };
    if key.id() != bound {
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
        let database = name.to_string_lossy().starts_with("tenantry.");
        if database || name == KEY_FILE {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Chance, from the operating system.
fn entropy() -> Arc<dyn Entropy> {
    Arc::new(SystemEntropy)
}

async fn start(
    settings: &Settings,
    key: Key,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
) -> Result<Service> {
    let bound = store.master_key_id().await?.is_some();
    let master_key = match key {
        Key::Given(key) => key,
        Key::InFile(path) => key_from_file(&path, bound)?,
    };
    let wiring = Wiring {
        store,
        clock,
        entropy: entropy(),
        master_key,
        issuer: settings.issuer.clone(),
        reach: settings.reach,
    };
    Ok(Service::start(wiring).await?)
}

/// Reads the key's file. A new installation gets a new key; one that has secrets under a key
/// already does not, since they would be lost.
fn key_from_file(path: &Path, bound: bool) -> Result<MasterKey> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let text = SecretText::new(text);
            MasterKey::from_base64(text.expose())
                .with_context(|| format!("the master key in {}", path.display()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound && bound => bail!(
            "the master key of this installation is missing: restore {}, or give the key in \
             TENANTRY_MASTER_KEY",
            path.display()
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let key = MasterKey::generate(&*entropy());
            write_key(path, &key)
                .with_context(|| format!("cannot keep the master key in {}", path.display()))?;
            Ok(key)
        }
        Err(error) => {
            Err(error).with_context(|| format!("cannot read the master key in {}", path.display()))
        }
    }
}

/// Writes a new file that only its owner can read.
fn write_key(path: &Path, key: &MasterKey) -> std::io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(key.to_base64().expose().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}
