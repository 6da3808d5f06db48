//! `cargo xtask test`: every test, and before them what they need from the system.

use anyhow::Result;

use crate::step::{self, command};
use crate::{fuzz, packages, provider};

/// The tests of the API that run on PostgreSQL too: those of what the store has a part in.
const ON_POSTGRES: &[&str] = &[
    "administration",
    "api_keys",
    "authorization",
    "bad_input",
    "clock",
    "concurrency",
    "concurrency_control",
    "credentials",
    "headline",
    "hostile",
    "idempotency",
    "import",
    "key_callers",
    "lists",
    "model",
    "oauth",
    "oauth_clients",
    "realm_callers",
    "realms",
    "sign_in",
    "transparency",
];

pub(crate) fn run() -> Result<()> {
    // A test runs the README's commands as they are printed there.
    packages::need("curl", "curl")?;
    // A test opens the page that the API is browsed on.
    packages::need("chromium", "chromium")?;
    packages::need("chromedriver", "chromium-driver")?;
    // Tests end and pause processes.
    packages::need("kill", "procps")?;
    // Tests make databases of their own.
    packages::need_postgres()?;
    // A test takes tokens of a real provider.
    provider::install()?;
    step::run(&mut command("cargo", &["test", "--workspace", "--locked"]))?;
    let api = ["test", "--package", "tenantry-web", "--locked"];
    let api = api.into_iter().chain(ON_POSTGRES.iter().flat_map(|test| ["--test", test]));
    let api: Vec<_> = api.collect();
    step::run(command("cargo", &api).env("TENANTRY_TEST_STORE", "postgres"))?;
    fuzz::run()
}
