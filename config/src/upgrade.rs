//! `hcl2_upgrade`: a legacy JSON template as HCL2 that means the same.
//!
//! ```text
//!  Document ──► names     builders → labels, variables → var.x / local.x
//!     │           │
//!     │           ▼
//!     ├──► text: Go-template actions → expressions ──┐
//!     │           ▼                                  ├──► blocks, in Packer's order ──► laid out ──► parsed again
//!     └──► body: options → arguments and blocks ─────┘    packer variable data locals source build
//! ```
//!
//! What the result can't say as the template did is told as a warning; it never silently means something else.
//! Options of components that nobody here offers become arguments or blocks by their shape.

mod amazon;
mod body;
mod component;
mod gate;
mod names;
mod notes;
mod output;
mod secret;
mod text;
mod variable;

use kiln_lang::{Diagnostic, Diagnostics, SourceFile, parse};
use kiln_plan::{Catalog, ComponentKind};

use crate::template::legacy::{self, Document};
use amazon::Images;
use component::Parts;
use output::{Block, Expression, Item};
use text::Translator;
use variable::Variables;

/// How to upgrade.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// The components whose options are known.
    pub catalog: Option<&'a Catalog>,
    /// `-with-annotations`: whether comments explain the parts.
    pub annotations: bool,
}

/// An upgraded template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgraded {
    /// HCL2, in canonical layout.
    pub text: String,
    /// Warnings about what the reader should look at, and an error for each component that nobody offers: the
    /// text is good nonetheless, but which of that component's options are blocks is a guess.
    pub found: Diagnostics,
}

/// Upgrades a template.
///
/// # Errors
/// When the text isn't a legacy template.
pub fn upgrade(file: &SourceFile, options: Options<'_>) -> Result<Upgraded, Diagnostics> {
    let (document, found) = legacy::read(file);
    let Some(document) = document else { return Err(found) };
    let sources = names::sources(&document);
    let mut translator = Translator::new(&sources);
    translator.warnings.extend(document.validate().into_iter().map(ignored));
    let unknown = unknown_components(&document, options.catalog);
    let blocks = blocks(&document, &mut translator, options);
    let mut comments = document.comments.clone();
    if options.annotations {
        comments.splice(0..0, notes::HEAD.map(str::to_owned));
    }
    let text = output::file(&comments, &blocks);
    let upgraded = SourceFile::new("upgraded.pkr.hcl", text.as_str());
    let (_, mistakes) = parse::body(&upgraded);
    match mistakes.has_errors() {
        true => Err(mistakes.into_iter().map(|d| unreadable(&d, &upgraded)).collect()),
        false => {
            translator.warnings.extend(unknown);
            Ok(Upgraded { text, found: translator.warnings })
        }
    }
}

fn blocks(document: &Document, translator: &mut Translator<'_>, options: Options<'_>) -> Vec<Block> {
    let variables = Variables::of(document, &variable::referred(document), translator);
    let parts = Parts { document, sources: translator.sources, catalog: options.catalog };
    let (mut plain, sensitive) = variables.locals(document, translator);
    let mut images = Images::default();
    let sources = parts.source_blocks(translator, &mut images);
    let build = parts.build_block(translator);
    if translator.build_names {
        plain.push(Item::attribute("build_names", translator.original_names()));
    }
    if translator.timestamp {
        // `timestamp` of JSON templates: seconds since 1970, as text.
        let seconds = "format(\"%d\", rfc3339_parse(legacy_isotime()).unix)".to_owned();
        plain.push(Item::attribute("timestamp", Expression::Code(seconds)));
    }
    let locals = if plain.is_empty() { Vec::new() } else { vec![Block::new("locals", plain)] };
    let groups = [
        (notes::GATE, gate::block(document).into_iter().collect()),
        (notes::VARIABLES, variables.blocks(document, translator)),
        (notes::DATA, [translator.secrets.blocks(), images.blocks()].concat()),
        (notes::LOCALS, [locals, sensitive].concat()),
        (notes::SOURCES, sources),
        (notes::BUILD, vec![build]),
    ];
    let annotated = |(note, mut blocks): (&str, Vec<Block>)| {
        if let Some(first) = blocks.first_mut().filter(|_| options.annotations) {
            *first = std::mem::take(first).commented(note);
        }
        blocks
    };
    groups.into_iter().flat_map(annotated).collect()
}

/// A mistake of the template that doesn't keep it from being upgraded.
fn ignored(mistake: Diagnostic) -> Diagnostic {
    Diagnostic { severity: kiln_lang::Severity::Warning, ..mistake }
}

fn unreadable(mistake: &Diagnostic, text: &SourceFile) -> Diagnostic {
    let line = mistake.span.as_ref().map(|span| text.line(text.position(span.start).line).to_owned());
    let detail = format!("{}: {}", mistake.detail, line.unwrap_or_default());
    Diagnostic::error("The result would be no HCL2", detail)
        .hint("this is a defect of hcl2_upgrade; nothing was written")
}

fn unknown_components(document: &Document, catalog: Option<&Catalog>) -> Diagnostics {
    let mut found = Diagnostics::new();
    let Some(catalog) = catalog else { return found };
    let builders = document.builders.iter().map(|b| (ComponentKind::Builder, &b.kind, &b.span));
    let provisioners = document.provisioners.iter().chain(&document.error_cleanup);
    let provisioners = provisioners.map(|p| (ComponentKind::Provisioner, &p.kind, &p.span));
    let post_processors = document.post_processors.iter().flatten();
    let post_processors = post_processors.map(|p| (ComponentKind::PostProcessor, &p.kind, &p.span));
    let mut told = Vec::new();
    for (kind, name, span) in builders.chain(provisioners).chain(post_processors) {
        if catalog.get(kind, name).is_some() || told.contains(&(kind, name)) {
            continue;
        }
        told.push((kind, name));
        let detail = format!(
            "Nobody here offers the {} {name:?}; which of its options are blocks was told from their shape.",
            kind.noun()
        );
        found.push(Diagnostic::error(format!("Unknown {} {name}", kind.noun()), detail).at(span.clone()));
    }
    found
}

#[cfg(test)]
mod tests;
