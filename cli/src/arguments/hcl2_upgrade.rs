//! The words of `kiln hcl2_upgrade`.

use clap::{ArgAction, Args};

use super::TemplateArguments;

/// `kiln hcl2_upgrade`
#[derive(Debug, Args)]
pub(crate) struct Hcl2UpgradeArguments {
    #[command(flatten)]
    pub(crate) template: TemplateArguments,
    /// Where to write the result: a path, or - for standard output; TEMPLATE.pkr.hcl when not given
    #[arg(long = "output-file", value_name = "PATH")]
    pub(crate) output_file: Option<String>,
    /// Explain the parts of the result in comments
    #[arg(long = "with-annotations", action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) with_annotations: bool,
}
