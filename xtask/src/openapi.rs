//! `cargo xtask openapi`: the committed OpenAPI document, anew from the code.

use std::fs;

use anyhow::{Context, Result};

use crate::step::{self, command};

pub(crate) fn run() -> Result<()> {
    let print = ["run", "--quiet", "--locked", "--package", "tenantry", "--", "openapi"];
    let document = step::output(&mut command("cargo", &print))?;
    // Written beside and renamed: a reader finds the old document or the new one, never half of it.
    let target = step::root().join("openapi.json");
    let draft = target.with_extension("json.new");
    fs::write(&draft, document)
        .and_then(|()| fs::rename(&draft, &target))
        .with_context(|| format!("cannot write {}", target.display()))
}
