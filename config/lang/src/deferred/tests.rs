//! What remains, and that finishing it yields what evaluating at once does.

use proptest::prelude::*;

use super::{Deferred, Reduced, reduce};
use crate::evaluate::evaluate;
use crate::function::{Function, Functions, Parameter};
use crate::parse;
use crate::scope::Scope;
use crate::span::SourceFile;
use crate::syntax::Expression;
use crate::types::Type;
use crate::value::Value;

fn functions() -> Functions {
    Functions::none().with(Function::new(
        "upper",
        [Parameter::new("str", Type::String)],
        Type::String,
        |arguments| Ok(Value::string(arguments[0].as_str().unwrap_or_default().to_uppercase())),
    ))
}

fn planning() -> Scope {
    let var = Value::object([
        ("name".to_owned(), Value::from("web")),
        ("n".to_owned(), Value::from(3)),
        ("list".to_owned(), Value::tuple(vec!["a".into(), "b".into()])),
        ("secret".to_owned(), Value::from("s").marked(true)),
        (
            "map".to_owned(),
            Value::object([("x".to_owned(), Value::from(1)), ("y".to_owned(), Value::from(2))]),
        ),
    ]);
    Scope::new(&functions()).with("var", var)
}

fn expression(text: &str) -> Expression {
    parse::expression(&SourceFile::new("t", text)).unwrap_or_else(|d| panic!("{text}: {d:?}"))
}

fn deferred(text: &str) -> Deferred {
    match reduce(&expression(text), &planning(), &["build"]) {
        Ok(Reduced::Deferred(deferred)) => deferred,
        other => panic!("{text}: {other:?}"),
    }
}

fn build(id: &str) -> Value {
    Value::object([("ID".to_owned(), Value::from(id)), ("Port".to_owned(), Value::from(22))])
}

#[test]
fn what_waits_for_nothing_is_a_value() {
    let reduced =
        reduce(&expression("[for build in var.list : \"${build}-${var.n}\"]"), &planning(), &["build"]);
    let Ok(Reduced::Value(value)) = reduced else { panic!("{reduced:?}") };
    assert_eq!(format!("{value:?}"), "[\"a-3\", \"b-3\"]");
}

#[test]
fn only_names_that_are_waited_for_remain() {
    let table = [
        ("\"${build.ID}-${upper(var.name)}\"", "build.ID"),
        ("var.map[build.ID]", "build.ID"),
        ("[for x in var.list : \"${x}-${build.ID}-${upper(var.name)}\"]", "x build.ID"),
        ("build.ID == var.name ? var.list[0] : upper(var.list[1])", "build.ID"),
        ("try(build.none, var.name)", "build.none"),
        ("{(var.name) = build.ID, b = var.n}", "build.ID"),
        ("convert(build.Port, string)", "build.Port string"),
        ("build[var.name]", "build.web"),
        ("var[build.ID].x", "build.ID"),
    ];
    for (text, left) in table {
        let names: Vec<String> = deferred(text)
            .references()
            .iter()
            .map(|r| {
                std::iter::once(r.root.as_str())
                    .chain(r.steps.iter().map(|s| s.text()))
                    .collect::<Vec<_>>()
                    .join(".")
            })
            .collect();
        assert_eq!(names.join(" "), left, "{text}");
    }
}

#[test]
fn errors_that_can_be_known_are_told_before_the_build() {
    let summary = |text: &str, scope: Scope| {
        let found = reduce(&expression(text), &scope, &["build"]).unwrap_err();
        found.iter().next().unwrap().summary.clone()
    };
    assert_eq!(summary("\"${build.ID}${var.none}\"", planning()), "Unsupported attribute");
    assert_eq!(summary("nope(build.ID)", planning()), "Call to unknown function");
    assert_eq!(summary("build.ID + [1]", planning()), "Invalid operand");
    let stand_in = Value::object([("ID".to_owned(), Value::unknown(Type::String))]);
    assert_eq!(summary("build.Nope", planning().with("build", stand_in)), "Unsupported attribute");
}

#[test]
fn an_error_in_an_arm_counts_only_when_the_arm_is_taken() {
    let rest = deferred("build.ID == \"x\" ? var.none : \"fine\"");
    let scope = |id: &str| Scope::new(&functions()).with("build", build(id));
    assert_eq!(rest.finish(&scope("y")), Ok(Value::from("fine")));
    assert_eq!(rest.finish(&scope("x")).unwrap_err().iter().next().unwrap().summary, "Unsupported attribute");
}

