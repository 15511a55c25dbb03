//! Whatever the bytes, reading them ends without a panic, in bounded time, and with places inside the text.

use kiln_lang::parse::{self, BlockShapes};
use kiln_lang::scope::Budget;
use kiln_lang::syntax::Body;
use kiln_lang::{Diagnostics, Function, Functions, Scope, SourceFile, Type, Value, evaluate, reduce};
use proptest::prelude::*;

const TOKENS: &[&str] = &[
    "a",
    "var",
    ".",
    ".x",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "=",
    "==",
    "=>",
    ",",
    ":",
    "?",
    "\"",
    "\"x\"",
    "${",
    "%{",
    "~",
    "~}",
    "\n",
    " ",
    "  ",
    "<<EOT\n",
    "<<-EOT\n",
    "\nEOT\n",
    "EOT",
    "if ",
    "else",
    "endif",
    "for ",
    " in ",
    "endfor",
    "1",
    "0",
    "-",
    "+",
    "*",
    "/",
    "%",
    "!",
    "&&",
    "||",
    "...",
    "[*]",
    ".*",
    "#",
    "//",
    "/*",
    "*/",
    "\\",
    "\\n",
    "'",
    "“",
    "é",
    "\u{feff}",
    "\r\n",
    "\t",
    "null",
    "true",
    "f(",
    "try(",
    "can(",
    "convert(",
    "list(string)",
    "variable \"x\" {\n",
    "$${",
    "1e9",
    "::",
    "b = ",
    "b {\n",
    "}\n",
    "🦀",
    "\u{301}",
];

const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"a\"",
    "\"build\"",
    "\"source\"",
    "\"${1 + 1}\"",
    "\"${\"",
    "\"%{\"",
    "\"\\u00e9${x}\"",
    ":",
    ",",
    "1",
    "1e5",
    "-",
    "true",
    "null",
    " ",
    "\n",
    "\"//\"",
    "\\",
    "é",
    "//",
    "\"\\ud800\"",
];

fn text_of(tokens: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::collection::vec(prop::sample::select(tokens), 0..60).prop_map(|parts| parts.concat()),
        1 => any::<String>(),
    ]
}

fn scope() -> Scope {
    let f = Function::new("f", [], Type::Any, |_| Ok(Value::from(1)));
    Scope::new(&Functions::none().with(f))
        .with("var", Value::object([("x".to_owned(), Value::from("v"))]))
        .with("a", Value::unknown(Type::Any))
        .with_budget(Budget { steps: 10_000, bytes: 100_000 })
}

fn check_places(file: &SourceFile, diagnostics: &Diagnostics) {
    for diagnostic in diagnostics.iter() {
        if let Some(span) = &diagnostic.span {
            assert!(span.start <= span.end && span.end <= file.text().len(), "{diagnostic:?}");
            assert!(file.text().get(span.start..span.end).is_some(), "{diagnostic:?} cuts a character");
        }
    }
}

fn use_body(file: &SourceFile, body: &Body) {
    for attribute in &body.attributes {
        assert!(file.text().get(attribute.span.start..attribute.span.end).is_some());
        if let Err(diagnostics) = evaluate(&attribute.expression, &scope()) {
            check_places(file, &diagnostics);
        }
        let _ = reduce(&attribute.expression, &scope(), &["a"]);
        attribute.expression.references();
        let _ = kiln_lang::type_expression::parse(&attribute.expression);
    }
    for block in &body.blocks {
        assert!(file.text().get(block.span.start..block.span.end).is_some());
        use_body(file, &block.body);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_native_text_never_panics(text in text_of(TOKENS)) {
        let file = SourceFile::new("t", text);
        let (body, diagnostics) = parse::body(&file);
        check_places(&file, &diagnostics);
        use_body(&file, &body);
    }

    #[test]
    fn an_expression_or_template_never_panics(text in text_of(TOKENS)) {
        let file = SourceFile::new("t", text);
        for parsed in [parse::expression(&file), parse::template(&file)] {
            match parsed {
                Ok(expression) => {
                    let _ = evaluate(&expression, &scope());
                }
                Err(diagnostics) => {
                    prop_assert!(diagnostics.has_errors());
                    check_places(&file, &diagnostics);
                }
            }
        }
    }

    #[test]
    fn a_json_text_never_panics(text in text_of(JSON)) {
        let shapes = BlockShapes::none().with("build", 0, BlockShapes::none()).with("source", 2, BlockShapes::none());
        let file = SourceFile::new("t", text);
        let (body, diagnostics) = parse::json_body(&file, &shapes);
        check_places(&file, &diagnostics);
        use_body(&file, &body);
    }
}
