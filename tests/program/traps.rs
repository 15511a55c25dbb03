//! The traps that a re-implementation of Packer most probably falls into, each as a test by name. The numbers are those of
//! the project's list of traps; what Kiln does differently on purpose stands in docs/reference/packer.md.

#[path = "traps/execution.rs"]
mod execution;
#[path = "traps/process.rs"]
mod process;
#[path = "traps/selection.rs"]
mod selection;
#[path = "traps/values.rs"]
mod values;

use kiln_tests::program::{Place, Ran};

use super::place;

/// A place with one file.
fn with(name: &str, text: &str) -> Place {
    let place = place();
    place.write(name, text);
    place
}

/// An HCL2 template: null sources of these names, and a build of all of them around `inside`.
fn template(sources: &[&str], inside: &str) -> String {
    let declared: String = sources
        .iter()
        .map(|s| format!("source \"null\" \"{s}\" {{\n  communicator = \"none\"\n}}\n"))
        .collect();
    let used: Vec<String> = sources.iter().map(|s| format!("\"null.{s}\"")).collect();
    format!("{declared}build {{\n  sources = [{}]\n{inside}\n}}\n", used.join(", "))
}

/// What a run of these words makes of a template.
fn run(template: &str, words: &[&str]) -> Ran {
    let place = with("t.pkr.hcl", template);
    place.run(words.iter().chain(&["t.pkr.hcl"]))
}

/// A step that runs a line on this machine.
fn shell_local(role: &str, line: &str) -> String {
    format!("  {role} \"shell-local\" {{\n    inline = [{line:?}]\n  }}\n")
}
