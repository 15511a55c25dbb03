//! `kiln plugins`: what is installed, what a template requires, and single plug-ins in and out.

mod install;
mod installed;
mod remove;
mod required;

use kiln_plan::Constraints;
use kiln_plugin_host::Requirement;

use crate::arguments::plugins::{PluginsArguments, PluginsCommand};
use crate::exit_code::Ended;
use crate::render::Screen;

/// Does what was asked for.
pub(crate) fn run(arguments: &PluginsArguments, screen: &Screen) -> Ended {
    match &arguments.command {
        PluginsCommand::Install(arguments) => install::run(arguments, screen),
        PluginsCommand::Installed(_) => installed::run(screen),
        PluginsCommand::Remove(arguments) => remove::run(arguments, screen),
        PluginsCommand::Required(arguments) => required::run(arguments, screen),
    }
}

/// The plug-in that a source and perhaps a constraint stand for; `Err` in words.
fn requirement(source: &str, constraint: Option<&str>) -> Result<Requirement, String> {
    let wrong =
        |reason| format!("The source {source:?} {reason}; write for example github.com/hashicorp/amazon");
    let source = source.parse().map_err(wrong)?;
    let versions = match constraint {
        None => Vec::new(),
        Some(text) => {
            let constraints: Constraints = text.parse().map_err(|error| format!("{error}"))?;
            if constraints.name_prerelease() {
                return Err(format!(
                    "The constraint {text:?} names a prerelease; only releases can be asked for"
                ));
            }
            vec![constraints]
        }
    };
    Ok(Requirement { source, versions })
}

/// Says how many words a command takes.
fn complain_of_words(screen: &Screen, command: &str, usage: &str, count: usize) -> Ended {
    screen.error(&format!("kiln plugins {command} takes {usage}, after all flags, but got {count} words"));
    screen.say(&format!("See kiln plugins {command} -help."));
    Ended::Failed
}
