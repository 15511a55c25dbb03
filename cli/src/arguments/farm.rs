//! Which farm is meant: words that every command has that speaks to one.

use clap::{ArgAction, Args, Subcommand, ValueEnum};

use super::FormatArguments;

/// The farm and how it is entered.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct FarmArguments {
    /// The farm's coordinators, as in https://a.example:7447,https://b.example:7447 [env: KILN_FARM]
    #[arg(long, value_name = "URL,…", global = true)]
    farm: Option<String>,
    /// A file with the token that opens the farm [env: KILN_TOKEN, the token itself]
    #[arg(long = "token-file", value_name = "FILE", global = true)]
    token_file: Option<String>,
}

/// How a build is wished for there.
#[derive(Clone, Debug, Args)]
pub(crate) struct OnFarmArguments {
    /// On a farm: whose build it is
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) project: String,
    /// On a farm: higher is sooner, from -100 to 100
    #[arg(long, value_name = "N", default_value = "0", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-100..=100))]
    pub(crate) priority: i32,
    /// On a farm: follow a build of the same that is under way, if there is one
    #[arg(long, action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) join: bool,
}

/// The farm that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChosenFarm {
    /// Its addresses, with commas between.
    pub(crate) addresses: String,
    /// The file with the token, if one was named.
    pub(crate) token_file: Option<String>,
}

impl FarmArguments {
    /// The farm that the command line or the environment names, if any does.
    pub(crate) fn chosen(&self) -> Option<ChosenFarm> {
        let named = self.farm.clone().or_else(|| std::env::var("KILN_FARM").ok());
        let addresses = named.filter(|addresses| !addresses.trim().is_empty())?;
        Some(ChosenFarm { addresses, token_file: self.token_file.clone() })
    }
}

/// `kiln farm`
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(crate) struct FarmCommandArguments {
    #[command(flatten)]
    pub(crate) farm: FarmArguments,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: FarmCommand,
}

/// What can be seen of a farm and done with it, alphabetically as in the help.
#[derive(Debug, Subcommand)]
pub(crate) enum FarmCommand {
    /// List the agents
    Agents,
    /// List the builds, latest first
    Builds(BuildsArguments),
    /// End a build
    Cancel(OneBuildArguments),
    /// Let an agent finish what it has and give it nothing new
    Drain(OneAgentArguments),
    /// Tell why the tasks of a build wait
    Explain(OneBuildArguments),
    /// Show what happened in a build, and follow it to its end
    Logs(OneBuildArguments),
    /// List the coordinators
    Members,
    /// Take a coordinator out that is gone for good
    RemoveMember(RemoveMemberArguments),
    /// Turn away an agent whose certificate is in wrong hands
    RevokeAgent(OneAgentArguments),
    /// See how the farm does
    Status,
    /// Make, list and revoke tokens
    Token(TokenArguments),
    /// Give an agent work again
    Undrain(OneAgentArguments),
}

/// `kiln farm builds`
#[derive(Debug, Args)]
pub(crate) struct BuildsArguments {
    /// The most builds
    #[arg(long, value_name = "N", default_value = "20")]
    pub(crate) most: u32,
    /// Only those that have not ended
    #[arg(long, action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) running: bool,
}

/// A command about one build.
#[derive(Debug, Args)]
pub(crate) struct OneBuildArguments {
    /// Its identifier
    #[arg(value_name = "BUILD")]
    pub(crate) build: String,
}

/// A command about one agent.
#[derive(Debug, Args)]
pub(crate) struct OneAgentArguments {
    /// Its name or identifier
    #[arg(value_name = "AGENT")]
    pub(crate) agent: String,
}

/// `kiln farm remove-member`
#[derive(Debug, Args)]
pub(crate) struct RemoveMemberArguments {
    /// Its number, as `kiln farm members` shows it
    #[arg(value_name = "NUMBER")]
    pub(crate) member: u64,
}

/// `kiln farm token`
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(crate) struct TokenArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

/// What can be done with tokens, alphabetically as in the help.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token, and show it once
    Create(CreateTokenArguments),
    /// List the tokens
    List,
    /// Make a token worthless
    Revoke(RevokeTokenArguments),
}

/// `kiln farm token create`
#[derive(Debug, Args)]
pub(crate) struct CreateTokenArguments {
    /// What it is for
    #[arg(value_name = "USE", value_enum)]
    pub(crate) usage: TokenUse,
    /// A name to know it by
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) name: String,
    /// The projects that a person's token is for, may be repeated; all unless given
    #[arg(long, value_name = "NAME")]
    pub(crate) project: Vec<String>,
    /// How long it is good, as 30m or 12h; an hour for newcomers, else for ever
    #[arg(long = "valid", value_name = "TIME")]
    pub(crate) valid: Option<String>,
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenUse {
    /// To enrol an agent, once.
    Agent,
    /// To join as a coordinator, once.
    Coordinator,
    /// For somebody who looks.
    Viewer,
    /// For somebody who builds.
    Builder,
    /// For somebody who runs the farm.
    Operator,
}

impl TokenUse {
    /// As it is written.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Coordinator => "coordinator",
            Self::Viewer => "viewer",
            Self::Builder => "builder",
            Self::Operator => "operator",
        }
    }
}

/// `kiln farm token revoke`
#[derive(Debug, Args)]
pub(crate) struct RevokeTokenArguments {
    /// Its identifier, as `kiln farm token list` shows it
    #[arg(value_name = "TOKEN")]
    pub(crate) token: String,
}
