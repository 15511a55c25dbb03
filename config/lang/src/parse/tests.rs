//! Tables: text, and what is understood of it or complained about.

use crate::diagnostic::Diagnostics;
use crate::parse::{self, BlockShapes};
use crate::span::SourceFile;
use crate::syntax::Body;

fn complaints(file: &SourceFile, diagnostics: &Diagnostics) -> String {
    let one = |d: &crate::Diagnostic| {
        let at = d.span.as_ref().map_or(0, |span| span.start);
        let p = file.position(at);
        format!("{} @{}:{}", d.summary, p.line, p.column)
    };
    diagnostics.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Names of arguments and headers of blocks, nested in braces.
fn shape(body: &Body) -> String {
    let mut parts: Vec<(usize, String)> =
        body.attributes.iter().map(|a| (a.span.start, a.name.clone())).collect();
    parts.extend(
        body.blocks.iter().map(|b| (b.span.start, format!("{} {{{}}}", b.header_text(), shape(&b.body)))),
    );
    parts.sort_by_key(|(start, _)| *start);
    parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
}

#[test]
fn errors_are_found_where_they_are() {
    let table = [
        ("a = 1\nb = \"x\ny = 2\n", "Invalid multi-line string @2:5", "a y"),
        ("a = \"one\n two\"\nb = 1\n", "Invalid multi-line string @1:5; Invalid multi-line string @2:5", ""),
        ("x {\n  a = 1\n", "Unclosed configuration block @1:3", "x {a}"),
        ("x {\n  a = 1\n\ny \"l\" {\n  b = 2\n}\n", "Unclosed configuration block @1:3", "x {a} y \"l\" {b}"),
        ("x {\n}\n}\ny = 1\n", "Argument or block definition required @3:1", "x {} y"),
        ("x {\n  a: 1\n  b = 2\n}\n", "Argument or block definition required @2:4", "x {b}"),
        ("a = 'b'\nc = 1\n", "Invalid character @1:5", "c"),
        ("a = “b”\n", "Invalid character @1:5; Invalid character @1:7", ""),
        ("a = 1 b = 2\nc = 3\n", "Missing newline after argument @1:7", "c"),
        ("a = foo bar\n", "Missing newline after argument @1:9", ""),
        ("a =\nb = 1\n", "Invalid expression @1:4", "b"),
        ("a = [1, 2\nb = 1\n", "Unclosed bracket @1:5", ""),
        ("a = [1 2]\n", "Missing item separator @1:8", ""),
        ("a = {\n  b = 1 c = 2\n}\n", "Missing attribute separator @2:9", ""),
        ("a = {\n  b\n}\n", "Missing key/value separator @3:1", ""),
        ("a = f(1 2)\n", "Missing argument separator @1:9", ""),
        ("a = f(1, 2\n", "Unbalanced parentheses @1:6", ""),
        ("a = (1 + 2]\n", "Unexpected closing bracket @1:11; Unbalanced parentheses @1:5", ""),
        ("a = <<EOT\nx\n", "Unterminated heredoc @1:5", ""),
        ("a = <<EOT x\n", "Invalid heredoc @1:5", ""),
        ("a = \"x${1 +}\"\nb = 1\n", "Invalid expression @1:12", "b"),
        ("a = \"x${var.b\"\nb = 1\n", "Unclosed template interpolation sequence @1:7", "b"),
        ("a = \"${}\"\n", "Invalid expression @1:8", ""),
        ("a = \"%{ if true }x\"\n", "Unexpected end of template @1:9", ""),
        ("a = \"%{ endif }\"\n", "Unexpected endif directive @1:9", ""),
        ("a = \"%{ foo }\"\n", "Invalid template directive @1:9", ""),
        ("a = \"\\d\"\n", "Invalid escape sequence @1:6", ""),
        ("a = 1\na = 2\n", "Attribute redefined @2:1", "a"),
        ("variable {\n", "Unclosed configuration block @1:10", "variable {}"),
        ("x \"a\"\n{\n}\n", "Invalid block definition @1:6; Argument or block definition required @2:1", ""),
        ("a = 1 & 2\n", "Unsupported operator @1:7", ""),
        ("a = 1;\n", "Invalid character @1:6", ""),
        ("a = 1 /* open\n", "Unterminated comment @1:7", ""),
        ("5 = 1\n", "Argument or block definition required @1:1", ""),
        ("a = true ? 1\n", "Invalid expression @1:13", ""),
        ("a = var.\n", "Invalid attribute name @1:8", ""),
        ("a = ${var.b}\n", "Invalid character @1:5", ""),
        ("a = f(b = 1)\n", "Invalid expression @1:9", ""),
        ("a = 1\nb = [\nc {\n  d = 1\n}\n", "Unclosed bracket @2:5", "a c {d}"),
    ];
    let mut wrong = Vec::new();
    for (text, expected, understood) in table {
        let file = SourceFile::new("t", text);
        let (body, diagnostics) = parse::body(&file);
        let found = complaints(&file, &diagnostics);
        if found != expected || !(understood.is_empty() || shape(&body) == understood) {
            wrong.push(format!(
                "{text}\n  expected {expected} | {understood}\n  found    {found} | {}",
                shape(&body)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn several_syntax_errors_of_one_file_are_told_at_once() {
    let text = "source \"qemu\" \"a\" {\n  memory: 512\n  cpus = \n  ok = 1\n}\n\nbuild {\n  sources = [\"a\" \"b\"]\n}\n";
    let file = SourceFile::new("t", text);
    let (body, diagnostics) = parse::body(&file);
    assert_eq!(
        complaints(&file, &diagnostics),
        "Argument or block definition required @2:9; Invalid expression @3:10; Missing item separator @8:18"
    );
    assert_eq!(shape(&body), "source \"qemu\" \"a\" {ok} build {}");
    let contexts: Vec<_> = diagnostics.iter().map(|d| d.context.clone().unwrap_or_default()).collect();
    assert_eq!(contexts, ["source \"qemu\" \"a\"", "source \"qemu\" \"a\"", "build"]);
}

#[test]
fn spans_are_exact() {
    let text = "x \"l\" {\n  a = [var.b.c, \"d${e}\"]\n}\n";
    let file = SourceFile::new("t", text);
    let (body, diagnostics) = parse::body(&file);
    assert!(diagnostics.is_empty());
    let of = |span: &crate::Span| &text[span.start..span.end];
    let block = &body.blocks[0];
    assert_eq!(of(&block.header), "x \"l\"");
    assert_eq!(of(&block.span), "x \"l\" {\n  a = [var.b.c, \"d${e}\"]\n}");
    assert_eq!(of(&block.body.span).trim(), "a = [var.b.c, \"d${e}\"]");
    let attribute = &block.body.attributes[0];
    assert_eq!(of(&attribute.span), "a = [var.b.c, \"d${e}\"]");
    let references = attribute.expression.references();
    assert_eq!(references.iter().map(|r| of(&r.span)).collect::<Vec<_>>(), ["var.b.c", "e"]);
}

#[test]
fn repeated_object_keys_keep_their_spelling() {
    let text =
        "m = {\n  key = 1\n  key = 2\n  other = { key = 3, key = 4 }\n  \"key\" = 5\n \"key\" = 6\n}\n";
    let file = SourceFile::new("t", text);
    let (body, diagnostics) = parse::body(&file);
    assert_eq!(complaints(&file, &diagnostics), "");
    let value = crate::evaluate(&body.attributes[0].expression, &crate::Scope::literals_only()).unwrap();
    assert_eq!(format!("{value:?}"), "{\"key\": 6, \"other\": {\"key\": 4}}");
}

#[test]
fn a_byte_order_mark_and_carriage_returns_are_no_content() {
    let file = SourceFile::new("t", "\u{feff}a = 1\r\nb {\r\n  c = <<-E\r\n  x\r\n  E\r\n}\r\n");
    let (body, diagnostics) = parse::body(&file);
    assert_eq!(complaints(&file, &diagnostics), "");
    assert_eq!(shape(&body), "a b {c}");
}

fn shapes() -> BlockShapes {
    let validation = BlockShapes::none().with("validation", 0, BlockShapes::none());
    let provisioner = BlockShapes::none().with("provisioner", 1, BlockShapes::none());
    BlockShapes::none().with("variable", 1, validation).with("source", 2, BlockShapes::none()).with(
        "build",
        0,
        provisioner,
    )
}

#[test]
fn json_properties_become_blocks_and_arguments() {
    let text = r#"{
      "//": "a comment",
      "variable": { "a": { "type": "string", "validation": { "condition": "${var.a != \"\"}" } }, "b": {} },
      "source": { "qemu": { "x": { "disks": [1, {"//": 2}] } } },
      "build": [ { "provisioner": [ { "shell": { "inline": ["echo ${var.a}"] } }, { "file": {} } ] } ],
      "unknown": null
    }"#;
    let file = SourceFile::new("t.pkr.json", text);
    let (body, diagnostics) = parse::json_body(&file, &shapes());
    assert_eq!(complaints(&file, &diagnostics), "");
    assert_eq!(
        shape(&body),
        "variable \"a\" {type validation {condition}} variable \"b\" {} source \"qemu\" \"x\" {disks} \
         build {provisioner \"shell\" {inline} provisioner \"file\" {}} unknown"
    );
    let inline =
        body.blocks_of("build").next().and_then(|b| b.body.blocks[0].body.attribute("inline")).unwrap();
    let reference = &inline.expression.references()[0];
    assert_eq!(&text[reference.span.start..reference.span.end], "var.a");
}

#[test]
fn a_string_of_a_json_template_may_hold_an_expression() {
    let file = SourceFile::new("t", "{\"type\": \"list(string)\", \"bad\": \"a b\"}");
    let (body, _) = parse::json_body(&file, &BlockShapes::none());
    let inner = parse::embedded(&body.attribute("type").unwrap().expression).unwrap();
    assert_eq!(crate::type_expression::parse(&inner).unwrap().0.to_string(), "list(string)");
    let found = parse::embedded(&body.attribute("bad").unwrap().expression).unwrap_err();
    assert_eq!(complaints(&file, &found), "Extra characters after expression @1:33");
}

#[test]
fn json_errors_have_places() {
    let table = [
        ("{\"a\": 1,}", "Invalid JSON syntax @1:8"),
        ("{\"a\": }", "Invalid JSON syntax @1:7"),
        ("{\"a\": \"${1 +}\"}", "Invalid expression @1:13"),
        ("{\"a\": \"\\t${1 +}\"}", "Invalid expression @1:7"),
        ("{\"build\": 5}", "Incorrect JSON value type @1:11"),
        ("{\"x\": 1, \"x\": 2}", "Duplicate argument @1:10"),
        ("[1]", "Incorrect JSON value type @1:2"),
        ("", "Missing JSON value @1:1"),
        ("{\"x\": 1e999999999}", "Invalid number literal @1:7"),
    ];
    for (text, expected) in table {
        let file = SourceFile::new("t", text);
        let (_, diagnostics) = parse::json_body(&file, &shapes());
        assert_eq!(complaints(&file, &diagnostics), expected, "{text}");
    }
}

#[test]
fn line_ends_mean_nothing_in_brackets_directives_and_for_expressions() {
    let table = [
        "[\n for x in y :\n x ?\n 1 :\n 2\n]",
        "{ for k, v in m : k => v ?\n 1 : 2 }",
        "{ for k, v in a ? # why\n b : c : k => v\n && w }",
        "[for v in a ||\n b : { x = 1\n y = 2 }\n if\n v]",
        "\"${a\n? 1 : 2}%{ if a\n && b }x%{ endif }\"",
        "f(\n a,\n b\n)",
        "[<<EOT\nx\nEOT\n, {\n a = 1, # c\n\n b = 2 // d\n}]",
    ];
    for text in table {
        let file = SourceFile::new("t", text);
        assert!(parse::expression(&file).is_ok(), "{text}");
    }
    for text in ["a ==\nb", "{a = b ==\nc}", "{ a\n = 1 }"] {
        assert!(parse::expression(&SourceFile::new("t", text)).is_err(), "{text}");
    }
}

#[test]
fn whatever_is_nested_too_deep_is_refused_without_harm() {
    for (open, close) in
        [("[", "]"), ("(", ")"), ("{a=", "}"), ("f(", ")"), ("\"${", "}\""), ("!", ""), ("-", "")]
    {
        let text = format!("x = {}1{}\n", open.repeat(5000), close.repeat(5000));
        let (_, diagnostics) = parse::body(&SourceFile::new("t", text));
        assert!(diagnostics.has_errors(), "{open}");
    }
    let blocks = format!("{}{}", "a {\n".repeat(3000), "}\n".repeat(3000));
    assert!(parse::body(&SourceFile::new("t", blocks)).1.has_errors());
    let chain = format!("x = {}1\n", "1 + ".repeat(3000));
    assert!(parse::body(&SourceFile::new("t", chain)).1.has_errors());
    let json = format!("{}1{}", "[".repeat(3000), "]".repeat(3000));
    assert!(parse::json_body(&SourceFile::new("t", json), &shapes()).1.has_errors());
}

#[test]
fn texts_within_texts_that_never_end_are_refused_at_once() {
    for open in ["${0/a*\"", "${a == f(\"", "${[1, \"%{ if ", "%{ if a == \"", "${a ? \""] {
        let tangle = open.repeat(40);
        let body = format!("locals {{\n  a = \"{tangle}\"\n  b = 1\n}}\n");
        assert!(parse::body(&SourceFile::new("t", body)).1.has_errors(), "{open}");
        assert!(parse::expression(&SourceFile::new("t", format!("\"{tangle}"))).is_err(), "{open}");
        assert!(parse::template(&SourceFile::new("t", tangle.clone())).is_err(), "{open}");
        let lines = format!("x = [\n{}]\n", format!("\"{tangle}\n").repeat(5));
        assert!(parse::body(&SourceFile::new("t", lines)).1.has_errors(), "{open}");
    }
    let closed = format!("{}x{}", "${0/a*\"".repeat(12), "\"}".repeat(12));
    assert!(parse::template(&SourceFile::new("t", closed)).is_ok());
}

#[test]
fn the_deepest_that_parses_can_be_evaluated() {
    let scope = crate::Scope::new(&crate::Functions::none());
    for depth in [15, 20, 31, 40, 60, 63] {
        for (open, close) in [
            ("(1 + try([", "][0]))"),
            ("[", "]"),
            ("(", ")"),
            ("{a=", "}"),
            ("\"${", "}\""),
            ("[for x in [1] : ", "]"),
        ] {
            let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let parsed = parse::expression(&SourceFile::new("t", text));
            if let Ok(expression) = parsed {
                assert!(crate::evaluate(&expression, &scope).is_ok(), "{open} {depth}");
            }
        }
    }
    let sums = format!("{}1{}", format!("({}", "1 + ".repeat(2)).repeat(62), ")".repeat(62));
    let parsed = parse::expression(&SourceFile::new("t", sums)).unwrap();
    assert!(crate::evaluate(&parsed, &scope).is_ok());
}
