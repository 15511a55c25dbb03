//! `kiln plugins remove`

use std::path::{Path, PathBuf};

use kiln_plan::fault;
use kiln_plugin_host::{Query, Store};

use super::{complain_of_words, requirement};
use crate::arguments::plugins::RemoveArguments;
use crate::exit_code::Ended;
use crate::plugin_store;
use crate::render::Screen;

/// Removes the plug-ins from a source, those of them that fulfil a constraint, or the one at an absolute path.
pub(super) fn run(arguments: &RemoveArguments, screen: &Screen) -> Ended {
    let words = &arguments.words;
    if !(1..=2).contains(&words.len()) {
        let usage = "a source and perhaps a version constraint, or the absolute path of a plug-in";
        return complain_of_words(screen, "remove", usage, words.len());
    }
    plugin_store::with(screen, async |store| match remove(store, words, screen).await {
        Ok(()) => Ended::Well,
        Err(why) => {
            screen.error(&why);
            Ended::Failed
        }
    })
}

async fn remove(store: &Store, words: &[String], screen: &Screen) -> Result<(), String> {
    let constraint = words.get(1).map(String::as_str);
    let files: Vec<PathBuf> = if Path::new(&words[0]).is_absolute() {
        if constraint.is_some() {
            return Err("A path names one plug-in; it takes no version constraint".to_owned());
        }
        vec![words[0].clone().into()]
    } else {
        let wanted = requirement(&words[0], constraint)?;
        let found = store.find(Query::of(&wanted).any_protocol()).await.map_err(|e| fault::chain(&e))?;
        if found.plugins.is_empty() {
            return Err(format!("{}{}", none_found(&words[0], constraint, store), found.passed_over()));
        }
        found.plugins.into_iter().map(|plugin| plugin.path).collect()
    };
    for file in files {
        store.remove(&file).map_err(|e| fault::chain(&e))?;
        screen.note(&file.display().to_string());
    }
    Ok(())
}

fn none_found(source: &str, constraint: Option<&str>, store: &Store) -> String {
    let fulfilling = constraint.map(|c| format!(" that fulfils {c:?}")).unwrap_or_default();
    let directory = store.directory().display();
    format!("No plug-in from {source}{fulfilling} is installed in {directory}")
}
