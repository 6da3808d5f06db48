//! A directory that cannot be written.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::site::{Site, within};
use crate::support::{DataDir, SERVE, run};

/// Within this, the permissions of files hold, also for root.
fn permitted() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() {
        &["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", "--"]
    } else {
        &["env"]
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_cannot_be_written_from_the_start() {
    let directory = DataDir::new();
    let refused = |named: &str| {
        run(&mut within(permitted(), &directory.command(SERVE))).failed_with(&[named]);
    };
    fs::create_dir(directory.path()).unwrap();
    set_mode(&directory.path(), 0o500);
    refused("tenantry.lock");
    set_mode(&directory.path(), 0o700);
    directory.run("migrate").succeeded();
    for file in ["tenantry.lock", "tenantry.db", "tenantry.calls.db"] {
        let path = directory.path().join(file);
        set_mode(&path, 0o400);
        refused(file);
        set_mode(&path, 0o600);
    }
    // The files can be written, but SQLite can make none beside them.
    set_mode(&directory.path(), 0o500);
    refused("tenantry.db");
    set_mode(&directory.path(), 0o700);
    directory.serve().stop();
    directory.run("verify").succeeded();
}

/// A server has what it needs open, and goes on.
#[tokio::test]
async fn what_cannot_be_written_any_more() {
    let mut site = Site::within(permitted());
    site.changes().await;
    let directory = site.directory.path();
    let files: Vec<_> =
        fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path()).collect();
    for file in &files {
        set_mode(file, 0o400);
    }
    set_mode(&directory, 0o500);
    for _ in 0..3 {
        site.changes().await;
        site.reads().await;
        assert!(site.server.is_ready().await);
    }
    // More at once than there are connections.
    let lists: Vec<_> = (0..32).map(|_| tokio::spawn(site.get("/api-keys").send())).collect();
    for list in lists {
        assert_eq!(list.await.unwrap().unwrap().status(), 200);
        site.calls += 1;
    }
    set_mode(&directory, 0o700);
    for file in &files {
        set_mode(file, 0o600);
    }
    site.recovers("").await;
}
