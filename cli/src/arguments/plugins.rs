//! The words of `kiln plugins …`.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};

use super::TemplateArguments;

/// `kiln plugins`
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(crate) struct PluginsArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: PluginsCommand,
}

/// What can be done with plug-ins, alphabetically as in the help.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginsCommand {
    /// Install a plug-in
    Install(InstallArguments),
    /// List the plug-ins that are installed
    Installed(InstalledArguments),
    /// Remove plug-ins
    Remove(RemoveArguments),
    /// List the plug-ins that a template requires
    Required(RequiredArguments),
}

/// `kiln plugins install`
#[derive(Debug, Args)]
pub(crate) struct InstallArguments {
    /// Install this program instead of a released one
    #[arg(long, value_name = "FILE")]
    pub(crate) path: Option<PathBuf>,
    /// Install it even if the same version is installed
    #[arg(long, action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) force: bool,
    #[command(flatten)]
    accepted: AcceptedTemplateArguments,
    /// Where the plug-in comes from, as github.com/hashicorp/amazon, and which versions will do, as "~> 1.0"
    #[arg(value_name = "SOURCE [CONSTRAINT]", num_args = 0..)]
    pub(crate) words: Vec<String>,
}

/// What Packer takes with every command that reads templates, and with this one, where it means nothing.
#[derive(Debug, Args)]
struct AcceptedTemplateArguments {
    /// Taken for compatibility
    #[arg(long = "var", hide = true, value_parser = super::assignment)]
    var: Vec<(String, String)>,
    /// Taken for compatibility
    #[arg(long = "var-file", hide = true)]
    var_file: Vec<String>,
    /// Taken for compatibility
    #[arg(long, hide = true)]
    only: Vec<String>,
    /// Taken for compatibility
    #[arg(long, hide = true)]
    except: Vec<String>,
    /// Taken for compatibility
    #[arg(long = "config-type", hide = true, default_value = "json", ignore_case = true)]
    config_type: super::ConfigType,
}

/// `kiln plugins installed`
#[derive(Debug, Args)]
pub(crate) struct InstalledArguments {
    /// Not looked at
    #[arg(hide = true, num_args = 0.., allow_hyphen_values = true)]
    ignored: Vec<String>,
}

/// `kiln plugins remove`
#[derive(Debug, Args)]
pub(crate) struct RemoveArguments {
    /// Where the plug-ins come from and which versions to remove; or the path of one
    #[arg(value_name = "SOURCE [CONSTRAINT] | PATH", num_args = 0.., allow_hyphen_values = true)]
    pub(crate) words: Vec<String>,
}

/// `kiln plugins required`
#[derive(Debug, Args)]
pub(crate) struct RequiredArguments {
    #[command(flatten)]
    pub(crate) template: TemplateArguments,
}
