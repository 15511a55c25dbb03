//! The options `iso_*`: which file a builder starts from. Builders append them to their own.

use kiln_lang::decode::decode;
use kiln_lang::{Diagnostic, Diagnostics, Value};
use kiln_plan::OptionSchema;
use kiln_plan::schema::OptionType::{String as Text, Strings};
use serde::Deserialize;

use super::Wanted;
use super::checksum::Checksum;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Raw {
    iso_url: String,
    iso_urls: Vec<String>,
    iso_checksum: String,
    iso_target_path: String,
    iso_target_extension: String,
}

/// The options, as data.
pub fn options() -> Vec<OptionSchema> {
    let option = OptionSchema::new;
    vec![
        option("iso_url", Text, "Where the ISO (or the disk image) is: a URL or a path."),
        option("iso_urls", Strings, "Several places of the ISO, tried in order; not with iso_url."),
        option(
            "iso_checksum",
            Text,
            "What the ISO must hash to: hexadecimal, \"sha256:…\", \"file:URL\" of a sums file, or \"none\".",
        )
        .required(),
        option("iso_target_path", Text, "Where to keep the download; a directory when it has no extension."),
        option("iso_target_extension", Text, "The extension of the download in the cache.").default("iso"),
    ]
}

/// Reads and checks the options; what is wrong goes to `found`.
pub fn parse(options: &Value, found: &mut Diagnostics) -> Option<Wanted> {
    let raw: Raw = match decode(options) {
        Ok(raw) => raw,
        Err(errors) => {
            found.extend(errors.0.iter().map(|e| Diagnostic::error("Invalid option", e.to_string())));
            return None;
        }
    };
    let urls: Vec<String> = match (raw.iso_url.is_empty(), raw.iso_urls) {
        (false, urls) if urls.is_empty() => vec![raw.iso_url],
        (true, urls) if !urls.is_empty() => urls,
        (given_once, _) => {
            let detail = match given_once {
                true => "One of iso_url or iso_urls must be specified.",
                false => "Only one of iso_url or iso_urls may be specified.",
            };
            found.push(Diagnostic::error("Invalid iso_url", detail));
            Vec::new()
        }
    };
    let checksum = Checksum::parse(&raw.iso_checksum).unwrap_or_else(|error| {
        found.push(Diagnostic::error("Invalid iso_checksum", format!("{error}.")));
        Checksum::None
    });
    if checksum == Checksum::None && raw.iso_checksum.trim() == "none" {
        found.push(Diagnostic::warning(
            "The ISO is not verified",
            "A checksum of 'none' was specified: whatever comes from the URL is used.",
        ));
    }
    let extension = raw.iso_target_extension.to_lowercase();
    Some(Wanted {
        noun: "ISO",
        urls,
        checksum,
        target_path: Some(raw.iso_target_path).filter(|p| !p.is_empty()).map(Into::into),
        extension: if extension.is_empty() { "iso".to_owned() } else { extension },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_and_the_struct_agree() {
        let names: Vec<_> = options().iter().map(|o| o.name.to_string()).collect();
        assert_eq!(names, kiln_lang::decode::field_names::<Raw>());
    }

    #[test]
    fn one_place_and_a_checksum_are_needed() {
        let cases: [(&[(&str, &str)], &str); 6] = [
            (&[("iso_url", "a"), ("iso_checksum", "md5:d41d8cd98f00b204e9800998ecf8427e")], ""),
            (&[("iso_urls", "a,b"), ("iso_checksum", "none")], "The ISO is not verified"),
            (&[("iso_checksum", "none")], "Invalid iso_url; The ISO is not verified"),
            (
                &[("iso_url", "a"), ("iso_urls", "b"), ("iso_checksum", "none")],
                "Invalid iso_url; The ISO is not verified",
            ),
            (&[("iso_url", "a")], "Invalid iso_checksum"),
            (&[("iso_url", "a"), ("iso_checksum", "a.iso")], "Invalid iso_checksum"),
        ];
        for (options, expected) in cases {
            let mut found = Diagnostics::new();
            let options = options.iter().map(|(k, v)| ((*k).to_owned(), Value::string(*v)));
            parse(&Value::object(options), &mut found);
            let told: Vec<_> = found.iter().map(|d| d.summary.as_str()).collect();
            assert_eq!(told.join("; "), expected);
        }
    }
}