#[test]
fn a_local_can_be_named_as_deferred() {
    let scope = planning().with(
        "local",
        Value::object([
            ("late".to_owned(), Value::unknown(Type::Any)),
            ("early".to_owned(), Value::from("e")),
        ]),
    );
    let both = reduce(&expression("\"${local.late}-${local.early}\""), &scope, &["local.late"]).unwrap();
    let Reduced::Deferred(rest) = both else { panic!("{both:?}") };
    let later =
        Scope::new(&functions()).with("local", Value::object([("late".to_owned(), Value::from("l"))]));
    assert_eq!(rest.finish(&later), Ok(Value::from("l-e")));
}

#[test]
fn marks_and_types_survive_the_wire() {
    let rest =
        deferred("{a = \"${var.secret}${build.ID}\", b = convert(var.list, set(string)), c = build.Port}");
    let text = serde_json::to_string(&rest).unwrap();
    let back: Deferred = serde_json::from_str(&text).unwrap();
    assert_eq!(back, rest);
    let value = back.finish(&Scope::new(&functions()).with("build", build("i"))).unwrap();
    assert_eq!(format!("{value:?}"), "{\"a\": (sensitive), \"b\": {\"a\", \"b\"}, \"c\": 22}");
}

#[test]
fn the_deepest_that_is_deferred_survives_the_wire() {
    let mut longest = 0;
    for depth in 1..60 {
        for (open, close) in [
            ("[", "]"),
            ("{a = ", "}"),
            ("upper(", ")"),
            ("[for x in [1] : ", "]"),
            ("\"x${", "}\""),
            ("true ? 1 : (", ")"),
        ] {
            let text = format!("{}build.ID{}", open.repeat(depth), close.repeat(depth));
            let file = SourceFile::new("t", text.as_str());
            let Ok(expression) = parse::expression(&file) else { continue };
            let Ok(Reduced::Deferred(rest)) = reduce(&expression, &planning(), &["build"]) else { continue };
            let wire = serde_json::to_string(&vec![vec![vec![&rest]]]).unwrap();
            assert!(serde_json::from_str::<Vec<Vec<Vec<Deferred>>>>(&wire).is_ok(), "{text}");
            longest = longest.max(depth);
        }
    }
    assert!(longest >= 10);
}

#[test]
fn another_format_is_refused() {
    let rest = Deferred { format: 99, ..deferred("build.ID") };
    assert!(rest.finish(&planning()).is_err());
}

/// Expressions over `var`, `build`, and the variables that `for` binds.
fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("build.ID".to_owned()),
        Just("build.Port".to_owned()),
        Just("build".to_owned()),
        Just("build.none".to_owned()),
        Just("var.name".to_owned()),
        Just("var.n".to_owned()),
        Just("var.list".to_owned()),
        Just("var.map".to_owned()),
        Just("var.secret".to_owned()),
        Just("var.none".to_owned()),
        Just("x".to_owned()),
        Just("k".to_owned()),
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("2".to_owned()),
        Just("\"y\"".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let e = inner.clone();
        let f = inner.clone();
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{({a}) = {b}, x = {a}}}")),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| format!("\"<${{{a}}}%{{ if {b} == {a} }}${{{b}}}%{{ endif }}\"")),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| format!("\"%{{ for x in {a} }}${{x}}${{{b}}}%{{ endfor }}\"")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a} == {b} ? {c} : {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[for k, x in {a} : {b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[for x in {a} : x if {b} == x]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{for x in {a} : x => {b}...}}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("try({a}, {b})")),
            inner.clone().prop_map(|a| format!("can({a})")),
            inner.clone().prop_map(|a| format!("upper({a})")),
            inner.clone().prop_map(|a| format!("convert({a}, list(string))")),
            inner.clone().prop_map(|a| format!("({a})[*].ID")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(({a}) != null && ({b}) != {a})")),
            (e, f).prop_map(|(a, b)| format!("({a} + {b})")),
        ]
    })
}

fn builds() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(build("web")),
        Just(build("x")),
        Just(Value::object([
            ("ID".to_owned(), Value::null()),
            ("Port".to_owned(), Value::from("x").marked(true))
        ])),
        Just(Value::object([
            ("ID".to_owned(), Value::tuple(vec![1.into()])),
            ("none".to_owned(), build("n"))
        ])),
        Just(Value::unknown(Type::Any)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reducing_and_finishing_is_evaluating_at_once(text in expressions(), build in builds()) {
        let expression = expression(&text);
        let Ok(reduced) = reduce(&expression, &planning(), &["build"]) else { return Ok(()) };
        let at_once = evaluate(&expression, &planning().with("build", build.clone()));
        let finished = match reduced {
            Reduced::Value(value) => Ok(value),
            Reduced::Deferred(rest) => rest.finish(&Scope::new(&functions()).with("build", build)),
        };
        prop_assert_eq!(at_once.ok(), finished.ok(), "{}", text);
    }
}
