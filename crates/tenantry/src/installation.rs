//! A data directory: its store, its master key, and the use cases over them.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use tenantry_domain::clock::{Clock, SystemClock};
use tenantry_domain::entropy::Entropy;
use tenantry_security::entropy::SystemEntropy;
use tenantry_security::master_key::MasterKey;
use tenantry_security::secret::SecretText;
use tenantry_service::{Service, Wiring};
use tenantry_store::Store;
use tenantry_store_sqlite::SqliteStore;

use crate::config::Settings;

/// The master key's file in the data directory.
const KEY_FILE: &str = "master.key";

/// Opens a data directory as its one server.
pub(crate) async fn serve(
    settings: &Settings,
    directory: &Path,
    clock: Arc<dyn Clock>,
) -> Result<Service> {
    let store = SqliteStore::serve(directory, Arc::clone(&clock), entropy())?;
    start(settings, directory, Arc::new(store), clock).await
}

/// Opens a data directory beside its server, if one runs.
pub(crate) async fn attach(settings: &Settings, directory: &Path) -> Result<Service> {
    let store = attach_store(directory)?;
    start(settings, directory, store, Arc::new(SystemClock)).await
}

/// Opens only the store of a data directory, which takes no key.
pub(crate) fn attach_store(directory: &Path) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(SqliteStore::attach(directory, Arc::new(SystemClock), entropy())?))
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
pub(crate) fn entropy() -> Arc<dyn Entropy> {
    Arc::new(SystemEntropy)
}

async fn start(
    settings: &Settings,
    directory: &Path,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
) -> Result<Service> {
    let bound = store.master_key_id().await?.is_some();
    let master_key = match &settings.master_key {
        Some(given) => MasterKey::from_base64(given.expose()).context("TENANTRY_MASTER_KEY")?,
        None => key_from_file(&directory.join(KEY_FILE), bound)?,
    };
    let issuer = settings.issuer.clone();
    let wiring = Wiring { store, clock, entropy: entropy(), master_key, issuer };
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
