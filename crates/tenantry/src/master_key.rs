//! Where the master key comes from: it is given, or in a file beside the SQLite database.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tenantry_security::master_key::MasterKey;
use tenantry_security::secret::SecretText;

use crate::config::{MASTER_KEY, NEXT_MASTER_KEY, Settings};
use crate::installation::{Place, entropy};

/// The master key's file in the data directory.
pub(crate) const KEY_FILE: &str = "master.key";
/// The next one's, until the installation is bound to it.
const NEXT_KEY_FILE: &str = "master.key.next";

/// Where the master key comes from.
pub(crate) enum Key {
    Given(MasterKey),
    InFile(PathBuf),
}

impl Key {
    /// Known before anything is opened, so that a mistake changes nothing.
    pub(crate) fn of(settings: &Settings, place: Place<'_>) -> Result<Self> {
        match (&settings.master_key, place) {
            (Some(given), _) => parse(given, MASTER_KEY).map(Self::Given),
            (None, Place::Directory(directory)) => Ok(Self::InFile(directory.join(KEY_FILE))),
            (None, Place::Database(_)) => bail!(
                "with --database the master key must be given in {MASTER_KEY}, to every \
                 server the same: 32 bytes in base64, as from `openssl rand -base64 32`"
            ),
        }
    }

    /// Reads it. A new installation gets a new one; one that `is_bound` to a key does not, since what is
    /// sealed under that would be lost.
    pub(crate) fn read(self, is_bound: bool) -> Result<MasterKey> {
        let path = match self {
            Self::Given(key) => return Ok(key),
            Self::InFile(path) => path,
        };
        if let Some(key) = read_file(&path)? {
            return Ok(key);
        }
        if is_bound {
            bail!(
                "the master key of this installation is missing: restore {}, or give the key in \
                 {MASTER_KEY}",
                path.display()
            );
        }
        make_file(&path)
    }
}

/// The key that was given to replace the master key, if any was.
pub(crate) fn given_next(settings: &Settings) -> Result<Option<MasterKey>> {
    settings.next_master_key.as_ref().map(|given| parse(given, NEXT_MASTER_KEY)).transpose()
}

/// The key that is to replace the master key, kept where that is kept; made, if it is kept in a file and
/// none was given.
pub(crate) fn next(
    settings: &Settings,
    place: Place<'_>,
    given: Option<MasterKey>,
    known: &[String],
) -> Result<MasterKey> {
    let is_known = |key: &MasterKey| known.contains(&key.id());
    if let Some(given) = given.as_ref().filter(|given| is_known(given)) {
        bail!("the next master key must be a new one, not {}", given.id());
    }
    let Some(directory) = keeps_key(settings, place) else {
        return given.with_context(|| {
            format!(
                "the next master key must be given in {NEXT_MASTER_KEY}: 32 bytes in base64, as \
                 from `openssl rand -base64 32`"
            )
        });
    };
    let path = directory.join(NEXT_KEY_FILE);
    let kept = match read_file(&path)? {
        Some(kept) if is_known(&kept) => {
            // It is of a rotation that is over.
            std::fs::remove_file(&path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
            None
        }
        kept => kept,
    };
    match (given, kept) {
        (None, Some(kept)) => Ok(kept),
        (None, None) => make_file(&path),
        (Some(given), Some(kept)) if given.id() == kept.id() => Ok(given),
        (Some(_), Some(_)) => bail!(
            "there is another next master key in {}: remove the file, or give none in \
             {NEXT_MASTER_KEY}",
            path.display()
        ),
        (Some(given), None) => {
            keep(&path, &given)?;
            Ok(given)
        }
    }
}

/// Fails unless the key that is given, or in the file, is the one with this id: without it nothing could be
/// opened any more, once the one before is retired.
pub(crate) fn require(settings: &Settings, place: Place<'_>, bound: &str) -> Result<()> {
    let path = match Key::of(settings, place)? {
        Key::Given(given) if given.id() == bound => return Ok(()),
        Key::Given(_) => bail!(
            "give the new master key in {MASTER_KEY}, here and to every server: with the old one none \
             can be started any more"
        ),
        Key::InFile(path) => path,
    };
    match read_file(&path)? {
        Some(key) if key.id() == bound => Ok(()),
        _ => bail!(
            "the new master key, with the id {bound}, is not in {}: put it there",
            path.display()
        ),
    }
}

/// Has the file hold the key with this id, which the installation is bound to, if a file holds it.
pub(crate) fn adopt(settings: &Settings, place: Place<'_>, bound: &str) -> Result<()> {
    let Some(directory) = keeps_key(settings, place) else { return Ok(()) };
    let next = directory.join(NEXT_KEY_FILE);
    match read_file(&next)? {
        Some(key) if key.id() == bound => {
            let path = directory.join(KEY_FILE);
            replace(&path, &next).with_context(|| format!("cannot replace {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Puts a file in the place of another one, for whoever could read that.
fn replace(path: &Path, by: &Path) -> std::io::Result<()> {
    // It can be a link to where the key really is.
    let path = path.canonicalize()?;
    let before = path.metadata()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let made = by.metadata()?;
        if (before.uid(), before.gid()) != (made.uid(), made.gid()) {
            std::os::unix::fs::chown(by, Some(before.uid()), Some(before.gid()))?;
        }
    }
    std::fs::set_permissions(by, before.permissions())?;
    std::fs::rename(by, &path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// The data directory, if the master key is in it.
fn keeps_key<'a>(settings: &Settings, place: Place<'a>) -> Option<&'a Path> {
    match place {
        Place::Directory(directory) if settings.master_key.is_none() => Some(directory),
        _ => None,
    }
}

fn parse(given: &SecretText, variable: &'static str) -> Result<MasterKey> {
    MasterKey::from_base64(given.expose()).context(variable)
}

fn read_file(path: &Path) -> Result<Option<MasterKey>> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let text = SecretText::new(text);
            let key = MasterKey::from_base64(text.expose());
            key.map(Some).with_context(|| format!("the master key in {}", path.display()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(error).with_context(|| format!("cannot read the master key in {}", path.display()))
        }
    }
}

fn make_file(path: &Path) -> Result<MasterKey> {
    let key = MasterKey::generate(&*entropy());
    keep(path, &key)?;
    Ok(key)
}

fn keep(path: &Path, key: &MasterKey) -> Result<()> {
    write(path, key).with_context(|| format!("cannot keep the master key in {}", path.display()))
}

/// Writes a new file that only its owner can read, whole or not at all.
fn write(path: &Path, key: &MasterKey) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(KEY_FILE).tempfile_in(directory)?;
    file.write_all(key.to_base64().expose().as_bytes())?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    File::open(directory)?.sync_all()
}
