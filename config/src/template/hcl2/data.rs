//! `data "type" "name" { … }`: a question to a component, asked before the build.

use kiln_lang::syntax::{Block, Body, Reference};
use kiln_lang::{Diagnostic, Diagnostics};

use super::Declared;
use crate::template::shape::is_identifier;

/// One data source.
#[derive(Clone, Debug)]
pub(crate) struct DataBlock {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) block: Block,
}

/// Reads one `data` block.
pub(super) fn read(block: &Block, data_blocks: &mut Declared<DataBlock>, found: &mut Diagnostics) {
    let [kind, name] = block.labels.as_slice() else { return };
    if !is_identifier(&name.text) {
        let detail = format!(
            "{:?} is not a name: it must start with a letter or underscore and may contain only letters, \
             digits, underscores and dashes.",
            name.text
        );
        found.push(Diagnostic::error("Invalid data source name", detail).at(name.span.clone()));
        return;
    }
    let id = format!("{}.{}", kind.text, name.text);
    if let Some(first) = data_blocks.get(&id) {
        let what = format!("The data source {}.{}", kind.text, name.text);
        found.push(super::duplicate("Duplicate data block", &what, &block.header, &first.block.header));
        return;
    }
    let data_block = DataBlock { kind: kind.text.clone(), name: name.text.clone(), block: block.clone() };
    data_blocks.add(id, data_block);
}

/// Every name that a body refers to, nested blocks included.
pub(crate) fn references(body: &Body) -> Vec<Reference> {
    let own = body.attributes.iter().flat_map(|a| a.expression.references());
    let nested = body.blocks.iter().flat_map(|b| references(&b.body));
    own.chain(nested).collect()
}
