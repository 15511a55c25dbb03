//! Template strings that stand in files: `templatefile`, in two halves.
//!
//! ```text
//!  templatefile(path, variables)        where files can be read: finds the file and renders it
//!        └─ carry ──► {path, text} ──►  templatefile({path, text}, variables)     where they can't
//! ```
//!
//! A call whose variables wait for the build travels with the file's text, and is made beside the guest.

use super::{Function, FunctionError, Functions, Parameter};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::evaluate::evaluate;
use crate::parse;
use crate::scope::Scope;
use crate::span::SourceFile;
use crate::syntax::is_identifier;
use crate::types::Type;
use crate::value::Value;

const NAME: &str = "templatefile";
const PATH: &str = "path";
const TEXT: &str = "text";

/// `templatefile(path, variables)`. `read` finds a file by its path as a template gives it; the file may call `functions`.
pub fn template_file(
    read: impl Fn(&str) -> Result<SourceFile, FunctionError> + Clone + Send + Sync + 'static,
    functions: Functions,
) -> Function {
    let reading = read.clone();
    let parameters = [Parameter::new("path", Type::String), Parameter::new("vars", Type::Any)];
    let body = move |args: &[Value]| render(&read(text(args.first()))?, args.get(1), &functions);
    Function::new(NAME, parameters, Type::Any, body).carrying(move |path| {
        let file = reading(text(Some(path)))?;
        let part = |name: &str, text: &str| (name.to_owned(), Value::from(text));
        Ok(Value::object([part(PATH, file.name()), part(TEXT, file.text())]))
    })
}

/// The other half: takes what the first one carried. The file may call `functions`.
pub(super) fn carried(functions: Functions) -> Function {
    let parameters = [Parameter::new("file", Type::Any), Parameter::new("vars", Type::Any)];
    Function::new(NAME, parameters, Type::Any, move |args| {
        let part = |name: &str| args.first().and_then(Value::as_entries)?.get(name)?.as_str();
        let (Some(path), Some(text)) = (part(PATH), part(TEXT)) else {
            return Err(FunctionError::argument(0, "the file must be known before the build starts"));
        };
        render(&SourceFile::new(path, text), args.get(1), &functions)
    })
}

fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

fn render(
    file: &SourceFile,
    variables: Option<&Value>,
    functions: &Functions,
) -> Result<Value, FunctionError> {
    let entries = variables
        .and_then(Value::as_entries)
        .ok_or_else(|| FunctionError::argument(1, "a map of variables is required"))?;
    let mut scope = Scope::new(functions);
    for (name, value) in entries {
        if !is_identifier(name) {
            return Err(FunctionError::argument(
                1,
                format!("{name:?} can't name a variable: it must start with a letter or underscore"),
            ));
        }
        scope = scope.with(name, value.clone());
    }
    let failed = |complaints: Diagnostics| {
        let first = complaints.iter().next().map(|d| describe(d, file)).unwrap_or_default();
        FunctionError::argument(0, format!("failed to render {}: {first}", file.name()))
    };
    let template = parse::template(file).map_err(failed)?;
    evaluate(&template, &scope).map_err(failed)
}

fn describe(diagnostic: &Diagnostic, file: &SourceFile) -> String {
    let place = diagnostic.span.as_ref().map(|s| file.position(s.start));
    let place = place.map(|p| format!(" in line {}", p.line)).unwrap_or_default();
    format!("{}{place}: {}", diagnostic.summary, diagnostic.detail)
}
