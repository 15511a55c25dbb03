//! The programs that tasks may need, with their versions as they tell them.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use kiln_component::Journal;
use kiln_component::process::{Program, find as find_program};
use tokio_util::sync::CancellationToken;

/// How long a program may take to tell its version.
const LIMIT: Duration = Duration::from_secs(10);

/// Programs, and how to ask for their versions.
const TOOLS: [(&str, &str); 18] = [
    ("qemu-system-x86_64", "--version"),
    ("qemu-system-aarch64", "--version"),
    ("qemu-system-arm", "--version"),
    ("qemu-system-riscv64", "--version"),
    ("qemu-system-ppc64", "--version"),
    ("qemu-system-s390x", "--version"),
    ("qemu-img", "--version"),
    ("swtpm", "--version"),
    ("xorriso", "--version"),
    ("mkisofs", "--version"),
    ("ansible-playbook", "--version"),
    ("VBoxManage", "--version"),
    ("vmrun", "-v"),
    ("docker", "--version"),
    ("podman", "--version"),
    ("ssh", "-V"),
    ("git", "--version"),
    ("virtiofsd", "--version"),
];

/// Those that are here.
pub(super) async fn find() -> BTreeMap<String, String> {
    let here = TOOLS.iter().filter(|(name, _)| find_program(name).is_some());
    join_all(here.map(async |(name, flag)| ((*name).to_owned(), version(name, flag).await)))
        .await
        .into_iter()
        .collect()
}

async fn version(name: &str, flag: &str) -> String {
    let cancel = CancellationToken::new();
    let journal = Journal::in_memory();
    let asked = Program::new(name).arg(flag).output(&journal, &cancel);
    match tokio::time::timeout(LIMIT, asked).await {
        // Some tell it on standard error.
        Ok(Ok(output)) => {
            first_number(&output.text()).or_else(|| first_number(&output.stderr)).unwrap_or_default()
        }
        Ok(Err(_)) | Err(_) => String::new(),
    }
}

/// The first thing in a text that looks like a version: `10.0.2`.
fn first_number(text: &str) -> Option<String> {
    let words = text.split(|c: char| !(c.is_ascii_digit() || c == '.')).map(|word| word.trim_matches('.'));
    words.into_iter().find(|word| word.contains('.')).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        let cases = [
            ("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)", Some("10.0.2")),
            ("qemu-img version 7.2.22", Some("7.2.22")),
            ("ansible-playbook [core 2.14.18]", Some("2.14.18")),
            ("7.1.4r165100", Some("7.1.4")),
            ("OpenSSH_9.2p1 Debian-2", Some("9.2")),
            ("no version", None),
        ];
        for (text, expected) in cases {
            assert_eq!(first_number(text).as_deref(), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_here_is_found() {
        assert!(find().await.contains_key("ssh"), "install-tools.sh installs it");
    }
}
