//! Checksums of installation media: three options become one, `iso_checksum = "type:sum"`.

use serde_json::Value;

use super::Rewrite;
use super::template::{Options, Template};

pub(super) const MD5: Rewrite = Rewrite {
    name: "iso-md5",
    help: "Replaces \"iso_md5\" of builders by \"iso_checksum\"",
    apply: |template| {
        for options in template.builders() {
            if options.get("iso_md5").is_some_and(Value::is_string) {
                let sum = options.remove("iso_md5").unwrap_or_default();
                options.insert("iso_checksum".to_owned(), sum);
                options.insert("iso_checksum_type".to_owned(), "md5".into());
            }
        }
    },
};

pub(super) const TYPE_AND_URL: Rewrite = Rewrite {
    name: "iso-checksum-type-and-url",
    help: "Puts \"iso_checksum_url\" and \"iso_checksum_type\" into \"iso_checksum\"",
    apply: fold,
};

fn fold(template: &mut Template) {
    for options in template.builders() {
        let url = take_text(options, "iso_checksum_url");
        let kind = take_text(options, "iso_checksum_type");
        let sum = options.get("iso_checksum").and_then(Value::as_str).unwrap_or_default();
        let folded = match (url, kind) {
            (Some(url), _) => with_prefix("file", &url),
            // Packer makes "none:…" or nothing of it, which no builder takes.
            (None, Some(kind)) if kind.eq_ignore_ascii_case("none") => "none".to_owned(),
            (None, Some(kind)) if !sum.is_empty() => with_prefix(&kind, sum),
            _ => continue,
        };
        options.insert("iso_checksum".to_owned(), folded.into());
    }
}

/// `prefix:rest`, once.
fn with_prefix(prefix: &str, rest: &str) -> String {
    match rest.strip_prefix(prefix).is_some_and(|after| after.starts_with(':')) && prefix != "file" {
        true => rest.to_owned(),
        false => format!("{prefix}:{rest}"),
    }
}

/// Takes an option away; its text, unless that is empty.
fn take_text(options: &mut Options, name: &str) -> Option<String> {
    match options.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}
