//! Var files of HCL2 templates: arguments without variables or functions, or a JSON object.

use kiln_lang::{Diagnostic, Diagnostics, SourceFile, Span, Value, parse};

use crate::json::{self, JsonData};

/// One value that a var file gives.
pub(super) struct Given {
    pub(super) name: String,
    pub(super) value: Value,
    /// Where its expression stands.
    pub(super) span: Span,
}

/// Reads a var file.
pub(super) fn read(file: &SourceFile, found: &mut Diagnostics) -> Vec<Given> {
    if file.name().ends_with(".json") { read_json(file, found) } else { read_hcl(file, found) }
}

fn read_hcl(file: &SourceFile, found: &mut Diagnostics) -> Vec<Given> {
    let (body, complaints) = parse::body(file);
    found.extend(complaints);
    for block in &body.blocks {
        found.push(match block.kind.as_str() {
            "variable" => Diagnostic::error(
                "Variable declaration in a .pkrvar file",
                "A var file gives values to variables; they are declared in .pkr.hcl files.",
            )
            .at(block.header.clone())
            .hint(match block.labels.first() {
                Some(label) => format!("write: {} = …", label.text),
                None => "write: name = value".to_owned(),
            }),
            kind => Diagnostic::error(format!("Unexpected {kind:?} block"), "Blocks are not allowed here.")
                .at(block.header.clone()),
        });
    }
    let mut given = Vec::with_capacity(body.attributes.len());
    for attribute in body.attributes {
        match super::constant(&attribute.expression) {
            Ok(value) => {
                given.push(Given { name: attribute.name, value, span: attribute.expression.span });
            }
            Err(complaints) => found.extend(complaints),
        }
    }
    given
}

fn read_json(file: &SourceFile, found: &mut Diagnostics) -> Vec<Given> {
    let root = match json::read(file) {
        Ok(root) => root,
        Err(complaints) => {
            found.extend(complaints);
            return Vec::new();
        }
    };
    let JsonData::Object(members) = root.data else {
        found.push(
            Diagnostic::error("Invalid var file", "A JSON object is required: names and their values.")
                .at(root.span),
        );
        return Vec::new();
    };
    let members = members.into_iter().filter(|m| m.key != "//");
    members.map(|m| Given { value: m.value.to_value(), name: m.key, span: m.value.span }).collect()
}
