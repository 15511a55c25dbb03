//! Secrets of stores: asked for with the arguments of the call, marked, hidden, and never asked for by who only looks.

use std::sync::Arc;

use super::{World, outcome, plans, request};
use crate::{Answers, Console, Inputs, Inspection, Opened, Request, SharedHost, inspect, parse};

fn store() -> World {
    World::default()
        .secret("vault(\"secret/data/app\", \"password\")", "hunter2")
        .secret("consul_key(\"app/name\")", "consul-name")
        .secret("aws_secretsmanager(\"one\", null)", "single")
        .secret("aws_secretsmanager(\"two\", \"b\")", "second")
        .secret(
            "aws_secretsmanager_raw(\"two\")",
            r#"{"a": "first", "b": ["second", {"c": "third"}], "n": 5}"#,
        )
}

fn hcl(body: &str) -> (World, Request) {
    (store().file("t.pkr.hcl", body), request("t.pkr.hcl"))
}

fn json(variables: &str, x: &str) -> (World, Request) {
    let text = format!(r#"{{"variables": {{{variables}}}, "builders": [{{"type": "null", "x": "{x}"}}]}}"#);
    (store().file("t.json", &text), request("t.json"))
}

fn secrets(world: World, request: &Request) -> Vec<String> {
    let plans = plans(world, request);
    plans[0].secrets.iter().map(|s| s.reveal().clone()).collect()
}

#[test]
fn results_are_sensitive_wherever_the_call_stands() {
    let calls = [
        ("vault(\"secret/data/app\", \"password\")", "hunter2"),
        ("consul_key(\"app/name\")", "consul-name"),
        ("aws_secretsmanager(\"one\", null)", "single"),
        ("aws_secretsmanager(\"one\", \"\")", "single"),
        ("aws_secretsmanager(\"two\", \"b\")", "second"),
    ];
    for (call, secret) in calls {
        for (locals, x) in [("", call), (call, "local.l"), ("", &format!("\"pre-${{{call}}}\""))] {
            let locals =
                if locals.is_empty() { String::new() } else { format!("locals {{ l = {locals} }}\n") };
            let body =
                format!("{locals}source \"null\" \"a\" {{ x = {x} }}\nbuild {{ sources = [\"null.a\"] }}\n");
            let (world, request) = hcl(&body);
            assert_eq!(outcome(world.clone(), &request), "null.a (a): null {x=(sensitive)}\n", "{body}");
            assert_eq!(secrets(world, &request), [secret], "{body}");
        }
    }
}

#[test]
fn what_is_taken_out_of_a_raw_secret_is_a_secret_too() {
    let body = "source \"null\" \"a\" { x = jsondecode(aws_secretsmanager_raw(\"two\")).a }\n\
                build { sources = [\"null.a\"] }\n";
    let (world, request) = hcl(body);
    let all = secrets(world.clone(), &request);
    assert_eq!(all.iter().filter(|s| !s.starts_with('{')).collect::<Vec<_>>(), ["first", "second", "third"]);
    assert_eq!(outcome(world, &request), "null.a (a): null {x=(sensitive)}\n");
}

#[test]
fn a_plan_holds_only_the_secrets_that_it_asked_for() {
    let body = "source \"null\" \"a\" { x = consul_key(\"app/name\") }\n\
                source \"null\" \"b\" { x = aws_secretsmanager(\"one\", null) }\n\
                build { sources = [\"null.a\", \"null.b\"] }\n";
    let (world, request) = hcl(body);
    let plans = plans(world, &request);
    let all = plans.iter().map(|p| p.secrets.iter().map(|s| s.reveal().as_str()).collect::<Vec<_>>());
    assert_eq!(all.collect::<Vec<_>>(), [["consul-name"], ["single"]]);
}

#[test]
fn a_missing_secret_is_told_at_its_call() {
    let body = "locals { l = vault(\"secret/data/none\", \"k\") }\n\
                source \"null\" \"a\" {}\nbuild { sources = [\"null.a\"] }\n";
    let (world, request) = hcl(body);
    let said = outcome(world, &request);
    assert!(said.contains("t.pkr.hcl:1: Error in function call"), "{said}");
    assert!(said.contains("the store has no vault(\"secret/data/none\", \"k\")"), "{said}");
    let sensitive = "variable \"p\" {\n default = \"hidden/path\"\n sensitive = true\n}\n\
                     locals { l = vault(var.p, \"k\") }\n\
                     source \"null\" \"a\" {}\nbuild { sources = [\"null.a\"] }\n";
    let (world, request) = hcl(sensitive);
    let said = outcome(world, &request);
    assert!(said.contains("the reason is withheld") && !said.contains("hidden/path"), "{said}");
}

#[test]
fn variables_of_json_templates_that_hold_a_secret_are_sensitive() {
    let table = [
        (r#""v": "{{vault `secret/data/app` `password`}}""#, &["hunter2"][..]),
        (r#""v": "{{consul_key \"app/name\"}}""#, &["consul-name"]),
        (r#""v": "{{aws_secretsmanager `one`}}""#, &["single"]),
        (r#""v": "x-{{aws_secretsmanager `two` `b`}}""#, &["second", "x-second"]),
        (
            r#""v": "{{user `w` | upper}}", "w": "{{vault `secret/data/app` `password`}}""#,
            &["HUNTER2", "hunter2"],
        ),
        (r#""v": "{{env `NONE`}}plain""#, &[]),
    ];
    for (variables, expected) in table {
        let (world, request) = json(variables, "{{user `v`}}");
        assert_eq!(secrets(world, &request), expected, "{variables}");
    }
    // One that a user gives with -var may ask too.
    let (world, mut request) = json(r#""v": """#, "{{user `v`}}");
    request.variables = vec![crate::VariableArgument {
        name: "v".to_owned(),
        text: kiln_plan::Sensitive::new("{{aws_secretsmanager_raw `two`}}".to_owned()),
    }];
    assert!(secrets(world, &request).contains(&"third".to_owned()));
}

#[test]
fn a_json_template_tells_which_variable_has_no_answer() {
    let table = [
        (r#""v": "{{vault `a` `b`}}""#, "user variable 'v': vault: the store has no vault(\"a\", \"b\")"),
        (r#""v": "{{consul_key `c`}}""#, "user variable 'v': consul_key: the store has no"),
        (r#""v": "{{aws_secretsmanager `a` `b` `c`}}""#, "takes the secret's name and at most one key"),
        (r#""v": "{{aws_secretsmanager}}""#, "argument 1 is missing"),
    ];
    for (variables, expected) in table {
        let (world, request) = json(variables, "");
        let said = outcome(world, &request);
        assert!(said.contains(expected), "{variables}: {said}");
    }
}

#[test]
fn who_only_looks_at_a_template_asks_nobody() {
    let body =
        "locals { l = vault(\"a\", \"b\") }\nsource \"null\" \"a\" {}\nbuild { sources = [\"null.a\"] }\n";
    let host: SharedHost = Arc::new(World::default().file("t.pkr.hcl", body));
    let request = request("t.pkr.hcl");
    let (template, ..) = parse(&request, &host);
    let answers = Answers::none();
    let inputs = Inputs { request: &request, catalog: None, answers: &answers, host: &host };
    let Inspection::Done(crate::Overview::Hcl2(shown)) = inspect(&template.unwrap(), inputs) else {
        panic!("there is nothing to ask")
    };
    assert_eq!(shown.locals, [], "what isn't asked for isn't shown");
}

#[test]
fn a_console_hides_what_it_has_asked_for() {
    let (world, request) = hcl("locals { l = \"pre-${consul_key(\"app/name\")}\" }\n");
    let world =
        world.file("t.json", r#"{"variables": {"v": "pre-{{consul_key `app/name`}}"}, "builders": []}"#);
    let host: SharedHost = Arc::new(world);
    let cases = [
        ("t.pkr.hcl", "local.l", "<sensitive>"),
        ("t.pkr.hcl", "vault(\"secret/data/app\", \"password\")", "<sensitive>"),
        ("t.json", "{{user `v`}} consul-name", "<sensitive> <sensitive>"),
    ];
    for (path, line, expected) in cases {
        let request = Request { path: path.to_owned(), ..request.clone() };
        let (template, ..) = parse(&request, &host);
        let answers = Answers::none();
        let inputs = Inputs { request: &request, catalog: None, answers: &answers, host: &host };
        let Opened::Ready(console) = Console::open(&template.unwrap(), inputs) else { panic!("{path}") };
        let shown = format!("{:?}", console.answer(line));
        assert!(shown.contains(expected) && !shown.contains("consul-name"), "{line}: {shown}");
        assert!(!shown.contains("hunter2"), "{line}: {shown}");
    }
}
