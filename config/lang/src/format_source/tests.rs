use proptest::prelude::*;

use super::token::{self, Kind, Token};
use super::*;
use crate::{Scope, Value, evaluate};

/// Pairs of texts and their canonical forms, from a file of `=== title`, text, `---`, canonical form.
fn cases() -> Vec<(&'static str, &'static str, &'static str)> {
    let sections = include_str!("tests/cases.txt").split("=== ").skip(1);
    let case = |section: &'static str| {
        let (title, rest) = section.split_once('\n').expect("a title");
        let (text, canonical) = rest.split_once("---\n").expect("a line of three dashes");
        (title, text, canonical)
    };
    sections.map(case).collect()
}

#[test]
fn texts_become_canonical() {
    for (title, text, expected) in cases() {
        let source = SourceFile::new("t.pkr.hcl", text);
        assert_eq!(file(&source).as_deref(), Ok(expected), "{title}");
        assert_eq!(canonical(expected), expected, "{title}, again");
    }
}

#[test]
fn white_space_that_no_editor_shows_is_settled() {
    let table = [
        ("a = 1  \t\n", "a = 1\n"),
        ("  \t \n\n\na=1\n", "\n\n\na = 1\n"),
        ("\ta=1\r\n\tbb = 2 # x\r\n", "a  = 1\r\nbb = 2 # x\r\n"),
        ("a = <<X\r\n  b  \r\n  X\r\n", "a = <<X\r\n  b  \r\n  X\r\n"),
        ("\u{feff}a=1\n", "a = 1\n"),
        ("a=1", "a = 1"),
        ("", ""),
        // A last line without end keeps what follows it, as in HashiCorp's.
        ("a=1 \t", "a = 1  "),
    ];
    for (text, expected) in table {
        assert_eq!(canonical(text), expected, "{text:?}");
    }
}

#[test]
fn columns_are_counted_as_people_see_them() {
    let text = "é = 1 # one\nlonger = \"🇬🇧e\u{301}\" # two\n";
    assert_eq!(canonical(text), "é      = 1    # one\nlonger = \"🇬🇧e\u{301}\" # two\n");
}

#[test]
fn what_is_not_sound_is_refused() {
    for text in ["a = \n", "b {\n", "a = \"x\ny\"\n", "a = 'b'\n", "a = <<X\nb\n"] {
        assert!(file(&SourceFile::new("t", text)).is_err(), "{text:?}");
    }
}

/// The tokens without their spaces.
fn bare(text: &str) -> Vec<(Kind, &str)> {
    token::tokens(text).0.into_iter().map(|Token { kind, text, .. }| (kind, text)).collect()
}

/// All values of a body, by path; what can't be evaluated is told by its error.
fn values(body: &crate::syntax::Body, path: &str, out: &mut Vec<(String, Result<Value, String>)>) {
    let scope =
        Scope::new(&crate::function::pure()).with("var", Value::object([("x".into(), Value::from("v"))]));
    for attribute in &body.attributes {
        let value = evaluate(&attribute.expression, &scope);
        let value = value.map_err(|found| found.iter().map(|d| format!("{}/", d.summary)).collect());
        out.push((format!("{path}.{}", attribute.name), value));
    }
    for block in &body.blocks {
        values(&block.body, &format!("{path}/{}", block.header_text()), out);
    }
}

fn meaning(text: &str) -> Option<Vec<(String, Result<Value, String>)>> {
    let (body, found) = parse::body(&SourceFile::new("t", text));
    let mut out = Vec::new();
    values(&body, "", &mut out);
    (!found.has_errors()).then_some(out)
}

/// White space where a token may or must be followed by some.
fn gap() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["", " ", "  ", "\t", " /* c */ "][..])
}

/// A line end, with comments and empty lines.
fn line_end() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &["\n", " \n", "\r\n", "\n\n \n", " # c\n", "// é\n", "\n\t# own line\n", " /* a\n b */\n"][..],
    )
}

