//! The console: one line in, its answer out; and what a line may go on with.

use std::sync::Arc;

use super::{World, request};
use crate::{Answer, Answers, Console, Inputs, Opened, Request, SharedHost, Template, parse};

/// Tables of lines: `? line` and what answers it, from a file.
const HCL2: &str = include_str!("console/hcl2.txt");
const LEGACY: &str = include_str!("console/legacy.txt");

fn console(world: World, request: &Request) -> Console {
    let host: SharedHost = Arc::new(world);
    let template = match request.path.as_str() {
        "" => Template::of_request(request),
        _ => parse(request, &host).0.expect("the template parses"),
    };
    let answers = Answers::none();
    let inputs = Inputs { request, catalog: None, answers: &answers, host: &host };
    match Console::open(&template, inputs) {
        Opened::Ready(console) => console,
        Opened::NeedsData(queries) => panic!("{queries:?}"),
    }
}

fn shown(answer: &Answer) -> String {
    match answer {
        Answer::Text(text) => text.clone(),
        Answer::Leave => "(leaves)".to_owned(),
        Answer::Wrong(found) => found.iter().map(|d| format!("{}: {}", d.summary, d.detail)).collect(),
    }
}

/// Asks every line of a table.
fn check(console: &Console, table: &str) {
    for case in table.split("\n? ").skip(1) {
        let (line, expected) = case.split_once('\n').expect("an answer");
        assert_eq!(shown(&console.answer(line)).trim_end(), expected.trim_end(), "{line}");
    }
}

fn hcl2() -> Console {
    let world = World::default().file("d/t.pkr.hcl", include_str!("console/template.pkr.hcl"));
    console(world, &request("d"))
}

fn legacy() -> Console {
    let world = World::default().file("t.json", include_str!("console/template.json"));
    console(world, &request("t.json"))
}

#[test]
fn hcl2_lines_are_expressions() {
    check(&hcl2(), HCL2);
}

#[test]
fn legacy_lines_are_texts_with_actions() {
    check(&legacy(), LEGACY);
}

#[test]
fn without_a_template_there_are_functions_and_given_values() {
    let mut asked = request("");
    asked.config_type = crate::ConfigType::Hcl2;
    assert_eq!(shown(&console(World::default(), &asked).answer("1 + 1")), "2");
    asked.config_type = crate::ConfigType::Json;
    asked.variables = vec![crate::VariableArgument {
        name: "a".to_owned(),
        text: kiln_plan::Sensitive::new("b".to_owned()),
    }];
    assert_eq!(shown(&console(World::default(), &asked).answer("{{user `a`}}{{user `x`}}")), "b");
}

#[test]
fn lines_are_completed_with_what_exists() {
    let table: [(&str, usize, &[&str]); 9] = [
        ("loc", 0, &["local."]),
        ("1 + pat", 4, &["path.", "pathexpand("]),
        ("var.na", 4, &["name", "names"]),
        ("local.tree.", 11, &["branch"]),
        ("local.tree.branch.le", 18, &["leaf"]),
        ("\"${var.sec", 7, &["secret"]),
        ("exi", 0, &["exit"]),
        ("(exi", 1, &[]),
        ("ab", 0, &["abs(", "abspath("]),
    ];
    let console = hcl2();
    for (line, from, words) in table {
        let completion = console.complete(line, line.len());
        assert_eq!(
            (completion.from, completion.words),
            (from, words.iter().map(|w| (*w).to_owned()).collect()),
            "{line}"
        );
    }
}

#[test]
fn texts_are_completed_within_actions() {
    let table: [(&str, usize, &[&str]); 6] = [
        ("va", 0, &["variables"]),
        ("x va", 2, &[]),
        ("x {{ us", 5, &["user"]),
        ("{{user `na", 8, &["name"]),
        ("{{split `na", 9, &[]),
        ("{{user `name`}} us", 16, &[]),
    ];
    let console = legacy();
    for (line, from, words) in table {
        let completion = console.complete(line, line.len());
        let expected: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        assert_eq!(completion.words, expected, "{line}");
        assert!(expected.is_empty() || completion.from == from, "{line}");
    }
}

#[test]
fn whatever_is_typed_is_completed_within_the_line() {
    let lines = [
        "é.",
        "..",
        ".",
        "var..",
        "🦀.x.🦀",
        "{{user `é",
        "{{`",
        "{{",
        "}}",
        "\"${",
        "local.tree.\u{301}",
        "-",
    ];
    for console in [hcl2(), legacy()] {
        for line in lines {
            for at in (0..=line.len() + 1).filter(|at| *at > line.len() || line.is_char_boundary(*at)) {
                let completion = console.complete(line, at);
                assert!(line.is_char_boundary(completion.from), "{line} {at}");
            }
            console.answer(line);
        }
    }
}
