//! Example settings load, also with everything in them that is commented out, and leave nothing out.

use std::path::Path;

use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::TokenId;
use kiln_proto::token::{Token, TokenKind};
use kiln_tests::program::{Place, Ran};

use super::{deployed, expect_none, place, yaml};

/// Checks settings with the program, their paths moved into the place.
fn check(place: &Place, daemon: &str, text: &str) -> Ran {
    let etc = place.work().join("etc");
    let text = text.replace("/etc/kiln", &etc.display().to_string());
    let path = place.write("settings.hcl", text);
    place.run([daemon, "-settings", &path.display().to_string(), "-check"])
}

/// A place with everything that example settings name.
fn furnished() -> Place {
    let place = place();
    let token = Token::new(
        TokenKind::Agent,
        "0190163d-8694-739b-aea5-966c26f8ad90".parse::<TokenId>().unwrap(),
        [7; 32],
        Fingerprint::of_bytes(b"x"),
    );
    for (name, text) in [
        ("s3.keys", "key\nsecret\n".to_owned()),
        ("store/keys", "key\nsecret\n".to_owned()),
        ("azure.key", "c2VjcmV0\n".to_owned()),
        ("gcs.json", "{}".to_owned()),
        ("otlp.headers", "Authorization: Bearer x\n".to_owned()),
        ("join-token", token.reveal()),
    ] {
        place.write(&format!("etc/{name}"), text);
    }
    place
}

/// Settings with what is commented out but looks like settings.
fn whole(text: &str) -> String {
    let setting = |line: &str| {
        let bare = line.trim_start().strip_prefix("# ").map(str::trim_start)?;
        let name =
            bare.trim_start_matches(|c: char| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit());
        let begins = name.len() < bare.len() && (name.trim_start().starts_with("= ") || name == " {");
        (begins || bare == "}").then(|| bare.to_owned())
    };
    text.lines().map(|line| setting(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

/// The same without these arguments and blocks, which exclude others.
fn without(text: &str, names: &[&str]) -> String {
    let mut inside = false;
    let keep = |line: &&str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        let begins = names.contains(&word);
        let keep = !inside && !begins;
        inside = (inside || (begins && line.ends_with('{'))) && line.trim() != "}";
        keep
    };
    text.lines().filter(keep).map(|line| format!("{line}\n")).collect()
}

#[test]
fn examples_load_as_they_are_and_with_everything_in_them() {
    let place = furnished();
    let (_, coordinator) = deployed("settings/coordinator.hcl");
    let (_, agent) = deployed("settings/agent.hcl");
    check(&place, "coordinator", &coordinator).expect_code(0).expect("The settings are valid.");
    check(&place, "agent", &agent).expect_code(0).expect("The settings are valid.");
    check(&place, "agent", &whole(&agent)).expect_code(0);
    let stores = ["objects", "s3", "gcs", "azure"];
    for store in stores {
        let others: Vec<&str> = stores.into_iter().filter(|other| *other != store).collect();
        check(&place, "coordinator", &without(&whole(&coordinator), &others)).expect_code(0);
    }
    check(&place, "coordinator", &whole(&coordinator)).expect_code(1);
}

#[test]
fn examples_leave_no_setting_out() {
    let place = furnished();
    let mut missing = Vec::new();
    for (daemon, needed) in [
        ("coordinator", "directory = \"d\"\naddress = \"https://a\"\n"),
        ("agent", "farm = [\"https://a\"]\n"),
    ] {
        let (_, example) = deployed(&format!("settings/{daemon}.hcl"));
        let example = whole(&example);
        let blocks = if daemon == "agent" { vec![] } else { vec!["s3", "gcs", "azure", "http", "telemetry"] };
        for block in std::iter::once("").chain(blocks) {
            let asked = if block.is_empty() {
                "zzzzzzzz = 1\n".to_owned()
            } else {
                format!("{block} {{\n zzzzzzzz = 1\n}}\n")
            };
            let ran = check(&place, daemon, &format!("{needed}{asked}"));
            let told = ran.expect_code(1).all();
            let known = told.split("Known are: ").nth(1).unwrap_or_else(|| panic!("{told}"));
            let known = known.split('.').next().unwrap_or_default().split(',').map(str::trim);
            let stands =
                |name: &str| example.lines().any(|line| line.split_whitespace().next() == Some(name));
            missing
                .extend(known.filter(|name| !stands(name)).map(|name| format!("{daemon}: {block} {name}")));
        }
    }
    expect_none("settings that the examples lack", &missing);
}

#[test]
fn every_fault_is_told_at_once() {
    let place = furnished();
    let text =
        "addres = \"https://a\"\nkeep = \"soon\"\ntelemetry {\n  otlp = \"grpc://c:4317\"\n  header = 1\n}\n";
    let ran = check(&place, "coordinator", text);
    ran.expect_code(1);
    for fault in ["directory", "address", "keep", "otlp", "header"] {
        assert!(ran.all().contains(fault), "{fault}: {}", ran.all());
    }
}

#[test]
fn settings_in_manifests_load() {
    let place = furnished();
    let named = |text: &str| text.replace("@NAME@", "kiln-coordinator-0");
    let (_, coordinator) = deployed("kubernetes/coordinators/coordinator.hcl");
    check(&place, "coordinator", &named(&coordinator)).expect_code(0);
    let (_, agent) = deployed("kubernetes/agents/agent.hcl");
    let token = place.work().join("etc/join-token").display().to_string();
    let path = place.write("agent.hcl", agent);
    let ran = place.run([
        "agent",
        "-settings",
        &path.display().to_string(),
        "-token-file",
        &token,
        "-name",
        "m",
        "-check",
    ]);
    ran.expect_code(0);
    let (_, compose) = deployed("container/compose.yaml");
    let compose = yaml(&place, &compose).remove(0);
    let content = |name: &str| compose["configs"][name]["content"].as_str().unwrap().to_owned();
    check(&place, "coordinator", &named(&content("coordinator"))).expect_code(0);
    check(&place, "agent", &content("agent").replace("/tokens/agent", &token)).expect_code(0);
}

#[test]
fn an_enrolled_agent_needs_no_token_any_more() {
    let place = furnished();
    let run = place.work().join("run");
    let settings =
        format!("farm = [\"https://a\"]\ntoken_file = \"/etc/kiln/gone\"\nrun_directory = {run:?}\n");
    let ran = check(&place, "agent", &settings);
    assert!(ran.expect_code(1).all().contains("failed to read the token in"), "{}", ran.all());
    let identity = Path::new("run/identity/chain.pem").display().to_string();
    place.write(&identity, "a certificate");
    check(&place, "agent", &settings).expect_code(0);
}
