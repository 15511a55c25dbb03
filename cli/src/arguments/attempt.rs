//! The words of `kiln attempt`, which only daemons type.

use std::path::PathBuf;

use clap::Args;

/// `kiln attempt`
#[derive(Debug, Args)]
pub(crate) struct AttemptArguments {
    /// The attempt's directory
    #[arg(value_name = "DIRECTORY")]
    pub(crate) directory: PathBuf,
}
