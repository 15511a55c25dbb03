//! Builders to sources, provisioners and post-processors to blocks of the one build.

use kiln_plan::{Catalog, ComponentKind, ComponentSchema};

use super::amazon::Images;
use super::body;
use super::names::Source;
use super::output::{Block, Expression, Item};
use super::text::{Place, Translator};
use crate::template::legacy::{Document, PostProcessor, Provisioner, Restriction};

/// What the parts of a build are made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    pub(super) document: &'a Document,
    pub(super) sources: &'a [Source],
    pub(super) catalog: Option<&'a Catalog>,
}

impl<'a> Parts<'a> {
    fn schema(&self, kind: ComponentKind, name: &str) -> Option<&'a ComponentSchema> {
        self.catalog?.get(kind, name)
    }

    /// The `source` blocks.
    pub(super) fn source_blocks(&self, translator: &mut Translator<'_>, images: &mut Images) -> Vec<Block> {
        let mut blocks = Vec::with_capacity(self.sources.len());
        for source in self.sources {
            let builder = &self.document.builders[source.index];
            let (config, image) = images.take_filter(&builder.kind, &builder.config, translator);
            let schema = self.schema(ComponentKind::Builder, &builder.kind);
            let options = schema.map(|schema| schema.options.as_slice());
            let mut items = body::items(translator, &config, options, Place::Source(source));
            items.extend(image);
            items.sort_by(|a, b| a.name().cmp(b.name()));
            blocks.push(Block::labelled("source", &[&source.kind, &source.label], items));
        }
        blocks
    }

    /// The `build` block.
    pub(super) fn build_block(&self, translator: &mut Translator<'_>) -> Block {
        let mut items = Vec::new();
        if !self.document.description.is_empty() {
            items.push(Item::attribute("description", Expression::text(&self.document.description)));
        }
        let reference = |source: &Source| Expression::text(&format!("source.{}", source.selector()));
        let references = self.sources.iter().map(reference).collect();
        items.push(Item::attribute("sources", Expression::List(references)));
        for provisioner in &self.document.provisioners {
            items.push(Item::Block(self.provisioner("provisioner", provisioner, translator)));
        }
        if let Some(provisioner) = &self.document.error_cleanup {
            items.push(Item::Block(self.provisioner("error-cleanup-provisioner", provisioner, translator)));
        }
        for sequence in &self.document.post_processors {
            let mut blocks: Vec<_> =
                sequence.iter().map(|p| Item::Block(self.post_processor(p, translator))).collect();
            match blocks.len() {
                0 | 1 => items.append(&mut blocks),
                _ => items.push(Item::Block(Block::new("post-processors", blocks))),
            }
        }
        Block::new("build", items)
    }

    fn provisioner(&self, kind: &str, provisioner: &Provisioner, translator: &mut Translator<'_>) -> Block {
        let schema = self.schema(ComponentKind::Provisioner, &provisioner.kind);
        let schema = schema.map(|schema| schema.options.as_slice());
        let mut items = self.restriction(&provisioner.restriction);
        if !provisioner.pause_before.is_zero() {
            let text = body::duration_text(provisioner.pause_before);
            items.push(Item::attribute("pause_before", Expression::text(&text)));
        }
        if !provisioner.timeout.is_zero() {
            let text = body::duration_text(provisioner.timeout);
            items.push(Item::attribute("timeout", Expression::text(&text)));
        }
        if !provisioner.max_retries.is_empty() {
            let count = body::number_or_text(translator, &provisioner.max_retries);
            items.push(Item::attribute("max_retries", count));
        }
        let mut overrides = Vec::new();
        for over in &provisioner.overrides {
            if let Some(source) = self.source(&over.builder) {
                let options = body::object(translator, &over.config, schema, Place::Override(source));
                overrides.push((super::output::key(&source.label), options));
            }
        }
        if !overrides.is_empty() {
            items.push(Item::attribute("override", Expression::Object(overrides)));
        }
        items.extend(body::items(translator, &provisioner.config, schema, Place::Shared));
        items.sort_by(|a, b| a.name().cmp(b.name()));
        Block::labelled(kind, &[&provisioner.kind], items)
    }

    fn post_processor(&self, post_processor: &PostProcessor, translator: &mut Translator<'_>) -> Block {
        let schema = self.schema(ComponentKind::PostProcessor, &post_processor.kind);
        let schema = schema.map(|schema| schema.options.as_slice());
        let mut items = self.restriction(&post_processor.restriction);
        if post_processor.name != post_processor.kind {
            items.push(Item::attribute("name", Expression::text(&post_processor.name)));
        }
        if let Some(keep) = post_processor.keep_input_artifact {
            items.push(Item::attribute("keep_input_artifact", Expression::Code(keep.to_string())));
        }
        items.extend(body::items(translator, &post_processor.config, schema, Place::Shared));
        items.sort_by(|a, b| a.name().cmp(b.name()));
        Block::labelled("post-processor", &[&post_processor.kind], items)
    }

    fn source(&self, raw: &str) -> Option<&'a Source> {
        self.sources.iter().find(|source| source.raw == raw)
    }

    fn restriction(&self, restriction: &Restriction) -> Vec<Item> {
        let lists = [("only", &restriction.only), ("except", &restriction.except)];
        let list = |names: &Vec<String>| {
            let selector = |name: &String| self.source(name).map_or_else(|| name.clone(), Source::selector);
            Expression::List(names.iter().map(|name| Expression::text(&selector(name))).collect())
        };
        let given = lists.into_iter().filter(|(_, names)| !names.is_empty());
        given.map(|(key, names)| Item::attribute(key, list(names))).collect()
    }
}
