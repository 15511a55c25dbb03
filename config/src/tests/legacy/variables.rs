//! Variables: where values come from, what they may ask, how often they are rendered.

use kiln_plan::Sensitive;

use crate::VariableArgument;
use crate::tests::{World, outcome, plans, request};

/// A run with variables, var files in order, and `-var` in order; `{{user `a`}}` is the builder's name.
struct Run<'a> {
    variables: &'a str,
    files: &'a [(&'a str, &'a str)],
    given: &'a [(&'a str, &'a str)],
}

impl Run<'_> {
    fn prepared(&self) -> (World, crate::Request) {
        let text = format!(
            r#"{{"variables": {}, "builders": [{{"type": "null", "name": "<{{{{user `a`}}}}>"}}]}}"#,
            self.variables
        );
        let mut world = World::default()
            .file("t.json", &text)
            .variable("HOME", "/root")
            .variable("PKR_VAR_a", "from the environment");
        let mut request = request("t.json");
        for (name, text) in self.files {
            world = world.file(name, text);
            request.var_files.push((*name).to_owned());
        }
        let argument = |(name, text): &(&str, &str)| VariableArgument {
            name: (*name).to_owned(),
            text: Sensitive::new((*text).to_owned()),
        };
        request.variables = self.given.iter().map(argument).collect();
        (world, request)
    }

    /// The name, or the complaints.
    fn name(&self) -> String {
        let (world, request) = self.prepared();
        let shown = outcome(world, &request);
        match shown.strip_prefix("null.<").and_then(|rest| rest.split_once('>')) {
            Some((name, _)) => name.to_owned(),
            None => shown,
        }
    }
}

