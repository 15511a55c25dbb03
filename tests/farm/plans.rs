//! Plans as a coordinator sends them.

use std::path::Path;

use kiln_lang::Value;
use kiln_lang::duration::SignedDuration;
use kiln_lang::value::Data;
use kiln_plan::build::ProvisionerPlan;
use kiln_plan::{BuildPlan, ComponentConfig, ComponentKind, ConfigBody, Sensitive};

/// What the plans below must never show.
pub(crate) const SECRET: &str = "correct-horse-battery";

fn component(kind: ComponentKind, name: &str, options: &[(&str, Value)]) -> ComponentConfig {
    let mut body = ConfigBody::default();
    options.iter().for_each(|(name, value)| body.set(name, value.clone()));
    ComponentConfig { kind, name: name.to_owned(), span: None, body }
}

/// A task that runs a script on the agent's machine, in `work`.
pub(crate) fn script(work: &Path, lines: &[&str]) -> BuildPlan {
    let enter = format!("cd '{}'", work.display());
    let lines = std::iter::once(enter.as_str()).chain(lines.iter().copied());
    let inline = Value::new(Data::Tuple(lines.map(Value::string).collect()));
    let shell = component(ComponentKind::Provisioner, "shell-local", &[("inline", inline)]);
    let zero = SignedDuration::default();
    let provisioner = ProvisionerPlan {
        component: shell,
        pause_before: zero,
        timeout: zero,
        max_retries: 0,
        continue_on_error: false,
    };
    let builder = component(ComponentKind::Builder, "null", &[("communicator", Value::string("none"))]);
    let secrets = vec![Sensitive::new(SECRET.to_owned())];
    BuildPlan { provisioners: vec![provisioner], secrets, ..BuildPlan::of_builder(builder, "a") }
}

/// A task that boots the small guest and says `in the guest` there.
pub(crate) fn guest(disk: &Path) -> BuildPlan {
    let inline = Value::new(Data::Tuple(vec![Value::string("echo in the guest")]));
    let mut plan = script(Path::new("/"), &[]);
    plan.name = "qemu.a".into();
    let text = |text: &str| Value::string(text);
    plan.builder = component(
        ComponentKind::Builder,
        "qemu",
        &[
            ("iso_url", text(&disk.display().to_string())),
            ("iso_checksum", text("none")),
            ("disk_image", Value::bool(true)),
            ("headless", Value::bool(true)),
            ("disk_size", text("2G")),
            ("ssh_username", text("root")),
            ("ssh_password", text("kiln")),
            ("ssh_timeout", text("4m")),
            ("shutdown_command", text("poweroff")),
        ],
    );
    plan.provisioners[0].component = component(ComponentKind::Provisioner, "shell", &[("inline", inline)]);
    plan
}

/// A task that says `begun`, waits for the file `go`, says `done`, and then something with a secret in it.
pub(crate) fn waiting(work: &Path) -> BuildPlan {
    let last = format!("echo it is {SECRET}");
    script(work, &["echo begun", "until [ -e go ]; do sleep 0.05; done", "echo done", &last])
}
