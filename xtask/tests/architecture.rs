//! The architecture, kept: which crate may depend on which, and what no source file may hold.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that fails should say where"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Every crate of the workspace, with those it may depend on outside its tests. Arrows point down.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("tenantry-domain", &[]),
    ("tenantry-security", &["tenantry-domain"]),
    ("tenantry-store", &["tenantry-domain"]),
    ("tenantry-store-postgres", &["tenantry-domain", "tenantry-store"]),
    ("tenantry-store-sqlite", &["tenantry-domain", "tenantry-store"]),
    ("tenantry-service", &["tenantry-domain", "tenantry-security", "tenantry-store"]),
    // The port's filters are the API's filters; the port itself is for the service to call.
    (
        "tenantry-web",
        &["tenantry-domain", "tenantry-security", "tenantry-service", "tenantry-store"],
    ),
    (
        "tenantry",
        &[
            "tenantry-domain",
            "tenantry-security",
            "tenantry-service",
            "tenantry-store",
            "tenantry-store-postgres",
            "tenantry-store-sqlite",
            "tenantry-web",
        ],
    ),
    (
        "tenantry-bench",
        &[
            "tenantry-domain",
            "tenantry-security",
            "tenantry-service",
            "tenantry-store",
            "tenantry-store-sqlite",
            "tenantry-testkit-postgres",
            "tenantry-web",
        ],
    ),
    (
        "tenantry-testkit",
        &[
            "tenantry",
            "tenantry-domain",
            "tenantry-security",
            "tenantry-service",
            "tenantry-store",
            "tenantry-store-postgres",
            "tenantry-store-sqlite",
            "tenantry-testkit-postgres",
            "tenantry-web",
        ],
    ),
    ("tenantry-testkit-postgres", &[]),
    (
        "tenantry-fuzz",
        &[
            "tenantry-domain",
            "tenantry-security",
            "tenantry-service",
            "tenantry-store",
            "tenantry-web",
        ],
    ),
    ("xtask", &[]),
];

/// The crates that may name a concrete store, even in their tests.
const NAME_A_STORE: &[&str] = &["tenantry", "tenantry-bench", "tenantry-testkit"];

/// What the domain does without: asynchrony, HTTP, SQL.
const NOT_IN_THE_DOMAIN: &[&str] = &["async-trait", "axum", "rusqlite", "tokio", "tokio-postgres"];

/// Attributes that switch a check off without a trace; `#[expect]` names its reason and goes stale
/// loudly. Written in halves, since this file is searched too.
const SILENCERS: &[&str] =
    &[concat!("#[", "allow("), concat!("#![", "allow("), concat!("#[", "ignore")];

const LONGEST_SOURCE_FILE: usize = 500; // lines

#[test]
fn dependencies_point_down() {
    let allowed: BTreeMap<_, _> = MAY_DEPEND_ON.iter().copied().collect();
    let crates = crates();
    let mut offenders = Vec::new();
    for (name, dependencies) in &crates {
        let Some(allowed) = allowed.get(name.as_str()) else {
            offenders.push(format!("{name} is new: say here what it may depend on"));
            continue;
        };
        for Dependency { name: other, only_in_tests } in dependencies {
            let inside = crates.contains_key(other);
            if inside && !only_in_tests && !allowed.contains(&other.as_str()) {
                offenders.push(format!("{name} depends on {other}"));
            }
        }
    }
    for name in allowed.keys().filter(|name| !crates.contains_key(**name)) {
        offenders.push(format!("{name} is listed here, and is not in the workspace"));
    }
    assert_none("dependencies that do not point down", &offenders);
}

#[test]
fn only_the_binary_and_what_tests_or_measures_it_name_a_concrete_store() {
    let crates = crates();
    let others = crates.iter().filter(|(name, _)| !NAME_A_STORE.contains(&name.as_str()));
    let offenders: Vec<_> = others
        .flat_map(|(name, dependencies)| dependencies.iter().map(move |it| (name, &it.name)))
        .filter(|(_, other)| other.starts_with("tenantry-store-"))
        .map(|(name, other)| format!("{name} depends on {other}"))
        .collect();
    assert_none("crates that name a concrete store", &offenders);
}

