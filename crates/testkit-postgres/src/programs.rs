//! Where PostgreSQL's programs are, and who may run them.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Where Debian puts what users do not call themselves.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Users that a server may run as if the tests run as root, which PostgreSQL refuses.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The directory that has `initdb`, `pg_ctl`, `postgres` and `psql`: one of `PATH`, or the newest of Debian's.
pub(crate) fn directory() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut candidates: Vec<PathBuf> = env::split_paths(&path).collect();
    let mut debian: Vec<_> = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .filter_map(|version| {
            let version = version.ok()?;
            let number: u32 = version.file_name().to_str()?.parse().ok()?;
            Some((number, version.path().join("bin")))
        })
        .collect();
    debian.sort_unstable();
    candidates.extend(debian.into_iter().rev().map(|(_, directory)| directory));
    let has_all = |it: &PathBuf| {
        ["initdb", "pg_ctl", "postgres", "psql"].iter().all(|name| it.join(name).is_file())
    };
    candidates.into_iter().find(has_all).unwrap_or_else(|| {
        panic!(
            "these tests need the programs of PostgreSQL 15 or newer (initdb, pg_ctl, postgres, psql) on \
             PATH or below {DEBIAN}: install Debian's package `postgresql`, or set PATH"
        )
    })
}

/// Whom the server is to run as, unless that is whoever runs the tests: the user's and its group's
/// number.
pub(crate) fn server_user(owned_by_us: &Path) -> Option<(u32, u32)> {
    let us = fs::metadata(owned_by_us).unwrap().uid();
    if us != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let is_it = fields.next()? == name;
            let (user, group) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            is_it.then_some((user, group))
        })
    };
    Some(UNPRIVILEGED.into_iter().find_map(find).unwrap_or_else(|| {
        panic!("PostgreSQL does not run as root: run the tests as somebody else, or add a user `postgres`")
    }))
}
