//! What is looked at first, what stops at a mistake, and that all mistakes of a phase are told together.

use super::{World, hcl, outcome, request};

/// The summaries of the complaints, in order.
fn summaries(shown: &str) -> Vec<String> {
    let complaints = shown.lines().filter(|l| l.starts_with("Error: ") || l.starts_with("Warning: "));
    let summary = |line: &str| {
        let words = line.split_once(": ").map_or("", |(_, rest)| rest);
        let words = match words.split_once(": ") {
            Some((place, rest)) if place.contains(".pkr.hcl:") || place.starts_with('<') => rest,
            _ => words,
        };
        words.split(": ").next().unwrap_or_default().to_owned()
    };
    complaints.map(summary).collect()
}

#[test]
fn a_text_that_can_not_be_read_stops_before_everything_else() {
    let shown = hcl("packer { required_version = \">= 99\" }\nsource \"null\" \"a\" {\n x = [1\n}\n");
    assert!(!shown.contains("Unsupported Packer Core version"), "{shown}");
    assert!(shown.starts_with("Error: t.pkr.hcl:"), "{shown}");
}

#[test]
fn parsing_tells_all_its_mistakes_and_evaluation_waits() {
    let text = r#"
nonsense {}
packer {
  required_plugins { x = "1" }
}
variable "v" { type = int }
variable "v" {}
locals { a = 1 }
local "a" { expression = 2 }
data "x" "1" {}
build { sources = ["null.none"] }
"#;
    let expected = [
        "Unsupported block type",
        "Invalid plugin requirement",
        "Invalid type specification",
        "Duplicate variable",
        "Invalid data source name",
        "Duplicate local definition",
    ];
    assert_eq!(summaries(&hcl(text)), expected);
}

#[test]
fn evaluation_tells_mistakes_of_variables_locals_sources_and_builds_together() {
    let text = r#"
variable "unset" {}
variable "rule" {
  default = 1
  validation {
    condition     = var.rule > 1
    error_message = "Too small."
  }
}
locals {
  wrong   = upper([])
  because = "${local.wrong}!"
  other   = file("absent")
  fine    = var.unset
}
source "null" "a" {}
source "null" "a" {}
build {
  name    = local.because
  sources = ["null.b"]
}
build {
  sources = ["null"]
}
"#;
    let expected = [
        "Unset variable \"unset\"",
        "Invalid value for default variable",
        "Invalid function argument",
        "Invalid function argument",
        "Duplicate source block",
        "Invalid source reference",
        "Unknown source null.b",
    ];
    assert_eq!(summaries(&hcl(text)), expected, "{}", hcl(text));
}

#[test]
fn a_mistake_in_the_graph_does_not_hide_the_others() {
    let text = "locals {\n a = local.b\n b = local.a\n c = local.c\n d = local.nope\n e = upper([])\n f = local.a\n}\n";
    let shown = hcl(text);
    let graph = "failed to prepare execution graph";
    let expected = [graph, graph, graph, "Invalid function argument", "Missing build block"];
    assert_eq!(summaries(&shown), expected, "{shown}");
    for words in ["Self reference: local.c", "local.d refers to local.nope", "Cycle: local.a, local.b"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

#[test]
fn builds_come_in_the_order_of_files_lists_before_blocks() {
    let world = World::default()
        .file("d/1.pkr.hcl", "build {\n source \"null.b\" {}\n sources = [\"null.a\", \"null.c\"]\n}")
        .file("d/2.pkr.hcl", "build {\n name = \"n\"\n sources = [\"null.c\"]\n}")
        .file("d/3.pkr.hcl", "source \"null\" \"a\" {}\nsource \"null\" \"b\" {}\nsource \"null\" \"c\" {}");
    let shown = outcome(world, &request("d"));
    let names: Vec<_> = shown.lines().filter_map(|l| l.split(' ').next()).collect();
    assert_eq!(names, ["null.a", "null.c", "null.b", "n.null.c"]);
}
