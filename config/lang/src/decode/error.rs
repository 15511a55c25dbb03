//! What can be wrong with an option, told by its path and never showing a secret.

use std::collections::BTreeSet;
use std::fmt;

use serde::de;

/// One option that can't be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", if path.is_empty() { String::new() } else { format!("{path}: ") })]
pub struct DecodeError {
    /// Where it stands: `network_adapters[0].model`; empty for the config as a whole.
    pub path: String,
    /// What is wrong: `a whole number is required, but found the string "x"`.
    pub message: String,
    /// The innermost field of a struct around it.
    pub(super) field: String,
    /// The field that is missing, if that is the mistake.
    pub(super) missing: Option<&'static str>,
}

impl DecodeError {
    pub(super) fn at(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), message: message.into(), field: String::new(), missing: None }
    }

    /// The same, with `path` unless a more inner place is known.
    pub(super) fn within(mut self, path: &str) -> Self {
        if self.path.is_empty() {
            path.clone_into(&mut self.path);
        }
        self
    }

    /// The same, inside the field at `path` unless a more inner one is known.
    pub(super) fn in_field(mut self, path: &str) -> Self {
        if self.field.is_empty() {
            path.clone_into(&mut self.field);
        }
        self.within(path)
    }

    /// Whether it only says that a field is missing which was left out as one of `skipped`.
    pub(super) fn caused_by(&self, skipped: &BTreeSet<String>) -> bool {
        let Some(missing) = self.missing else { return false };
        let path = if self.path.is_empty() { missing.to_owned() } else { format!("{}.{missing}", self.path) };
        skipped.contains(&path)
    }
}

/// All options of a config that can't be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeErrors(pub Vec<DecodeError>);

impl std::error::Error for DecodeErrors {}

impl fmt::Display for DecodeErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::at("", message.to_string())
    }

    fn invalid_type(found: de::Unexpected<'_>, wanted: &dyn de::Expected) -> Self {
        Self::custom(format_args!("{wanted} is required, but found {}", kind(&found)))
    }

    fn invalid_value(found: de::Unexpected<'_>, wanted: &dyn de::Expected) -> Self {
        Self::custom(format_args!("{wanted} is required, but found another {}", kind(&found)))
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        let known: Vec<_> = known.iter().map(|k| format!("{k:?}")).collect();
        Self::custom(format_args!("must be one of {}", known.join(", ")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field), ..Self::custom(format_args!("{field:?} must be specified")) }
    }
}

/// The kind of a thing without the thing itself, which may be a secret.
fn kind(found: &de::Unexpected<'_>) -> &'static str {
    match found {
        de::Unexpected::Bool(_) => "bool",
        de::Unexpected::Unsigned(_) | de::Unexpected::Signed(_) => "number",
        de::Unexpected::Float(_) => "fractional number",
        de::Unexpected::Char(_) | de::Unexpected::Str(_) => "string",
        de::Unexpected::Unit | de::Unexpected::Option => "null",
        de::Unexpected::Seq => "list",
        de::Unexpected::Map => "object",
        _ => "value",
    }
}
