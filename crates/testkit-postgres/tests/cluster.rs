//! A cluster is there when it is asked for, and is gone with the process that asked.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use tenantry_testkit_postgres::Cluster;

static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

#[test]
fn a_copy_is_a_database_of_its_own() {
    let template = CLUSTER.database();
    template.run("CREATE TABLE things (name text); INSERT INTO things VALUES ('one')");
    let copy = CLUSTER.copy_of(&template);
    copy.run("INSERT INTO things VALUES ('two')");
    let count = "SELECT count(*) FROM things";
    assert_eq!((template.run(count), copy.run(count)), ("1".to_owned(), "2".to_owned()));
    assert_ne!(template.url(), copy.url());
}

/// A test that forgets to say how text is sorted is to find out.
#[test]
fn text_is_not_sorted_by_code_points_unless_that_is_said() {
    let database = CLUSTER.database();
    assert_eq!(database.run("SELECT 'a' < 'B', 'a' COLLATE \"C\" < 'B'"), "t|f");
}

/// The test that the next one runs in a process of its own.
const VICTIM: &str = "a_cluster_that_waits_to_be_left_alone";

/// Does nothing, unless the next test runs it.
#[test]
fn a_cluster_that_waits_to_be_left_alone() {
    if let Some(told) = std::env::var_os(VICTIM) {
        let database = CLUSTER.database();
        std::fs::write(&told, database.url()).unwrap();
        std::thread::sleep(std::time::Duration::from_mins(10));
    }
}

#[test]
fn a_cluster_goes_with_its_process() {
    let directory = tempfile::tempdir().unwrap();
    let told = directory.path().join("url");
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args([VICTIM, "--exact"])
        .env(VICTIM, &told)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let url = loop {
        match std::fs::read_to_string(&told) {
            Ok(url) if !url.is_empty() => break url,
            _ => std::thread::sleep(std::time::Duration::from_millis(20)),
        }
    };
    let directory = url.split("host=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    assert!(Path::new(&directory).join("data").exists());
    // As no process can help.
    victim.kill().unwrap();
    victim.wait().unwrap();
    while Path::new(&directory).exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
