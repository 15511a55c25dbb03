//! What components do with their finished configs: render late strings with values of their own, and see that
//! paths lead to what they need.

use std::path::Path;

use kiln_component::FinishedConfig;
use kiln_lang::{Diagnostic, Value};
use kiln_plan::{Failure, Fault};

/// What stands for a value of the run when a config is checked before the run.
pub const PLACEHOLDER: &str = "<unknown>";

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

/// Renders one late string with the component's own values and what is known of the guest.
///
/// # Errors
/// When the text is no template, or asks for something that isn't there.
pub fn render_late(
    config: &FinishedConfig,
    option: &str,
    text: &str,
    own: &[(&'static str, &str)],
) -> Result<String, Failure> {
    let own = own.iter().map(|(name, value)| (*name, Value::from(*value)));
    match config.renderer(own).render(text) {
        Ok(rendered) => Ok(rendered.text),
        Err(error) => Err(Failure::new(Fault::Template, format!("cannot render {option}: {error}"))),
    }
}
