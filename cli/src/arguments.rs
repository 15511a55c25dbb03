//! The words on the command line, as typed. Packer's spelling is kept: flags with one dash or two, `-flag value`
//! or `-flag=value`, booleans as `-flag` or `-flag=false`, and no flag after the template.
//!
//! Clap reads them; before it, [`normalise`] turns Go's spelling into clap's, using clap's own table of which
//! flags take a value, so that there is one list of flags.

pub(crate) mod agent;
pub(crate) mod attempt;
pub(crate) mod completion;
pub(crate) mod components;
pub(crate) mod console;
pub(crate) mod coordinator;
pub(crate) mod description;
pub(crate) mod farm;
pub(crate) mod fix;
pub(crate) mod fmt;
mod format;
pub(crate) mod hcl2_upgrade;
pub(crate) mod images;
pub(crate) mod init;
pub(crate) mod man;
pub(crate) mod plugins;

use std::ffi::OsString;

use clap::builder::styling::Styles;
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum};
use kiln_plan::OnError;

use crate::command::inspect::InspectArguments;
pub(crate) use format::{Format, FormatArguments};
use init::InitArguments;
use plugins::PluginsArguments;

/// Kiln: builds machine images from Packer templates.
#[derive(Debug, Parser)]
#[command(name = "kiln", disable_version_flag = true, disable_help_subcommand = true, styles = Styles::plain())]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands, alphabetically as in the help.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Let this machine work for a farm
    Agent(agent::AgentArguments),
    /// Carry out an attempt that the agent's daemon prepared
    #[command(hide = true)]
    Attempt(attempt::AttemptArguments),
    /// Build image(s) from a template
    Build(BuildArguments),
    /// Print a script that completes what is typed
    Completion(completion::CompletionArguments),
    /// Show the components and their options
    Components(components::ComponentsArguments),
    /// Try expressions over a template
    Console(console::ConsoleArguments),
    /// Decide and remember for a farm
    Coordinator(coordinator::CoordinatorArguments),
    /// See and steer a farm
    Farm(farm::FarmCommandArguments),
    /// Bring an old JSON template up to date
    Fix(fix::FixArguments),
    /// Rewrite templates in canonical form
    Fmt(fmt::FmtArguments),
    /// Turn a JSON template into HCL2
    #[command(name = "hcl2_upgrade")]
    Hcl2Upgrade(hcl2_upgrade::Hcl2UpgradeArguments),
    /// Work with the images of a farm
    Images(images::ImagesArguments),
    /// Install the plug-ins that a template requires
    Init(InitArguments),
    /// See the parts of a template
    Inspect(InspectArguments),
    /// Write the manual pages
    #[command(hide = true)]
    Man(man::ManArguments),
    /// Work with the plug-ins that are installed
    #[command(alias = "plugin")]
    Plugins(PluginsArguments),
    /// Check that a template is valid
    Validate(ValidateArguments),
    /// Print the version
    Version,
}

/// What picks and fills a template; understood by every command that reads one.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TemplateArguments {
    /// Set a variable, may be repeated
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = assignment)]
    pub(crate) var: Vec<(String, String)>,
    /// Read variables from a file, may be repeated
    #[arg(long = "var-file", value_name = "PATH")]
    pub(crate) var_file: Vec<String>,
    /// Build only these, by name or glob
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Build all but these, by name or glob; also drops post-processors of that name
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) except: Vec<String>,
    /// The language of a template whose file name doesn't tell
    #[arg(long = "config-type", value_name = "LANGUAGE", default_value = "json", ignore_case = true)]
    pub(crate) config_type: ConfigType,
    /// A directory of *.pkr.hcl files, one such file, a legacy JSON template, or - for standard input
    #[arg(value_name = "TEMPLATE", num_args = 0.., hide_short_help = true)]
    pub(crate) template: Vec<String>,
}

