//! The engine in a component's strings: what is rendered, with which functions, is judged as it will be beside the
//! guest.

use std::collections::BTreeMap;
use std::sync::Arc;

use kiln_lang::Value;
use kiln_lang::function::time::Moment;
use kiln_lang::go_template::{Dot, Place, Question, Renderer, TemplateFacts, World};

struct Silent;

impl World for Silent {
    fn uuid(&self) -> String {
        "0190-uuid".to_owned()
    }

    fn ask(&self, question: Question<'_>) -> Result<String, String> {
        Err(format!("nobody answers {question:?}"))
    }
}

/// A component of a JSON template: variables, a build, data of its own.
fn component() -> Renderer {
    let facts = TemplateFacts {
        start: Moment::from_seconds(1_600_000_000),
        user_variables: Some(BTreeMap::from([("v".to_owned(), "value".to_owned())])),
        build_name: Some("name".to_owned()),
        build_type: Some("qemu".to_owned()),
        template_dir: Some("/templates".to_owned()),
        pwd: "/here".to_owned(),
        packer_version: "1.16.0".to_owned(),
        ..TemplateFacts::default()
    };
    let later = Value::unknown(kiln_lang::Type::String);
    let data = Value::object([
        ("Vars".to_owned(), Value::from("A=1")),
        ("ID".to_owned(), Value::from("i-1")),
        ("Host".to_owned(), later),
    ]);
    Renderer::new(Arc::new(facts), Arc::new(Silent), Place::Component).with_dot(Dot::Map(data))
}

#[test]
fn every_function_of_a_component_renders() {
    let cases = [
        ("{{user `v`}}{{user `unset`}}", "value"),
        ("{{build `ID`}} {{build `Host`}}", "i-1 {{.Host}}"),
        ("{{ .Vars }} {{.Missing}}", "A=1 <no value>"),
        ("{{build_name}} {{build_type}}", "name qemu"),
        ("{{timestamp}}", "1600000000"),
        ("{{isotime}} {{isotime \"Jan-02-2006\"}}", "2020-09-13T12:26:40Z Sep-13-2020"),
        ("{{strftime `%Y-%m-%d`}}", "2020-09-13"),
        ("{{uuid}}", "0190-uuid"),
        ("{{pwd}} {{template_dir}} {{packer_version}}", "/here /templates 1.16.0"),
        ("{{split `a:b:c` `:` 2}}", "c"),
        ("{{upper `a`}}{{lower `B`}}", "Ab"),
        ("{{replace `a` `b` 1 `aaa`}} {{`x-y` | replace_all `-` `_`}}", "baa x_y"),
        ("{{if eq (user `v`) `value`}}a{{else}}b{{end}}{{range $i, $x := slice `ab` 0 1}}{{end}}", ""),
        ("{{with user `v`}}<{{.}}>{{end}}", "<value>"),
        ("{{printf `%s/%d` (user `v`) 5}}", "value/5"),
        ("{{ $x := user `v` }}{{ $x }}", "value"),
    ];
    for (text, expected) in cases {
        let rendered = component().render(text);
        // Ranging over text is a mistake of Go's too.
        if expected.is_empty() {
            assert!(rendered.is_err(), "{text}");
        } else {
            assert_eq!(rendered.map(|r| r.text), Ok(expected.to_owned()), "{text}");
        }
    }
}

#[test]
fn what_only_variables_may_ask_and_what_is_missing_is_refused() {
    let cases = [
        ("{{env `HOME`}}", "env vars are not allowed here"),
        ("{{vault `a` `b`}}", "only allowed in the variables section"),
        ("{{consul_key `a`}}", "only in the variables section"),
        ("{{aws_secretsmanager `a` `b`}}", "only allowed in the variables section"),
        ("{{aws_secretsmanager_raw `a`}}", "only allowed in the variables section"),
        ("{{sed `a` `b`}}", "sed is deprecated"),
        ("{{clean_resource_name `a`}}", "not defined"),
        ("{{build `Nope`}}", "the build offers no \"Nope\""),
        ("{{split `a` `:` 1}}", "only 1 values were found"),
        ("{{isotime `a` `b`}}", "at most one layout"),
        ("{{userr `v`}}", "did you mean \"user\"?"),
    ];
    for (text, expected) in cases {
        let said = component().render(text).unwrap_err().to_string();
        assert!(said.contains(expected), "{text}: {said}");
    }
    let cleaning = component().with_function("clean_resource_name", |text| text.replace(':', "-"));
    assert_eq!(cleaning.render("{{`a:b` | clean_resource_name}}").unwrap().text, "a-b");
}
