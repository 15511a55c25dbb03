//! The plug-ins of this user, and work on them that a signal may end.

use std::time::Duration;

use kiln_component::Journal;
use kiln_config::RequiredPlugin;
use kiln_plan::event::ProgressUnit;
use kiln_plugin_host::{Requirement, Store, Watch, directory};
use tokio_util::sync::CancellationToken;

use crate::exit_code::Ended;
use crate::interrupt::{Interrupt, Interrupts};
use crate::render::{Movement, Screen};

/// How long the hashing or unpacking of a big plug-in may go on once nobody wants it any more.
const HURRY: Duration = Duration::from_secs(1);

/// Does something with this user's plug-ins. An interruption ends it; what was half done is undone, or swept by the
/// next installation.
pub(crate) fn with(screen: &Screen, work: impl AsyncFnOnce(&Store) -> Ended) -> Ended {
    let failed = |why: String| {
        screen.error(&why);
        Ended::Failed
    };
    let directory = match directory::of_this_machine() {
        Ok(directory) => directory,
        Err(error) => return failed(error.to_string()),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(format!("cannot start: {error}")),
    };
    let ended = runtime.block_on(async {
        let mut interrupts = match Interrupts::listen() {
            Ok(interrupts) => interrupts,
            Err(error) => return failed(format!("cannot listen to signals: {error}")),
        };
        // A plug-in that describes itself ends by itself within milliseconds: nobody need find it after a crash.
        let store = Store::new(directory, Journal::in_memory(), CancellationToken::new());
        tokio::select! {
            ended = work(&store) => ended,
            interrupt = interrupts.next() => {
                screen.settle();
                let name = match interrupt {
                    Interrupt::Cancel(name) => name,
                    Interrupt::Leave => "a second signal",
                };
                screen.plain_error(&format!("Cancelled after receiving {name}"));
                Ended::Failed
            }
        }
    });
    runtime.shutdown_timeout(HURRY);
    ended
}

/// A plug-in that a template requires.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// What the template calls it.
    pub(crate) accessor: String,
    /// Which one it is.
    pub(crate) requirement: Requirement,
}

/// The plug-ins that `required_plugins` blocks name, each once with all constraints that they put on it.
pub(crate) fn wanted(entries: &[RequiredPlugin]) -> Vec<Wanted> {
    let mut all: Vec<Wanted> = Vec::new();
    for entry in entries {
        if let Some(known) = all.iter_mut().find(|w| w.accessor == entry.accessor) {
            known.requirement.versions.push(entry.versions.clone());
            continue;
        }
        // The template's reader lets no other sources pass.
        let Ok(source) = entry.source.parse() else { continue };
        let requirement = Requirement { source, versions: vec![entry.versions.clone()] };
        all.push(Wanted { accessor: entry.accessor.clone(), requirement });
    }
    all
}

/// Shows downloads as bars.
pub(crate) struct Bars<'a>(pub(crate) &'a Screen);

impl Watch for Bars<'_> {
    fn progress(&self, label: &str, done: u64, total: Option<u64>) {
        self.0.progress(0, &Movement { label, done, total, unit: ProgressUnit::Bytes });
    }
}
