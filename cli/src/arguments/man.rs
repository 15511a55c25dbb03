//! The words of `kiln man`.

use std::path::PathBuf;

use clap::Args;

/// `kiln man`
#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// Where the pages are written; made if it isn't there
    #[arg(value_name = "DIRECTORY")]
    pub(crate) directory: PathBuf,
}
