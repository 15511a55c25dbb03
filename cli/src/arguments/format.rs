//! `-format`: what output is written for. Understood by commands whose findings other programs read.

use clap::{Args, ValueEnum};

/// What output is written for.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct FormatArguments {
    /// What to write: words for people, or one JSON object per line
    #[arg(long, value_name = "FORMAT", default_value = "text", ignore_case = true, global = true)]
    pub(crate) format: Format,
}

/// Words or data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Words for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}
