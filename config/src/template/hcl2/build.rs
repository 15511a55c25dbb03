//! `build { … }`: which sources, and what happens to what they make.

use kiln_lang::scope::Scope;
use kiln_lang::syntax::{Attribute, Block};
use kiln_lang::{Diagnostic, Diagnostics, Span, Value};

use super::argument;
use super::dynamic::{Nested, expand};
use super::post_processor::PostProcessor;
use super::provisioner::Provisioner;
use super::registry;
use super::source::SourceReference;
use crate::template::shape::{Attributes, BlockShape, Shape};

/// A decoded `build` block.
#[derive(Clone, Debug)]
pub(crate) struct Build<'a> {
    /// Empty when the template gives none.
    pub(crate) name: String,
    /// Empty when the template gives none.
    pub(crate) description: String,
    /// In the order in which they are built: those of `sources`, then the blocks.
    pub(crate) sources: Vec<SourceUse<'a>>,
    pub(crate) provisioners: Vec<Provisioner<'a>>,
    pub(crate) error_cleanup: Option<Provisioner<'a>>,
    pub(crate) post_processors: Vec<Vec<PostProcessor<'a>>>,
    has_registry: bool,
    /// Where the block's header stands.
    pub(crate) span: &'a Span,
}

/// The use of a source by a build.
#[derive(Clone, Debug)]
pub(crate) struct SourceUse<'a> {
    pub(crate) reference: SourceReference,
    /// What the build calls it, if it gives it a name of its own.
    pub(crate) local_name: Option<String>,
    /// The options that the build adds.
    pub(crate) block: Option<Nested<'a>>,
}

const SHAPE: Shape = Shape {
    attributes: Attributes::Only(&["name", "description", "sources"]),
    blocks: &[
        BlockShape { kind: "source", labels: &["reference"] },
        BlockShape { kind: "provisioner", labels: &["type"] },
        BlockShape { kind: "error-cleanup-provisioner", labels: &["type"] },
        BlockShape { kind: "post-processor", labels: &["type"] },
        BlockShape { kind: "post-processors", labels: &[] },
        BlockShape { kind: "hcp_packer_registry", labels: &[] },
        BlockShape { kind: "from", labels: &["type"] },
    ],
};

const SEQUENCE_SHAPE: Shape = Shape {
    attributes: Attributes::Only(&[]),
    blocks: &[BlockShape { kind: "post-processor", labels: &["type"] }],
};

impl SourceUse<'_> {
    /// The name inside the build: the local one if there is one.
    pub(crate) fn name(&self) -> &str {
        self.local_name.as_deref().unwrap_or(&self.reference.name)
    }

    /// `type.name`, as `only` and `except` of components compare it.
    pub(crate) fn selector(&self) -> String {
        format!("{}.{}", self.reference.kind, self.name())
    }
}

impl<'a> Build<'a> {
    /// Decodes a block in the scope of build blocks.
    pub(crate) fn read(block: &'a Block, scope: &Scope, found: &mut Diagnostics) -> Self {
        SHAPE.check_attributes(&block.body, found);
        let attribute = |name: &str| block.body.attribute(name);
        let name = attribute("name").and_then(|a| found.take(argument::string(a, scope)));
        let description = attribute("description").and_then(|a| found.take(argument::string(a, scope)));
        let name = name.unwrap_or_default();
        let named = Value::object([("name".to_owned(), Value::from(name.as_str()))]);
        let mut build = Self {
            name,
            description: description.unwrap_or_default(),
            sources: Vec::new(),
            provisioners: Vec::new(),
            error_cleanup: None,
            post_processors: Vec::new(),
            has_registry: false,
            span: &block.header,
        };
        if let Some(attribute) = attribute("sources") {
            build.read_sources(attribute, scope, found);
        }
        for nested in expand(&block.body, scope, found) {
            if SHAPE.check_block(&nested.head(), found) {
                build.read_block(nested, (&named, scope), found);
            }
        }
        if build.sources.is_empty() && !found.has_errors() {
            let detail = "A build needs at least one source: in \"sources\", or as a \"source\" block.";
            found.push(Diagnostic::error("missing source reference", detail).at(block.header.clone()));
        }
        build
    }

