//! Values of HCL2 variables: precedence, texts that are taken as they are, rules.

use kiln_plan::Sensitive;

use super::{World, hcl, outcome, request, value_shown};
use crate::VariableArgument;

/// A template that shows `var.x`, declared by `declaration`.
fn template(declaration: &str) -> String {
    format!("{declaration}\nsource \"null\" \"a\" {{ x = var.x }}\nbuild {{ sources = [\"null.a\"] }}\n")
}

/// What `var.x` is, given `text` with `-var`.
fn argument(declaration: &str, text: &str) -> String {
    let world = World::default().file("t.pkr.hcl", &template(declaration));
    let mut request = request("t.pkr.hcl");
    let text = Sensitive::new(text.to_owned());
    request.variables = vec![VariableArgument { name: "x".to_owned(), text }];
    let shown = outcome(world, &request);
    value_shown(&shown)
}

#[test]
fn texts_are_literal_for_strings_numbers_and_untyped_variables_and_expressions_for_the_rest() {
    let cases = [
        ("variable \"x\" { type = string }", "\"quoted\"", r#""\"quoted\"""#),
        ("variable \"x\" { type = number }", "5", "5"),
        ("variable \"x\" {}", "[\"a\"]", r#""[\"a\"]""#),
        ("variable \"x\" { default = [] }", "[\"a\"]", r#""[\"a\"]""#),
        ("variable \"x\" { default = null }", "true", "\"true\""),
        ("variable \"x\" { default = false }", "true", "true"),
        ("variable \"x\" { type = list(string) }", "[\"a\", \"b\"]", r#"["a", "b"]"#),
        ("variable \"x\" { type = map(number) }", "{a = 1}", r#"{"a": 1}"#),
        ("variable \"x\" { default = 5 }", "7", "7"),
        (
            "variable \"x\" { type = object({a = string, b = optional(number, 9)}) }",
            "{a = \"q\"}",
            r#"{"a": "q", "b": 9}"#,
        ),
    ];
    for (declaration, text, value) in cases {
        assert_eq!(argument(declaration, text), value, "{declaration} {text}");
    }
}

#[test]
fn what_does_not_fit_the_type_is_refused() {
    let cases = [
        ("variable \"x\" { type = number }", "a", "Invalid argument value for -var variable"),
        ("variable \"x\" { default = [\"a\"] }", "[\"a\", \"b\"]", "a tuple of 1 elements is required"),
        ("variable \"x\" { type = list(string) }", "a", "Variables not allowed"),
        ("variable \"y\" { default = 1 }", "a", "Undefined -var variable"),
        ("variable \"xx\" { default = 1 }", "a", "did you mean \"xx\"?"),
    ];
    for (declaration, text, expected) in cases {
        let shown = argument(declaration, text);
        assert!(shown.contains(expected), "{declaration} {text}: {shown}");
    }
}

#[test]
fn the_command_line_beats_files_and_files_beat_the_environment() {
    let world = World::default()
        .file("t.pkr.hcl", &template("variable \"x\" { default = \"default\" }"))
        .file("v.hcl", "x = \"file\"")
        .variable("PKR_VAR_x", "environment")
        .variable("PKR_VAR_undeclared", "silent");
    let mut request = request("t.pkr.hcl");
    assert!(outcome(world.clone(), &request).contains("{x=\"environment\"}"));
    request.var_files = vec!["v.hcl".to_owned()];
    assert!(outcome(world.clone(), &request).contains("{x=\"file\"}"));
    let text = Sensitive::new("argument".to_owned());
    request.variables = vec![VariableArgument { name: "x".to_owned(), text }];
    assert!(outcome(world, &request).contains("{x=\"argument\"}"));
}

#[test]
fn every_unset_variable_is_reported_used_or_not() {
    let shown = hcl(&template("variable \"x\" {}\nvariable \"unused\" { type = string }"));
    let summaries: Vec<_> = shown.lines().map(|l| l.split(": ").nth(1).unwrap()).collect();
    assert_eq!(summaries, ["Unset variable \"x\"", "Unset variable \"unused\""]);
}

#[test]
fn var_files_that_declare_or_name_strangers_are_told_so() {
    let world = World::default()
        .file("t.pkr.hcl", &template("variable \"x\" { default = 1 }"))
        .file("declares.hcl", "variable \"x\" {}")
        .file("stranger.hcl", "y = 1");
    let mut request = request("t.pkr.hcl");
    request.var_files = vec!["declares.hcl".to_owned()];
    let shown = outcome(world.clone(), &request);
    assert!(shown.contains("Error: declares.hcl:1: Variable declaration in a .pkrvar file"), "{shown}");
    request.var_files = vec!["stranger.hcl".to_owned()];
    assert_eq!(outcome(world.clone(), &request), "null.a (a): null {x=1}\n");
    request.warn_undeclared = true;
    let shown = outcome(world, &request);
    assert!(shown.contains("Warning: stranger.hcl:1: Undefined variable"), "{shown}");
}

#[test]
fn rules_are_checked_on_the_winning_value_only() {
    let rule = r#"variable "x" {
  default = "abc"
  validation {
    condition     = length(var.x) > 2
    error_message = "Too short."
  }
}"#;
    assert_eq!(argument(rule, "long enough"), "\"long enough\"");
    let shown = argument(rule, "a");
    assert!(shown.contains("<value for var.x from arguments>:1: Invalid value for cmd variable: Too short."));
    let shown = hcl(&template(&rule.replace("abc", "a")));
    assert!(shown.contains("t.pkr.hcl:2: Invalid value for default variable: Too short."), "{shown}");
}

#[test]
fn a_rule_is_about_its_own_variable() {
    let rule = |condition: &str, message: &str| {
        let declaration = format!(
            "variable \"x\" {{\n default = 1\n validation {{\n condition = {condition}\n error_message = \
             \"{message}\"\n }}\n}}"
        );
        hcl(&template(&declaration))
    };
    assert!(rule("var.y == 1", "Wrong.").contains("can only refer to the variable itself"));
    assert!(rule("true", "Wrong.").contains("must refer to var.x"));
    assert!(rule("local.z == var.x", "Wrong.").contains("can only refer to the variable itself"));
    for bad in ["wrong.", "Wrong"] {
        assert!(rule("var.x == 1", bad).contains("Invalid validation error message"), "{bad}");
    }
    assert_eq!(rule("alltrue([for v in [var.x] : v == 1])", "Wrong."), "null.a (a): null {x=1}\n");
}

#[test]
fn defaults_may_ask_the_environment_and_nothing_else() {
    let world = World::default()
        .file("t.pkr.hcl", &template("variable \"x\" { default = env(\"HOST\") }"))
        .variable("HOST", "farm");
    assert_eq!(outcome(world, &request("t.pkr.hcl")), "null.a (a): null {x=\"farm\"}\n");
    let shown = hcl(&template("variable \"x\" { default = upper(\"a\") }"));
    assert!(shown.contains("Call to unknown function"), "{shown}");
    let shown = hcl(&template("variable \"x\" { default = var.y }"));
    assert!(shown.contains("Variables not allowed"), "{shown}");
    let shown = hcl(&template("locals { y = env(\"HOST\") }\nvariable \"x\" { default = 1 }"));
    assert!(shown.contains("Call to unknown function"), "{shown}");
}

#[test]
fn mistakes_in_declarations_are_told_with_their_block() {
    let cases = [
        ("variable \"x\" {\n type = int\n default = 1\n }", "Invalid type specification"),
        ("variable \"x\" {\n type = bool\n default = \"hi\"\n }", "Invalid default value for variable"),
        (
            "variable \"x\" { defualt = 1 }",
            "Unsupported argument: An argument named \"defualt\" is not expected here. Did you mean \"default\"? (in variable \"x\")",
        ),
        ("variable \"x\" { default = 1 }\nvariables { x = 2 }", "Duplicate variable"),
        ("variable \"x\" \"y\" {}", "Extraneous label for variable"),
    ];
    for (declaration, expected) in cases {
        let shown = hcl(&template(declaration));
        assert!(shown.contains(expected), "{declaration}: {shown}");
    }
}

#[test]
fn sensitive_values_are_secrets_of_every_plan_and_never_shown() {
    let world = World::default().file(
        "t.pkr.hcl",
        r#"
variable "x" {
  sensitive = true
  default   = { user = "root", words = ["swordfish"], n = 5 }
}
local "derived" {
  sensitive  = true
  expression = "pre-${var.x.user}"
}
source "null" "a" { x = var.x.words[0] }
build { sources = ["null.a"] }
"#,
    );
    let request = request("t.pkr.hcl");
    let plans = super::plans(world.clone(), &request);
    let secrets: Vec<_> = plans[0].secrets.iter().map(|s| s.reveal().as_str()).collect();
    assert_eq!(secrets, ["pre-root", "root", "swordfish"]);
    assert_eq!(outcome(world, &request), "null.a (a): null {x=(sensitive)}\n");
    assert!(!format!("{:?}", plans[0]).contains("swordfish"));
}
