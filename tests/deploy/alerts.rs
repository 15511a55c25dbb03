//! Alerts speak of figures that a coordinator has.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use kiln_tests::program::Running;
use kiln_tests::{tree, wait};

use super::{deployed, expect_none, place, yaml};

/// The names of figures in a text: those that begin with `kiln_`.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("kiln_")).map(str::to_owned).collect()
}

/// What a coordinator answers under a path.
fn asked(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(answer)
}

/// All figures that a coordinator tells, with the endings that samples have.
fn exported() -> BTreeSet<String> {
    let place = place();
    let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (farm, http) = (port(), port());
    let settings = format!(
        "directory = \"c\"\nlisten = \"127.0.0.1:{farm}\"\naddress = \"https://127.0.0.1:{farm}\"\n\
         http {{\n  listen = \"127.0.0.1:{http}\"\n}}\n"
    );
    place.write("c.hcl", settings);
    place.run(["coordinator", "init", "-settings", "c.hcl"]).expect_code(0);
    let coordinator: Running = place.start(["coordinator", "-settings", "c.hcl"]);
    let told = wait::until("figures", Duration::from_secs(60), || {
        asked(http, "/readyz").and_then(|_| asked(http, "/metrics"))
    });
    coordinator.kill();
    let types = told.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types
        .flat_map(|(name, kind)| {
            let endings: &[&str] = match kind.trim() {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            endings.iter().map(move |ending| format!("{name}{ending}"))
        })
        .collect()
}

#[test]
fn alerts_and_documents_name_figures_that_there_are() {
    let exported = exported();
    assert!(
        exported.contains("kiln_leader") && exported.contains("kiln_queue_seconds_bucket"),
        "{exported:?}"
    );
    let place = place();
    let (_, text) = deployed("prometheus/alerts.yml");
    let mut missing = Vec::new();
    let alerts = yaml(&place, &text).remove(0);
    let rules = alerts["groups"][0]["rules"].as_array().expect("there are rules").clone();
    assert!(rules.len() >= 5);
    for rule in &rules {
        let (alert, expr) = (rule["alert"].as_str().unwrap(), rule["expr"].as_str().unwrap());
        let unknown = names(expr).into_iter().filter(|name| !exported.contains(name));
        missing.extend(unknown.map(|name| format!("{alert}: {name}")));
        assert!(
            rule["annotations"]["summary"].is_string() && rule["labels"]["severity"].is_string(),
            "{alert}"
        );
        let pairs = [('(', ')'), ('{', '}'), ('[', ']')];
        let balanced =
            |(open, close): &(char, char)| expr.matches(*open).count() == expr.matches(*close).count();
        assert!(pairs.iter().all(balanced), "{alert}: {expr}");
        if let Some(runbook) = rule["annotations"]["runbook"].as_str() {
            assert!(tree::top().join(runbook).is_file(), "{alert}: {runbook}");
        }
    }
    let page = std::fs::read_to_string(tree::top().join("docs/telemetry.md")).unwrap();
    let bare =
        |name: &str| exported.iter().any(|known| known == name || known.starts_with(&format!("{name}_")));
    missing.extend(
        names(&page).into_iter().filter(|name| !bare(name)).map(|name| format!("telemetry.md: {name}")),
    );
    let untold = |name: &&String| {
        let name =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        !page.contains(name)
    };
    missing.extend(exported.iter().filter(untold).map(|name| format!("telemetry.md lacks {name}")));
    expect_none("figures", &missing);
}

#[test]
fn what_is_scraped_is_where_coordinators_answer() {
    let (_, text) = deployed("prometheus/prometheus.yml");
    let settings = yaml(&place(), &text).remove(0);
    assert_eq!(settings["scrape_configs"][0]["job_name"], "kiln", "alerts ask for job=\"kiln\"");
    assert_eq!(settings["rule_files"][0], "alerts.yml");
}
