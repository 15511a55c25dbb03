//! Names and heads: one word, one meaning; no attics; every module says why it exists.

use kiln_tests::tree;

/// Modules for homeless helpers, and `mod.rs`, whose name says nothing.
const ATTICS: [&str; 7] =
    ["mod.rs", "util.rs", "utils.rs", "common.rs", "helpers.rs", "misc.rs", "prelude.rs"];

/// Words that the glossary of ARCHITECTURE.md leaves out.
const FORBIDDEN: [&str; 4] = ["worker", "runner", "master", "slave"];

#[test]
fn no_module_is_an_attic() {
    let name = |p: &std::path::Path| p.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let offences: Vec<String> = tree::files()
        .into_iter()
        .filter(|p| ATTICS.contains(&&*name(p)))
        .map(|p| p.display().to_string())
        .collect();
    super::expect_none("names that say nothing", &offences);
}

#[test]
fn every_module_opens_with_why_it_exists() {
    let offences: Vec<String> = tree::rust_sources()
        .into_iter()
        .filter(|(path, text)| !path.ends_with("tests.rs") && !text.starts_with("//!"))
        .map(|(path, _)| path.display().to_string())
        .collect();
    super::expect_none("files without a head", &offences);
}

#[test]
fn declared_names_keep_to_the_glossary() {
    let mut offences = Vec::new();
    for (path, text) in tree::rust_sources() {
        for (number, line) in text.lines().enumerate() {
            let Some(name) = declared_name(line) else { continue };
            let name = name.to_lowercase();
            let found = FORBIDDEN.iter().filter(|word| name.contains(**word));
            offences.extend(found.map(|w| format!("{}:{}: {w} in {name}", path.display(), number + 1)));
        }
    }
    super::expect_none("words that are not used", &offences);
}

fn declared_name(line: &str) -> Option<&str> {
    let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty());
    words
        .find(|w| ["fn", "struct", "enum", "trait", "mod", "type"].contains(w))
        .filter(|_| !line.trim_start().starts_with("//"))?;
    words.next()
}
