//! Who may see whom: the floors of ARCHITECTURE.md, and the one door to each heavy foreign crate.

use std::collections::BTreeMap;
use std::process::Command;

use kiln_tests::tree;

/// Each crate of ours with those of ours that it may see. An edge that isn't here does not exist.
const MAY_SEE: [(&str, &[&str]); 11] = [
    ("kiln-lang", &[]),
    ("kiln-plan", &["kiln-lang"]),
    ("kiln-config", &["kiln-lang", "kiln-plan"]),
    ("kiln-model", &["kiln-plan"]),
    ("kiln-proto", &["kiln-lang", "kiln-plan"]),
    ("kiln-component", &["kiln-lang", "kiln-plan"]),
    ("kiln-plugin-host", &["kiln-component", "kiln-lang", "kiln-plan"]),
    ("kiln-agent", &["kiln-component", "kiln-lang", "kiln-plan", "kiln-plugin-host", "kiln-proto"]),
    ("kiln-coordinator", &["kiln-config", "kiln-lang", "kiln-model", "kiln-plan", "kiln-proto"]),
    (
        "kiln-cli",
        &[
            "kiln-agent",
            "kiln-component",
            "kiln-config",
            "kiln-coordinator",
            "kiln-lang",
            "kiln-plan",
            "kiln-plugin-host",
            "kiln-proto",
        ],
    ),
    (
        "kiln-tests",
        &[
            "kiln-agent",
            "kiln-cli",
            "kiln-component",
            "kiln-config",
            "kiln-coordinator",
            "kiln-lang",
            "kiln-model",
            "kiln-plan",
            "kiln-plugin-host",
            "kiln-proto",
        ],
    ),
];

/// Foreign crates with the only ones of ours that may name them.
const DOORS: [(&str, &[&str]); 10] = [
    ("hcl-edit", &["kiln-lang"]),
    ("gotmpl", &["kiln-lang"]),
    ("openraft", &["kiln-coordinator"]),
    ("redb", &["kiln-coordinator"]),
    ("russh", &["kiln-agent"]),
    ("reqwest", &["kiln-agent", "kiln-coordinator", "kiln-plugin-host"]),
    ("prost", &["kiln-proto"]),
    ("object_store", &["kiln-coordinator"]),
    ("clap", &["kiln-cli"]),
    ("indicatif", &["kiln-cli"]),
];

/// Crates that hold no async and ask the world nothing.
const PURE: [&str; 4] = ["kiln-lang", "kiln-plan", "kiln-config", "kiln-model"];

fn declared() -> BTreeMap<String, Vec<String>> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(tree::top())
        .output()
        .expect("cargo runs this test");
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    let name = |v: &serde_json::Value| v["name"].as_str().unwrap_or_default().to_owned();
    // Tests of a crate may use what they like: only what ships counts.
    let ships = |d: &&serde_json::Value| d["kind"].as_str() != Some("dev");
    let one = |p: &serde_json::Value| {
        (name(p), p["dependencies"].as_array().into_iter().flatten().filter(ships).map(name).collect())
    };
    packages.iter().map(one).collect()
}

#[test]
fn crates_see_only_the_floors_below() {
    let table: BTreeMap<&str, &[&str]> = MAY_SEE.into_iter().collect();
    let mut offences = Vec::new();
    for (from, edges) in declared() {
        let Some(allowed) = table.get(from.as_str()) else {
            offences.push(format!("{from} has no row in the table"));
            continue;
        };
        let ours = edges.iter().filter(|to| to.starts_with("kiln-"));
        offences.extend(
            ours.filter(|to| !allowed.contains(&to.as_str())).map(|to| format!("{from} may not see {to}")),
        );
    }
    super::expect_none("edges between crates", &offences);
}

#[test]
fn heavy_foreign_crates_have_one_door() {
    let declared = declared();
    let mut offences = Vec::new();
    for (foreign, doors) in DOORS {
        let users = declared.iter().filter(|(_, edges)| edges.iter().any(|e| e == foreign));
        let wrong = users.filter(|(from, _)| !doors.contains(&from.as_str()));
        offences.extend(wrong.map(|(from, _)| format!("{from} may not use {foreign}")));
    }
    super::expect_none("doors to foreign crates", &offences);
}

#[test]
fn pure_crates_ask_the_world_nothing() {
    const WORLD: [&str; 9] = [
        "std::env",
        "std::fs",
        "std::net::Tcp",
        "std::net::Udp",
        "std::process",
        "SystemTime",
        "Instant::now",
        "async fn",
        "tokio",
    ];
    let declared = declared();
    let mut offences = Vec::new();
    for pure in PURE {
        let wrong =
            declared[pure].iter().filter(|d| ["tokio", "async-trait", "futures"].contains(&d.as_str()));
        offences.extend(wrong.map(|d| format!("{pure} depends on {d}")));
    }
    let pure_folders = ["config/lang/src", "config/plan/src", "config/src", "coordinator/model/src"];
    for (path, text) in tree::rust_sources() {
        if !pure_folders.iter().any(|f| path.starts_with(f)) || path.ends_with("tests.rs") {
            continue;
        }
        let shipped = text.split("#[cfg(test)]").next().unwrap_or("");
        for (number, line) in shipped.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//")) {
            let found = WORLD.iter().filter(|w| line.contains(**w));
            offences.extend(found.map(|w| format!("{}:{}: {w}", path.display(), number + 1)));
        }
    }
    super::expect_none("pure crates", &offences);
}
