//! The words of `kiln completion`, and of `-autocomplete-install` and `-autocomplete-uninstall`.

use clap::{Args, ValueEnum};

/// `kiln completion`
#[derive(Debug, Args)]
pub(crate) struct CompletionArguments {
    /// The shell that is to complete what is typed
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// A shell that there is a script for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// GNU Bash.
    Bash,
    /// Zsh.
    Zsh,
    /// Fish.
    Fish,
    /// PowerShell.
    Powershell,
}

/// What to do to the start files of the user's shells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetUp {
    /// `-autocomplete-install`
    Install,
    /// `-autocomplete-uninstall`
    Uninstall,
}

/// The flags that ask for it, without dashes.
pub(crate) const INSTALL: &str = "autocomplete-install";
/// The other one.
pub(crate) const UNINSTALL: &str = "autocomplete-uninstall";

/// What the words ask for, wherever before `--` the flags stand.
///
/// # Errors
/// When they ask for both.
pub(crate) fn set_up(words: &[String]) -> Result<Option<SetUp>, String> {
    let given = |flag: &str| {
        let mut flags = words.iter().take_while(|w| *w != "--").filter_map(|w| w.strip_prefix('-'));
        flags.any(|w| w == flag || w.strip_prefix('-') == Some(flag))
    };
    match (given(INSTALL), given(UNINSTALL)) {
        (true, true) => {
            Err("Either the autocomplete install or uninstall flag may be specified, but not both."
                .to_owned())
        }
        (true, false) => Ok(Some(SetUp::Install)),
        (false, true) => Ok(Some(SetUp::Uninstall)),
        (false, false) => Ok(None),
    }
}
