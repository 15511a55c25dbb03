//! The `packer` block: the version a template needs, and the plug-ins its components come from.

use std::collections::BTreeSet;

use kiln_lang::format_value::quoted;

use super::output::{Block, Expression, Item};
use crate::template::legacy::Document;

/// Plug-ins whose components were once part of Packer, by the first word of the components' types.
const PLUGINS: [&str; 10] = [
    "amazon",
    "ansible",
    "azure",
    "docker",
    "googlecompute",
    "qemu",
    "vagrant",
    "virtualbox",
    "vmware",
    "vsphere",
];

/// The block, if there is anything to say.
pub(super) fn block(document: &Document) -> Option<Block> {
    let mut items = Vec::new();
    if let Some((version, _)) = &document.min_version {
        items.push(Item::attribute("required_version", Expression::text(&format!(">= {version}"))));
    }
    let plugins = plugins(document);
    if !plugins.is_empty() {
        let one = |name: &&str| {
            let source = format!("github.com/hashicorp/{name}");
            let entries = vec![
                ("source".to_owned(), Expression::Code(quoted(&source))),
                ("version".to_owned(), Expression::text("~> 1")),
            ];
            Item::attribute(name, Expression::Object(entries))
        };
        items.push(Item::Block(Block::new("required_plugins", plugins.iter().map(one).collect())));
    }
    (!items.is_empty()).then(|| Block::new("packer", items))
}

fn plugins(document: &Document) -> BTreeSet<&'static str> {
    let builders = document.builders.iter().map(|b| &b.kind);
    let provisioners = document.provisioners.iter().chain(&document.error_cleanup).map(|p| &p.kind);
    let post_processors = document.post_processors.iter().flatten().map(|p| &p.kind);
    let types: Vec<&String> = builders.chain(provisioners).chain(post_processors).collect();
    let is_of = |plugin: &str, kind: &str| kind.split('-').next() == Some(plugin);
    PLUGINS.into_iter().filter(|plugin| types.iter().any(|kind| is_of(plugin, kind))).collect()
}
