use super::*;

struct Answers;

impl World for Answers {
    fn uuid(&self) -> String {
        "01234567-89ab".to_owned()
    }

    fn ask(&self, question: Question<'_>) -> Result<String, String> {
        match question {
            Question::Env("HOME") => Ok("/root".to_owned()),
            Question::Env(_) => Ok(String::new()),
            other => Err(format!("no answer to {other:?}")),
        }
    }
}

fn facts() -> TemplateFacts {
    TemplateFacts {
        start: Moment::from_seconds(1_136_214_245),
        user_variables: Some(BTreeMap::from([
            ("name".to_owned(), "Web".to_owned()),
            ("secret".to_owned(), "hunter2".to_owned()),
        ])),
        sensitive_variables: BTreeSet::from(["secret".to_owned()]),
        build_name: Some("one".to_owned()),
        build_type: Some("qemu".to_owned()),
        template_dir: Some("/t".to_owned()),
        pwd: "/w".to_owned(),
        packer_version: "1.16.0".to_owned(),
    }
}

fn renderer(place: Place) -> Renderer {
    Renderer::new(Arc::new(facts()), Arc::new(Answers), place)
}

fn data() -> Value {
    let late = Value::unknown(crate::types::Type::String);
    Value::object([
        ("HTTPIP".to_owned(), Value::from("10.0.2.2")),
        ("HTTPPort".to_owned(), Value::from(8080)),
        ("Token".to_owned(), Value::from("s3cret").marked(true)),
        ("ID".to_owned(), late),
    ])
}

#[test]
fn templates_render_as_in_packer() {
    let renderer = renderer(Place::Component)
        .with_dot(Dot::Map(data()))
        .with_function("clean_resource_name", |s| s.replace(':', "-"));
    let cases = [
        ("plain } { text", "plain } { text"),
        ("{{ user `name` }}-{{timestamp}}", "Web-1136214245"),
        ("[{{ user `unset` }}]", "[]"),
        ("http://{{ .HTTPIP }}:{{ .HTTPPort }}/ks.cfg", "http://10.0.2.2:8080/ks.cfg"),
        ("{{ .Nope }}", "<no value>"),
        ("{{isotime}} {{isotime \"2006-01-02\"}}", "2006-01-02T15:04:05Z 2006-01-02"),
        ("{{strftime \"%Y%m%d\"}} {{uuid}}", "20060102 01234567-89ab"),
        ("{{isotime \"15:04\" | clean_resource_name}}", "15-04"),
        (
            "{{build_name}} {{build_type}} {{template_dir}} {{pwd}} {{packer_version}}",
            "one qemu /t /w 1.16.0",
        ),
        ("{{split \"a/b/c\" \"/\" 1}} {{upper `x`}} {{lower `Y`}}", "b X y"),
        ("{{user `name` | replace \"e\" \"3\" 1}} {{replace_all \"-\" \"_\" \"a-b-c\"}}", "W3b a_b_c"),
        ("{{ build `HTTPIP` }} {{ build `ID` }}", "10.0.2.2 {{.ID}}"),
        ("{{ if eq build_type \"qemu\" }}yes{{ else }}no{{ end }}", "yes"),
        ("{{ printf \"%03d\" 7 }} {{- /* a }} comment */ -}} x", "007x"),
        ("{{ \"}}\" }}", "}}"),
    ];
    for (template, text) in cases {
        assert_eq!(renderer.render(template).map(|r| r.text), Ok(text.to_owned()), "{template}");
    }
}

#[test]
fn mistakes_say_what_and_where() {
    let component = renderer(Place::Component).with_dot(Dot::Fields(data()));
    let cases = [
        (
            "{{ if true }}x",
            "{{ if }} is never closed; add {{ end }} at line 1, column 1 in \"{{ if true }}x\"",
        ),
        ("a\n {{ end }} b", "{{ end }} stands outside of any block at line 2, column 2"),
        ("{{ else }}", "{{ else }} stands outside of any block"),
        ("{{ .HTTPiP }}", "there is no {{ .HTTPiP }} here; there are {{ .HTTPIP }}, {{ .HTTPPort }}"),
        (
            "{{ if false }}{{ timestmp }}{{ end }}",
            "function \"timestmp\" not defined; did you mean \"timestamp\"?",
        ),
        ("{{ env `HOME` }}", "env: env vars are not allowed here"),
        ("{{ sed `s/a/b/` `x` }}", "sed: sed is deprecated"),
        ("{{ split `a` `,` 3 }}", "the substring 3 was unavailable"),
        ("{{ build `Nope` }}", "build: the build offers no \"Nope\""),
        ("{{ unclosed", "unclosed action"),
        ("{{ don't }}", " in "),
    ];
    for (template, wanted) in cases {
        let said = component.render(template).unwrap_err().to_string();
        assert!(said.contains(wanted), "{template}: {said}");
    }
}

