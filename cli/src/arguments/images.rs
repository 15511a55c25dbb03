//! The words of `kiln images …`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Subcommand};

use super::FormatArguments;
use super::farm::FarmArguments;

/// `kiln images`
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(crate) struct ImagesArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: ImagesCommand,
}

/// What can be done with images, alphabetically as in the help.
#[derive(Debug, Subcommand)]
pub(crate) enum ImagesCommand {
    /// Take an image away
    Delete(OneImageArguments),
    /// Delete what no image needs
    Gc(GcArguments),
    /// List the images
    List(ListArguments),
    /// Bring an image's files here
    Pull(PullArguments),
    /// Show an image: its files, and where it comes from
    Show(OneImageArguments),
    /// Check that all of an image is there
    Verify(VerifyArguments),
}

/// How the farm is reached and what is written; every one of the commands has it.
#[derive(Debug, Args)]
pub(crate) struct CommonArguments {
    #[command(flatten)]
    pub(crate) farm: FarmArguments,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

/// `kiln images show` and `delete`
#[derive(Debug, Args)]
pub(crate) struct OneImageArguments {
    #[command(flatten)]
    pub(crate) common: CommonArguments,
    /// NAME (its latest version), NAME:VERSION, or an identifier
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
}

/// `kiln images list`
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    pub(crate) common: CommonArguments,
    /// Only the versions of this one
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// `kiln images pull`
#[derive(Debug, Args)]
pub(crate) struct PullArguments {
    #[command(flatten)]
    pub(crate) common: CommonArguments,
    /// The directory for its files
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    pub(crate) into: PathBuf,
    /// NAME (its latest version), NAME:VERSION, or an identifier
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
}

/// `kiln images verify`
#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    pub(crate) common: CommonArguments,
    /// Read and check every byte, instead of asking the store what it has
    #[arg(long, action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) deep: bool,
    /// NAME (its latest version), NAME:VERSION, or an identifier
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
}

/// `kiln images gc`
#[derive(Debug, Args)]
pub(crate) struct GcArguments {
    #[command(flatten)]
    pub(crate) common: CommonArguments,
    /// Only say what would be deleted
    #[arg(long = "dry-run", action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) dry_run: bool,
    /// Keep what was used within this time, as in 90m; the farm's own setting unless given
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) grace: Option<Duration>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = kiln_lang::duration::parse(text).map_err(|error| error.to_string())?;
    if parsed.is_negative() {
        return Err("a grace can't be negative".to_owned());
    }
    Ok(parsed.max_zero())
}

impl ImagesArguments {
    /// How the farm is reached and what is written.
    pub(crate) fn common(&self) -> &CommonArguments {
        match &self.command {
            ImagesCommand::Delete(one) | ImagesCommand::Show(one) => &one.common,
            ImagesCommand::Gc(gc) => &gc.common,
            ImagesCommand::List(list) => &list.common,
            ImagesCommand::Pull(pull) => &pull.common,
            ImagesCommand::Verify(verify) => &verify.common,
        }
    }

    /// What is written.
    pub(crate) fn format(&self) -> FormatArguments {
        self.common().format
    }
}
