//! The command line as it is told to people and shells: the words that are read before clap's are added, and flags
//! are written with one dash, as Packer and this project's documents write them.

use std::collections::BTreeSet;

use clap::{Arg, ArgAction, Command, CommandFactory as _};

use super::{Arguments, ON_ERROR, completion};

/// The whole tree, with the flags that stand before a command or anywhere.
pub(crate) fn whole() -> Command {
    described(&Arguments::command())
        .version(env!("CARGO_PKG_VERSION"))
        .arg(flag("version", "Print the version").short('v'))
        .arg(flag("machine-readable", "Print comma-separated lines for programs; may stand anywhere"))
        .arg(flag(completion::INSTALL, "Let the shells of this user complete what is typed"))
        .arg(flag(completion::UNINSTALL, "Undo that"))
}

/// A command and those below it as people should know them: without what is hidden, and with switches that need
/// no value.
pub(crate) fn described(command: &Command) -> Command {
    let arguments = command.get_arguments().filter(|a| !a.is_hide_set()).map(described_argument);
    let below = command.get_subcommands().filter(|c| !c.is_hide_set()).map(described);
    let mut out = Command::new(command.get_name().to_owned())
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .styles(command.get_styles().clone())
        .args(arguments)
        .arg(flag("help", "Print this help").short('h').action(ArgAction::Help))
        .subcommands(below);
    if let Some(about) = command.get_about() {
        out = out.about(about.clone());
    }
    if let Some(after) = command.get_after_help() {
        out = out.after_help(after.clone());
    }
    out
}

fn described_argument(argument: &Arg) -> Arg {
    let argument = argument.clone();
    // All switches may be given a value behind an equals sign; those that are on are only ever turned off.
    let is_on = argument.get_default_values().iter().any(|v| v == "true");
    match argument.get_long() {
        Some("on-error") => argument.value_parser(ON_ERROR.map(|(word, _)| word)),
        Some(_) if argument.is_require_equals_set() && is_on => {
            argument.value_name("true|false").hide_possible_values(true)
        }
        Some(_) if argument.is_require_equals_set() => {
            let help = argument.get_help().cloned().unwrap_or_default();
            let name = argument.get_long().unwrap_or_default().to_owned();
            Arg::new(argument.get_id().clone()).long(name).help(help).action(ArgAction::SetTrue)
        }
        _ => argument,
    }
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
}

/// The text with one dash before each flag of `tree` that it writes with two. `dash` is how the text writes a dash.
pub(crate) fn one_dash(text: &str, tree: &Command, dash: &str) -> String {
    let flags = flags(tree);
    let two = dash.repeat(2);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&two) {
        let (before, after) = rest.split_at(at);
        let after = &after[two.len()..];
        // Manual pages choose the font right before the word.
        let is_after_font = before.ends_with("\\fB") || before.ends_with("\\fI");
        let stands_alone = is_after_font || !before.ends_with(|c: char| c.is_alphanumeric() || c == '-');
        let is_flag = stands_alone && flags.contains(&word(after, dash));
        out.push_str(before);
        out.push_str(if is_flag { dash } else { &two });
        rest = after;
    }
    out + rest
}

/// The word that `text` begins with.
fn word(text: &str, dash: &str) -> String {
    let mut word = String::new();
    let mut rest = text;
    loop {
        if let Some(after) = rest.strip_prefix(dash) {
            word.push('-');
            rest = after;
        } else if let Some(c) = rest.chars().next().filter(char::is_ascii_alphanumeric) {
            word.push(c);
            rest = &rest[1..];
        } else {
            return word;
        }
    }
}

/// The long flags of a command and of those below it.
fn flags(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(Arg::get_long).map(str::to_owned);
    let below = command.get_subcommands().flat_map(flags);
    own.chain(below).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_says_of_itself_is_told_and_what_is_hidden_is_not() {
        let inner =
            Command::new("inner").about("does it").after_help("and more").arg(flag("x", "an x").hide(true));
        let outer = Command::new("outer").subcommand(inner).subcommand(Command::new("secret").hide(true));
        let mut told = described(&outer);
        assert!(told.find_subcommand("secret").is_none());
        let help = told.find_subcommand_mut("inner").unwrap().render_help().to_string();
        assert!(help.contains("does it") && help.contains("and more") && !help.contains("an x"), "{help}");
    }

    #[test]
    fn flags_get_one_dash_and_nothing_else_does() {
        let tree = whole();
        let table = [
            ("-", "  -h, --help  --var-file <PATH>", "  -h, -help  -var-file <PATH>"),
            (
                "-",
                "'*--var=[x]' -- \"${cur}\" --unknown a--var --var-files",
                "'*-var=[x]' -- \"${cur}\" --unknown a--var --var-files",
            ),
            ("\\-", "\\fB\\-\\-on\\-error\\fR \\-\\-bogus", "\\fB\\-on\\-error\\fR \\-\\-bogus"),
        ];
        for (dash, text, expected) in table {
            assert_eq!(one_dash(text, &tree, dash), expected);
        }
    }
}
