//! `local "name" { expression }` and `locals { … }`.

use kiln_lang::syntax::{Block, Expression};
use kiln_lang::{Diagnostic, Diagnostics, Span};

use super::Declared;
use super::argument::literal_bool;
use crate::template::shape::{Attributes, Shape, is_identifier};

/// One local value.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    pub(crate) name: String,
    pub(crate) expression: Expression,
    pub(crate) sensitive: bool,
    pub(crate) span: Span,
}

const SHAPE: Shape = Shape { attributes: Attributes::Only(&["expression", "sensitive"]), blocks: &[] };

/// Reads one `local` or `locals` block.
pub(super) fn read(block: &Block, locals: &mut Declared<Local>, found: &mut Diagnostics) {
    let Some(label) = block.labels.first() else {
        for attribute in &block.body.attributes {
            let local = Local {
                name: attribute.name.clone(),
                expression: attribute.expression.clone(),
                sensitive: false,
                span: attribute.span.clone(),
            };
            add(local, locals, found);
        }
        Shape { attributes: Attributes::Any, blocks: &[] }.check(&block.body, found);
        return;
    };
    SHAPE.check(&block.body, found);
    let sensitive = block.body.attribute("sensitive").and_then(|a| found.take(literal_bool(a)));
    match block.body.attribute("expression") {
        Some(attribute) => {
            let local = Local {
                name: label.text.clone(),
                expression: attribute.expression.clone(),
                sensitive: sensitive.unwrap_or(false),
                span: block.header.clone(),
            };
            add(local, locals, found);
        }
        None => found.push(
            Diagnostic::error(
                "Missing required argument",
                "The argument \"expression\" is required, but no definition was found.",
            )
            .at(block.header.clone()),
        ),
    }
}

fn add(local: Local, locals: &mut Declared<Local>, found: &mut Diagnostics) {
    if !is_identifier(&local.name) {
        found.push(
            Diagnostic::error(
                "Invalid local name",
                format!(
                    "{:?} is not a name: it must start with a letter or underscore and may contain only \
                     letters, digits, underscores and dashes.",
                    local.name
                ),
            )
            .at(local.span),
        );
    } else if let Some(first) = locals.get(&local.name) {
        let what = format!("The local value {:?}", local.name);
        found.push(super::duplicate("Duplicate local definition", &what, &local.span, &first.span));
    } else {
        locals.add(local.name.clone(), local);
    }
}
