//! `variable "name" { … }` and `variables { … }`: what a template lets its user choose.

use kiln_lang::convert::convert;
use kiln_lang::scope::Scope;
use kiln_lang::syntax::{Attribute, Block, Expression};
use kiln_lang::type_expression::{self, Defaults};
use kiln_lang::{Diagnostic, Diagnostics, Functions, SourceFile, Span, Type, Value, parse};

use super::Declared;
use super::argument::{literal_bool, literal_string, value};
use crate::host::SharedHost;
use crate::template::shape::{Attributes, BlockShape, Shape, is_identifier};
use crate::world_function;

/// A declared variable.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) description: String,
    /// What values are converted to: the declared type, or that of the default.
    pub(crate) ty: Type,
    /// Values for missing `optional(…)` attributes.
    pub(crate) defaults: Defaults,
    /// Already converted; `None` when a user must give one.
    pub(crate) default: Option<Value>,
    /// Where the default's expression stands.
    pub(crate) default_span: Option<Span>,
    pub(crate) sensitive: bool,
    pub(crate) validations: Vec<Validation>,
    pub(crate) span: Span,
}

/// A rule that a variable's value must keep.
#[derive(Clone, Debug)]
pub(crate) struct Validation {
    pub(crate) condition: Expression,
    /// What a user is told otherwise.
    pub(crate) message: String,
    pub(crate) span: Span,
}

const SHAPE: Shape = Shape {
    attributes: Attributes::Only(&["type", "default", "description", "sensitive"]),
    blocks: &[BlockShape { kind: "validation", labels: &[] }],
};

const VALIDATION_SHAPE: Shape =
    Shape { attributes: Attributes::Only(&["condition", "error_message"]), blocks: &[] };

/// Reads one `variable` or `variables` block.
pub(super) fn read(
    block: &Block,
    host: &SharedHost,
    variables: &mut Declared<Variable>,
    found: &mut Diagnostics,
) {
    let Some(label) = block.labels.first() else {
        Shape { attributes: Attributes::Any, blocks: &[] }.check(&block.body, found);
        for attribute in &block.body.attributes {
            let mut variable = undecorated(&attribute.name, &attribute.span);
            set_default(&mut variable, attribute, host, found);
            add(variable, variables, found);
        }
        return;
    };
    let mut inner = Diagnostics::new();
    SHAPE.check(&block.body, &mut inner);
    let mut variable = undecorated(&label.text, &block.header);
    if let Some(attribute) = block.body.attribute("type") {
        match read_type(&attribute.expression) {
            Ok((ty, defaults)) => (variable.ty, variable.defaults) = (ty, defaults),
            Err(complaints) => inner.extend(complaints),
        }
    }
    let with = |name: &str| block.body.attribute(name);
    if let Some(attribute) = with("description") {
        variable.description = inner.take(literal_string(attribute)).unwrap_or_default();
    }
    if let Some(attribute) = with("sensitive") {
        variable.sensitive = inner.take(literal_bool(attribute)).unwrap_or_default();
    }
    if let Some(attribute) = with("default") {
        set_default(&mut variable, attribute, host, &mut inner);
    }
    for rule in block.body.blocks_of("validation") {
        variable.validations.extend(read_validation(rule, &variable.name, &mut inner));
    }
    found.extend(inner.into_iter().map(|d| d.within(block.header_text())));
    add(variable, variables, found);
}

/// JSON can write a type only as text.
fn read_type(expression: &Expression) -> Result<(Type, Defaults), Diagnostics> {
    let text = expression.as_literal().and_then(Value::as_str);
    let Some(text) = text.filter(|_| expression.span.file.ends_with(".json")) else {
        return type_expression::parse(expression);
    };
    let file = SourceFile::new(expression.span.file.clone(), text);
    let read = parse::expression(&file).and_then(|inner| type_expression::parse(&inner));
    read.map_err(|found| found.into_iter().map(|d| d.at(expression.span.clone())).collect())
}

fn undecorated(name: &str, span: &Span) -> Variable {
    Variable {
        name: name.to_owned(),
        description: String::new(),
        ty: Type::Any,
        defaults: Defaults::default(),
        default: None,
        default_span: None,
        sensitive: false,
        validations: Vec::new(),
        span: span.clone(),
    }
}

