//! What components do with their finished configs: fill in defaults, render late strings with values of their own, and
//! see that paths lead to what they need.

use std::path::Path;

use kiln_component::FinishedConfig;
use kiln_lang::{Diagnostic, Value};
use kiln_plan::{Failure, Fault};

/// What stands for a value of the run when a config is checked before the run.
const PLACEHOLDER: &str = "<unknown>";

/// What a path must lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Anything that isn't a directory.
    File,
    /// A directory.
    Directory,
    /// Either.
    Anything,
}

/// What is wrong with a path of the template, called `noun`, that must lead to something on this machine; nothing when it
/// does, when it isn't given, or when a part of it will be known only during the run.
pub fn expect_path(
    config: &FinishedConfig,
    noun: &str,
    path: &str,
    expected: Expected,
) -> Option<Diagnostic> {
    if path.is_empty() || (config.dry && path.contains(PLACEHOLDER)) {
        return None;
    }
    let metadata = std::fs::metadata(Path::new(&config.facts().working_dir).join(path));
    let detail = match (metadata.map(|m| m.is_dir()), expected) {
        (Err(error), _) => format!("It cannot be read: {error}."),
        (Ok(true), Expected::File) => "It must be a file, but is a directory.".to_owned(),
        (Ok(false), Expected::Directory) => "It must be a directory.".to_owned(),
        _ => return None,
    };
    Some(Diagnostic::error(format!("Bad {noun} '{path}'"), detail))
}

/// A text of the template, or what holds when it is not given. An empty text counts as not given, as in Packer.
pub fn given_or<'a>(given: &'a str, default: &'a str) -> &'a str {
    if given.is_empty() { default } else { given }
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
