//! The words of `kiln components`.

use clap::Args;

/// `kiln components`
#[derive(Debug, Args)]
pub(crate) struct ComponentsArguments {
    /// Only the components of these names
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
}