impl TemplateArguments {
    /// The one template, or how many were given instead.
    pub(crate) fn one_template(&self) -> Result<&str, usize> {
        match self.template.as_slice() {
            [one] => Ok(one),
            other => Err(other.len()),
        }
    }
}

/// The language of a template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConfigType {
    /// Legacy JSON.
    #[default]
    Json,
    /// HCL2.
    Hcl2,
}

/// `kiln build`
#[derive(Debug, Args)]
pub(crate) struct BuildArguments {
    #[command(flatten)]
    pub(crate) template: TemplateArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
    /// Pause between steps, one build at a time
    #[arg(long, action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) debug: bool,
    /// Replace artifacts that are in the way
    #[arg(long, action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) force: bool,
    /// What to do when a step fails
    #[arg(long = "on-error", value_name = "WHAT", value_parser = on_error)]
    pub(crate) on_error: Option<OnError>,
    /// How many builds run at once; 0 for no limit
    #[arg(long = "parallel-builds", value_name = "N", default_value = "0", allow_negative_numbers = true)]
    pub(crate) parallel_builds: i64,
    /// Warn of variables that a variable file sets but no template declares
    #[arg(long = "warn-on-undeclared-var", action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) warn_on_undeclared_var: bool,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) accepted: AcceptedArguments,
    #[command(flatten)]
    pub(crate) accepted_alone: BuildOnlyAcceptedArguments,
    #[command(flatten)]
    pub(crate) farm: farm::FarmArguments,
    #[command(flatten)]
    pub(crate) on_farm: farm::OnFarmArguments,
}

/// How a run is shown.
#[derive(Debug, Args)]
pub(crate) struct OutputArguments {
    /// Colour the output
    #[arg(long, action = ArgAction::Set, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) color: bool,
    /// Begin each line with the time
    #[arg(long = "timestamp-ui", action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) timestamp_ui: bool,
}

/// Flags of Packer that ask for what Kiln does anyway, or for nothing here; taken so that scripts go on working.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each stands for a flag, and nobody reads them")]
pub(crate) struct AcceptedArguments {
    /// Taken for compatibility
    #[arg(long = "ignore-prerelease-plugins", hide = true, action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    ignore_prerelease_plugins: bool,
    /// Taken for compatibility
    #[arg(long = "use-sequential-evaluation", hide = true, action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    use_sequential_evaluation: bool,
}

/// The same for `build` alone.
#[derive(Debug, Args)]
pub(crate) struct BuildOnlyAcceptedArguments {
    /// Taken for compatibility
    #[arg(long = "skip-enforcement", hide = true, action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    skip_enforcement: bool,
    /// Taken for compatibility
    #[arg(long = "machine-readable", hide = true, action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    machine_readable: bool,
}

/// `kiln validate`
#[derive(Debug, Args)]
pub(crate) struct ValidateArguments {
    #[command(flatten)]
    pub(crate) template: TemplateArguments,
    /// Stop after parsing
    #[arg(long = "syntax-only", action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) syntax_only: bool,
    /// Don't warn of variables that a variable file sets but no template declares
    #[arg(long = "no-warn-undeclared-var", action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) no_warn_undeclared_var: bool,
    /// Ask the data sources, instead of letting unknown values stand for their answers
    #[arg(long = "evaluate-datasources", action = ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) evaluate_datasources: bool,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) accepted: AcceptedArguments,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(format!("{text:?} has no '='; write -var 'name=value'")),
    }
}

/// What `-on-error` may be.
const ON_ERROR: [(&str, OnError); 4] = [
    ("cleanup", OnError::Cleanup),
    ("abort", OnError::Abort),
    ("ask", OnError::Ask),
    ("run-cleanup-provisioner", OnError::RunCleanupProvisioner),
];

fn on_error(text: &str) -> Result<OnError, String> {
    let known = ON_ERROR.iter().find(|(word, _)| *word == text);
    known.map(|(_, what)| *what).ok_or_else(|| {
        let words: Vec<_> = ON_ERROR.iter().map(|(word, _)| *word).collect();
        format!("{text:?} is none of {}", words.join(", "))
    })
}

