//! HCL2 templates: files to a document of declarations.
//!
//! Here the parts that must be right before anything is evaluated are read: versions, plugins, variables,
//! the names of locals and data sources. `source` and `build` blocks are kept as syntax; they are decoded
//! when they are used, once per use, because each use has values of its own.

pub(crate) mod argument;
pub(crate) mod build;
pub(crate) mod data;
pub(crate) mod dynamic;
pub(crate) mod local;
pub(crate) mod packer;
pub(crate) mod post_processor;
pub(crate) mod provisioner;
pub(crate) mod registry;
pub(crate) mod source;
pub(crate) mod variable;

use std::collections::HashMap;

use kiln_lang::syntax::{Block, Body};
use kiln_lang::{Diagnostic, Diagnostics, SourceFile, parse};

use super::shape::{Attributes, BlockShape, Shape};
use crate::host::SharedHost;
use data::DataBlock;
use local::Local;
use packer::RequiredPlugin;
use variable::Variable;

/// What the files of a template declare.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    pub(crate) required_plugins: Vec<RequiredPlugin>,
    pub(crate) variables: Vec<Variable>,
    pub(crate) locals: Vec<Local>,
    pub(crate) data_blocks: Vec<DataBlock>,
    pub(crate) sources: Vec<Block>,
    pub(crate) builds: Vec<Block>,
    /// `hcp_packer_registry` blocks outside builds.
    pub(crate) registries: Vec<Block>,
}

/// Declarations in their order, found by name at once however many there are.
#[derive(Debug)]
struct Declared<T> {
    list: Vec<T>,
    places: HashMap<String, usize>,
}

impl<T> Declared<T> {
    fn new() -> Self {
        Self { list: Vec::new(), places: HashMap::new() }
    }

    fn get(&self, name: &str) -> Option<&T> {
        self.places.get(name).map(|place| &self.list[*place])
    }

    fn add(&mut self, name: String, declaration: T) {
        self.places.insert(name, self.list.len());
        self.list.push(declaration);
    }
}

const TOP_LEVEL: Shape = Shape {
    attributes: Attributes::Only(&[]),
    blocks: &[
        BlockShape { kind: "packer", labels: &[] },
        BlockShape { kind: "variable", labels: &["name"] },
        BlockShape { kind: "variables", labels: &[] },
        BlockShape { kind: "local", labels: &["name"] },
        BlockShape { kind: "locals", labels: &[] },
        BlockShape { kind: "data", labels: &["type", "name"] },
        BlockShape { kind: "source", labels: &["type", "name"] },
        BlockShape { kind: "build", labels: &[] },
        BlockShape { kind: "hcp_packer_registry", labels: &[] },
        BlockShape { kind: "communicator", labels: &["type", "name"] },
    ],
};

/// Reads the files of a template, in order.
pub(crate) fn read(
    files: &[SourceFile],
    core_version: &str,
    host: &SharedHost,
) -> (Option<Document>, Diagnostics) {
    let mut found = Diagnostics::new();
    let bodies: Vec<Body> = files
        .iter()
        .map(|file| {
            let (body, complaints) = parse_file(file);
            found.extend(complaints);
            body
        })
        .collect();
    if found.has_errors() {
        return (None, found);
    }
    packer::check_core_version(&bodies, core_version, &mut found);
    if found.has_errors() {
        return (None, found);
    }
    let document = declare(&bodies, host, &mut found);
    (Some(document), found)
}

fn parse_file(file: &SourceFile) -> (Body, Diagnostics) {
    match file.name().ends_with(".json") {
        true => parse::json_body(file, &super::json_shape::TOP_LEVEL),
        false => parse::body(file),
    }
}

fn declare(bodies: &[Body], host: &SharedHost, found: &mut Diagnostics) -> Document {
    let mut document = Document::default();
    let mut blocks = Vec::new();
    for body in bodies {
        TOP_LEVEL.check_attributes(body, found);
        blocks.extend(body.blocks.iter().filter(|block| TOP_LEVEL.check_block(block, found)));
    }
    for block in of_kinds(&blocks, &["packer"]) {
        packer::read(block, &mut document.required_plugins, found);
    }
    let mut variables = Declared::new();
    for block in of_kinds(&blocks, &["variable", "variables"]) {
        variable::read(block, host, &mut variables, found);
    }
    document.variables = variables.list;
    let mut data_blocks = Declared::new();
    for block in of_kinds(&blocks, &["data"]) {
        data::read(block, &mut data_blocks, found);
    }
    document.data_blocks = data_blocks.list;
    let mut locals = Declared::new();
    for block in of_kinds(&blocks, &["local", "locals"]) {
        local::read(block, &mut locals, found);
    }
    document.locals = locals.list;
    document.sources = of_kinds(&blocks, &["source"]).cloned().collect();
    document.registries = of_kinds(&blocks, &["hcp_packer_registry"]).cloned().collect();
    document.builds = of_kinds(&blocks, &["build"]).cloned().collect();
    document
}

fn of_kinds<'a>(blocks: &'a [&'a Block], kinds: &'a [&str]) -> impl Iterator<Item = &'a Block> {
    blocks.iter().copied().filter(|block| kinds.contains(&block.kind.as_str()))
}

/// The complaint about a second declaration of something that may stand once.
fn duplicate(summary: &str, what: &str, second: &kiln_lang::Span, first: &kiln_lang::Span) -> Diagnostic {
    let detail = format!("{what} is declared already in {}.", first.file);
    Diagnostic::error(summary, detail).at(second.clone())
}
