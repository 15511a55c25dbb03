//! Tables: expression, and what it yields.

use crate::diagnostic::Diagnostics;
use crate::evaluate::evaluate;
use crate::function::{Function, FunctionError, Functions, Parameter};
use crate::parse;
use crate::scope::{Budget, Scope};
use crate::span::SourceFile;
use crate::types::Type;
use crate::value::{Data, Value};

/// A few functions to call; the real ones live elsewhere.
fn functions() -> Functions {
    let upper = Function::new("upper", [Parameter::new("str", Type::String)], Type::String, |arguments| {
        Ok(Value::string(arguments[0].as_str().unwrap_or_default().to_uppercase()))
    });
    let max = Function::new("max", [], Type::Number, |arguments| {
        arguments
            .iter()
            .filter_map(Value::as_number)
            .max()
            .map(|n| Value::number(n.clone()))
            .ok_or_else(|| FunctionError::new("at least one number is required"))
    })
    .variadic(Parameter::new("numbers", Type::Number));
    let fail = Function::new("fail", [Parameter::new("why", Type::String)], Type::String, |arguments| {
        Err(FunctionError::argument(0, arguments[0].as_str().unwrap_or_default()))
    });
    Functions::none().with_all([upper, max, fail])
}

fn scope() -> Scope {
    let var = Value::object([
        ("name".to_owned(), Value::from("web")),
        ("count".to_owned(), Value::from(3)),
        ("nothing".to_owned(), Value::null()),
        ("secret".to_owned(), Value::from("hunter2").marked(true)),
        ("later".to_owned(), Value::unknown(Type::String)),
        ("anything".to_owned(), Value::unknown(Type::Any)),
        ("later_list".to_owned(), Value::unknown(Type::list(Type::String))),
        ("zones".to_owned(), Value::list(Type::String, vec!["b".into(), "a".into()])),
        (
            "tags".to_owned(),
            Value::new(Data::Map(
                Type::String,
                [("z".to_owned(), "1".into()), ("k".to_owned(), "2".into())].into_iter().collect(),
            )),
        ),
        ("empty".to_owned(), Value::list(Type::String, vec![])),
        (
            "disks".to_owned(),
            Value::tuple(vec![
                Value::object([
                    ("size".to_owned(), Value::from(1)),
                    ("ids".to_owned(), Value::tuple(vec![7.into()])),
                ]),
                Value::object([
                    ("size".to_owned(), Value::from(2)),
                    ("ids".to_owned(), Value::tuple(vec![8.into()])),
                ]),
            ]),
        ),
    ]);
    Scope::new(&functions()).with("var", var)
}

fn at(text: &str, scope: &Scope) -> Result<Value, (SourceFile, Diagnostics)> {
    let file = SourceFile::new("t", text);
    parse::expression(&file)
        .and_then(|expression| evaluate(&expression, scope))
        .map_err(|diagnostics| (file, diagnostics))
}

/// The value, or the diagnostics as `summary @line:column`.
fn shown(text: &str) -> String {
    match at(text, &scope()) {
        Ok(value) => format!("{value:?}"),
        Err((file, diagnostics)) => {
            let one = |d: &crate::Diagnostic| {
                let at = d.span.as_ref().map(|span| file.position(span.start));
                at.map_or_else(|| d.summary.clone(), |p| format!("{} @{}:{}", d.summary, p.line, p.column))
            };
            diagnostics.iter().map(one).collect::<Vec<_>>().join("; ")
        }
    }
}

fn check(table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(shown(text), *expected, "{text}");
    }
}

#[test]
fn operators_convert_and_compute_as_hcl_does() {
    check(&[
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("0.1 + 0.2", "0.3"),
        ("\"5\" + 5", "10"),
        ("\"10\" > 9", "true"),
        ("7 % 3", "1"),
        ("-7 % 3", "-1"),
        ("7 / 2", "3.5"),
        ("100000000000000000000000000001 - 1", "100000000000000000000000000000"),
        ("-\"5\"", "-5"),
        ("!\"false\"", "true"),
        ("\"1\" == 1", "false"),
        ("1 == 1.0", "true"),
        ("[1] == [1]", "true"),
        ("var.zones == [\"b\", \"a\"]", "false"),
        ("{a = 1} == {a = 1}", "true"),
        ("null == var.nothing", "true"),
        ("1 != 2", "true"),
        ("true && false || true", "true"),
        ("1 / 0", "Operation failed @1:1"),
        ("1 % 0", "Operation failed @1:1"),
        ("\"a\" + 1", "Invalid operand @1:1"),
        ("1 + null", "Invalid operand @1:5"),
        ("!5", "Invalid operand @1:2"),
        ("1 < \"x\"", "Invalid operand @1:5"),
        ("false && fail(\"no\")", "false"),
        ("var.later == \"x\"", "unknown(bool)"),
        ("var.anything + 1", "unknown(number)"),
        ("var.anything && false", "false"),
    ]);
}

