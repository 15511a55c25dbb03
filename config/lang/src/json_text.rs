//! JSON as text, to the letter: what both dialects read strictly, and how Go's encoder writes strings, which checksums
//! and golden files of users depend on.

use std::fmt::Write as _;

use jsonc_parser::ParseOptions;

/// Nothing but what RFC 8259 allows.
pub fn strict() -> ParseOptions {
    ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

/// Writes a string with its quotes. Like Go, it escapes the line separators of Unicode; `also` names more, such as
/// `<`, `>` and `&`, which Go makes safe for HTML unless it is told otherwise.
pub fn quote(text: &str, also: &[char], out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if matches!(c, '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}') || also.contains(&c) => {
                // A String takes whatever is written.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
