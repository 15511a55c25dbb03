//! The words of `kiln init`.

use clap::{ArgAction, Args};

use super::TemplateArguments;

/// `kiln init`
#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    #[command(flatten)]
    pub(crate) template: TemplateArguments,
    /// Install the newest version that the template allows, even if an older one is installed
    #[arg(long, action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) upgrade: bool,
    /// Install what is installed once more
    #[arg(long, action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) force: bool,
}
