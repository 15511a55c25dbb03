//! What each fuzz target does with its bytes: everything that `kiln validate` would do with such a file, without a
//! machine behind it. A target may return anything and must not panic, hang or grow.
//!
//! Each target also checks what must hold for any input: findings point into their file and cut no character.

use std::sync::Arc;

use kiln_config::{Answers, Evaluation, Inputs, Request, SharedHost, VariableArgument};
use kiln_lang::go_template::{Dot, Place, Question, Renderer, TemplateFacts, World};
use kiln_lang::{Diagnostics, SourceFile, SourceMap, Value, parse};
use kiln_plan::Sensitive;

mod world;

#[expect(dead_code, unreachable_pub, reason = "the agent's own file, of which only the reader is needed here")]
#[path = "../../../agent/src/builder/qemu/boot_command.rs"]
mod boot_command_language;

use world::OneFile;

/// Reads and evaluates an HCL2 template, and the same text as an expression and as a template string.
pub fn hcl(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    template("t.pkr.hcl", text, &[]);
    let file = SourceFile::new("t", text);
    for parsed in [parse::expression(&file), parse::template(&file)] {
        match parsed {
            Ok(expression) => drop(expression.references()),
            Err(found) => check_places(&found, &sources(&file)),
        }
    }
}

/// Reads and evaluates a JSON template: the first byte chooses between HCL2's JSON profile and legacy JSON.
pub fn json(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let Some(text) = text(rest) else { return };
    let path = if first.is_multiple_of(2) { "t.pkr.json" } else { "t.json" };
    template(path, text, &[]);
}

/// Renders a string in the places where strings are rendered.
pub fn go_template(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let data = Value::object([("HTTPIP".to_owned(), Value::from("10.0.2.2")), ("Vars".to_owned(), Value::from("a=b"))]);
    let facts = Arc::new(TemplateFacts {
        user_variables: Some([("x".to_owned(), "y".to_owned())].into()),
        build_name: Some("b".to_owned()),
        build_type: Some("null".to_owned()),
        template_dir: Some("/t".to_owned()),
        pwd: "/p".to_owned(),
        packer_version: "1.16.0".to_owned(),
        ..TemplateFacts::default()
    });
    for place in [Place::Variables, Place::Component] {
        for dot in [Dot::Nothing, Dot::Later, Dot::Map(data.clone()), Dot::Fields(data.clone())] {
            let renderer = Renderer::new(Arc::clone(&facts), Arc::new(Nobody), place).with_dot(dot);
            let _ = renderer.render(text);
        }
    }
}

/// Reads a variable file: the first byte chooses the notation, or `-var`.
pub fn var_file(bytes: &[u8]) {
    const TEMPLATE: &str = include_str!("../seeds/variables.pkr.hcl");
    let Some((first, rest)) = bytes.split_first() else { return };
    let Some(text) = text(rest) else { return };
    match first % 4 {
        0 => template("t.pkr.hcl", TEMPLATE, &[("v.pkrvars.hcl", text)]),
        1 => template("t.pkr.hcl", TEMPLATE, &[("v.pkrvars.json", text)]),
        2 => template("t.json", r#"{"variables":{"a":"","b":"{{user `a`}}"},"builders":[{"type":"null"}]}"#, &[("v.json", text)]),
        _ => {
            for name in ["text", "list", "object", "any"] {
                let argument = VariableArgument { name: name.to_owned(), text: Sensitive::new(text.to_owned()) };
                let request = Request { variables: vec![argument], ..request("t.pkr.hcl") };
                run(&request, OneFile::new("t.pkr.hcl", TEMPLATE));
            }
        }
    }
}

/// Reads a boot command.
pub fn boot_command(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let _ = boot_command_language::parse(text);
    let _ = boot_command_language::suspicious(text);
}

/// Bytes that are no UTF-8 are refused before any of these readers sees them.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn request(path: &str) -> Request {
    Request {
        path: path.to_owned(),
        run_uuid: "run".to_owned(),
        started_ns: 1_600_000_000_000_000_000,
        core_version: "1.16.0".to_owned(),
        warn_undeclared: true,
        ..Request::default()
    }
}

fn template(path: &str, text: &str, var_files: &[(&str, &str)]) {
    let world = var_files.iter().fold(OneFile::new(path, text), |world, (path, text)| world.with(path, text));
    let var_files = var_files.iter().map(|(path, _)| (*path).to_owned()).collect();
    run(&Request { var_files, ..request(path) }, world);
}

fn run(request: &Request, world: OneFile) {
    let host: SharedHost = Arc::new(world);
    let (template, found, sources) = kiln_config::parse(request, &host);
    check_places(&found, &sources);
    let Some(template) = template.filter(|_| !found.has_errors()) else { return };
    let answers = Answers::placeholders();
    let inputs = Inputs { request, catalog: None, answers: &answers, host: &host };
    if let Evaluation::Done { plans, diagnostics } = kiln_config::evaluate(&template, inputs) {
        check_places(&diagnostics, &sources);
        for plan in plans {
            let _ = plan.fingerprint();
        }
    }
}

fn sources(file: &SourceFile) -> SourceMap {
    let mut sources = SourceMap::default();
    sources.add(file.clone());
    sources
}

/// Every finding points into the file that it names, and cuts no character of it.
fn check_places(found: &Diagnostics, sources: &SourceMap) {
    for diagnostic in found.iter() {
        let Some(span) = &diagnostic.span else { continue };
        let Some(file) = sources.get(&span.file) else { continue };
        assert!(file.text().get(span.start..span.end).is_some(), "{diagnostic:?} points outside or cuts a character");
    }
}

/// A world that knows nothing.
struct Nobody;

impl World for Nobody {
    fn uuid(&self) -> String {
        "6f1b8f2e-5a64-4d0c-9c40-6a1a45c6a5f3".to_owned()
    }

    fn ask(&self, question: Question<'_>) -> Result<String, String> {
        match question {
            Question::Env(name) => Ok(name.to_owned()),
            _ => Err("there is no such store".to_owned()),
        }
    }
}
