//! Functions on files and paths.

use std::sync::Arc;

use base64::Engine as _;
use kiln_lang::convert;
use kiln_lang::function::{Function, FunctionError, Functions, Parameter};
use kiln_lang::{SourceFile, Type, Value};

use super::{absolute, text};
use crate::glob::{Glob, Style};
use crate::host::{FileKind, Host, SharedHost, read_text};

/// How deep `fileset` descends.
const DEEPEST: usize = 64;

type Outcome = Result<Value, FunctionError>;

pub(super) fn functions(host: &SharedHost, base: &str) -> Vec<Function> {
    let path = || [Parameter::new("path", Type::String)];
    let function = |name, returns, body: fn(&Place, &[Value]) -> Outcome| {
        let place = Place { host: host.clone(), base: base.to_owned() };
        Function::new(name, path(), returns, move |args| body(&place, args))
    };
    let place = Place { host: host.clone(), base: base.to_owned() };
    let set_parameters = [Parameter::new("path", Type::String), Parameter::new("pattern", Type::String)];
    vec![
        function("file", Type::String, file),
        function("filebase64", Type::String, filebase64),
        function("fileexists", Type::Bool, fileexists),
        function("abspath", Type::String, |place, args| {
            Ok(Value::from(absolute(&place.host.working_directory(), text(args, 0))))
        }),
        function("pathexpand", Type::String, |place, args| Ok(Value::from(place.expand(text(args, 0))?))),
        Function::new("fileset", set_parameters, Type::set(Type::String), move |args| fileset(&place, args)),
    ]
}

/// `templatefile(path, variables)`; `functions` are those that the file may call.
pub(super) fn template_file(host: &SharedHost, base: &str, functions: Functions) -> Function {
    let place = Arc::new(Place { host: host.clone(), base: base.to_owned() });
    let read = move |path: &str| {
        let path = place.resolve(path)?;
        Ok(SourceFile::new(path.as_str(), place.read(&path)?))
    };
    kiln_lang::function::template_file(read, functions)
}

/// Where paths are resolved.
struct Place {
    host: SharedHost,
    /// The template's directory.
    base: String,
}

impl Place {
    /// Replaces a leading `~` with the home directory.
    fn expand(&self, path: &str) -> Result<String, FunctionError> {
        let Some(rest) = path.strip_prefix('~') else { return Ok(path.to_owned()) };
        if !rest.is_empty() && !rest.starts_with('/') {
            return Err(FunctionError::argument(0, "the home directory of another user can't be found"));
        }
        let home = self.host.home_directory();
        let home = home.ok_or_else(|| FunctionError::argument(0, "there is no home directory"))?;
        Ok(format!("{home}{rest}"))
    }

    /// A path for the host: `~` expanded, relative to the template's directory.
    fn resolve(&self, path: &str) -> Result<String, FunctionError> {
        let path = self.expand(path)?;
        Ok(if path.starts_with('/') || self.base.is_empty() {
            clean(&path)
        } else {
            clean(&format!("{}/{path}", self.base))
        })
    }

    fn read(&self, path: &str) -> Result<String, FunctionError> {
        read_text(&*self.host, path).map_err(|error| FunctionError::argument(0, error.to_string()))
    }
}

fn file(place: &Place, args: &[Value]) -> Outcome {
    let path = place.resolve(text(args, 0))?;
    Ok(Value::from(place.read(&path)?))
}

fn filebase64(place: &Place, args: &[Value]) -> Outcome {
    let path = place.expand(text(args, 0))?;
    let bytes = place.host.read_file(&path).map_err(|error| FunctionError::argument(0, error.to_string()))?;
    Ok(Value::from(base64::engine::general_purpose::STANDARD.encode(bytes)))
}

fn fileexists(place: &Place, args: &[Value]) -> Outcome {
    let path = place.resolve(text(args, 0))?;
    match place.host.kind(&path).map_err(|error| FunctionError::argument(0, error.to_string()))? {
        None => Ok(Value::bool(false)),
        Some(FileKind::File) => Ok(Value::bool(true)),
        Some(_) => Err(FunctionError::argument(0, format!("{path} is not a regular file"))),
    }
}

fn fileset(place: &Place, args: &[Value]) -> Outcome {
    let root = place.resolve(text(args, 0))?;
    let pattern = Glob::new(text(args, 1), Style::Path)
        .map_err(|error| FunctionError::argument(1, format!("invalid pattern: {error}")))?;
    let mut names = Vec::new();
    collect(&*place.host, &root, "", 0, &mut |name| {
        if pattern.matches(name) {
            names.push(Value::from(name));
        }
    });
    Ok(Value::new(convert::set(Type::String, names)))
}

/// Calls `take` with every regular file below `root`, by its path from there. What can't be listed counts as
/// empty, like a directory that isn't there.
fn collect(host: &dyn Host, root: &str, prefix: &str, depth: usize, take: &mut dyn FnMut(&str)) {
    let directory = if prefix.is_empty() { root.to_owned() } else { format!("{root}/{prefix}") };
    for entry in host.list_directory(&directory).unwrap_or_default() {
        let name = if prefix.is_empty() { entry.name } else { format!("{prefix}/{}", entry.name) };
        match entry.kind {
            FileKind::File => take(&name),
            FileKind::Directory if depth < DEEPEST => collect(host, root, &name, depth + 1, take),
            _ => {}
        }
    }
}

/// A path without empty parts, `.` and, as far as they can go, `..`.
pub(super) fn clean(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    match (absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}