#[test]
fn later_sources_win() {
    type Pairs<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, Pairs<'_>, Pairs<'_>, &str); 8] = [
        (r#"{"a": "default"}"#, &[], &[], "default"),
        (r#"{"a": "default"}"#, &[("1.json", r#"{"a": "one"}"#)], &[], "one"),
        (r#"{"a": null}"#, &[("1.json", r#"{"a": "one"}"#), ("2.json", r#"{"a": "two"}"#)], &[], "two"),
        (r#"{"a": null}"#, &[("1.json", r#"{"a": "one"}"#)], &[("a", "argument")], "argument"),
        (r#"{"a": null}"#, &[], &[("a", "first"), ("a", "last")], "last"),
        (r#"{"a": "d"}"#, &[], &[("a", "")], ""),
        ("{}", &[("1.json", r#"{"a": "undeclared"}"#)], &[("b", "too")], "undeclared"),
        (r#"{"a": null}"#, &[("1.json", r#"{"a": null}"#)], &[], ""),
    ];
    for (variables, files, given, expected) in cases {
        assert_eq!(Run { variables, files, given }.name(), expected, "{variables} {files:?} {given:?}");
    }
}

#[test]
fn values_are_rendered_wherever_they_come_from() {
    let files = &[("v.json", r#"{"b": "{{env `HOME`}}", "d": "{{ .Later }}"}"#)];
    let cases = [
        (r#"{"a": "{{user `b`}}"}"#, "/root"),
        (r#"{"a": "{{env `NOPE`}}"}"#, ""),
        (r#"{"a": "{{user `c`}}"}"#, "/root!"),
        (r#"{"a": "{{upper `x`}}{{lower `Y`}}{{timestamp}}"}"#, "Xy1600000000"),
        (r#"{"a": "{{isotime `2006`}}{{strftime `%m`}}{{packer_version}}"}"#, "2020091.16.0"),
        (r#"{"a": "{{split `a-b` `-` 1}}{{replace `b` `c` -1 `bb`}}{{replace_all `x` `y` `xx`}}"}"#, "bccyy"),
        (r#"{"a": "{{if true}}yes{{end}}{{printf `%03d` 7}}"}"#, "yes007"),
        (r#"{"a": "{{build_name}}"}"#, "build_name not available"),
        (r#"{"a": "{{build `ID`}}"}"#, "available to provisioners and post-processors only"),
        (r#"{"a": "{{sed `a` `b`}}"}"#, "sed is deprecated"),
        (r#"{"a": "{{clean_resource_name `x`}}"}"#, "function \"clean_resource_name\" not defined"),
    ];
    for (variables, expected) in cases {
        let given = &[("c", "{{user `b`}}!")];
        let name = Run { variables, files, given }.name();
        assert!(name.contains(expected), "{variables}: {name}");
    }
}

#[test]
fn variables_that_need_each_other_are_rendered_up_to_a_hundred_times() {
    // Each needs the next one, and they are rendered in the order of their names: one more is known after each pass.
    let chain = |length: usize| {
        let name = |i: usize| if i == 0 { "a".to_owned() } else { format!("a{i:03}") };
        let link = |i: usize| format!(r#""{}": "{{{{user `{}`}}}}""#, name(i), name(i + 1));
        let links: Vec<_> = (0..length).map(link).collect();
        format!(r#"{{{}, "{}": "end"}}"#, links.join(", "), name(length))
    };
    for length in [1, 10, 99] {
        let variables = chain(length);
        assert_eq!(Run { variables: &variables, files: &[], given: &[] }.name(), "end", "{length}");
    }
    let variables = chain(150);
    let (world, request) = Run { variables: &variables, files: &[], given: &[] }.prepared();
    assert!(outcome(world, &request).contains("failed to interpolate user variable 'a'"));
}

#[test]
fn all_variables_that_are_missing_or_wrong_are_named_at_once() {
    let run = |variables| Run { variables, files: &[], given: &[] }.name();
    let shown = run(r#"{"a": null, "b": "x", "c": null}"#);
    assert!(shown.contains("not set: a") && shown.contains("not set: c"), "{shown}");
    let shown = run(r#"{"a": "{{nope}}", "b": "{{if}}", "c": "x"}"#);
    assert!(shown.contains("'a': function \"nope\" not defined"), "{shown}");
    assert!(shown.contains("variable 'b'"), "{shown}");
}

#[test]
fn var_files_are_json_objects_of_texts() {
    let cases = [
        ("v.json", "[]", "var file v.json: expected type 'object', got array"),
        ("v.json", r#"{"a": 1}"#, "variable 'a': expected type 'string', got number"),
        ("v.json", r#"{"a": ["x"], "b": true}"#, "variable 'b': expected type 'string', got bool"),
        ("v.json", r#"{"a": "x", "a": "y"}"#, "template has duplicate field: a"),
        ("v.json", r#"{"a": "x",}"#, "a comma"),
        ("v.pkrvars.hcl", "a = 1", "Could not guess format of v.pkrvars.hcl"),
    ];
    for (name, text, expected) in cases {
        let shown = Run { variables: r#"{"a": "d"}"#, files: &[(name, text)], given: &[] }.name();
        let expected = if expected == "a comma" { "take the comma away" } else { expected };
        assert!(shown.contains(expected), "{text}: {shown}");
    }
}

#[test]
fn only_declared_variables_can_be_sensitive() {
    let text = r#"{"variables": {"a": "one\ntwo", "b": "x"}, "sensitive-variables": ["a", "given"],
                   "builders": [{"type": "null"}]}"#;
    let mut request = request("t.json");
    let text_of = |text: &str| Sensitive::new(text.to_owned());
    request.variables = vec![VariableArgument { name: "given".to_owned(), text: text_of("no secret") }];
    let plans = plans(World::default().file("t.json", text), &request);
    let secrets: Vec<_> = plans[0].secrets.iter().map(|s| s.reveal().as_str()).collect();
    assert_eq!(secrets, ["one\ntwo"]);
    let known = &plans[0].facts.user_variables;
    assert_eq!(known["given"].reveal(), "no secret");
}
