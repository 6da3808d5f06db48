//! What cannot be used is refused with one sentence that says what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tenantry_testkit::tamper;

use crate::support::{DataDir, SERVE, run, tenantry};

const TOKEN: &str = "token --role super_admin";

/// A directory with a database, a master key, and a secret under it.
fn installed() -> DataDir {
    let directory = DataDir::new();
    directory.run("migrate").succeeded();
    directory.run(TOKEN).succeeded();
    directory
}

#[test]
fn a_directory_that_cannot_be_made() {
    let directory = DataDir::new();
    fs::write(directory.path(), "a file").unwrap();
    let below = directory.path().join("below");
    for command in [SERVE, "migrate", "demo --listen 127.0.0.1:0"] {
        let mut command = tenantry(command);
        run(command.arg("--data-dir").arg(&below)).failed_with(&["Not a directory", "--data-dir"]);
    }
    assert_eq!(fs::read_to_string(directory.path()).unwrap(), "a file");
}

#[test]
fn a_directory_without_a_database() {
    let directory = DataDir::new();
    for command in [TOKEN, "verify", "stats 00000000-0000-7000-8000-000000000000"] {
        directory.run(command).failed_with(&["there is no database", "tenantry migrate"]);
    }
    assert!(!directory.path().exists());
}

#[test]
fn a_file_that_is_no_database() {
    let directory = installed();
    let file = directory.path().join("tenantry.db");
    fs::write(&file, "What a database never begins with. ".repeat(500)).unwrap();
    for command in [SERVE, "migrate", TOKEN, "verify"] {
        directory.run(command).failed_with(&["not a readable Tenantry database", "backup"]);
    }
    assert!(fs::read_to_string(&file).unwrap().starts_with("What a database never"));
}

#[test]
fn a_database_of_a_newer_version() {
    let directory = installed();
    tamper(&directory.path(), "INSERT INTO schema_migrations VALUES (999, 'future', 'x', 0)");
    for command in [SERVE, "migrate", TOKEN, "verify"] {
        directory.run(command).failed_with(&["version 999", "newer Tenantry"]);
    }
}

#[test]
fn a_master_key_that_is_missing_is_not_made_anew() {
    let directory = installed();
    let key = directory.path().join("master.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&key).unwrap();
    fs::remove_file(&key).unwrap();
    for command in [SERVE, TOKEN] {
        let output = directory.run(command);
        output.failed_with(&["master key", "missing", "restore", "TENANTRY_MASTER_KEY"]);
        assert!(!key.exists());
    }
    // It may be given instead.
    run(directory.command(TOKEN).env("TENANTRY_MASTER_KEY", text.trim())).succeeded();
    assert!(!key.exists());
}

#[test]
fn a_master_key_that_is_another_one() {
    let directory = installed();
    let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let key = directory.path().join("master.key");
    for command in [SERVE, TOKEN] {
        let output = run(directory.command(command).env("TENANTRY_MASTER_KEY", other));
        output.failed_with(&["does not match this installation", "TENANTRY_MASTER_KEY"]);
    }
    fs::write(&key, other).unwrap();
    for command in [SERVE, TOKEN] {
        directory.run(command).failed_with(&["does not match this installation"]);
    }
}

#[test]
fn a_master_key_that_is_none_is_not_repeated() {
    let directory = installed();
    let secret = "correct-horse-battery-staple";
    for command in [SERVE, TOKEN] {
        let output = run(directory.command(command).env("TENANTRY_MASTER_KEY", secret));
        let output = output.failed_with(&["TENANTRY_MASTER_KEY", "32 bytes in base64"]);
        assert!(!output.stderr.contains("horse"), "{output:?}");
    }
    fs::write(directory.path().join("master.key"), secret).unwrap();
    let output = directory.run(TOKEN).failed_with(&["master.key", "32 bytes in base64"]);
    assert!(!output.stderr.contains("horse"), "{output:?}");
}
