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

const RANDOM: &str = r#"
locals {
  id    = uuidv4()
  other = "${local.id}-${data.null.first.output}"
}
data "null" "first" { input = local.id }
source "null" "a" { x = local.other }
build { sources = ["null.a"] }
"#;

/// The questions of a template, with the answers so far.
fn questions(text: &str, answers: &Answers) -> Vec<crate::DataQuery> {
    let host: crate::SharedHost = std::sync::Arc::new(World::default().file("t.pkr.hcl", text));
    let request = request("t.pkr.hcl");
    let (template, ..) = crate::parse(&request, &host);
    let inputs = crate::Inputs { request: &request, catalog: None, answers, host: &host };
    match crate::evaluate(&template.expect("the template parses"), inputs) {
        crate::Evaluation::NeedsData(questions) => questions,
        crate::Evaluation::Done { .. } => Vec::new(),
    }
}

#[test]
fn what_a_question_was_made_of_stays_what_it_was() {
    let mut answers = Answers::none();
    let mut asked = questions(RANDOM, &answers);
    // The machine would roll its dice again at the second evaluation.
    asked[0].locals.insert("id".to_owned(), "the first roll".into());
    let answer =
        crate::DataAnswer { outcome: Ok(object(&[("output", "o")])), notices: vec!["by the way".into()] };
    answers.take(&asked[0], answer);
    let world = World::default().file("t.pkr.hcl", RANDOM);
    let shown = outcome_with(world, &request("t.pkr.hcl"), None, &answers);
    assert!(shown.starts_with("null.a (a): null {x=\"the first roll-o\"}\n"), "{shown}");
    assert!(shown.contains("Warning: t.pkr.hcl:6: Answer of data source null.first: by the way."), "{shown}");
}

#[test]
fn a_failed_answer_is_an_error_at_its_data_source() {
    let mut answers = Answers::none();
    answers.take(&questions(TEMPLATE, &answers)[0], crate::DataAnswer::failed("the server is on strike"));
    let shown = with(&answers);
    assert_eq!(
        shown,
        "Error: t.pkr.hcl:3: the server is on strike: The data source null.first gave no answer. \
         (in data \"null\" \"first\")\n"
    );
}

#[test]
fn secrets_of_answers_are_secrets_of_the_plan_and_origins_are_kept() {
    let text = "data \"null\" \"s\" { input = \"x\" }\nsource \"null\" \"a\" { x = data.null.s.output }\nbuild { sources = [\"null.a\"] }\n";
    let mut answers = Answers::none();
    let secret = kiln_lang::Value::from("s3cret").marked(true);
    let outcome = Ok(kiln_lang::Value::object([("output".to_owned(), secret)]));
    answers.take(&questions(text, &answers)[0], crate::DataAnswer { outcome, notices: vec![] });
    let host: crate::SharedHost = std::sync::Arc::new(World::default().file("t.pkr.hcl", text));
    let request = request("t.pkr.hcl");
    let (template, ..) = crate::parse(&request, &host);
    let inputs = crate::Inputs { request: &request, catalog: None, answers: &answers, host: &host };
    let crate::Evaluation::Done { plans, .. } = crate::evaluate(&template.expect("it parses"), inputs) else {
        panic!("all is answered");
    };
    assert_eq!(plans[0].secrets.iter().map(|s| s.reveal().as_str()).collect::<Vec<_>>(), ["s3cret"]);
    assert_eq!(plans[0].data[0].id, "null.s");
}
