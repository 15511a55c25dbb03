//! The words of `kiln agent`.

use std::path::PathBuf;
use std::str::FromStr as _;

use clap::{ArgAction, Args};
use kiln_agent::daemon::address::Address;

/// `kiln agent`
#[derive(Debug, Args)]
pub(crate) struct AgentArguments {
    /// The settings file; flags count more than what stands there
    #[arg(long, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,
    /// Only tell what is wrong with the settings, all of it at once
    #[arg(long, action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) check: bool,
    /// Where a coordinator is, may be repeated
    #[arg(long, value_name = "ADDRESS", value_parser = Address::from_str)]
    pub(crate) farm: Vec<Address>,
    /// Holds the token to join the farm with, needed once; else KILN_TOKEN does
    #[arg(long = "token-file", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// What people call this agent; the machine's name unless given
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// How many tasks it takes at once; half the processors unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) slots: Option<u32>,
    /// What tasks may ask for, may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = super::assignment)]
    pub(crate) label: Vec<(String, String)>,
    /// Where attempts lie while they run
    #[arg(long = "run-directory", value_name = "DIRECTORY")]
    pub(crate) run_directory: Option<PathBuf>,
}