fn set_default(variable: &mut Variable, attribute: &Attribute, host: &SharedHost, found: &mut Diagnostics) {
    variable.default_span = Some(attribute.expression.span.clone());
    let default = default_value(&attribute.expression, host).and_then(|raw| {
        variable.convert(&raw).map_err(|reason| {
            let detail = format!("This default value is not compatible with the variable's type: {reason}.");
            Diagnostic::error("Invalid default value for variable", detail)
                .at(attribute.expression.span.clone())
        })
    });
    if let Some(default) = found.take(default) {
        if variable.ty == Type::Any && !default.is_null() && !is_empty_collection(&default) {
            variable.ty = default.ty();
        }
        variable.default = Some(default);
    } else {
        // The mistake is told; that no value was given would be a consequence.
        variable.default = Some(Value::unknown(variable.ty.clone()));
    }
}

/// Defaults refer to nothing and call nothing but `env`.
fn default_value(expression: &Expression, host: &SharedHost) -> Result<Value, Diagnostic> {
    if let Some(reference) = expression.references().first() {
        let detail = "Variables may not be used here.";
        return Err(Diagnostic::error("Variables not allowed", detail).at(reference.span.clone()));
    }
    let functions = Functions::none().with(world_function::env(host));
    value(expression, &Scope::new(&functions).without_special_forms())
}

fn is_empty_collection(value: &Value) -> bool {
    value.as_items().is_some_and(<[Value]>::is_empty)
        || value.as_entries().is_some_and(std::collections::BTreeMap::is_empty)
}

fn add(variable: Variable, variables: &mut Declared<Variable>, found: &mut Diagnostics) {
    if !is_identifier(&variable.name) {
        let detail = format!(
            "{:?} is not a name: it must start with a letter or underscore and may contain only letters, \
             digits, underscores and dashes.",
            variable.name
        );
        found.push(Diagnostic::error("Invalid variable name", detail).at(variable.span));
    } else if let Some(first) = variables.get(&variable.name) {
        let what = format!("The variable {:?}", variable.name);
        found.push(super::duplicate("Duplicate variable", &what, &variable.span, &first.span));
    } else {
        variables.add(variable.name.clone(), variable);
    }
}

fn read_validation(block: &Block, variable: &str, found: &mut Diagnostics) -> Option<Validation> {
    VALIDATION_SHAPE.check(&block.body, found);
    let required = |name: &str| {
        block.body.attribute(name).ok_or_else(|| {
            let detail = format!("The argument {name:?} is required, but no definition was found.");
            Diagnostic::error("Missing required argument", detail).at(block.header.clone())
        })
    };
    let condition = found.take(required("condition"));
    let message = found.take(required("error_message").and_then(error_message));
    let condition = condition?;
    found.take(check_condition(condition, variable))?;
    Some(Validation {
        condition: condition.expression.clone(),
        message: message?,
        span: condition.expression.span.clone(),
    })
}

fn error_message(attribute: &Attribute) -> Result<String, Diagnostic> {
    let message = literal_string(attribute)?;
    let starts_well = message.chars().next().is_some_and(|c| !c.is_alphabetic() || c.is_uppercase());
    // A heredoc ends with a line break.
    if starts_well && message.trim_end().ends_with(['.', '?', '!']) {
        return Ok(message);
    }
    let detail = "The error message must be at least one whole sentence: begin with a capital letter and end \
                  with a period, a question mark or an exclamation mark.";
    Err(Diagnostic::error("Invalid validation error message", detail).at(attribute.expression.span.clone()))
}

/// A condition is about its own variable and nothing else.
fn check_condition(attribute: &Attribute, variable: &str) -> Result<(), Diagnostic> {
    let references = attribute.expression.references();
    let own = |r: &kiln_lang::syntax::Reference| r.root == "var" && r.step(0) == Some(variable);
    let hidden = |r: &kiln_lang::syntax::Reference| r.root != "var" && !is_contextual(&r.root);
    let invalid = |detail: String, span: &Span| {
        Diagnostic::error("Invalid variable validation condition", detail).at(span.clone())
    };
    if let Some(stranger) = references.iter().find(|r| !own(r) && !hidden(r)) {
        let detail =
            format!("The condition for variable {variable:?} can only refer to the variable itself.");
        return Err(invalid(detail, &stranger.span));
    }
    if !references.iter().any(own) {
        let detail = format!("The condition for variable {variable:?} must refer to var.{variable}.");
        return Err(invalid(detail, &attribute.expression.span));
    }
    Ok(())
}

/// Names that stand for something outside the expression; any other may be a `for` variable.
fn is_contextual(root: &str) -> bool {
    ["local", "data", "path", "packer", "source", "build"].contains(&root)
}

impl Variable {
    /// A given value as this variable holds it: defaults of optional attributes filled in, converted.
    ///
    /// # Errors
    /// A phrase that says which type is required.
    pub(crate) fn convert(&self, raw: &Value) -> Result<Value, kiln_lang::convert::ConvertError> {
        convert(&self.defaults.apply(raw), &self.ty)
    }
}