/// What the command line asks for, once the words that count before everything else are seen.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A command.
    Run {
        /// Which.
        command: Box<Command>,
        /// Whether output is for machines (`-machine-readable`, anywhere).
        machine_readable: bool,
    },
    /// Completion in the start files of the user's shells.
    SetUpCompletion(completion::SetUp),
    /// Help, to standard output, then this exit code.
    Help(String, u8),
    /// A complaint about the words, with that command's help.
    Mistake {
        /// The help of the command.
        help: String,
        /// What is wrong.
        message: String,
    },
}

/// Reads the command line (without the program's name).
pub(crate) fn read(words: impl IntoIterator<Item = OsString>) -> Asked {
    let mut words: Vec<String> = words.into_iter().map(|w| w.to_string_lossy().into_owned()).collect();
    let machine_readable =
        words.iter().position(|w| w == "-machine-readable").map(|i| words.remove(i)).is_some();
    let table = Arguments::command();
    let Some(command) = words.first() else { return Asked::Help(root_help(&table), 127) };
    if matches!(command.as_str(), "-v" | "-version" | "--version") {
        return Asked::Run { command: Box::new(Command::Version), machine_readable };
    }
    if is_help(command) {
        return Asked::Help(root_help(&table), 0);
    }
    match completion::set_up(&words) {
        Ok(Some(set_up)) => return Asked::SetUpCompletion(set_up),
        Ok(None) => {}
        Err(message) => return Asked::Mistake { help: root_help(&table), message },
    }
    let Some(known) = table.find_subcommand(command) else {
        return match command.starts_with('-') {
            true => Asked::Mistake {
                help: root_help(&table),
                message: format!("flag {command} stands before the command"),
            },
            false => Asked::Help(root_help(&table), 127),
        };
    };
    let (known, depth) = match innermost(known, &words) {
        Ok(found) => found,
        Err(help) => return Asked::Help(help, u8::from(!words.iter().any(|w| is_help(w)))),
    };
    let name = words[..depth].join(" ");
    let described = description::described(&known);
    let help = described.clone().bin_name(format!("kiln {name}")).render_help().to_string();
    let help = description::one_dash(&help, &described, "-");
    if words.iter().take_while(|w| *w != "--").any(|w| is_help(w)) {
        return Asked::Help(help, 0);
    }
    let group = words[..depth - 1].iter().cloned();
    let words = group.chain(normalise(&words[depth - 1..], &known));
    match Arguments::try_parse_from(std::iter::once("kiln".to_owned()).chain(words)) {
        Ok(arguments) => Asked::Run { command: Box::new(arguments.command), machine_readable },
        Err(error) => Asked::Mistake { help, message: complaint(&error) },
    }
}

/// The command that the words name, with the flags that all commands of its groups have, and how many words that takes; or
/// the help of a group that does nothing by itself.
fn innermost(command: &clap::Command, words: &[String]) -> Result<(clap::Command, usize), String> {
    let (mut known, mut depth) = (command.clone(), 1);
    let mut path = command.get_name().to_owned();
    while known.has_subcommands() {
        let next = words.get(depth);
        let Some(inner) = next.and_then(|word| known.find_subcommand(word)) else {
            let alone = !known.is_subcommand_required_set();
            if alone && next.is_some_and(|word| word.starts_with('-') && !is_help(word)) {
                break;
            }
            return Err(group_help(&path, &known));
        };
        let shared: Vec<clap::Arg> = known.get_arguments().filter(|a| a.is_global_set()).cloned().collect();
        path = format!("{path} {}", inner.get_name());
        known = inner.clone().args(shared);
        depth += 1;
    }
    Ok((known, depth))
}

fn is_help(word: &str) -> bool {
    matches!(word, "-h" | "-help" | "--help")
}

fn root_help(table: &clap::Command) -> String {
    let list = command_list(table);
    format!("Usage: kiln [--version] [--help] <command> [<args>]\n\nAvailable commands are:\n{list}")
}

