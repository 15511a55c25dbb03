//! Function calls, and the special forms `try`, `can` and `convert`, whose arguments aren't plain values.

use super::{Evaluator, Names, poison, reading, size};
use crate::convert::convert;
use crate::diagnostic::{Diagnostic, nearest};
use crate::function::{Function, FunctionError, Parameter};
use crate::span::Span;
use crate::syntax::{Call, Expression};
use crate::type_expression;
use crate::types::Type;
use crate::value::{Data, Value};

/// The names of the special forms.
const SPECIAL_FORMS: [&str; 3] = ["can", "convert", "try"];

const FAILED: &str = "Error in function call";
const INVALID: &str = "Invalid function argument";

/// Argument values with the place of each.
type Arguments = Vec<(Value, Span)>;

impl Evaluator<'_> {
    pub(super) fn call(&mut self, call: &Call, span: &Span, names: Option<&Names<'_>>) -> Value {
        if self.scope.has_special_forms() && SPECIAL_FORMS.contains(&call.name.as_str()) {
            return match call.name.as_str() {
                "try" => self.try_each(call, span, names),
                "can" => self.can(call, span, names),
                _ => self.convert(call, span, names),
            };
        }
        let Some(function) = self.scope.functions().get(&call.name) else {
            return self.unknown_function(call);
        };
        let Some(arguments) = self.arguments(call, names) else { return poison() };
        if !self.count_fits(call, function, &arguments, span) {
            return poison();
        }
        let Some(values) = self.converted(function, &arguments) else { return poison() };
        let sensitive = values.iter().any(Value::contains_sensitive);
        let must_wait = values
            .iter()
            .zip(parameters(function))
            .any(|(value, parameter)| !parameter.allow_unknown && !value.is_known());
        if must_wait {
            return Value::unknown(function.returns.clone()).marked(sensitive);
        }
        let reading = values.iter().map(|value| size(value) + reading(value)).sum::<u64>();
        let work = function.work.map_or(0, |work| work(&values));
        if !self.spend(reading.saturating_add(work), span) {
            return poison();
        }
        match (function.body)(&values) {
            Ok(value) => {
                if self.spend(size(&value), span) && self.spend_bytes(text_size(&value), span) {
                    value.marked(sensitive)
                } else {
                    poison()
                }
            }
            Err(error) => self.call_failed(call, function, (&error, &arguments), span),
        }
    }

    fn unknown_function(&mut self, call: &Call) -> Value {
        let mut known: Vec<&str> = self.scope.functions().names().collect();
        if self.scope.has_special_forms() {
            known.extend(SPECIAL_FORMS);
        }
        if known.is_empty() {
            return self.error(
                "Function calls not allowed",
                "Functions can't be called here.",
                &call.name_span,
            );
        }
        let detail = format!("There is no function named {:?}.", call.name);
        let mut diagnostic = Diagnostic::error("Call to unknown function", detail).at(call.name_span.clone());
        diagnostic.hint = match call.name.as_str() {
            "tostring" | "tonumber" | "tobool" => {
                let ty = &call.name[2..];
                Some(format!("write convert(…, {ty})"))
            }
            "tolist" | "toset" | "tomap" => {
                let ty = &call.name[2..];
                Some(format!("write convert(…, {ty}(string)), or with another member type"))
            }
            name => nearest(name, known.iter().copied()).map(|near| format!("did you mean {near:?}?")),
        };
        self.diagnostics.push(diagnostic);
        poison()
    }

    /// The values of the arguments, the last one expanded if asked for. None when that can't be done yet, or
    /// at all.
    fn arguments(&mut self, call: &Call, names: Option<&Names<'_>>) -> Option<Arguments> {
        let before = self.diagnostics.len();
        let mut arguments: Arguments = Vec::new();
        for argument in &call.arguments {
            arguments.push((self.value(argument, names), argument.span.clone()));
        }
        if self.diagnostics.len() > before || self.exhausted.is_some() {
            return None;
        }
        if !call.expand {
            return Some(arguments);
        }
        let (last, span) = arguments.pop()?;
        let expandable =
            matches!(last.ty(), Type::List(_) | Type::Set(_) | Type::Tuple(_)) && !last.is_null();
        match last.as_items() {
            Some(items) => {
                arguments.extend(items.iter().map(|v| (v.clone().marked(last.sensitive), span.clone())));
                Some(arguments)
            }
            None if !last.is_known() && (expandable || last.ty() == Type::Any) => None,
            None => {
                let detail = match last.is_null() {
                    true => "What ... expands must not be null.",
                    false => "Only a list, set or tuple can be expanded with ....",
                };
                self.error("Invalid expanding argument value", detail, &span);
                None
            }
        }
    }

    fn count_fits(&mut self, call: &Call, function: &Function, arguments: &Arguments, span: &Span) -> bool {
        let most = function.parameters.len();
        let least = most.saturating_sub(function.optional);
        let count = arguments.len();
        if count < least {
            let qualifier = if function.rest.is_some() || function.optional > 0 { " at least" } else { "" };
            let missing = function.parameters.get(count).map_or("", |p| p.name);
            let detail = format!(
                "Function {:?} expects{qualifier} {least} argument(s). Missing value for {missing:?}.",
                call.name
            );
            let end = Span::new(span.file.clone(), span.end.saturating_sub(1).max(span.start), span.end);
            self.error("Not enough function arguments", detail, &end);
            return false;
        }
        if count > most && function.rest.is_none() {
            let detail = format!("Function {:?} expects only {most} argument(s).", call.name);
            let at = arguments.get(most).map_or_else(|| span.clone(), |(_, at)| at.clone());
            self.error("Too many function arguments", detail, &at);
            return false;
        }
        true
    }

    fn converted(&mut self, function: &Function, arguments: &Arguments) -> Option<Vec<Value>> {
        let mut values = Vec::new();
        let mut sound = true;
        for ((value, span), parameter) in arguments.iter().zip(parameters(function)) {
            let problem = match convert(value, &parameter.ty) {
                Ok(value) if value.is_null() && !parameter.allow_null => "it must not be null".to_owned(),
                Ok(value) => {
                    values.push(value);
                    continue;
                }
                Err(error) => error.to_string(),
            };
            sound = false;
            self.error(
                INVALID,
                format!("Invalid value for {:?} parameter: {problem}.", parameter.name),
                span,
            );
        }
        sound.then_some(values)
    }

    fn call_failed(
        &mut self,
        call: &Call,
        function: &Function,
        (error, arguments): (&FunctionError, &Arguments),
        span: &Span,
    ) -> Value {
        let message = error.message.trim_end_matches('.');
        let blamed = error.argument.and_then(|i| Some((arguments.get(i)?, parameters(function).nth(i)?)));
        match blamed {
            Some(((_, at), parameter)) => {
                let detail = format!("Invalid value for {:?} parameter: {message}.", parameter.name);
                self.error(INVALID, detail, at)
            }
            None => self.error(FAILED, format!("Call to function {:?} failed: {message}.", call.name), span),
        }
    }

    fn try_each(&mut self, call: &Call, span: &Span, names: Option<&Names<'_>>) -> Value {
        let mut reasons = Vec::new();
        for argument in &call.arguments {
            let (value, found) = self.apart(argument, names);
            if self.exhausted.is_some() {
                return poison();
            }
            if found.is_empty() {
                // A value that is unknown in part may yet turn out another.
                return if value.is_wholly_known() {
                    value
                } else {
                    poison().marked(value.contains_sensitive())
                };
            }
            reasons.extend(found.iter().map(|d| format!("{}: {}", d.summary, d.detail)));
        }
        let detail = match reasons.is_empty() {
            true => "Call to function \"try\" failed: at least one argument is required.".to_owned(),
            false => {
                format!("Call to function \"try\" failed: no expression succeeded.\n{}", reasons.join("\n"))
            }
        };
        self.error(FAILED, detail, span)
    }

    fn can(&mut self, call: &Call, span: &Span, names: Option<&Names<'_>>) -> Value {
        let [argument] = call.arguments.as_slice() else {
            return self.wrong_count(call, 1, span);
        };
        let (value, found) = self.apart(argument, names);
        if found.is_empty() && !value.is_wholly_known() {
            return Value::unknown(Type::Bool);
        }
        Value::bool(found.is_empty())
    }

    fn convert(&mut self, call: &Call, span: &Span, names: Option<&Names<'_>>) -> Value {
        let [value, ty] = call.arguments.as_slice() else {
            return self.wrong_count(call, 2, span);
        };
        let before = self.diagnostics.len();
        let source: &Expression = value;
        let value = self.value(source, names);
        let (ty, defaults) = match type_expression::parse(ty) {
            Ok(parsed) => parsed,
            Err(found) => {
                self.diagnostics.extend(found);
                return poison();
            }
        };
        if self.diagnostics.len() > before {
            return poison();
        }
        match convert(&defaults.apply(&value), &ty) {
            Ok(value) => value,
            Err(error) => {
                let detail = format!("Call to function \"convert\" failed: {error}.");
                self.error(FAILED, detail, &source.span)
            }
        }
    }

    fn wrong_count(&mut self, call: &Call, wanted: usize, span: &Span) -> Value {
        let few = call.arguments.len() < wanted;
        let summary = if few { "Not enough function arguments" } else { "Too many function arguments" };
        self.error(summary, format!("Function {:?} expects {wanted} argument(s).", call.name), span)
    }
}

fn parameters(function: &Function) -> impl Iterator<Item = &Parameter> {
    function.parameters.iter().chain(function.rest.iter().cycle())
}

/// The bytes of text in a value, keys included.
fn text_size(value: &Value) -> usize {
    let keys: usize = value.as_entries().map_or(0, |entries| entries.keys().map(String::len).sum());
    match &value.data {
        Data::String(text) => text.len(),
        _ => keys + value.children().map(text_size).sum::<usize>(),
    }
}
