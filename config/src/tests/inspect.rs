//! A template at a glance.

use std::sync::Arc;

use kiln_lang::Value;

use super::{World, request};
use crate::overview::{BuildOverview, Hcl2Overview, LegacyOverview, Overview};
use crate::{Answers, Inputs, Inspection, SharedHost, Template, inspect, parse};

fn look(world: World, path: &str, answers: &Answers) -> Inspection {
    let host: SharedHost = Arc::new(world);
    let request = request(path);
    let (template, ..) = parse(&request, &host);
    let inputs = Inputs { request: &request, catalog: None, answers, host: &host };
    inspect(&template.expect("the template parses"), inputs)
}

fn hcl2(text: &str) -> Hcl2Overview {
    match look(World::default().file("t.pkr.hcl", text), "t.pkr.hcl", &Answers::none()) {
        Inspection::Done(Overview::Hcl2(overview)) => overview,
        other => panic!("{other:?}"),
    }
}

fn legacy(text: &str) -> LegacyOverview {
    match look(World::default().file("t.json", text), "t.json", &Answers::none()) {
        Inspection::Done(Overview::Legacy(overview)) => overview,
        other => panic!("{other:?}"),
    }
}

fn pairs(values: &[(String, String)]) -> Vec<(&str, &str)> {
    values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn values_are_shown_as_the_console_shows_them_sorted_by_name() {
    let shown = hcl2(
        "variable \"z\" {}\nvariable \"m\" { default = {b = null, a = [1, \"x\"]} }\nvariable \"a\" { default = \"t\\nu\" }\n\
         locals {\n made = \"${var.a}!\"\n waits = var.z\n wrong = upper([])\n because = local.wrong\n rescued = try(local.wrong, \"r\")\n}\n",
    );
    let variables = [("a", "t\nu"), ("m", "{\n  \"a\" = [\n    1,\n    \"x\",\n  ]\n}"), ("z", "<unknown>")];
    assert_eq!(pairs(&shown.variables), variables);
    assert_eq!(pairs(&shown.locals), [("made", "t\nu!"), ("rescued", "r"), ("waits", "<unknown>")]);
}

#[test]
fn mistakes_elsewhere_hide_nothing() {
    let shown = hcl2(
        "variable \"v\" {\n default = 1\n validation {\n condition = var.v > 1\n error_message = \"No.\"\n }\n}\n\
         locals {\n circle = local.circle\n fine = 2\n}\nsource \"unheard-of\" \"s\" { x = nope }\n\
         build { sources = [\"unheard-of.s\", \"none.at-all\"] }\nbuild { sources = [] }\nbuild {\n sources = [\"a.b\"]\n provisioner \"p\" { pause_before = \"5\" }\n}\n",
    );
    assert_eq!(pairs(&shown.variables), [("v", "1")]);
    assert_eq!(pairs(&shown.locals), [("fine", "2")]);
    assert_eq!(shown.builds.len(), 1);
    assert_eq!(shown.builds[0].sources, ["unheard-of.s", "none.at-all"]);
}

#[test]
fn builds_tell_names_and_types() {
    let shown = hcl2(
        "source \"null\" \"a\" {}\nbuild {\n name = \"n\"\n description = \"d\"\n sources = [\"null.a\"]\n source \"null.a\" { name = \"local\" }\n\
         provisioner \"shell\" {}\n provisioner \"file\" { name = \"keys\" }\n error-cleanup-provisioner \"shell\" {}\n\
         post-processor \"manifest\" {}\n post-processors {\n post-processor \"compress\" { name = \"c\" }\n post-processor \"checksum\" {}\n }\n}\n",
    );
    let expected = BuildOverview {
        name: "n".into(),
        description: "d".into(),
        sources: vec!["null.a".into(), "null.local".into()],
        provisioners: vec!["shell".into(), "file.keys".into()],
        post_processors: vec![vec!["manifest".into()], vec!["compress.c".into(), "checksum".into()]],
    };
    assert_eq!(shown.builds, [expected]);
}

#[test]
fn secrets_are_hidden_wherever_they_stand() {
    let shown = hcl2(
        "variable \"s\" {\n sensitive = true\n default = {user = \"root\", n = 5, on = true, none = \"\"}\n}\n\
         variable \"root_path\" { default = \"/home/root\" }\nlocal \"l\" {\n sensitive = true\n expression = \"swordfish\"\n}\n\
         locals {\n url = \"x://${var.s.user}@y\"\n hash = sha1(local.l)\n}\n",
    );
    let hidden =
        "{\n  \"n\" = \"<sensitive>\"\n  \"none\" = \"\"\n  \"on\" = true\n  \"user\" = \"<sensitive>\"\n}";
    assert_eq!(pairs(&shown.variables), [("<sensitive>_path", "/home/<sensitive>"), ("s", hidden)]);
    let locals = [("hash", "<sensitive>"), ("l", "<sensitive>"), ("url", "x://<sensitive>@y")];
    assert_eq!(pairs(&shown.locals), locals);
}

#[test]
fn data_sources_are_asked_first() {
    let text = "data \"null\" \"d\" { input = \"i\" }\nlocals { x = data.null.d.output }\n";
    let world = World::default().file("t.pkr.hcl", text);
    let mut answers = Answers::none();
    let Inspection::NeedsData(queries) = look(world.clone(), "t.pkr.hcl", &answers) else {
        panic!("nobody asked")
    };
    assert_eq!(queries[0].id, "null.d");
    answers.values.insert("null.d".to_owned(), Value::object([("output".to_owned(), Value::from("o"))]));
    let Inspection::Done(Overview::Hcl2(shown)) = look(world, "t.pkr.hcl", &answers) else {
        panic!("asked again")
    };
    assert_eq!(pairs(&shown.locals), [("x", "o")]);
}

#[test]
fn legacy_templates_are_shown_as_they_are_written() {
    let shown = legacy(
        r#"{
  "description": "d {{user `a`}}",
  "variables": {"b": null, "a": "{{env `HOME`}}", "s": "hush", "same": "hush"},
  "sensitive-variables": ["s", "b"],
  "builders": [{"type": "null", "name": "{{user `a`}}"}, {"type": "file"}],
  "provisioners": [{"type": "shell"}, {"type": "file"}],
  "post-processors": ["manifest"]
}"#,
    );
    assert_eq!(shown.description, "d {{user `a`}}");
    assert_eq!(shown.required, ["b"]);
    let optional = [("a", "{{env `HOME`}}"), ("s", "<sensitive>"), ("same", "<sensitive>")];
    assert_eq!(pairs(&shown.optional), optional);
    assert_eq!(pairs(&shown.builders), [("file", "file"), ("{{user `a`}}", "null")]);
    assert_eq!(shown.provisioners, ["shell", "file"]);
}

#[test]
fn without_a_template_there_is_a_null_builder() {
    let host: SharedHost = Arc::new(World::default());
    let (request, answers) = (request(""), Answers::none());
    let inputs = Inputs { request: &request, catalog: None, answers: &answers, host: &host };
    let builders = vec![("null".to_owned(), "null".to_owned())];
    let expected = Overview::Legacy(LegacyOverview { builders, ..LegacyOverview::default() });
    assert_eq!(inspect(&Template::of_nothing(), inputs), Inspection::Done(expected));
}
