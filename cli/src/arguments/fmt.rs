//! The words of `kiln fmt`.

use clap::{ArgAction, Args};

/// `kiln fmt`
#[derive(Debug, Args)]
pub(crate) struct FmtArguments {
    #[command(flatten)]
    pub(crate) outcome: OutcomeArguments,
    /// Go into the directories of a directory too
    #[arg(long, action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) recursive: bool,
    #[command(flatten)]
    accepted: AcceptedTemplateArguments,
    /// Files whose names end with .pkr.hcl or .pkrvars.hcl, directories of such files, or - for standard input
    #[arg(value_name = "PATH", num_args = 0.., hide_short_help = true)]
    pub(crate) paths: Vec<String>,
}

/// What to do about text that isn't canonical.
#[derive(Debug, Args)]
pub(crate) struct OutcomeArguments {
    /// Only tell which files would change; the exit code is 3 if any would
    #[arg(long, action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) check: bool,
    /// Show the changes
    #[arg(long, action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) diff: bool,
    /// Write the changes to the files
    #[arg(long, action = ArgAction::Set, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) write: bool,
}

/// Flags that fill a template. They mean nothing to layout; taken because scripts pass the same ones to every command.
#[derive(Debug, Args)]
struct AcceptedTemplateArguments {
    /// Taken for compatibility
    #[arg(long = "var", hide = true, value_name = "NAME=VALUE", value_parser = super::assignment)]
    var: Vec<(String, String)>,
    /// Taken for compatibility
    #[arg(long = "var-file", hide = true, value_name = "PATH")]
    var_file: Vec<String>,
    /// Taken for compatibility
    #[arg(long, hide = true, value_name = "NAME,…")]
    only: Vec<String>,
    /// Taken for compatibility
    #[arg(long, hide = true, value_name = "NAME,…")]
    except: Vec<String>,
    /// Taken for compatibility
    #[arg(long = "config-type", hide = true, value_name = "LANGUAGE", ignore_case = true)]
    config_type: Option<super::ConfigType>,
}