#[test]
fn a_third_has_the_digits_of_a_512_bit_number() {
    let text = shown("1 / 3");
    assert!(text.starts_with("0.3333"));
    assert_eq!(text.len(), 2 + 155);
    assert_eq!(shown("(1 / 3) * 3 < 1"), "true");
}

#[test]
fn numbers_that_would_fill_the_memory_are_refused() {
    check(&[
        ("\"1e9000\" * \"1e9000\"", "Operation failed @1:1"),
        ("\"1e99999\" + 1", "Invalid operand @1:1"),
    ]);
}

#[test]
fn steps_lead_into_values_or_say_why_not() {
    check(&[
        ("var.name", "\"web\""),
        ("var[\"name\"]", "\"web\""),
        ("var.zones[0]", "\"b\""),
        ("var.zones[\"1\"]", "\"a\""),
        ("var.zones.1", "\"a\""),
        ("var.tags.z", "\"1\""),
        ("var.tags[\"k\"]", "\"2\""),
        ("[10, 20][1]", "20"),
        ("{a = {b = 5}}.a.b", "5"),
        ("var.nmae", "Unsupported attribute @1:4"),
        ("vra.name", "Unknown variable @1:1"),
        ("var.tags.none", "Missing map element @1:9"),
        ("var.zones[2]", "Invalid index @1:10"),
        ("var.zones[-1]", "Invalid index @1:10"),
        ("var.zones[0.5]", "Invalid index @1:10"),
        ("var.empty[0]", "Invalid index @1:10"),
        ("var.name.x", "Unsupported attribute @1:9"),
        ("var.nothing.x", "Attempt to get attribute from null value @1:12"),
        ("var.nothing[0]", "Attempt to index null value @1:12"),
        ("var.later.x", "Unsupported attribute @1:10"),
        ("var.anything.x.y[3]", "unknown(any)"),
        ("var.later_list[5]", "unknown(string)"),
    ]);
}

#[test]
fn splats_apply_to_sequences_single_values_and_null() {
    check(&[
        ("var.disks[*].size", "[1, 2]"),
        ("var.disks.*.size", "[1, 2]"),
        ("var.disks[*].ids[0]", "[7, 8]"),
        ("var.disks.*.ids[0]", "[7]"),
        ("var.name[*]", "[\"web\"]"),
        ("var.nothing[*]", "[]"),
        ("var.disks[0][*].size", "[1]"),
        ("var.zones[*]", "[\"b\", \"a\"]"),
        ("var.disks[*].none", "Unsupported attribute @1:13; Unsupported attribute @1:13"),
        ("var.anything[*].x", "unknown(any)"),
        ("var.later_list[*]", "unknown(list(string))"),
        ("var.disks[*].ids[*]", "[[7], [8]]"),
    ]);
}

#[test]
fn for_expressions_iterate_in_key_order() {
    check(&[
        ("[for z in var.zones : upper(z)]", "[\"B\", \"A\"]"),
        ("[for i, z in var.zones : \"${i}${z}\"]", "[\"0b\", \"1a\"]"),
        ("[for k, v in {b = 1, a = 2} : k]", "[\"a\", \"b\"]"),
        ("[for v in {b = 1, a = 2} : v if v > 1]", "[2]"),
        ("{for k, v in var.tags : v => k}", "{\"1\": \"z\", \"2\": \"k\"}"),
        ("{for n in [1, 2, 3] : n % 2 => n...}", "{\"0\": [2], \"1\": [1, 3]}"),
        ("{for n in [1, 1] : n => n}", "Duplicate object key @1:20"),
        ("[for x in var.later_list : x]", "unknown(any)"),
        ("[for x in [1, 2] : var.anything if var.anything == x]", "unknown(any)"),
        ("[for x in 5 : x]", "Iteration over non-iterable value @1:11"),
        ("[for x in null : x]", "Iteration over null value @1:11"),
        ("[for x in [1] : x if 5]", "Invalid 'for' condition @1:22"),
        ("[for x in [1, 2] : [for y in [3] : x * y]]", "[[3], [6]]"),
        ("[for x in convert([3, 1, 3], set(number)) : x]", "[1, 3]"),
    ]);
}

