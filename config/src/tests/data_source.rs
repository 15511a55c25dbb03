//! Questions that components answer.

use super::{World, hcl, object, outcome_with, request};
use crate::Answers;

const TEMPLATE: &str = r#"
locals { url = "http://x/${data.null.first.output}" }
data "null" "first" { input = "a" }
data "http" "second" { url = local.url }
source "null" "a" { body = data.http.second.body }
build { sources = ["null.a"] }
"#;

fn with(answers: &Answers) -> String {
    let world = World::default().file("t.pkr.hcl", TEMPLATE);
    outcome_with(world, &request("t.pkr.hcl"), None, answers)
}

#[test]
fn questions_come_in_rounds_and_answers_are_pinned() {
    let mut answers = Answers::none();
    assert_eq!(with(&answers), "needs null.first null {input=\"a\"}\n");
    answers.values.insert("null.first".to_owned(), object(&[("output", "o")]));
    assert_eq!(with(&answers), "needs http.second http {url=\"http://x/o\"}\n");
    answers.values.insert("http.second".to_owned(), object(&[("body", "hello")]));
    assert_eq!(with(&answers), "null.a (a): null {body=\"hello\"}\n");
}

#[test]
fn placeholders_are_unknown() {
    assert_eq!(with(&Answers::placeholders()), "null.a (a): null {body=unknown(any)}\n");
}

#[test]
fn a_name_can_not_be_unknown() {
    let text =
        TEMPLATE.replace("build { ", "build {\n name = data.http.second.body\n ").replace("] }", "]\n}");
    let world = World::default().file("t.pkr.hcl", &text);
    let shown = outcome_with(world, &request("t.pkr.hcl"), None, &Answers::placeholders());
    assert!(shown.contains("Unsuitable value type") && shown.contains("value must be known"), "{shown}");
}

#[test]
fn broken_graphs_are_told_with_both_ends() {
    let cases = [
        ("locals { a = local.b }", "local.a refers to local.b, which is not declared"),
        ("locals { a = data.x.y }", "local.a refers to data.x.y, which is not declared"),
        ("locals { a = local.a }", "Self reference: local.a"),
        ("locals {\n a = local.b\n b = local.c\n c = local.b\n}", "Cycle: local.b, local.c"),
        ("locals { a = false ? local.b : 1 }", "local.a refers to local.b"),
    ];
    for (text, expected) in cases {
        let shown = hcl(text);
        assert!(shown.contains("failed to prepare execution graph") && shown.contains(expected), "{shown}");
    }
}
