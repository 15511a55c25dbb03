//! `kiln hcl2_upgrade`

use std::io::Write;
use std::path::{Path, PathBuf};

use kiln_agent::catalog::Factories;
use kiln_config::upgrade::{Options, Upgraded, upgrade};
use kiln_lang::SourceMap;

use super::{complain_of_count, old_template};
use crate::arguments::hcl2_upgrade::Hcl2UpgradeArguments;
use crate::exit_code::Ended;
use crate::render::{Screen, diagnostic};

/// What stands for standard input, and for standard output.
const STANDARD: &str = "-";

/// Writes a JSON template as HCL2. The output is touched only once there is something to write.
pub(crate) fn run(arguments: &Hcl2UpgradeArguments, screen: &Screen) -> Ended {
    let path = match arguments.template.one_template() {
        Ok(path) => path,
        Err(count) => return complain_of_count(screen, "hcl2_upgrade", count),
    };
    let file = match old_template::read(&arguments.template, path, screen) {
        Ok(file) => file,
        Err(ended) => return ended,
    };
    let catalog = Factories::builtin().catalog();
    let options = Options { catalog: Some(&catalog), annotations: arguments.with_annotations };
    let Upgraded { text, found } = match upgrade(&file, options) {
        Ok(upgraded) => upgraded,
        Err(found) => return old_template::complain(screen, &found, file),
    };
    let output = match &arguments.output_file {
        Some(output) => output.clone(),
        None if matches!(path, "" | STANDARD) => STANDARD.to_owned(),
        None => format!("{path}.pkr.hcl"),
    };
    if output == STANDARD {
        // Findings would stand in the middle of it.
        screen.say(text.trim_end());
        return if found.has_errors() { Ended::Failed } else { Ended::Well };
    }
    let mut sources = SourceMap::default();
    sources.add(file);
    diagnostic::show(screen, &found, &sources);
    if let Err(error) = write(Path::new(&output), &text) {
        screen.error(&format!("cannot write {output}: {error}"));
        return Ended::Failed;
    }
    let ended = if found.has_errors() { Ended::Failed } else { Ended::Well };
    screen.say(&format!("Successfully created {output}. Exit {}", u8::from(found.has_errors())));
    ended
}

/// Puts a text in the place of a file, whole or not at all.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        // A pipe or a device can't be replaced.
        return std::fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes());
    }
    let name = path.file_name().ok_or(std::io::ErrorKind::InvalidInput)?.to_string_lossy();
    let new: PathBuf = directory.join(format!(".{name}.{}", std::process::id()));
    let written = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        // Nobody wants the half; that it couldn't be removed is no news then.
        let _ = std::fs::remove_file(&new);
    }
    written
}
