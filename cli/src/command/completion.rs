//! `kiln completion`, and Packer's `-autocomplete-install` and `-autocomplete-uninstall`.

mod start_file;

use clap_complete::Shell as Kind;

use crate::arguments::completion::{CompletionArguments, SetUp, Shell};
use crate::arguments::description;
use crate::exit_code::Ended;
use crate::render::Screen;

/// Prints the script that makes a shell complete commands, flags and their values.
pub(crate) fn run(arguments: &CompletionArguments, screen: &Screen) -> Ended {
    screen.raw(&script(arguments.shell));
    Ended::Well
}

/// Puts completion into the start files of the user's shells, or takes it out.
pub(crate) fn set_up(what: SetUp, screen: &Screen) -> Ended {
    let done = match what {
        SetUp::Install => start_file::install(),
        SetUp::Uninstall => start_file::uninstall(),
    };
    let verb = if what == SetUp::Install { "is set up in" } else { "is removed from" };
    for path in &done.changed {
        screen.say(&format!("Completion {verb} {}; new shells see it.", path.display()));
    }
    for error in &done.errors {
        screen.error(&kiln_plan::fault::chain(error));
    }
    if done.errors.is_empty() { Ended::Well } else { Ended::Failed }
}

fn script(shell: Shell) -> String {
    let mut tree = description::whole();
    let kind = match shell {
        Shell::Bash => Kind::Bash,
        Shell::Zsh => Kind::Zsh,
        Shell::Fish => Kind::Fish,
        Shell::Powershell => Kind::PowerShell,
    };
    let mut bytes = Vec::new();
    clap_complete::generate(kind, &mut tree, "kiln", &mut bytes);
    let text = description::one_dash(&String::from_utf8_lossy(&bytes), &tree, "-");
    match shell {
        Shell::Fish => {
            let lines: String = text.split_inclusive('\n').map(old_style).collect();
            lines + &fish_words(&tree)
        }
        // `-s` would let single letters be stacked behind one dash, and so break the words up.
        Shell::Zsh => text.replace("_arguments_options=(-s -S -C)", "_arguments_options=(-S -C)"),
        Shell::Bash | Shell::Powershell => text,
    }
}

/// The line with Fish's word for long flags of one dash.
fn old_style(line: &str) -> String {
    if line.starts_with("complete ") { line.replacen(" -l ", " -o ", 1) } else { line.to_owned() }
}

/// The words that stand behind a command without a flag, which the generator leaves out for Fish.
fn fish_words(tree: &clap::Command) -> String {
    let of_command = |command: &clap::Command| {
        let words = command.get_positionals().flat_map(clap::Arg::get_possible_values);
        let words: Vec<String> = words.map(|word| word.get_name().to_owned()).collect();
        let when = format!("__fish_kiln_using_subcommand {}", command.get_name());
        (!words.is_empty()).then(|| format!("complete -c kiln -n \"{when}\" -f -a \"{}\"\n", words.join(" ")))
    };
    tree.get_subcommands().filter_map(of_command).collect()
}
