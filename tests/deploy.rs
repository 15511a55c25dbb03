//! What a farm is deployed with, checked as far as that goes without a cluster: settings with the program's own reader,
//! units with systemd's, manifests by their shape, alerts against the figures of a running coordinator, and documents
//! against the words that the program knows.

#![allow(clippy::unwrap_used, reason = "a test ends where it meets what it does not expect")]

#[path = "deploy/alerts.rs"]
mod alerts;
#[path = "deploy/documents.rs"]
mod documents;
#[path = "deploy/manifests.rs"]
mod manifests;
#[path = "deploy/settings.rs"]
mod settings;
#[path = "deploy/traces.rs"]
mod traces;
#[path = "deploy/units.rs"]
mod units;

use std::path::PathBuf;

use kiln_tests::program::Place;
use kiln_tests::tree;
use serde_json::Value;

/// A fresh place to run the program in.
fn place() -> Place {
    Place::new(env!("CARGO_BIN_EXE_kiln"))
}

/// A file below `deploy/`, and its text.
fn deployed(name: &str) -> (PathBuf, String) {
    let path = tree::top().join("deploy").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    (path, text)
}

/// The documents of a YAML file, read by the program's own function.
fn yaml(place: &Place, text: &str) -> Vec<Value> {
    let documents: Vec<&str> = text.split("\n---\n").collect();
    let read = |text: &&str| {
        let path = place.write("document.yaml", text);
        let line = format!("jsonencode(yamldecode(file({:?})))\n", path.display().to_string());
        let ran = place.run_on(&line, ["console", "-config-type=hcl2"]);
        ran.expect_code(0);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{text}", ran.stdout))
    };
    documents.iter().map(read).collect()
}

/// Fails with one line per offence.
fn expect_none(rule: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}