/// The help of a command that consists of others.
fn group_help(name: &str, group: &clap::Command) -> String {
    let list = command_list(group);
    let options = option_list(group);
    format!("Usage: kiln {name} <subcommand> [options] [args]\n\nSubcommands:\n{list}{options}")
}

/// The flags that a group has itself.
fn option_list(group: &clap::Command) -> String {
    let shown = || group.get_arguments().filter(|a| !a.is_hide_set() && a.get_id() != "help");
    let named = |a: &clap::Arg| {
        let value = a.get_value_names().filter(|_| a.get_action().takes_values()).unwrap_or_default();
        let value = value.first().filter(|_| !a.is_require_equals_set());
        Some(format!("-{}{}", a.get_long()?, value.map(|value| format!(" {value}")).unwrap_or_default()))
    };
    let width = shown().filter_map(named).map(|name| name.chars().count()).max().unwrap_or(0);
    let line = |a: &clap::Arg| {
        let help = a.get_help().map(ToString::to_string).unwrap_or_default();
        Some(format!("    {:width$}    {help}\n", named(a)?))
    };
    let lines: String = shown().filter_map(line).collect();
    if lines.is_empty() { lines } else { format!("\nOptions:\n{lines}") }
}

fn command_list(table: &clap::Command) -> String {
    let shown = || table.get_subcommands().filter(|c| !c.is_hide_set());
    let width = shown().map(|c| c.get_name().len()).max().unwrap_or(0);
    let line = |c: &clap::Command| {
        let about = c.get_about().map(ToString::to_string).unwrap_or_default();
        format!("    {:width$}    {about}\n", c.get_name())
    };
    shown().map(line).collect()
}

/// Turns Go's spelling of flags into clap's, and ends the flags at the first word that is none.
fn normalise(words: &[String], command: &clap::Command) -> Vec<String> {
    let takes_value = |name: &str| {
        let flag = command.get_arguments().find(|a| a.get_long() == Some(name));
        flag.is_some_and(|a| !a.is_require_equals_set() && a.get_action().takes_values())
    };
    let mut out = vec![words[0].clone()];
    if command.get_positionals().next().is_some() && command.get_opts().next().is_none() {
        // A command without flags takes everything as it is.
        out.push("--".to_owned());
        out.extend(words[1..].iter().cloned());
        return out;
    }
    let mut rest = words[1..].iter();
    while let Some(word) = rest.next() {
        let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).unwrap_or("");
        if name.is_empty() {
            if word != "--" {
                out.extend(["--".to_owned(), word.clone()]);
            } else {
                out.push(word.clone());
            }
            out.extend(rest.cloned());
            break;
        }
        match (takes_value(name), rest.as_slice().first()) {
            (true, Some(value)) => {
                out.push(format!("--{name}={value}"));
                rest.next();
            }
            _ => out.push(format!("--{name}")),
        }
    }
    out
}

fn complaint(error: &clap::Error) -> String {
    use clap::error::{ContextKind, ErrorKind};
    let context = |kind| error.get(kind).map(ToString::to_string);
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    let flag = argument.split([' ', '=', '<', '[']).next().unwrap_or("").trim_start_matches('-').to_owned();
    match error.kind() {
        _ if argument.starts_with(['<', '[']) => first_paragraph(error),
        ErrorKind::UnknownArgument => format!("flag provided but not defined: -{flag}"),
        ErrorKind::InvalidValue if context(ContextKind::InvalidValue).is_none_or(|v| v.is_empty()) => {
            format!("flag needs an argument: -{flag}")
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let value = context(ContextKind::InvalidValue).unwrap_or_default();
            let why = std::error::Error::source(error).map(|s| format!(": {s}")).unwrap_or_default();
            format!("invalid value {value:?} for flag -{flag}{why}")
        }
        _ => first_paragraph(error),
    }
}

/// What clap says itself, on one line.
fn first_paragraph(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
    lines.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests;