#[test]
fn conditionals_have_one_type() {
    check(&[
        ("true ? 1 : \"a\"", "\"1\""),
        ("false ? 1 : 2", "2"),
        ("\"true\" ? 1 : 2", "1"),
        ("true ? null : \"a\"", "null"),
        ("true ? [\"a\"] : []", "[\"a\"]"),
        ("true ? \"x\" : fail(\"not taken\")", "\"x\""),
        ("false ? \"x\" : fail(\"taken\")", "Invalid function argument @1:20"),
        ("true ? 1 : [1]", "Inconsistent conditional result types @1:8"),
        ("null ? 1 : 2", "Null condition @1:1"),
        ("\"x\" ? 1 : 2", "Incorrect condition type @1:1"),
        ("var.later == \"a\" ? \"b\" : \"c\"", "unknown(string)"),
    ]);
}

#[test]
fn templates_join_texts() {
    check(&[
        ("\"a${1}b\"", "\"a1b\""),
        ("\"${5}\"", "5"),
        ("\"${[1]}\"", "[1]"),
        ("\"x${var.nothing}\"", "Invalid template interpolation value @1:5"),
        ("\"x${[1]}\"", "Invalid template interpolation value @1:5"),
        ("\"a ${~ 1 ~} b\"", "\"a1b\""),
        ("\"$${a} %%{b}\"", "\"${a} %{b}\""),
        ("\"%{ if true }yes%{ else }no%{ endif }\"", "\"yes\""),
        ("\"%{ if var.count > 5 }yes%{ endif }\"", "\"\""),
        ("\"%{ for z in var.zones }${z},%{ endfor }\"", "\"b,a,\""),
        ("\"x${var.later}\"", "unknown(string)"),
        ("\"tab\\tquote\\\" \\u00e9\"", "\"tab\\tquote\\\" é\""),
        ("<<EOT\n  a\n    ${1}\nEOT\n", "\"  a\\n    1\\n\""),
        ("<<-EOT\n  a\n    ${1}\n\n  b\n  EOT\n", "\"a\\n  1\\n\\nb\\n\""),
        (
            "<<-EOT\n  %{ for z in var.zones ~}\n  - ${z}\n  %{ endfor ~}\n  end\n  EOT\n",
            "\"  - b\\n  - a\\n  end\\n\"",
        ),
        ("<<-EOT\n  %{ for z in var.zones }\n  - ${z}\n  %{ endfor }\n  EOT\n", "\"\\n- b\\n\\n- a\\n\\n\""),
        ("<<EOT\na ${~ 1 ~}   \nb\nEOT\n", "\"a1b\\n\""),
    ]);
}

#[test]
fn objects_take_words_and_expressions_as_keys() {
    check(&[
        ("{a = 1, \"b\" : 2}", "{\"a\": 1, \"b\": 2}"),
        ("{(var.name) = 1}", "{\"web\": 1}"),
        ("{\"${var.name}-x\" = 1}", "{\"web-x\": 1}"),
        ("{a = 1, a = 2}", "{\"a\": 2}"),
        ("{\"a\" = 1, \"a\" = 2, \"a\" = 3}", "{\"a\": 3}"),
        ("{null = 1, true = 2}", "{\"null\": 1, \"true\": 2}"),
        ("{var.name = 1}", "Ambiguous attribute key @1:2"),
        ("{(null) = 1}", "Null value as key @1:2"),
        ("{([]) = 1}", "Incorrect key type @1:2"),
        ("{\n a = 1 # one\n b = 2\n}", "{\"a\": 1, \"b\": 2}"),
    ]);
}

#[test]
fn calls_check_names_counts_and_arguments() {
    check(&[
        ("upper(\"a\")", "\"A\""),
        ("upper(5)", "\"5\""),
        ("max([1, 5, 2]...)", "5"),
        ("max(1, var.count)", "3"),
        ("max([]...)", "Error in function call @1:1"),
        ("uper(\"a\")", "Call to unknown function @1:1"),
        ("ns::f(1)", "Call to unknown function @1:1"),
        ("upper()", "Not enough function arguments @1:7"),
        ("upper(\"a\", \"b\")", "Too many function arguments @1:12"),
        ("upper([])", "Invalid function argument @1:7"),
        ("upper(null)", "Invalid function argument @1:7"),
        ("upper(var.later)", "unknown(string)"),
        ("max(5...)", "Invalid expanding argument value @1:5"),
        ("max(var.later_list...)", "unknown(any)"),
    ]);
}

