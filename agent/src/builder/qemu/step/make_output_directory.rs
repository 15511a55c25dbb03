//! The directory of the results: made anew, and removed when there are none.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use kiln_component::journal::Entry;
use kiln_component::{Done, Ending, Intent, Step, TaskContext, Undo};
use kiln_plan::{Failure, Fault};

use crate::builder::qemu::config::Config;

/// How often removing is tried, and the pause in between: a program that has just been killed may still hold files
/// on a network share.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub struct MakeOutputDirectory<'a> {
    /// The config.
    pub config: &'a Config,
}

#[async_trait]
impl Step for MakeOutputDirectory<'_> {
    type Output = ();

    fn name(&self) -> &'static str {
        "make the output directory"
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<()>, Failure> {
        let path = self.config.output_path();
        let shown = self.config.output_directory.display();
        let fail = |operation: &str, error: io::Error| {
            Failure::new(Fault::Machine, format!("cannot {operation} the output directory {shown}: {error}"))
        };
        if path.exists() {
            if !cx.plan.options.force {
                let text = format!("Output directory '{shown}' already exists");
                return Err(Failure::new(Fault::Template, text).hint("Remove it, or build with -force."));
            }
            cx.reporter.say(format!("Removing the previous output directory {shown}"));
            remove(&path).await.map_err(|e| fail("remove", e))?;
        }
        // The parents may stay: they are nobody's result.
        if let Some(parent) = path.parent() {
            tokio::fs::create_dir_all(parent).await.map_err(|e| fail("make", e))?;
        }
        let entry = cx.journal.intend(Intent::directory(&path));
        let entry = entry.map_err(|e| Failure::from_error(Fault::Machine, &e))?;
        if let Err(error) = tokio::fs::create_dir(&path).await {
            entry.clear();
            return Err(fail("make", error));
        }
        Ok(Done::with_undo((), Remove { path, entry }))
    }
}

struct Remove {
    path: PathBuf,
    entry: Entry,
}

#[async_trait]
impl Undo for Remove {
    async fn undo(self: Box<Self>, cx: &TaskContext, ending: Ending) {
        if ending == Ending::Succeeded {
            self.entry.clear();
            return;
        }
        cx.reporter.say("Removing the output directory");
        for attempt in 1..=TRIES {
            match remove(&self.path).await {
                Ok(()) => return self.entry.clear(),
                Err(error) if attempt == TRIES => {
                    cx.reporter.error(format!("Cannot remove {}: {error}", self.path.display()));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

async fn remove(path: &Path) -> io::Result<()> {
    match tokio::fs::remove_dir_all(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
