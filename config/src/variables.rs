//! The values of HCL2 variables: defaults, then the environment, then var files, then `-var`; and the rules
//! they must keep.
//!
//! Collecting needs no evaluation and belongs to parsing; the rules are checked when the template is
//! evaluated.

mod var_file;

use std::collections::{BTreeMap, HashMap};

use kiln_lang::evaluate::evaluate;
use kiln_lang::scope::Scope;
use kiln_lang::syntax::Expression;
use kiln_lang::{Diagnostic, Diagnostics, Functions, SourceFile, SourceMap, Span, Type, Value, parse};

use crate::host::Host;
use crate::request::Request;
use crate::template::hcl2::variable::{Validation, Variable};

/// The winning values by variable.
pub(crate) type Assignments = BTreeMap<String, Assignment>;

/// A variable's value and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    /// Converted to the variable's type.
    pub(crate) value: Value,
    origin: Origin,
    span: Option<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Default,
    Environment,
    VarFile,
    CommandLine,
}

impl Origin {
    /// The word in "Invalid value for … variable".
    fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Environment => "env",
            Self::VarFile => "varfile",
            Self::CommandLine => "cmd",
        }
    }
}

/// Finds the value of every variable that has one.
pub(crate) fn assign(
    variables: &[Variable],
    var_files: &[SourceFile],
    request: &Request,
    host: &dyn Host,
    sources: &mut SourceMap,
) -> (Assignments, Diagnostics) {
    let by_name = variables.iter().map(|v| (v.name.as_str(), v)).collect();
    let found = Diagnostics::new();
    let mut collector = Collector { variables, by_name, assignments: BTreeMap::new(), sources, found };
    collector.defaults();
    collector.environment(host);
    for file in var_files {
        collector.var_file(file, request.warn_undeclared);
    }
    for argument in &request.variables {
        collector.argument(&argument.name, argument.text.reveal());
    }
    (collector.assignments, collector.found)
}

struct Collector<'a> {
    variables: &'a [Variable],
    by_name: HashMap<&'a str, &'a Variable>,
    assignments: Assignments,
    sources: &'a mut SourceMap,
    found: Diagnostics,
}

impl<'a> Collector<'a> {
    fn declared(&self, name: &str) -> Option<&'a Variable> {
        self.by_name.get(name).copied()
    }

    fn set(&mut self, variable: &Variable, value: Value, origin: Origin, span: Option<Span>) {
        self.assignments.insert(variable.name.clone(), Assignment { value, origin, span });
    }

    fn defaults(&mut self) {
        for variable in self.variables {
            if let Some(default) = &variable.default {
                self.set(variable, default.clone(), Origin::Default, variable.default_span.clone());
            }
        }
    }

    fn environment(&mut self, host: &dyn Host) {
        for variable in self.variables {
            let Some(text) = host.environment(&format!("PKR_VAR_{}", variable.name)) else { continue };
            let file = SourceFile::new(format!("<value for var.{} from env>", variable.name), text);
            self.text(variable, &file, Origin::Environment);
        }
    }

    fn argument(&mut self, name: &str, text: &str) {
        let Some(variable) = self.declared(name) else {
            let known = self.variables.iter().map(|v| v.name.as_str());
            let nearest = kiln_lang::diagnostic::nearest(name, known);
            let detail = format!("A variable named {name:?} was given with -var but is not declared.");
            let hint = match nearest {
                Some(similar) => format!("did you mean {similar:?}?"),
                None => format!("declare it in the template: variable {name:?} {{ type = string }}"),
            };
            self.found.push(Diagnostic::error("Undefined -var variable", detail).hint(hint));
            return;
        };
        let file = SourceFile::new(format!("<value for var.{name} from arguments>"), text);
        self.text(variable, &file, Origin::CommandLine);
    }

    /// A value given as text. For strings, numbers and variables of any type the text itself is the value;
    /// for the rest it is an expression.
    fn text(&mut self, variable: &Variable, file: &SourceFile, origin: Origin) {
        let span = Span::new(file.name().clone(), 0, file.text().len());
        // The text of a secret stays out of every diagnostic's snippet.
        if !variable.sensitive {
            self.sources.add(file.clone());
        }
        let raw = match variable.ty {
            Type::String | Type::Number | Type::Any => Ok(Value::from(file.text())),
            _ => parse::expression(file).and_then(|expression| constant(&expression)),
        };
        match raw {
            Ok(raw) => self.convert(variable, &raw, origin, span),
            // What is wrong with the text of a secret may quote it.
            Err(_) if variable.sensitive => self.found.push(
                Diagnostic::error(
                    "Invalid value for variable",
                    format!("The value for {} is not a constant expression.", variable.name),
                )
                .at(span),
            ),
            Err(complaints) => self.found.extend(complaints),
        }
    }

    fn convert(&mut self, variable: &Variable, raw: &Value, origin: Origin, span: Span) {
        match variable.convert(raw) {
            Ok(value) => self.set(variable, value, origin, Some(span)),
            Err(reason) => {
                let summary = match origin {
                    Origin::CommandLine => "Invalid argument value for -var variable",
                    _ => "Invalid value for variable",
                };
                let detail =
                    format!("The value for {} is not compatible with its type: {reason}.", variable.name);
                self.found.push(Diagnostic::error(summary, detail).at(span));
            }
        }
    }

    fn var_file(&mut self, file: &SourceFile, warn_undeclared: bool) {
        for given in var_file::read(file, &mut self.found) {
            match self.declared(&given.name) {
                Some(variable) => self.convert(variable, &given.value, Origin::VarFile, given.span),
                None if warn_undeclared => self.found.push(undeclared(&given.name, given.span)),
                None => {}
            }
        }
    }
}