#[test]
fn special_forms_catch_and_convert() {
    check(&[
        ("try(var.none, \"default\")", "\"default\""),
        ("try(fail(\"x\"), 1 / 0, 3)", "3"),
        ("try(fail(\"x\"))", "Error in function call @1:1"),
        ("can(var.none)", "false"),
        ("can(var.name)", "true"),
        ("can(var.later)", "unknown(bool)"),
        ("try(var.later, \"x\")", "unknown(any)"),
        ("convert(\"5\", number)", "5"),
        ("convert([\"1\", 2], list(number))", "[1, 2]"),
        ("convert({a = 1}, object({a = string, b = optional(number, 7)}))", "{\"a\": \"1\", \"b\": 7}"),
        ("convert(\"x\", number)", "Error in function call @1:9"),
        ("convert(1, strin)", "Invalid type specification @1:12"),
        ("convert(1, \"string\")", "Invalid type specification @1:12"),
    ]);
}

#[test]
fn several_errors_are_told_at_once() {
    check(&[(
        "[var.none, nope, 1 / 0]",
        "Unsupported attribute @1:5; Unknown variable @1:12; Operation failed @1:18",
    )]);
}

#[test]
fn hints_name_the_nearest_word() {
    let hint = |text: &str| {
        let (_, diagnostics) = at(text, &scope()).unwrap_err();
        diagnostics.iter().next().and_then(|d| d.hint.clone()).unwrap_or_default()
    };
    assert_eq!(hint("var.nam"), "did you mean \"name\"?");
    assert_eq!(hint("uper(\"a\")"), "did you mean \"upper\"?");
    assert_eq!(hint("tostring(1)"), "write convert(…, string)");
    assert!(hint("foo").contains("var.foo"));
}

#[test]
fn marks_flow_through_every_operation() {
    for text in [
        "var.secret",
        "\"x${var.secret}\"",
        "\"x%{ if var.secret == \"a\" }a%{ endif }\"",
        "var.secret == \"a\"",
        "var.secret == \"a\" ? 1 : 2",
        "upper(var.secret)",
        "{(var.secret) = 1}",
        "var.tags[var.secret == \"hunter2\" ? \"z\" : \"k\"]",
        "[for x in [1] : x if var.secret != \"\"]",
        "try(var.none, var.secret)",
        "convert(var.secret, list(string)) == []",
    ] {
        let text = if text.starts_with("convert") { "convert([var.secret], list(string))[0]" } else { text };
        let value = at(text, &scope()).unwrap();
        assert!(value.sensitive, "{text} yields {:?}", value.data);
    }
    let members = at("[var.secret, 1]", &scope()).unwrap();
    assert_eq!(format!("{members:?}"), "[(sensitive), 1]");
}

#[test]
fn literal_scopes_refuse_names_and_functions() {
    let scope = Scope::literals_only();
    let summary = |text: &str| {
        let (_, diagnostics) = at(text, &scope).unwrap_err();
        diagnostics.iter().next().unwrap().summary.clone()
    };
    assert_eq!(summary("var.x"), "Variables not allowed");
    assert_eq!(summary("try(1)"), "Function calls not allowed");
    assert_eq!(at("[1, {a = \"b\"}]", &scope).map(|v| format!("{v:?}")).unwrap(), "[1, {\"a\": \"b\"}]");
}

#[test]
fn a_used_up_budget_ends_the_evaluation_even_within_try() {
    let list = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]";
    let small = scope().with_budget(Budget { steps: 500, bytes: 1000 });
    let steps = format!("try([for a in {list} : [for b in {list} : [for c in {list} : a]]], 1)");
    let bytes = format!(
        "\"%{{ for a in {list} }}%{{ for b in {list} }}aaaaaaaaaaaaaaaaaaaa%{{ endfor }}%{{ endfor }}\""
    );
    for text in [steps, bytes] {
        let (_, diagnostics) = at(&text, &small).unwrap_err();
        assert_eq!(diagnostics.iter().next().unwrap().summary, "Expression too large", "{text}");
        assert!(at(&text, &scope()).is_ok());
    }
}

#[test]
fn references_are_found_wherever_they_stand() {
    let file =
        SourceFile::new("t", "true ? local.a.b[0].c : [for local in data.x[\"y\"][*].z : \"${local.d}\"]");
    let expression = parse::expression(&file).unwrap();
    let found: Vec<String> = expression
        .references()
        .iter()
        .map(|r| {
            let steps: Vec<&str> = r.steps.iter().map(super::super::syntax::ReferenceStep::text).collect();
            format!("{}.{} {}", r.root, steps.join("."), &file.text()[r.span.start..r.span.end])
        })
        .collect();
    assert_eq!(found, ["local.a.b.0.c local.a.b[0].c", "data.x.y data.x[\"y\"]", "local.d local.d"]);
}
