//! Plans as a coordinator sends them.

use std::path::Path;

use kiln_lang::Value;
use kiln_lang::duration::SignedDuration;
use kiln_lang::value::Data;
use kiln_plan::build::{Dialect, PLAN_FORMAT, ProvisionerPlan, TemplateContext};
use kiln_plan::{BuildPlan, ComponentConfig, ComponentKind, ConfigBody, Requirements, RunOptions, Sensitive};

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
    BuildPlan {
        format: PLAN_FORMAT,
        name: "null.a".into(),
        source_name: "a".into(),
        dialect: Dialect::Hcl2,
        builder: component(ComponentKind::Builder, "null", &[("communicator", Value::string("none"))]),
        provisioners: vec![provisioner],
        error_cleanup: None,
        post_processors: vec![],
        facts: TemplateContext::default(),
        options: RunOptions::default(),
        secrets: vec![Sensitive::new(SECRET.to_owned())],
        requirements: Requirements::default(),
        data: Vec::new(),
    }
}

/// A task that says `begun`, waits for the file `go`, says `done`, and then something with a secret in it.
pub(crate) fn waiting(work: &Path) -> BuildPlan {
    let last = format!("echo it is {SECRET}");
    script(work, &["echo begun", "until [ -e go ]; do sleep 0.05; done", "echo done", &last])
}
