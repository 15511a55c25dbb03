//! Text with parts.

use super::{Evaluator, Names};
use crate::convert::convert;
use crate::span::Span;
use crate::syntax::{Expression, TemplatePart};
use crate::types::Type;
use crate::value::Value;

/// The text so far.
#[derive(Default)]
struct Text {
    text: String,
    unknown: bool,
    sensitive: bool,
}

impl Evaluator<'_> {
    pub(super) fn template(
        &mut self,
        parts: &[TemplatePart],
        span: &Span,
        names: Option<&Names<'_>>,
    ) -> Value {
        if let [TemplatePart::Interpolation(alone)] = parts {
            return self.value(alone, names);
        }
        let mut text = Text::default();
        self.parts(parts, &mut text, names);
        if !self.spend_bytes(text.text.len(), span) || text.unknown {
            return Value::unknown(Type::String).marked(text.sensitive);
        }
        Value::string(text.text).marked(text.sensitive)
    }

    fn parts(&mut self, parts: &[TemplatePart], text: &mut Text, names: Option<&Names<'_>>) {
        for part in parts {
            match part {
                TemplatePart::Literal { text: literal, span } => self.append(literal, text, span),
                TemplatePart::Interpolation(expression) => {
                    let value = self.value(expression, names);
                    self.interpolate(&value, expression, text);
                }
                TemplatePart::If { condition, then, otherwise, .. } => {
                    let value = self.value(condition, names);
                    let Ok(decision) = self.decision(&value, condition) else {
                        text.unknown = true;
                        continue;
                    };
                    text.sensitive |= decision.sensitive;
                    match decision.as_bool() {
                        Some(true) => self.parts(then, text, names),
                        Some(false) => self.parts(otherwise, text, names),
                        None => text.unknown = true,
                    }
                }
                TemplatePart::For { collection, .. } => self.repeat(part, collection, text, names),
            }
        }
    }

    fn append(&mut self, piece: &str, text: &mut Text, span: &Span) {
        // Loops may produce much from little: the budget is checked while the text grows.
        if text.text.len() + piece.len() > usize::try_from(self.left.bytes).unwrap_or(usize::MAX) {
            self.spend_bytes(text.text.len() + piece.len(), span);
            text.unknown = true;
            return;
        }
        text.text.push_str(piece);
    }

    fn interpolate(&mut self, value: &Value, at: &Expression, text: &mut Text) {
        text.sensitive |= value.contains_sensitive();
        if value.is_null() {
            self.error(
                "Invalid template interpolation value",
                "The value is null, and null has no text.",
                &at.span,
            );
            return;
        }
        match convert(value, &Type::String) {
            Ok(converted) => match converted.as_str() {
                Some(piece) => self.append(piece, text, &at.span),
                None => text.unknown = true,
            },
            Err(error) => {
                let detail = format!("The value can't be part of a text: {error}.");
                self.error("Invalid template interpolation value", detail, &at.span);
            }
        }
    }

    fn repeat(
        &mut self,
        part: &TemplatePart,
        collection: &Expression,
        text: &mut Text,
        names: Option<&Names<'_>>,
    ) {
        let TemplatePart::For { key_variable, value_variable, body, .. } = part else { return };
        let value = self.value(collection, names);
        text.sensitive |= value.sensitive;
        let Some(items) = self.iterate(&value, collection) else {
            text.unknown = true;
            return;
        };
        for (key, item) in items {
            if !self.spend(1, part.span()) {
                return;
            }
            let outer = key_variable.as_ref().map(|name| Names { name, value: &key, outer: names });
            let inner = Names { name: value_variable, value: &item, outer: outer.as_ref().or(names) };
            self.parts(body, text, Some(&inner));
        }
    }
}