    fn read_sources(&mut self, attribute: &Attribute, scope: &Scope, found: &mut Diagnostics) {
        let bare = attribute.expression.references().into_iter().find(|r| r.root == "source");
        let texts = argument::strings(attribute, scope).map_err(|complaint| match &bare {
            Some(_) => complaint.hint("references to sources are texts: \"source.qemu.example\""),
            None => complaint,
        });
        for text in found.take(texts).unwrap_or_default() {
            let reference = SourceReference::parse(&text, &attribute.expression.span);
            self.sources.extend(found.take(reference).map(|reference| SourceUse {
                reference,
                local_name: None,
                block: None,
            }));
        }
    }

    fn read_block(
        &mut self,
        mut nested: Nested<'a>,
        (named, outside): (&Value, &Scope),
        found: &mut Diagnostics,
    ) {
        let meta = |scope: Scope| scope.with("build", named.clone());
        match nested.kind {
            "source" => self.sources.extend(found.take(read_source(nested, outside))),
            "provisioner" => {
                nested.scope = meta(nested.scope);
                self.provisioners.push(Provisioner::read(nested, found));
            }
            "error-cleanup-provisioner" => {
                if self.error_cleanup.is_some() {
                    let detail = "A build can have one block that cleans up after an error, and has two.";
                    found.push(
                        Diagnostic::error("Only one error-cleanup-provisioner is allowed", detail)
                            .at(nested.header.clone()),
                    );
                }
                nested.scope = meta(nested.scope);
                self.error_cleanup = Some(Provisioner::read(nested, found));
            }
            "post-processor" => {
                nested.scope = meta(nested.scope);
                self.post_processors.push(vec![PostProcessor::read(nested, found)]);
            }
            "post-processors" => {
                SEQUENCE_SHAPE.check_attributes(nested.body, found);
                let mut sequence = Vec::new();
                for mut inner in expand(nested.body, &nested.scope, found) {
                    if SEQUENCE_SHAPE.check_block(&inner.head(), found) {
                        inner.scope = meta(inner.scope);
                        sequence.push(PostProcessor::read(inner, found));
                    }
                }
                self.post_processors.push(sequence);
            }
            "hcp_packer_registry" => {
                if std::mem::replace(&mut self.has_registry, true) {
                    found.push(registry::second_block(nested.header));
                } else {
                    registry::check_one(nested.body, nested.header, &nested.scope, found);
                }
            }
            // `from` has no effect.
            _ => {}
        }
    }
}

/// Reads a source block of a build, whose scope differs from the one outside only by the iterators of dynamic blocks.
fn read_source<'a>(nested: Nested<'a>, outside: &Scope) -> Result<SourceUse<'a>, Diagnostic> {
    let reference = SourceReference::parse(nested.label(0), nested.header)?;
    let local_name = match nested.body.attribute("name") {
        Some(attribute) => {
            let scope = iterators_only(attribute, &nested.scope, outside)?;
            Some(argument::string(attribute, &scope)?).filter(|name| !name.is_empty())
        }
        None => None,
    };
    Ok(SourceUse { reference, local_name, block: Some(nested) })
}

/// The scope of the iterators that an argument refers to. It may refer to nothing else, and call nothing.
fn iterators_only(attribute: &Attribute, inside: &Scope, outside: &Scope) -> Result<Scope, Diagnostic> {
    let mut scope = Scope::literals_only();
    for reference in attribute.expression.references() {
        match inside.get(&reference.root) {
            Some(value) if outside.get(&reference.root) != Some(value) => {
                scope = scope.with(reference.root.clone(), value.clone());
            }
            _ => {
                let detail = "The name of a source block is a plain text; variables may not be used here.";
                return Err(Diagnostic::error("Variables not allowed", detail).at(reference.span));
            }
        }
    }
    Ok(scope)
}