fn expression() -> impl Strategy<Value = String> {
    let words = &[
        "1",
        "0.5",
        "12e3",
        "true",
        "null",
        "var.x",
        "\"\"",
        "\"a  b\"",
        "\"$${x}%%{y}\\\"\"",
        "\"${ var.x }-${~ 1 ~}\"",
        "\"%{ if true ~}a %{ else }b%{ endif }\"",
        "\"${ { a = 1 }.a }\"",
        "upper( \"x\" )",
        "[ ]",
        "{ }",
        "var . x",
        "<<E\n a${ 1 +1 }\n\n  b\nE\n",
        "<<-E\n   a\n    b = 2\n   E\n",
        "é",
        "in",
        "\"${\n1\n}\"",
        "var.x [ 0 ]",
    ][..];
    prop::sample::select(words).prop_map(str::to_owned).prop_recursive(3, 24, 4, |inner| {
        let joined = |open: &'static str, item: &'static str, close: &'static str| {
            let one = (inner.clone(), gap(), prop::sample::select(&["", "\n", " # c\n"][..]));
            prop::collection::vec(one, 0..4).prop_map(move |items| {
                let items: String =
                    items.iter().map(|(v, gap, end)| format!("{item}{v}{gap},{end}")).collect();
                format!("{open}{items}{close}")
            })
        };
        prop_oneof![
            joined("[", "", "]"),
            joined("{\n", "k=", "}"),
            joined("concat(", "", ")"),
            (
                inner.clone(),
                gap(),
                prop::sample::select(&["+", "-", "==", "&&", "<", "%", "- -", "?1:"][..]),
                inner.clone()
            )
                .prop_map(|(a, gap, sign, b)| format!("({a}{gap} {sign}{gap}{b})")),
            (inner.clone(), gap()).prop_map(|(a, gap)| format!("!{gap}{a}")),
            (inner.clone(), gap()).prop_map(|(a, gap)| format!("-{gap}{a}")),
            (inner.clone(), gap()).prop_map(|(a, gap)| format!("[for v in{gap} [{a}]:v if{gap} (true)]")),
            (inner.clone(), gap()).prop_map(|(a, gap)| format!("({gap}{a}{gap})[{gap}0]")),
        ]
    })
}

fn item() -> impl Strategy<Value = String> {
    let argument =
        (prop::sample::select(&["a", "bb", "ccc_d", "é-e"][..]), gap(), gap(), expression(), line_end())
            .prop_map(|(name, left, right, value, end)| format!("{name}{left}={right}{value}{end}"));
    argument.prop_recursive(3, 24, 5, |inner| {
        let block = (gap(), line_end(), prop::collection::vec(inner.clone(), 0..5), gap(), line_end());
        prop_oneof![
            2 => inner,
            1 => block.prop_map(|(gap, begin, items, indent, end)| {
                // Names repeat, so each item has a block of its own.
                let items: String = items.iter().map(|i| format!("{indent}b \"l\"{gap}{{\n{i}}}\n")).collect();
                format!("b \"x\"  \"y\"{gap}{{{begin}{items}}}{end}")
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_text_keeps_its_tokens_and_its_meaning_and_comes_to_rest(text in item()) {
        let formatted = canonical(&text);
        prop_assert_eq!(bare(&text), bare(&formatted), "{} -> {}", text, formatted);
        prop_assert_eq!(&canonical(&formatted), &formatted);
        // The parser wants white space in a few places where the language has none.
        if let Some(before) = meaning(&text) {
            prop_assert_eq!(Some(before), meaning(&formatted), "{} -> {}", text, formatted);
        }
    }

    #[test]
    fn any_characters_are_laid_out_without_a_panic_and_none_is_lost(text in "[a-z0-9.=\\-{}\\[\\]\"$%<~#/* \\t\\r\\n\\\\é🦀E,:]{0,60}") {
        let blank = |c: &char| !matches!(c, ' ' | '\t');
        let visible: String = text.chars().filter(blank).collect();
        prop_assert_eq!(canonical(&text).chars().filter(blank).collect::<String>(), visible);
    }
}