#[test]
fn the_domain_has_no_io() {
    let crates = crates();
    let dependencies = crates["tenantry-domain"].iter().map(|it| it.name.as_str());
    let offenders: Vec<_> =
        dependencies.filter(|name| NOT_IN_THE_DOMAIN.contains(name)).map(String::from).collect();
    assert_none("dependencies of the domain", &offenders);
}

/// A crate that only tests use can switch on features of one that the binary uses too.
#[test]
fn tests_read_json_as_the_binary_does() {
    let features = |packages: &[&str]| {
        let output = Command::new(env::var_os("CARGO").expect("cargo runs the tests"))
            .args(["tree", "--locked", "--offline", "--prefix", "none", "--depth", "1"])
            .args(["--invert", "serde_json", "--edges"])
            .args(packages)
            .current_dir(root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let features = text.lines().filter(|line| line.starts_with("serde_json feature"));
        features.map(|line| line.trim_end_matches(" (*)").to_owned()).collect::<BTreeSet<_>>()
    };
    let in_the_binary = features(&["features,no-dev", "--package", "tenantry"]);
    assert!(!in_the_binary.is_empty());
    assert_eq!(features(&["features", "--workspace"]), in_the_binary);
}

#[test]
fn no_check_is_switched_off() {
    let mut offenders = Vec::new();
    for (path, text) in sources() {
        for (line, number) in text.lines().zip(1..) {
            for silencer in SILENCERS.iter().filter(|silencer| line.contains(**silencer)) {
                offenders.push(format!("{}:{number}: {silencer}", path.display()));
            }
        }
    }
    assert_none("checks switched off", &offenders);
}

#[test]
fn source_files_are_short() {
    let mut offenders = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        let in_src = path.components().any(|part| part.as_os_str() == "src");
        if in_src && lines > LONGEST_SOURCE_FILE {
            offenders.push(format!("{}: {lines} lines", path.display()));
        }
    }
    assert_none(&format!("files of more than {LONGEST_SOURCE_FILE} lines"), &offenders);
}

/// Authority that no token gives: only whoever holds the data has it. Nobody else may make it up.
#[test]
fn few_files_have_authority_of_their_own() {
    let makes_authority =
        ["TenantAccess::local", "PlatformAccess::local", "Caller::admit", "CallerState {"];
    let may = [
        "bench/",
        "crates/domain/src/access",
        "crates/service/src/callers.rs",
        "crates/service/src/signing_keys.rs",
        "crates/service/src/statistics.rs",
        "crates/service/src/tokens.rs",
        "crates/store-postgres/src/statistician.rs",
        "crates/store-postgres/src/tenants.rs",
        "crates/store-sqlite/src/statistician.rs",
        "crates/store-sqlite/src/tenants.rs",
        "crates/store/src/conformance/",
        "crates/tenantry/src/commands/",
        "crates/tenantry/src/demo",
        "crates/testkit/",
    ];
    let mut offenders = Vec::new();
    for (path, text) in sources() {
        let path = path.display().to_string();
        let in_tests = path.contains("/tests/") || path.starts_with("xtask/");
        if in_tests || may.iter().any(|file| path.starts_with(file)) {
            continue;
        }
        let made = makes_authority.iter().filter(|call| text.contains(**call));
        offenders.extend(made.map(|call| format!("{path}: {call}")));
    }
    assert_none("authority made up outside of the files that may", &offenders);
}

struct Dependency {
    name: String,
    only_in_tests: bool,
}

/// The workspace's crates by name, with what they depend on.
fn crates() -> BTreeMap<String, Vec<Dependency>> {
    let output = Command::new(env::var_os("CARGO").expect("cargo runs the tests"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let dependency = |it: &serde_json::Value| Dependency {
        name: text(&it["name"]),
        only_in_tests: it["kind"] == "dev",
    };
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            (text(&package["name"]), dependencies.iter().map(dependency).collect())
        })
        .collect()
}

/// The workspace's Rust files: each path from the root, and the text.
fn sources() -> Vec<(PathBuf, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = ["bench", "crates", "fuzz", "xtask"].map(|name| root.join(name)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "no source was found under {}", root.display());
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn assert_none(what: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{what}:\n  {}", offenders.join("\n  "));
}