fn undeclared(name: &str, span: Span) -> Diagnostic {
    let detail = format!("The variable {name:?} was set but was not declared as an input variable.");
    Diagnostic::warning("Undefined variable", detail)
        .at(span)
        .hint(format!("declare it in the template: variable {name:?} {{ type = string }}"))
}

/// The value of an expression without variables and functions.
fn constant(expression: &Expression) -> Result<Value, Diagnostics> {
    Ok(crate::template::hcl2::argument::constant(expression)?)
}

/// Checks that every variable has a value that keeps its rules, and gives the values by name. What has no
/// value, or an invalid one, is unknown.
pub(crate) fn bind(
    variables: &[Variable],
    assignments: &Assignments,
    functions: &Functions,
) -> (BTreeMap<String, Value>, Diagnostics) {
    let mut found = Diagnostics::new();
    let mut values = BTreeMap::new();
    for variable in variables {
        let value = match assignments.get(&variable.name) {
            Some(assignment) => {
                for rule in &variable.validations {
                    found.extend(validate(variable, assignment, rule, functions));
                }
                assignment.value.clone().marked(variable.sensitive)
            }
            None => {
                found.push(unset(&variable.name));
                Value::unknown(variable.ty.clone())
            }
        };
        values.insert(variable.name.clone(), value);
    }
    (values, found)
}

fn unset(name: &str) -> Diagnostic {
    Diagnostic::error(
        format!("Unset variable {name:?}"),
        "A used variable must be set or have a default value.",
    )
    .hint(format!("set it with -var '{name}=…', in a var file, or in the environment as PKR_VAR_{name}"))
}

fn validate(
    variable: &Variable,
    assignment: &Assignment,
    rule: &Validation,
    functions: &Functions,
) -> Diagnostics {
    let own = Value::object([(variable.name.clone(), assignment.value.clone())]);
    let scope = Scope::new(functions).with("var", own);
    let invalid = |detail: String| {
        let summary = format!("Invalid value for {} variable", assignment.origin.word());
        Diagnostic::error(summary, detail).at(assignment.span.clone())
    };
    let condition = match evaluate(&rule.condition, &scope) {
        Ok(condition) => condition,
        Err(complaints) => return complaints,
    };
    let condition = kiln_lang::convert::convert(&condition, &Type::Bool).unwrap_or(condition);
    let rule_at = format!("This was checked by the validation rule in {}.", rule.span.file);
    match condition.as_bool() {
        Some(true) => Diagnostics::new(),
        Some(false) => invalid(format!("{}\n\n{rule_at}", rule.message)).into(),
        None if !condition.is_known() => Diagnostics::new(),
        None => Diagnostic::error(
            "Invalid variable validation result",
            format!(
                "The condition must be true or false, not {}.",
                if condition.is_null() { "null".to_owned() } else { condition.ty().friendly_name() }
            ),
        )
        .at(rule.span.clone())
        .into(),
    }
}

/// Every text inside a value that is marked, as a whole or in part.
pub(crate) fn secrets_in(value: &Value, secrets: &mut Vec<String>) {
    collect_secrets(value, false, secrets);
}

fn collect_secrets(value: &Value, marked: bool, secrets: &mut Vec<String>) {
    let marked = marked || value.sensitive;
    secrets.extend(value.as_str().filter(|_| marked).map(str::to_owned));
    for child in value.children() {
        collect_secrets(child, marked, secrets);
    }
}
