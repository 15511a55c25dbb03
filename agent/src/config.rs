//! A component's config on its way to the component: decoded into the component's own struct, and its late
//! strings rendered with the component's own values.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use kiln_component::{FinishedConfig, GeneratedData};
use kiln_lang::go_template::{Dot, Place, Question, Renderer, TemplateFacts, World};
use kiln_lang::function::time::Moment;
use kiln_lang::{Diagnostic, Diagnostics, Value, decode as weak};
use kiln_plan::build::{BuildPlan, Dialect};
use kiln_plan::{Failure, Fault};
use serde::de::DeserializeOwned;

/// What stands for a value of the run when a config is checked before the run.
pub const PLACEHOLDER: &str = "<unknown>";

/// Decodes a config into the component's struct.
///
/// # Errors
/// One finding per option that can't be decoded.
pub fn decode<T: DeserializeOwned>(config: &FinishedConfig) -> Result<T, Diagnostics> {
    let finding = |error: &weak::DecodeError| {
        Diagnostic::error("Incorrect attribute value type", format!("Inappropriate value for option {error}."))
    };
    weak::decode(&config.options).map_err(|errors| errors.0.iter().map(finding).collect())
}

/// Whether the config is checked before the run and some string in it will be known only then.
pub fn has_placeholders(config: &FinishedConfig) -> bool {
    config.dry && mentions_placeholder(&config.options)
}

fn mentions_placeholder(value: &Value) -> bool {
    value.as_str().is_some_and(|s| s.contains(PLACEHOLDER)) || value.children().any(mentions_placeholder)
}

/// What is wrong with a path that must lead to a directory, or to a file; nothing when it does.
pub fn expect_path(path: &Path, shown: &str, directory: bool) -> Option<Diagnostic> {
    let wanted = if directory { "directory" } else { "file" };
    let detail = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() == directory => return None,
        Ok(_) => format!("It must be a {wanted}."),
        Err(error) => format!("It cannot be read: {error}."),
    };
    Some(Diagnostic::error(format!("Bad path '{shown}'"), detail))
}

/// The renderer of a task's strings. `{{ .X }}` and `{{build}}` show what is known of the guest.
pub fn renderer(plan: &BuildPlan, generated: &GeneratedData) -> Renderer {
    let facts = &plan.facts;
    let reveal = |(k, v): (&String, &kiln_plan::Sensitive<String>)| (k.clone(), v.reveal().clone());
    let users = || facts.user_variables.iter().map(reveal).collect();
    let secret = |v: &&String| plan.secrets.iter().any(|s| s.reveal() == *v);
    let names = |(k, v): (&String, &kiln_plan::Sensitive<String>)| secret(&v.reveal()).then(|| k.clone());
    let legacy = plan.dialect == Dialect::LegacyJson;
    let facts = TemplateFacts {
        start: Moment::default().plus(facts.started_ns).unwrap_or_default(),
        user_variables: legacy.then(users),
        sensitive_variables: facts.user_variables.iter().filter_map(names).collect::<BTreeSet<_>>(),
        build_name: Some(plan.source_name.clone()),
        build_type: Some(plan.builder.name.clone()),
        template_dir: legacy.then(|| facts.template_dir.clone()),
        pwd: facts.working_dir.clone(),
        packer_version: facts.core_version.clone(),
    };
    let dot = Value::object(generated.values.clone());
    Renderer::new(Arc::new(facts), Arc::new(Machine), Place::Component).with_dot(Dot::Map(dot))
}

/// Renders one late string with the component's own values and what is known of the guest.
///
/// # Errors
/// When the text is no template, or asks for something that isn't there.
pub fn render_late(
    config: &FinishedConfig,
    option: &str,
    text: &str,
    own: &[(&str, &str)],
) -> Result<String, Failure> {
    let mut values = config.generated.values.clone();
    values.extend(own.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
    let renderer = renderer(&config.plan, &config.generated).with_dot(Dot::Map(Value::object(values)));
    match renderer.render(text) {
        Ok(rendered) => Ok(rendered.text),
        Err(error) => Err(Failure::new(Fault::Template, format!("cannot render {option}: {error}"))),
    }
}

/// What an agent answers to a template: identifiers, and nothing of the machine.
#[derive(Debug)]
struct Machine;

impl World for Machine {
    fn uuid(&self) -> String {
        uuid::Uuid::now_v7().to_string()
    }

    fn ask(&self, question: Question<'_>) -> Result<String, String> {
        Err(format!("{question:?} cannot be asked here"))
    }
}
