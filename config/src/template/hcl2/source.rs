//! `source "type" "name" { … }`, and the ways in which a build refers to one.

use std::collections::HashMap;

use kiln_lang::syntax::Block;
use kiln_lang::{Diagnostic, Diagnostics, Span};

use crate::template::shape::is_identifier;

/// The declared sources by type and name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources<'a> {
    by_reference: HashMap<SourceReference, &'a Block>,
}

/// A type and a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SourceReference {
    pub(crate) kind: String,
    pub(crate) name: String,
}

impl std::fmt::Display for SourceReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.kind, self.name)
    }
}

impl SourceReference {
    /// Reads `type.name`; with more parts the first is ignored, as in `source.type.name`.
    ///
    /// # Errors
    /// When it has too few parts or one of them is no identifier.
    pub(crate) fn parse(text: &str, span: &Span) -> Result<Self, Diagnostic> {
        let parts: Vec<&str> = text.split('.').collect();
        let chosen = match parts.as_slice() {
            [kind, name] | [_, kind, name, ..] => Some((*kind, *name)),
            _ => None,
        };
        match chosen {
            Some((kind, name)) if parts.iter().all(|p| is_identifier(p)) => {
                Ok(Self { kind: kind.to_owned(), name: name.to_owned() })
            }
            _ => {
                let detail = format!(
                    "{text:?} doesn't name a source: write \"type.name\" or \"source.type.name\", as in \
                     \"source.qemu.example\"."
                );
                Err(Diagnostic::error("Invalid source reference", detail).at(span.clone()))
            }
        }
    }
}

impl<'a> Sources<'a> {
    /// Collects declarations.
    pub(crate) fn new(blocks: &'a [Block], found: &mut Diagnostics) -> Self {
        let mut sources = Self::default();
        for block in blocks {
            let [kind, name] = block.labels.as_slice() else { continue };
            let reference = SourceReference { kind: kind.text.clone(), name: name.text.clone() };
            if let Some(first) = sources.by_reference.get(&reference) {
                let what = format!("The source {reference}");
                found.push(super::duplicate("Duplicate source block", &what, &block.header, &first.header));
            } else {
                sources.by_reference.insert(reference, block);
            }
        }
        sources
    }

    /// The declaration of a source.
    ///
    /// # Errors
    /// When there is none; `span` is where it is used.
    pub(crate) fn get(&self, reference: &SourceReference, span: &Span) -> Result<&'a Block, Diagnostic> {
        if let Some(block) = self.by_reference.get(reference) {
            return Ok(block);
        }
        let mut known: Vec<String> = self.by_reference.keys().map(ToString::to_string).collect();
        known.sort();
        let wanted = reference.to_string();
        let nearest = kiln_lang::diagnostic::nearest(&wanted, known.iter().map(String::as_str));
        let detail = match nearest {
            Some(similar) => format!("Did you mean to use {similar:?}?"),
            None => format!("Known: [{}]", known.join(", ")),
        };
        Err(Diagnostic::error(format!("Unknown source {wanted}"), detail).at(span.clone()))
    }
}
