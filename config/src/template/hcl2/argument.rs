//! Arguments that the core itself reads: constants, and values that must be known before the build.

use kiln_lang::convert::convert;
use kiln_lang::duration::{self, SignedDuration};
use kiln_lang::evaluate::evaluate;
use kiln_lang::scope::Scope;
use kiln_lang::syntax::{Attribute, Expression};
use kiln_lang::{Diagnostic, Type, Value};

/// The value of an expression that refers to nothing and calls nothing.
///
/// # Errors
/// When it does, or is wrong in itself.
pub(crate) fn constant(expression: &Expression) -> Result<Value, Diagnostic> {
    if let Some(reference) = expression.references().first() {
        let detail = "Variables may not be used here.";
        return Err(Diagnostic::error("Variables not allowed", detail).at(reference.span.clone()));
    }
    value(expression, &Scope::literals_only())
}

/// The value of an expression; the first complaint when there are several.
///
/// # Errors
/// What evaluation complains about.
pub(crate) fn value(expression: &Expression, scope: &Scope) -> Result<Value, Diagnostic> {
    evaluate(expression, scope).map_err(|complaints| {
        let first = complaints.into_iter().next();
        first.unwrap_or_else(|| {
            Diagnostic::error("Invalid expression", "It has no value.").at(expression.span.clone())
        })
    })
}

/// A text written as such.
///
/// # Errors
/// When it is anything else.
pub(crate) fn literal_string(attribute: &Attribute) -> Result<String, Diagnostic> {
    let value = constant(&attribute.expression)?;
    value.as_str().map(str::to_owned).ok_or_else(|| unsuitable(attribute, "a string is required"))
}

/// `true` or `false`, written as such.
///
/// # Errors
/// When it is anything else.
pub(crate) fn literal_bool(attribute: &Attribute) -> Result<bool, Diagnostic> {
    let value = constant(&attribute.expression)?;
    let value = convert(&value, &Type::Bool).ok().and_then(|v| v.as_bool());
    value.ok_or_else(|| unsuitable(attribute, "a bool is required"))
}

/// The value of an argument, converted, wholly known; `None` when it is null.
///
/// # Errors
/// When it is of another type or not known before the build.
pub(crate) fn known(attribute: &Attribute, ty: &Type, scope: &Scope) -> Result<Option<Value>, Diagnostic> {
    let value = value(&attribute.expression, scope)?;
    if !value.is_wholly_known() {
        return Err(unsuitable(attribute, MUST_BE_KNOWN));
    }
    let value = convert(&value, ty).map_err(|error| unsuitable(attribute, &error.to_string()))?;
    Ok((!value.is_null()).then_some(value))
}

/// A known text, empty when null.
///
/// # Errors
/// As for [`known`].
pub(crate) fn string(attribute: &Attribute, scope: &Scope) -> Result<String, Diagnostic> {
    let value = known(attribute, &Type::String, scope)?;
    Ok(value.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// Known texts, none when null.
///
/// # Errors
/// As for [`known`].
pub(crate) fn strings(attribute: &Attribute, scope: &Scope) -> Result<Vec<String>, Diagnostic> {
    let value = known(attribute, &Type::list(Type::String), scope)?;
    let items = value.as_ref().and_then(Value::as_items).unwrap_or_default();
    if items.iter().any(Value::is_null) {
        return Err(unsuitable(attribute, "a string is required"));
    }
    Ok(items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// A known bool.
///
/// # Errors
/// As for [`known`].
pub(crate) fn bool(attribute: &Attribute, scope: &Scope) -> Result<Option<bool>, Diagnostic> {
    Ok(known(attribute, &Type::Bool, scope)?.and_then(|v| v.as_bool()))
}

/// A known whole number; less than none is none.
///
/// # Errors
/// As for [`known`], and when it is not whole.
pub(crate) fn count(attribute: &Attribute, scope: &Scope) -> Result<u32, Diagnostic> {
    let Some(value) = known(attribute, &Type::Number, scope)? else { return Ok(0) };
    let text = kiln_lang::convert::primitive_text(&value).unwrap_or_default();
    let whole: i64 = text.parse().map_err(|_| unsuitable(attribute, "a whole number is required"))?;
    Ok(u32::try_from(whole.max(0)).unwrap_or(u32::MAX))
}

/// A known duration such as `10s`.
///
/// # Errors
/// As for [`known`], and when it is no duration.
pub(crate) fn duration(attribute: &Attribute, scope: &Scope) -> Result<SignedDuration, Diagnostic> {
    let text = string(attribute, scope)?;
    if text.is_empty() {
        return Ok(SignedDuration::default());
    }
    duration::parse(&text).map_err(|error| {
        Diagnostic::error(format!("Failed to parse {} duration", attribute.name), error.to_string())
            .at(attribute.expression.span.clone())
    })
}

const MUST_BE_KNOWN: &str = "value must be known";

/// Whether a complaint is that a value isn't known before the build.
pub(crate) fn asks_for_a_value(complaint: &Diagnostic) -> bool {
    complaint.detail.ends_with(&format!("{MUST_BE_KNOWN}."))
}

/// The complaint about a value of the wrong type.
pub(crate) fn unsuitable(attribute: &Attribute, reason: &str) -> Diagnostic {
    let detail = format!("Unsuitable value for {:?}: {reason}.", attribute.name);
    Diagnostic::error("Unsuitable value type", detail).at(attribute.expression.span.clone())
}
