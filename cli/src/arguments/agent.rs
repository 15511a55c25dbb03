//! The words of `kiln agent`.

use std::path::PathBuf;
use std::str::FromStr as _;

use clap::Args;
use kiln_agent::daemon::address::Address;

/// `kiln agent`
#[derive(Debug, Args)]
pub(crate) struct AgentArguments {
    /// Where a coordinator is, may be repeated
    #[arg(long, value_name = "ADDRESS", value_parser = Address::from_str)]
    pub(crate) farm: Vec<Address>,
    /// What people call this agent; the machine's name unless given
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// How many tasks it takes at once; half the processors unless given
    #[arg(long, value_name = "N")]
    pub(crate) slots: Option<u32>,
    /// What tasks may ask for, may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = super::assignment)]
    pub(crate) label: Vec<(String, String)>,
    /// Where attempts lie while they run
    #[arg(long = "run-directory", value_name = "DIRECTORY")]
    pub(crate) run_directory: Option<PathBuf>,
}
