//! The words of `kiln fix`.

use clap::{ArgAction, Args};

use super::TemplateArguments;

/// `kiln fix`
#[derive(Debug, Args)]
#[command(after_help = rewrites())]
pub(crate) struct FixArguments {
    #[command(flatten)]
    pub(crate) template: TemplateArguments,
    /// Check the result
    #[arg(long, action = ArgAction::Set, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) validate: bool,
}

/// The rewrites, for help.
fn rewrites() -> String {
    let width = kiln_config::fix::REWRITES.iter().map(|rewrite| rewrite.name.len()).max().unwrap_or(0);
    let lines = kiln_config::fix::REWRITES.iter().map(|r| format!("  {:width$}  {}\n", r.name, r.help));
    format!("Rewrites, in order:\n{}", lines.collect::<String>())
}
