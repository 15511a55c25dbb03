//! `hcp_packer_registry { … }`: where Packer publishes what was built. Kiln publishes elsewhere; what stands in the block is
//! only checked, so that a mistake in it has the same verdict. Like Packer, arguments that it doesn't know pass.

use kiln_lang::scope::Scope;
use kiln_lang::syntax::{Block, Body};
use kiln_lang::{Diagnostic, Diagnostics, Span, Type};

use super::argument;

/// The most bytes that a description may have.
const LONGEST_DESCRIPTION: usize = 255;

/// Checks the blocks of one place, which may hold one.
pub(crate) fn check(blocks: &[Block], scope: &Scope) -> Diagnostics {
    let mut found = Diagnostics::new();
    if let Some(first) = blocks.first() {
        check_one(&first.body, &first.header, scope, &mut found);
    }
    for second in blocks.iter().skip(1) {
        found.push(second_block(&second.header));
    }
    found
}

/// The complaint about a second block in one place.
pub(crate) fn second_block(header: &Span) -> Diagnostic {
    let detail = "There is another one already; what is built has one place in the registry.";
    Diagnostic::error("Only one hcp_packer_registry is allowed", detail).at(header.clone())
}

/// Checks what stands in a block.
pub(crate) fn check_one(body: &Body, header: &Span, scope: &Scope, found: &mut Diagnostics) {
    let text = |name: &str, found: &mut Diagnostics| {
        body.attribute(name).and_then(|a| found.take(argument::string(a, scope))).unwrap_or_default()
    };
    let invalid = |summary: &str, detail: &str| Diagnostic::error(summary, detail).at(header.clone());
    let bucket = text("bucket_name", found);
    if !bucket.is_empty() && !is_bucket_name(&bucket) {
        found.push(invalid(
            "hcp_packer_registry.bucket_name can only contain between 3 and 36 ASCII letters, numbers and hyphens",
            &format!("The bucket name is {bucket:?}."),
        ));
    }
    if text("description", found).len() > LONGEST_DESCRIPTION {
        found.push(invalid(
            "hcp_packer_registry.description should have a maximum length of 255 characters",
            "Shorten the description.",
        ));
    }
    for name in ["labels", "bucket_labels", "build_labels"] {
        if let Some(attribute) = body.attribute(name) {
            found.take(argument::known(attribute, &Type::map(Type::String), scope));
        }
    }
    if let Some(attribute) = body.attribute("channels") {
        found.take(argument::strings(attribute, scope));
    }
    match (body.attribute("labels"), body.attribute("bucket_labels")) {
        (Some(_), Some(_)) => found.push(invalid(
            "hcp_packer_registry.labels and hcp_packer_registry.bucket_labels are mutually exclusive",
            "Keep bucket_labels, the newer name.",
        )),
        (Some(old), None) => {
            let detail = "hcp_packer_registry.labels is now called bucket_labels.";
            found.push(Diagnostic::warning("Deprecated argument", detail).at(old.span.clone()));
        }
        _ => {}
    }
}

fn is_bucket_name(text: &str) -> bool {
    (3..=36).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
