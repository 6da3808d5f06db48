//! Where the figures go: as JSON into one file, and as a table into the page that tells of them,
//! each line into its own section, so that the others stay as they are.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::machine::Machine;

/// What a line has found.
#[derive(Debug)]
pub(crate) struct Findings {
    figures: Value,
    table: String,
}

impl Findings {
    /// The figures, and what they come to, as a table in Markdown.
    pub(crate) fn of(figures: &impl Serialize, table: String) -> Result<Self> {
        Ok(Self { figures: serde_json::to_value(figures)?, table })
    }
}

/// Writes what a line has found in place of what it had found before; answers the text.
pub(crate) fn write(line: &str, findings: &Findings, machine: &Machine) -> Result<String> {
    let json = docs("performance.json");
    let text = read(&json)?;
    let mut all: Map<String, Value> = serde_json::from_str(&text)
        .with_context(|| format!("{} holds no figures", json.display()))?;
    let section = json!({ "machine": machine, "figures": findings.figures });
    all.insert(line.to_owned(), section);
    let page = docs("performance.md");
    let table = format!("{}\n{machine}", findings.table.trim_end());
    let with_table = replace(&read(&page)?, line, &table)?;
    std::fs::write(&json, serde_json::to_string_pretty(&all)? + "\n")?;
    std::fs::write(&page, with_table)?;
    Ok(table)
}

fn docs(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A page with another text between a line's marks.
fn replace(page: &str, line: &str, text: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- {line} -->"), format!("<!-- /{line} -->"));
    let parts = page
        .split_once(&begin)
        .and_then(|(before, rest)| rest.split_once(&end).map(|(_, after)| (before, after)));
    let (before, after) = parts.with_context(|| format!("the page has no {begin} … {end}"))?;
    Ok(format!("{before}{begin}\n{text}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LINES;

    #[test]
    fn a_section_is_replaced_and_the_others_stay() {
        let page = "A\n<!-- one -->\nold\n<!-- /one -->\nB\n<!-- two -->\n<!-- /two -->\nC\n";
        let expected = "A\n<!-- one -->\nnew\n<!-- /one -->\nB\n<!-- two -->\n<!-- /two -->\nC\n";
        assert_eq!(replace(page, "one", "new").unwrap(), expected);
        assert!(replace(page, "three", "new").is_err());
    }

    #[test]
    fn the_page_has_a_place_for_each_line() {
        let page = read(&docs("performance.md")).unwrap();
        for (line, _) in LINES {
            assert!(replace(&page, line, "new").is_ok(), "{line}");
        }
    }
}
