//! The README's lines, run as they are written.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::Value;

use crate::support::{BINARY, Server, run, sample, tenantry, without_times};

/// The block of the README with the `curl` lines.
fn block() -> String {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let blocks = readme.split("```sh\n").skip(1);
    let mut blocks = blocks.map(|rest| rest.split("```").next().unwrap());
    blocks.find(|block| block.contains("curl")).unwrap().to_owned()
}

#[test]
fn its_lines_do_what_they_say() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("target/release")).unwrap();
    symlink(BINARY, directory.path().join("target/release/tenantry")).unwrap();
    let mut command = tenantry("demo --listen 127.0.0.1:0");
    let demo = Server::start(command.current_dir(directory.path()));

    // Only the port differs: the default one may be taken where the tests run. That it is the
    // default is tested where the settings are read.
    let block = block();
    assert_eq!(block.matches("127.0.0.1:8080").count(), 3, "{block}");
    let block = block.replace("127.0.0.1:8080", demo.address());
    let mut bash = Command::new("bash");
    bash.args(["-euc", &block]).current_dir(directory.path()).env("TENANTRY_LOG", "warn");
    let output = run(&mut bash).succeeded().stdout;

    let mut bodies = serde_json::Deserializer::from_str(&output).into_iter::<Value>();
    bodies.next().unwrap().unwrap();
    let statistics = &output[..bodies.byte_offset()];
    assert_eq!(without_times(statistics), sample());

    let users = bodies.next().unwrap().unwrap();
    assert_eq!(users["data"]["total"], 5, "{users}");
    let users = users["data"]["items"].as_array().unwrap();
    assert_eq!(users.len(), 5);
    for user in users {
        let roles = user["roles"].as_array().unwrap();
        assert!(roles.iter().any(|role| role == "tenant_admin"), "{user}");
    }

    let entries = bodies.next().unwrap().unwrap();
    assert_eq!(entries["data"]["total"], 2, "{entries}");
    for entry in entries["data"]["items"].as_array().unwrap() {
        assert_eq!(entry["action"], "CREDENTIAL_EXPIRED", "{entry}");
    }

    let rest = output[bodies.byte_offset()..].trim_start();
    assert!(rest.starts_with("Acme Corporation (3fa85f64-"), "{rest}");
    assert!(rest.lines().any(|line| line.split_whitespace().eq(["users", "150"])), "{rest}");
    assert!(rest.ends_with("26 tenants recounted, all exact\n"), "{rest}");
}
