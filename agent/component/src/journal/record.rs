//! The journal at rest: one JSON object per line, the first naming the format.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Intent;
use crate::process::table::{self, ProcessId};

/// The version of the format that this program writes. A higher one is left alone. The second added what lies in the kernel.
pub(super) const FORMAT: u32 = 2;

/// One line.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// The first.
    Head { format: u32, boot: String },
    /// Something is about to be made.
    Intended { id: u64, intent: Intent },
    /// The process of intent `id` has this number.
    Started { id: u64, process: ProcessId },
    /// What intent `id` names is gone, or is to stay.
    Cleared { id: u64 },
}

/// An intent that was not cleared.
#[derive(Debug, PartialEq)]
pub(super) struct Open {
    pub(super) intent: Intent,
    pub(super) process: Option<ProcessId>,
}

impl Line {
    pub(super) fn head() -> Self {
        Self::Head { format: FORMAT, boot: table::boot_id() }
    }

    /// With its line ending.
    pub(super) fn text(&self) -> String {
        let mut text = serde_json::to_string(self).expect("a line has only string keys");
        text.push('\n');
        text
    }
}

/// The open intents of a journal. A line that was cut off by a crash is passed over: nothing had been done for it.
///
/// # Errors
/// The format's number when it is one that this program doesn't know.
pub(super) fn read(text: &str, boot: &str) -> Result<BTreeMap<u64, Open>, u32> {
    let mut open = BTreeMap::new();
    let mut same_boot = true;
    for line in text.lines().filter_map(|l| serde_json::from_str(l).ok()) {
        match line {
            Line::Head { format, .. } if format > FORMAT => return Err(format),
            Line::Head { boot: written, .. } => same_boot = written == boot,
            // No process lives through a restart of the machine, and its number may be another's by now. Nor does what
            // lies in the kernel.
            Line::Intended {
                intent: Intent::Process { .. } | Intent::Interface { .. } | Intent::ControlGroup { .. },
                ..
            } if !same_boot => {}
            Line::Intended { id, intent } => drop(open.insert(id, Open { intent, process: None })),
            Line::Started { id, process } => {
                if let Some(open) = open.get_mut(&id) {
                    open.process = Some(process);
                }
            }
            Line::Cleared { id } => drop(open.remove(&id)),
        }
    }
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"{"head":{"format":1,"boot":"b"}}"#;
    const PROCESS: &str = r#"{"intended":{"id":0,"intent":{"process":{"program":"sleep"}}}}"#;
    const STARTED: &str = r#"{"started":{"id":0,"process":{"pid":7,"started":9}}}"#;
    const DIRECTORY: &str = r#"{"intended":{"id":1,"intent":{"directory":{"path":"/x/y"}}}}"#;

    #[test]
    fn what_was_intended_and_not_cleared_is_open() {
        let text = [HEAD, PROCESS, STARTED, DIRECTORY, r#"{"cleared":{"id":1}}"#].join("\n");
        let open = read(&text, "b").unwrap();
        assert_eq!(open.keys().collect::<Vec<_>>(), [&0]);
        assert_eq!(open[&0].process, Some(ProcessId { pid: 7, started: 9 }));
    }

    #[test]
    fn after_a_restart_of_the_machine_only_files_are_open() {
        let text = [HEAD, PROCESS, STARTED, DIRECTORY].join("\n");
        assert_eq!(read(&text, "another").unwrap().keys().collect::<Vec<_>>(), [&1]);
    }

    #[test]
    fn a_torn_last_line_is_passed_over() {
        let text = format!("{HEAD}\n{DIRECTORY}\n{}", &PROCESS[..30]);
        assert_eq!(read(&text, "b").unwrap().len(), 1);
    }

    #[test]
    fn a_newer_format_is_refused() {
        assert_eq!(read(r#"{"head":{"format":3,"boot":"b"}}"#, "b"), Err(3));
    }
}
