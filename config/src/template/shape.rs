//! Which arguments and blocks may stand where, and the complaints about what may not.

use kiln_lang::diagnostic::nearest;
use kiln_lang::syntax::{Block, Body};
use kiln_lang::{Diagnostic, Diagnostics, Span};

pub(crate) use kiln_lang::syntax::is_identifier;

/// What a body may contain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) attributes: Attributes,
    pub(crate) blocks: &'static [BlockShape],
}

/// Which arguments a body may contain.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attributes {
    Any,
    Only(&'static [&'static str]),
}

/// A kind of block and the names of its labels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockShape {
    pub(crate) kind: &'static str,
    pub(crate) labels: &'static [&'static str],
}

impl Shape {
    /// Complains about every argument and block that may not stand in `body`.
    pub(crate) fn check(&self, body: &Body, found: &mut Diagnostics) {
        self.check_attributes(body, found);
        for block in &body.blocks {
            self.check_block(block, found);
        }
    }

    /// Complains about every argument that may not stand in `body`.
    pub(crate) fn check_attributes(&self, body: &Body, found: &mut Diagnostics) {
        if let Attributes::Only(known) = self.attributes {
            for attribute in body.attributes.iter().filter(|a| !known.contains(&a.name.as_str())) {
                found.push(self.unsupported_argument(&attribute.name, known, &attribute.name_span));
            }
        }
    }

    /// Complains about a block that may not stand here or has the wrong labels; tells whether it is fine.
    pub(crate) fn check_block(&self, block: &Block, found: &mut Diagnostics) -> bool {
        match self.blocks.iter().find(|b| b.kind == block.kind) {
            Some(shape) => check_labels(block, shape.labels, found),
            None => {
                found.push(self.unsupported_block(&block.kind, &block.kind_span));
                false
            }
        }
    }

    fn unsupported_argument(&self, name: &str, known: &'static [&'static str], span: &Span) -> Diagnostic {
        let mut detail = format!("An argument named {name:?} is not expected here.");
        if self.blocks.iter().any(|b| b.kind == name) {
            detail.push_str(&format!(" Did you mean to define a block of type {name:?}?"));
        } else if let Some(similar) = nearest(name, known.iter().copied()) {
            detail.push_str(&format!(" Did you mean {similar:?}?"));
        }
        let summary = match span.file.ends_with(".json") {
            true => "Extraneous JSON object property",
            false => "Unsupported argument",
        };
        Diagnostic::error(summary, detail).at(span.clone())
    }

    fn unsupported_block(&self, kind: &str, span: &Span) -> Diagnostic {
        let mut detail = format!("Blocks of type {kind:?} are not expected here.");
        if let Some(similar) = nearest(kind, self.blocks.iter().map(|b| b.kind)) {
            detail.push_str(&format!(" Did you mean {similar:?}?"));
        } else if let Attributes::Only(known) = self.attributes
            && known.contains(&kind)
        {
            detail.push_str(&format!(
                " Did you mean to define argument {kind:?}? If so, use the equals sign to assign it a value."
            ));
        }
        Diagnostic::error("Unsupported block type", detail).at(span.clone())
    }
}

fn check_labels(block: &Block, names: &[&str], found: &mut Diagnostics) -> bool {
    let kind = &block.kind;
    let count = match names {
        [] => "no labels".to_owned(),
        [one] => format!("1 label ({one})"),
        several => format!("{} labels ({})", several.len(), several.join(", ")),
    };
    if let Some(missing) = names.get(block.labels.len()) {
        let detail = format!("All {kind} blocks must have {count}.");
        found.push(
            Diagnostic::error(format!("Missing {missing} for {kind}"), detail).at(block.header.clone()),
        );
        return false;
    }
    if let Some(extra) = block.labels.get(names.len()) {
        let detail = format!("{kind} blocks have {count}.");
        found.push(Diagnostic::error(format!("Extraneous label for {kind}"), detail).at(extra.span.clone()));
        return false;
    }
    true
}
