//! A template whose text has been understood and whose variables have values, before anything of it is
//! evaluated.

pub(crate) mod hcl2;
pub(crate) mod json_shape;
pub(crate) mod legacy;
pub(crate) mod shape;

use std::collections::BTreeMap;

use kiln_lang::{Diagnostic, Diagnostics, SourceFile, SourceMap};
use kiln_plan::build::Dialect;

use crate::bundle::Bundle;
use crate::farm_file::FarmFile;
use crate::host::SharedHost;
use crate::request::{ConfigType, Request};
use crate::variables::{self, Assignments};
pub use hcl2::packer::RequiredPlugin;

/// A parsed template with the values that its user gave.
#[derive(Clone, Debug)]
pub struct Template {
    pub(crate) content: Content,
    /// `path.root`
    pub(crate) root: String,
    /// What a farm should know of it.
    pub(crate) farm: FarmFile,
}

/// What a template consists of, by language.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Hcl2 {
        document: Box<hcl2::Document>,
        assignments: Assignments,
    },
    Legacy {
        document: Box<legacy::Document>,
        /// From var files and `-var`.
        given: BTreeMap<String, String>,
    },
}

/// The template that `inspect` and `console` look at when they are given none.
const NOTHING: &str = r#"{"builders": [{"type": "null"}]}"#;

impl Template {
    /// The template of somebody who has none: a legacy one with a single null builder.
    pub fn of_nothing() -> Self {
        let (document, _) = legacy::read(&SourceFile::new("", NOTHING));
        let document = Box::new(document.unwrap_or_default());
        Self {
            content: Content::Legacy { document, given: BTreeMap::new() },
            root: String::new(),
            farm: FarmFile::default(),
        }
    }

    /// The template of somebody who has none but asks for a language and gives values: [`Template::of_nothing`] with
    /// these values, or an HCL2 template without a block.
    pub fn of_request(request: &Request) -> Self {
        match request.config_type {
            ConfigType::Hcl2 => {
                let content = Content::Hcl2 { document: Box::default(), assignments: Assignments::new() };
                Self { content, root: String::new(), farm: FarmFile::default() }
            }
            ConfigType::Json => {
                let mut template = Self::of_nothing();
                if let Content::Legacy { given, .. } = &mut template.content {
                    let values = request.variables.iter();
                    given.extend(values.map(|v| (v.name.clone(), v.text.reveal().clone())));
                }
                template
            }
        }
    }

    /// The language it is written in.
    pub fn dialect(&self) -> Dialect {
        match self.content {
            Content::Hcl2 { .. } => Dialect::Hcl2,
            Content::Legacy { .. } => Dialect::LegacyJson,
        }
    }

    /// The plug-ins that `required_plugins` names; none for legacy JSON.
    pub fn required_plugins(&self) -> &[RequiredPlugin] {
        match &self.content {
            Content::Hcl2 { document, .. } => &document.required_plugins,
            Content::Legacy { .. } => &[],
        }
    }

    /// What the template says of itself: the `description` of legacy JSON, empty for HCL2, whose builds
    /// have descriptions of their own.
    pub fn description(&self) -> &str {
        match &self.content {
            Content::Hcl2 { .. } => "",
            Content::Legacy { document, .. } => &document.description,
        }
    }
}

/// Reads the template that a request names: everything that `validate -syntax-only` looks at. The template
/// is there unless its text could not be understood; diagnostics may hold errors even when it is.
pub fn parse(request: &Request, host: &SharedHost) -> (Option<Template>, Diagnostics, SourceMap) {
    let mut sources = SourceMap::default();
    let bundle = match Bundle::read(request, &**host) {
        Ok(bundle) => bundle,
        Err(found) => return (None, found, sources),
    };
    for file in bundle.files() {
        sources.add(file.clone());
    }
    let (content, mut found) = match bundle.dialect {
        Dialect::Hcl2 => parse_hcl2(&bundle, request, host, &mut sources),
        Dialect::LegacyJson => parse_legacy(&bundle, request),
    };
    let farm = FarmFile::read(&bundle.farm_files, &mut found);
    (content.map(|content| Template { content, root: bundle.root, farm }), found, sources)
}

fn parse_hcl2(
    bundle: &Bundle,
    request: &Request,
    host: &SharedHost,
    sources: &mut SourceMap,
) -> (Option<Content>, Diagnostics) {
    let (document, mut found) = hcl2::read(&bundle.template_files, &request.core_version, host);
    let Some(document) = document else { return (None, found) };
    let (assignments, complaints) =
        variables::assign(&document.variables, &bundle.var_files, request, &**host, sources);
    found.extend(complaints);
    (Some(Content::Hcl2 { document: Box::new(document), assignments }), found)
}

fn parse_legacy(bundle: &Bundle, request: &Request) -> (Option<Content>, Diagnostics) {
    let Some(file) = bundle.template_files.first() else {
        let found = Diagnostic::error("Cannot read the template", "There is no text.");
        return (None, found.into());
    };
    let (document, mut found) = legacy::read(file);
    let mut given = BTreeMap::new();
    for file in &bundle.var_files {
        match legacy::read_var_file(file) {
            Ok(values) => given.extend(values),
            Err(complaints) => found.extend(complaints),
        }
    }
    for argument in &request.variables {
        given.insert(argument.name.clone(), argument.text.reveal().clone());
    }
    let content = document.map(|document| Content::Legacy { document: Box::new(document), given });
    (content, found)
}
