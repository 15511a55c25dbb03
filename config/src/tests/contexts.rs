//! Which names stand for something at which place, and what is not known before the run.

use kiln_lang::Value;

use super::{World, outcome_with, request};
use crate::Answers;

/// The places of a template where an expression may stand.
const PLACES: [(&str, &str); 8] = [
    ("default", "variable \"x\" { default = @ }"),
    (
        "rule",
        "variable \"x\" {\n default = 1\n validation {\n condition = [var.x, @] != 0\n error_message = \"No.\"\n }\n}",
    ),
    ("local", "locals { x = @ }"),
    ("data", "data \"null\" \"e\" { input = @ }"),
    ("build", "build {\n sources = [\"null.a\"]\n description = \"${@}\" == \"\" ? \"\" : \"x\"\n}"),
    (
        "meta",
        "build {\n sources = [\"null.a\"]\n provisioner \"p\" { max_retries = \"${@}\" == \"\" ? 1 : 2 }\n}",
    ),
    ("source", "source \"null\" \"b\" { x = @ }\nbuild { sources = [\"null.b\"] }"),
    ("provisioner", "build {\n sources = [\"null.a\"]\n provisioner \"p\" { x = @ }\n}"),
];

fn shown_at(place: &str, expression: &str) -> String {
    let text = format!(
        "variable \"v\" {{ default = 1 }}\nlocals {{ l = 2 }}\ndata \"null\" \"d\" {{ input = \"i\" }}\n\
         source \"null\" \"a\" {{}}\n{}\nbuild {{\n name = \"n\"\n sources = [\"null.a\"]\n}}\n",
        place.replace('@', expression)
    );
    let mut answers = Answers::none();
    for id in ["null.d", "null.e"] {
        answers.values.insert(id.to_owned(), Value::object([("output".to_owned(), Value::from("o"))]));
    }
    outcome_with(World::default().file("t.pkr.hcl", &text), &request("t.pkr.hcl"), None, &answers)
}

#[test]
fn names_are_there_where_packer_has_them() {
    let all_but_declarations = ["local", "data", "build", "meta", "source", "provisioner"];
    let cases: [(&str, &[&str]); 10] = [
        ("var.v", &all_but_declarations),
        ("local.l", &all_but_declarations),
        ("data.null.d.output", &all_but_declarations),
        ("path.root", &all_but_declarations),
        ("path.cwd", &all_but_declarations),
        ("packer.version", &all_but_declarations),
        // Known only where a source is being built; elsewhere it is unknown, which not every place takes.
        ("source.name", &["local", "data", "source", "provisioner"]),
        ("build.name", &["meta", "provisioner"]),
        ("build.ID", &["provisioner"]),
        ("nothing.here", &[]),
    ];
    for (expression, places) in cases {
        for (place, text) in PLACES {
            let shown = shown_at(text, expression);
            let fine = !shown.contains("Error");
            assert_eq!(fine, places.contains(&place), "{expression} at {place}: {shown}");
        }
    }
}

#[test]
fn the_rules_of_a_variable_see_that_variable_alone() {
    let rule = PLACES[1].1;
    assert!(!shown_at(rule, "var.x").contains("Error"));
    for other in ["var.v", "local.l", "path.cwd"] {
        assert!(shown_at(rule, other).contains("can only refer to the variable itself"), "{other}");
    }
}

/// The same without an answer: what `validate` sees.
fn before_data(inside: &str) -> String {
    let text = format!(
        "data \"null\" \"d\" {{ input = \"i\" }}\nlocals {{ l = split(\",\", data.null.d.output) }}\nsource \"null\" \"a\" {{}}\n\
         build {{\n sources = [\"null.a\"]\n{inside}\n}}\n"
    );
    outcome_with(
        World::default().file("t.pkr.hcl", &text),
        &request("t.pkr.hcl"),
        None,
        &Answers::placeholders(),
    )
}

#[test]
fn what_is_not_known_yet_is_taken_by_components_and_by_nothing_of_the_core() {
    let fine = [
        "provisioner \"p\" { x = data.null.d.output }",
        "provisioner \"p\" { x = \"${upper(data.null.d.output)}!\" }",
        "provisioner \"p\" {\n dynamic \"b\" {\n for_each = local.l\n content { x = b.value }\n }\n}",
    ];
    for inside in fine {
        let shown = before_data(inside);
        assert!(!shown.contains("Error"), "{inside}: {shown}");
    }
    // A collection that isn't known counts as one with a single member.
    assert_eq!(before_data(fine[2]).matches("b {x=").count(), 1);
    let wrong = [
        "name = data.null.d.output",
        "description = data.null.d.output",
        "provisioner \"p\" { max_retries = data.null.d.output }",
        "provisioner \"p\" { only = local.l }",
        "post-processor \"p\" { name = data.null.d.output }",
        "post-processor \"p\" { keep_input_artifact = data.null.d.output }",
    ];
    for inside in wrong {
        let shown = before_data(inside);
        assert!(shown.contains("value must be known"), "{inside}: {shown}");
    }
}

#[test]
fn the_iterator_of_a_dynamic_source_hides_the_contextual_one() {
    let text = "source \"null\" \"a\" {}\nbuild {\n dynamic \"source\" {\n for_each = [\"p\"]\n labels = [\"null.a\"]\n \
                content {\n name = source.value\n x = source.value\n }\n }\n provisioner \"q\" { x = source.name }\n}\n";
    let shown = super::hcl(text);
    assert_eq!(shown, "null.p (a): null {x=\"p\"}\n  provisioner q {x=\"p\"}\n");
}
