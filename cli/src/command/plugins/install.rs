//! `kiln plugins install`

use kiln_plan::fault;
use kiln_plugin_host::installer::Again;
use kiln_plugin_host::{Installer, Outcome, source};

use super::{complain_of_words, requirement};
use crate::arguments::plugins::InstallArguments;
use crate::command::init::say_installed;
use crate::exit_code::Ended;
use crate::plugin_store::{self, Bars};
use crate::render::Screen;

/// Installs one plug-in: the newest release that will do, or a program of one's own.
pub(super) fn run(arguments: &InstallArguments, screen: &Screen) -> Ended {
    let wanted = match arguments.words.as_slice() {
        [source] => requirement(source, None),
        [source, constraint] => requirement(source, Some(constraint)),
        other => {
            return complain_of_words(
                screen,
                "install",
                "a source and perhaps a version constraint",
                other.len(),
            );
        }
    };
    let failed = |why: &str| {
        screen.error(why);
        Ended::Failed
    };
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(why) => return failed(&why),
    };
    let places = match source::from_environment(&|name| std::env::var_os(name)) {
        Ok(places) => places,
        // A file needs no place to come from.
        Err(_) if arguments.path.is_some() => Vec::new(),
        Err(error) => return failed(&error.to_string()),
    };
    plugin_store::with(screen, async |store| {
        let installer = Installer::new(store, &places);
        let outcome = match &arguments.path {
            Some(file) => installer.install_file(file, &wanted).await.map(Outcome::Installed),
            None => {
                let again = if arguments.force { Again::Yes } else { Again::No };
                installer.install(&wanted, again, &Bars(screen)).await
            }
        };
        screen.settle();
        match outcome {
            Ok(Outcome::Installed(placed)) => {
                say_installed(screen, &wanted, &placed);
                Ended::Well
            }
            Ok(Outcome::WasThere(placed)) => {
                let (source, version) = (&wanted.source, placed.version.canonical());
                screen.say(&format!("Plugin {source} v{version} is installed already in {:?}", placed.path));
                Ended::Well
            }
            Err(error) => {
                screen.error(&format!("Failed getting the \"{}\" plugin:", wanted.source));
                failed(&fault::chain(&error))
            }
        }
    })
}
