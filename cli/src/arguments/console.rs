//! The words of `kiln console`.

use clap::{ArgAction, Args};

use super::TemplateArguments;

/// `kiln console`
#[derive(Debug, Args)]
pub(crate) struct ConsoleArguments {
    #[command(flatten)]
    pub(crate) template: TemplateArguments,
    /// Taken for compatibility
    #[arg(long = "use-sequential-evaluation", hide = true, action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    use_sequential_evaluation: bool,
}
