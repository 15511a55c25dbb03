//! Whether Ansible may send its modules through the connection's standard input instead of carrying each over as a file.
//!
//! It saves Ansible two of three round trips per task, and the guest ends up the same. It is switched on where
//! nothing can tell the difference: behind the adapter, which gives commands no terminal either way, and only if
//! nobody has decided about it already.

use std::path::{Path, PathBuf};

use kiln_component::ProvisionContext;
use kiln_lang::Value;
use kiln_plan::{BodyItem, BuildPlan, Leaf};

/// The variables by which a user decides about it.
const DECIDED_BY: [&str; 2] = ["ANSIBLE_PIPELINING", "ANSIBLE_SSH_PIPELINING"];

/// Whether to switch it on for a run behind the adapter. `variable` looks up the environment that Ansible will have.
pub(super) fn suits(cx: &ProvisionContext<'_>, variable: &dyn Fn(&str) -> Option<String>) -> bool {
    let decided = DECIDED_BY.iter().any(|name| variable(name).is_some());
    !decided && !has_terminals(&cx.task.plan) && !settled(&settings_files(&cx.task.working_dir, variable))
}

/// Whether the communicator gives commands a terminal, which would cut long input lines.
fn has_terminals(plan: &BuildPlan) -> bool {
    let given = |item: &BodyItem| match item {
        BodyItem::Attribute { name, leaf: Leaf::Value(value), .. } => {
            name.eq_ignore_ascii_case("ssh_pty") && *value != Value::from(false)
        }
        BodyItem::Attribute { name, .. } => name.eq_ignore_ascii_case("ssh_pty"),
        BodyItem::Block { .. } => false,
    };
    plan.builder.body.items.iter().any(given)
}

/// Where Ansible looks for its settings; it takes the first that is there.
fn settings_files(working_dir: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let named = variable("ANSIBLE_CONFIG").map(|path| {
        let path = working_dir.join(path);
        if path.is_dir() { path.join("ansible.cfg") } else { path }
    });
    let home = variable("HOME").map(|home| Path::new(&home).join(".ansible.cfg"));
    let here = Some(working_dir.join("ansible.cfg"));
    let machine = Some(PathBuf::from("/etc/ansible/ansible.cfg"));
    [named, here, home, machine].into_iter().flatten().collect()
}

/// Whether the settings that hold decide about it.
fn settled(files: &[PathBuf]) -> bool {
    let text = files.iter().find_map(|file| std::fs::read_to_string(file).ok());
    text.is_some_and(|text| text.lines().any(|line| line.trim_start().starts_with("pipelining")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_settings_file_decides() {
        let dir = tempfile::tempdir().unwrap();
        let named = dir.path().join("named.cfg");
        std::fs::write(
            dir.path().join("ansible.cfg"),
            "[ssh_connection]\n# pipelining = True\nretries = 3\n",
        )
        .unwrap();
        std::fs::write(&named, "[ssh_connection]\npipelining=False\n").unwrap();
        let none = |_: &str| None;
        let by_name = |name: &str| (name == "ANSIBLE_CONFIG").then(|| "named.cfg".to_owned());
        assert!(!settled(&settings_files(dir.path(), &none)));
        assert!(settled(&settings_files(dir.path(), &by_name)));
    }
}
