//! `kiln fmt`

use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use kiln_config::host::{Host, read_text};
use kiln_lang::{Diagnostic, Diagnostics, SourceFile, SourceMap, format_source};
use similar::TextDiff;

use crate::arguments::fmt::FmtArguments;
use crate::exit_code::Ended;
use crate::local_host::LocalHost;
use crate::render::{Screen, diagnostic};
use crate::replace_file;

const SUFFIXES: [&str; 2] = [".pkr.hcl", ".pkrvars.hcl"];
const STANDARD_INPUT: &str = "-";

/// After so long the shortest difference of two texts is no longer looked for, only some difference.
const PATIENCE: Duration = Duration::from_secs(5);

/// Rewrites templates and var files in canonical form, or tells which aren't.
pub(crate) fn run(arguments: &FmtArguments, screen: &Screen) -> Ended {
    if arguments.paths.is_empty() {
        screen
            .error("kiln fmt takes at least one file or directory, after all flags, or - for standard input");
        screen.say("Usage: kiln fmt [flags] PATH…\nSee kiln fmt -help.");
        return Ended::Failed;
    }
    let mut formatting = Formatting::new(arguments, screen);
    for path in &arguments.paths {
        formatting.path(path);
    }
    formatting.end()
}

struct Formatting<'a> {
    arguments: &'a FmtArguments,
    screen: &'a Screen,
    found: Diagnostics,
    sources: SourceMap,
    changes: usize,
}

impl<'a> Formatting<'a> {
    fn new(arguments: &'a FmtArguments, screen: &'a Screen) -> Self {
        Self { arguments, screen, found: Diagnostics::new(), sources: SourceMap::default(), changes: 0 }
    }

    fn writes(&self) -> bool {
        self.arguments.outcome.write && !self.arguments.outcome.check
    }

    fn path(&mut self, path: &str) {
        match path {
            STANDARD_INPUT => self.standard_input(),
            path if Path::new(path).is_dir() => self.directory(Path::new(path)),
            path => self.file(path),
        }
    }

    /// The files of a directory in the order of their names, and with `-recursive` those of its directories.
    fn directory(&mut self, directory: &Path) {
        let entries = std::fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.failed(&directory.display().to_string(), &error),
        };
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_of_an_editor(&name) {
                continue;
            }
            let path = without_dots(&directory.join(&name));
            // Links to directories aren't followed: they may lead back up.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && self.arguments.recursive => self.directory(&path),
                Ok(kind) if !kind.is_dir() && is_formatted(&name) => self.file(&path.display().to_string()),
                Ok(_) => {}
                Err(error) => self.failed(&path.display().to_string(), &error),
            }
        }
    }

    fn file(&mut self, path: &str) {
        if !is_formatted(path) {
            return self.failed(path, &format!("file {path} is not a HCL file"));
        }
        match read_text(&LocalHost::default(), path) {
            Ok(text) => self.text(path, text),
            Err(error) => self.failed(path, &error),
        }
    }

    fn standard_input(&mut self) {
        let text = LocalHost::default().read_standard_input().map(String::from_utf8);
        match text {
            Ok(Ok(text)) => self.text(STANDARD_INPUT, text),
            Ok(Err(_)) => self.failed(STANDARD_INPUT, &"what came on standard input is not UTF-8 text"),
            Err(error) => self.failed(STANDARD_INPUT, &error),
        }
    }

    fn text(&mut self, path: &str, text: String) {
        let name = if path == STANDARD_INPUT { "<stdin>" } else { path };
        let source = SourceFile::new(name, text);
        let canonical = match format_source::file(&source) {
            Ok(canonical) => canonical,
            Err(found) => {
                self.found.extend(found);
                self.sources.add(source);
                return self.failed(path, &"its syntax must be right first; it is left as it is");
            }
        };
        let changed = source.text() != canonical;
        self.changes += usize::from(changed);
        match (path, changed) {
            // As in Packer, what is canonical comes out again whatever the flags say.
            (STANDARD_INPUT, false) => self.screen.raw(&canonical),
            (STANDARD_INPUT, true) if self.writes() => self.screen.raw(&canonical),
            (STANDARD_INPUT, true) | (_, false) => {}
            (path, true) => self.change(path, source.text(), &canonical),
        }
    }

    fn change(&mut self, path: &str, text: &str, canonical: &str) {
        self.screen.raw(&format!("{path}\n"));
        if self.writes()
            && let Err(error) = replace_file::replace(Path::new(path), canonical.as_bytes())
        {
            self.failed(path, &kiln_plan::fault::chain(&error));
        }
        if self.arguments.outcome.diff {
            self.screen.raw(&difference(path, text, canonical));
        }
    }

    fn failed(&mut self, path: &str, why: &dyn std::fmt::Display) {
        let summary = format!("encountered an error while formatting {path}");
        self.found.push(Diagnostic::error(summary, why.to_string()));
    }

    fn end(self) -> Ended {
        diagnostic::show(self.screen, &self.found, &self.sources);
        match () {
            () if self.found.has_errors() => Ended::Failed,
            () if self.arguments.outcome.check && self.changes > 0 => Ended::NotCanonical,
            () => Ended::Well,
        }
    }
}

fn is_formatted(name: &str) -> bool {
    SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// Hidden files, and those in which editors keep earlier or unsaved versions.
fn is_of_an_editor(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~') || (name.starts_with('#') && name.ends_with('#'))
}

/// `./a/./b` as `a/b`.
fn without_dots(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// What `diff -u` would print.
fn difference(path: &str, before: &str, after: &str) -> String {
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(before, after);
    diff.unified_diff().header(&format!("old/{path}"), &format!("new/{path}")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_what_diff_prints() {
        let before = "1\n2\n3\n4\na=1\n5\n6\n7\n8";
        let after = "1\n2\n3\n4\na = 1\n5\n6\n7\n8";
        assert_eq!(
            difference("d/x.pkr.hcl", before, after),
            "--- old/d/x.pkr.hcl\n+++ new/d/x.pkr.hcl\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-a=1\n+a = 1\n 5\n 6\n 7\n"
        );
        let last = difference("x", "a=1", "a = 1");
        assert!(
            last.ends_with("-a=1\n\\ No newline at end of file\n+a = 1\n\\ No newline at end of file\n"),
            "{last}"
        );
    }

    #[test]
    fn paths_are_told_without_dots() {
        for (path, told) in [("./a/./b.pkr.hcl", "a/b.pkr.hcl"), ("/x/../y", "/x/../y"), ("../z", "../z")] {
            assert_eq!(without_dots(Path::new(path)), PathBuf::from(told));
        }
    }
}
