//! The words of `kiln coordinator`.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};

/// `kiln coordinator`
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true, subcommand_negates_reqs = true)]
pub(crate) struct CoordinatorArguments {
    /// The settings file
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) settings: Option<PathBuf>,
    /// Only tell what is wrong with the settings, all of it at once
    #[arg(long, action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) check: bool,
    /// What to do instead of working.
    #[command(subcommand)]
    pub(crate) command: Option<CoordinatorCommand>,
}

/// What is done once, alphabetically as in the help.
#[derive(Debug, Subcommand)]
pub(crate) enum CoordinatorCommand {
    /// Found a farm, with this coordinator as its first
    Init(InitArguments),
    /// Join a farm
    Join(JoinArguments),
    /// Go on alone, after a majority of the coordinators was lost for good
    Recover(RecoverArguments),
}

/// `kiln coordinator init`
#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// The settings file
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) settings: Option<PathBuf>,
}

/// `kiln coordinator join`
#[derive(Debug, Args)]
pub(crate) struct JoinArguments {
    /// The settings file
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) settings: Option<PathBuf>,
    /// A file with the token to join with [env: KILN_TOKEN, the token itself]
    #[arg(long = "token-file", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// `kiln coordinator recover`
#[derive(Debug, Args)]
pub(crate) struct RecoverArguments {
    /// The settings file
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) settings: Option<PathBuf>,
    /// The number of a coordinator that never comes back, repeated for each of the others
    #[arg(long, value_name = "NUMBER")]
    pub(crate) lost: Vec<u64>,
}
