//! `kiln man`: the manual pages, for packagers.

use std::io;
use std::path::{Path, PathBuf};

use clap_mangen::Man;

use crate::arguments::description;
use crate::arguments::man::ManArguments;
use crate::exit_code::Ended;
use crate::render::Screen;

/// Why there are no pages.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
struct ManError {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

/// Writes a page for the program and one for each command, and prints their names.
pub(crate) fn run(arguments: &ManArguments, screen: &Screen) -> Ended {
    let mut tree = description::whole();
    // Gives the commands their full names.
    tree.build();
    let mut written = Vec::new();
    let result = pages(&tree, "kiln", &arguments.directory, &mut written);
    for path in written {
        screen.say(&path.display().to_string());
    }
    match result {
        Ok(()) => Ended::Well,
        Err(error) => {
            screen.error(&kiln_plan::fault::chain(&error));
            Ended::Failed
        }
    }
}

fn pages(
    command: &clap::Command,
    name: &str,
    directory: &Path,
    written: &mut Vec<PathBuf>,
) -> Result<(), ManError> {
    let path = directory.join(format!("{name}.1"));
    page(command, &path).map_err(|cause| ManError { path: path.clone(), cause })?;
    written.push(path);
    for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        pages(below, &format!("{name}-{}", below.get_name()), directory, written)?;
    }
    Ok(())
}

fn page(command: &clap::Command, path: &Path) -> io::Result<()> {
    let mut bytes = Vec::new();
    let man = Man::new(command.clone()).manual("Kiln");
    man.source(format!("kiln {}", env!("CARGO_PKG_VERSION"))).render(&mut bytes)?;
    let text = description::one_dash(&String::from_utf8_lossy(&bytes), &description::whole(), "\\-");
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    std::fs::write(path, text)
}