#[test]
fn only_variables_may_ask_the_world_and_must_be_set() {
    let variables = renderer(Place::Variables).with_dot(Dot::Later);
    assert_eq!(variables.render("{{ env `HOME` }}").unwrap().text, "/root");
    let unset = variables.render("{{ user `unset` }}").unwrap_err();
    assert_eq!(unset.reason, Reason::VariableNotSet("unset".to_owned()));
}

#[test]
fn hcl2_templates_have_no_user_variables() {
    let facts = TemplateFacts { user_variables: None, template_dir: None, ..facts() };
    let hcl = Renderer::new(Arc::new(facts), Arc::new(Answers), Place::Component);
    for template in ["{{ user `x` }}", "{{ template_dir }}", "{{ build `ID` }}"] {
        assert!(hcl.render(template).is_err(), "{template}");
    }
    assert_eq!(hcl.render("{{ .HTTPIP }}").unwrap().text, "<no value>");
}

#[test]
fn what_depends_on_later_data_stays_as_it_is() {
    let later = renderer(Place::Component).with_dot(Dot::Later);
    let cases = [
        ("{{ .Vars }} {{ user `name` }}", "{{ .Vars }} Web"),
        ("{{.Path | upper}} {{ 1.5 }}", "{{.Path | upper}} 1.5"),
        ("{{ .A }}\\ \"{{- .B -}}\"", "{{ .A }}\\ \"{{- .B -}}\""),
        ("{{ if .X }}{{ user `name` }}{{ end }}", "{{ if .X }}{{ user `name` }}{{ end }}"),
    ];
    for (template, text) in cases {
        assert_eq!(later.render(template).unwrap().text, text, "{template}");
    }
}

#[test]
fn a_text_with_a_secret_in_it_is_marked() {
    let renderer = renderer(Place::Component).with_dot(Dot::Map(data()));
    let marked = |template| renderer.render(template).unwrap().sensitive;
    assert!(marked("{{ user `secret` }}"));
    assert!(marked("{{ .Token }}"));
    assert!(marked("{{ . }}"));
    assert!(!marked("{{ user `name` }}{{ .HTTPIP }}"));
    let failure = renderer.render("{{ split `a` (user `secret`) 3 }}").unwrap_err().to_string();
    assert!(!failure.contains("hunter2"), "{failure}");
}

#[test]
fn a_tree_is_rendered_once_but_for_exempt_options() {
    let renderer = renderer(Place::Component);
    let config = Value::object([
        ("boot_command".to_owned(), Value::tuple(vec!["{{ .HTTPIP }}".into()])),
        ("names".to_owned(), Value::tuple(vec!["{{build_name}}".into(), 5.into()])),
        ("tags".to_owned(), Value::object([("{{build_type}}".to_owned(), "{{user `secret`}}".into())])),
    ]);
    let rendered = renderer.render_tree(&config, &|name| name == "boot_command").unwrap();
    let shown = format!("{rendered:?}");
    assert_eq!(
        shown,
        r#"{"boot_command": ["{{ .HTTPIP }}"], "names": ["one", 5], "tags": {"qemu": (sensitive)}}"#
    );
    let broken = Value::object([
        ("a".to_owned(), Value::tuple(vec!["{{ nope }}".into()])),
        ("b".to_owned(), Value::from("{{ password1 }}").marked(true)),
    ]);
    let errors = renderer.render_tree(&broken, &|_| false).unwrap_err();
    assert_eq!(errors.len(), 2);
    assert!(errors[0].to_string().starts_with("option a[0]: function \"nope\" not defined"));
    assert_eq!(errors[1].source.text, None);
}

#[test]
fn runaway_templates_end() {
    let renderer = renderer(Place::Component);
    for template in ["{{ range 100000000 }}x{{ end }}", "{{ range 900000 }}{{ printf `%900d` 1 }}{{ end }}"] {
        assert!(renderer.render(template).is_err(), "{template}");
    }
}

#[test]
fn a_template_that_could_go_on_for_ever_is_refused() {
    let recursion = "{{define `x`}}{{if lt (len .) 40}}{{template `x` (print . `a`)}}{{template `x` (print . `a`)}}{{end}}{{end}}\
                     {{template `x` ``}}";
    let doubling = "{{$x := `0123456789`}}".to_owned() + &"{{$x = print $x $x}}".repeat(40);
    let widths = format!("{{{{printf `{}` 1}}}}", "%[1]99999d".repeat(2000));
    let growth = "{{$x := `0123456789`}}".to_owned() + &"{{$x = replace_all `` $x $x}}".repeat(40);
    let cases = [
        (recursion, "the template \"x\" invokes itself"),
        (&doubling, "print: the arguments are longer than 4 MiB"),
        (&widths, "printf: the result would be longer than 64 MiB"),
        (&growth, "longer than"),
    ];
    for (text, expected) in cases {
        let renderer = Renderer::new(Arc::new(facts()), Arc::new(Answers), Place::Component);
        let told = renderer.render(text).unwrap_err().to_string();
        assert!(told.contains(expected), "{told}");
    }
}
