//! Functions on paths as text, by the rules of Unix; those that look at the file system are not here.

use super::Function;
use super::argument::{bounded, string, text};
use crate::types::Type;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new("basename", [string("path")], Type::String, |args| {
            bounded(basename(text(args, 0)?).to_owned())
        }),
        Function::new("dirname", [string("path")], Type::String, |args| bounded(dirname(text(args, 0)?))),
    ]
}

/// The last element, without slashes at the end; `.` for nothing, `/` for nothing but slashes.
fn basename(path: &str) -> &str {
    if path.is_empty() {
        return ".";
    }
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { "/" } else { trimmed.rsplit('/').next().unwrap_or(trimmed) }
}

/// All but the last element, cleaned.
fn dirname(path: &str) -> String {
    let end = path.rfind('/').map_or(0, |slash| slash + 1);
    clean(&path[..end])
}

/// The shortest path that means the same: no `.`, no doubled slashes, `..` resolved where it can be.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for element in path.split('/') {
        match element {
            "" | "." => {}
            ".." if kept.last().is_some_and(|last| *last != "..") => {
                kept.pop();
            }
            ".." if rooted => {}
            other => kept.push(other),
        }
    }
    match (rooted, kept.join("/")) {
        (true, rest) => format!("/{rest}"),
        (false, rest) if rest.is_empty() => ".".to_owned(),
        (false, rest) => rest,
    }
}
