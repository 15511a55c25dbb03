//! No template can hang its reader or eat its memory: whatever grows beyond all measure ends in a clear error with file
//! and line.

use std::fmt::Write as _;

use super::{World, hcl, json, outcome, request};

/// Locals that hold 16 KiB, 16 MiB and 1.6 MiB of text.
const BIG: &str = r#"  k = join("", [for i in range(1024) : "0123456789abcdef"])
  b = join("", [for i in range(1024) : local.k])
  m = join("", [for i in range(100) : local.k])"#;

/// Locals that each hold the one before twice.
fn laughs(first: &str, next: &str, count: usize) -> String {
    let mut text = format!("locals {{\n  l0 = {first}\n");
    for i in 1..count {
        let line = next.replace('@', &format!("local.l{}", i - 1));
        writeln!(text, "  l{i} = {line}").expect("a text takes all");
    }
    text + "}\n"
}

fn local(expression: &str) -> String {
    format!("locals {{\n  a = {expression}\n}}\n")
}

#[test]
fn expressions_that_grow_beyond_measure_are_refused_in_their_line() {
    let with_big = |expression: &str| format!("locals {{\n{BIG}\n  a = {expression}\n}}\n");
    let nested = "[for i in range(1000) : [for j in range(1000) : [for k in range(1000) : k]]]";
    let pattern = r#"[for i in range(1000) : regex("((((a{99}){99}){9}){9})${i}", "x")]"#;
    let cases: Vec<(&str, String, &str)> = vec![
        ("nested for", local(nested), "t.pkr.hcl:2: Expression too large"),
        ("locals that laugh in lists", laughs("[1]", "concat(@, @)", 60), "Expression too large"),
        ("locals that laugh in texts", laughs("\"lol\"", "\"${@}${@}\"", 60), "Expression too large"),
        ("locals that laugh in objects", laughs("{}", "{ a = @, b = @ }", 60), "Expression too large"),
        ("locals nested in each other", laughs("[]", "[@]", 2000), "t.pkr.hcl:514: Nesting too deep"),
        ("a cycle", "locals {\n  a = local.b\n  b = local.a\n}\n".into(), "Cycle: local.a, local.b"),
        ("a gigabyte by replace", with_big(r#"replace(local.b, "f", local.b)"#), "larger than 64 MiB"),
        ("a gigabyte by join", with_big("join(local.b, range(100))"), "larger than 64 MiB"),
        (
            "a gigabyte by template",
            with_big(r#""${local.b}${local.b}${local.b}${local.b}${local.b}""#),
            "more text",
        ),
        ("a gigabyte by width", local(r#"format("%1000000000d", 1)"#), "t.pkr.hcl:2"),
        ("a gigabyte by precision", local(r#"format("%.1000000000f", 1)"#), "t.pkr.hcl:2"),
        ("a gigabyte by indentation", local(r#"indent(1000000000, "a\nb")"#), "larger than 64 MiB"),
        (
            "a gigabyte by groups",
            with_big(r#"regex_replace(local.k, "(.*)", join("", [for i in range(1024) : "$1$1$1$1$1"]))"#),
            "larger than 64 MiB",
        ),
        ("a gigabyte by bytes", with_big(r#"length(split("", "${local.b}"))"#), "values"),
        ("a gigabyte by matches", with_big(r#"regexall(".", local.m)"#), "too many"),
        ("long keys", with_big("[for i in range(100) : { (local.b) = i }]"), "more text"),
        ("range", local("range(0, 1000000000)"), "more than 1024 values"),
        ("setproduct", local("setproduct(range(1000), range(1000), range(1000))"), "which is too many"),
        ("huge exponent", local("1e1000000 + 1"), "t.pkr.hcl:2"),
        ("huge number by text", local("convert(\"1e1000000\", number)"), "number is required"),
        ("power", local("pow(10, 100000)"), "t.pkr.hcl:2"),
        (
            "numbers of many digits",
            local("[for i in range(1000) : [for j in range(1000) : ceil(convert(\"1e9999\", number))]]"),
            "Expression too large",
        ),
        ("subnets", local("cidrsubnets(\"10.0.0.0/8\", [for i in range(1000) : 20]...)"), ""),
        ("a costly pattern many times", local(pattern), "t.pkr.hcl:2"),
        ("a pattern of many parts", local(r#"regex("((((a{999}){999}){999}){999})", "x")"#), "t.pkr.hcl:2"),
        ("yaml laughs", local(&yaml_laughs()), "more than 1048576 values"),
        ("JSON depth", local(&format!("jsondecode({:?})", "[".repeat(100_000))), "deeper than 256 levels"),
        ("YAML depth", local(&format!("yamldecode({:?})", "[".repeat(100_000))), "t.pkr.hcl:2"),
        (
            "the same error in a loop",
            local("[for i in range(1000) : [for j in range(1000) : local.a0]]"),
            "local.a0",
        ),
        (
            "text compared again and again",
            with_big("[for i in range(1000) : [for j in range(1000) : local.b == \"${local.b}\"]]"),
            "Expression too large",
        ),
    ];
    for (name, text, expected) in cases {
        let shown = hcl(&(text + "source \"null\" \"a\" {}\nbuild { sources = [\"null.a\"] }\n"));
        assert!(shown.contains(expected), "{name}: {}", &shown[..shown.len().min(400)]);
        assert!(shown.len() < 100_000, "{name}: too many words");
    }
}

fn yaml_laughs() -> String {
    let mut text = "a0: &a0 [1, 2, 3, 4]\\n".to_owned();
    for i in 1..30 {
        write!(text, "a{i}: &a{i} [*a{0}, *a{0}, *a{0}]\\n", i - 1).expect("a text takes all");
    }
    format!("yamldecode(\"{text}\")")
}

#[test]
fn nesting_is_bounded_in_every_notation() {
    let deep = |open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(5_000), close.repeat(5_000))
    };
    let cases = [
        local(&deep("[", "1", "]")),
        local(&deep("(", "1", ")")),
        local(&deep("{ a = ", "1", "}")),
        local(&deep("\"${", "1", "}\"")),
        local(&deep("[for x in [1] : ", "x", "]")),
        local(&deep("upper(", "\"a\"", ")")),
        local(&deep("!", "true", "")),
        local(&deep("-", "1", "")),
        local(&deep("true ? 1 : ", "1", "")),
        local(&deep("1 + ", "1", "")),
        deep("a {\n", "", "}\n"),
        format!("variable \"x\" {{\n  type = {}\n}}\n", deep("list(", "string", ")")),
        local(&deep("[", "", "")),
        local(&deep("\"${", "", "")),
    ];
    for text in cases {
        let shown = hcl(&text);
        assert!(shown.contains("Error: t.pkr.hcl:"), "{}: {}", &text[..40], &shown[..shown.len().min(400)]);
    }
    let world = World::default().file("t.pkr.json", &deep("{\"a\":", "1", "}"));
    assert!(outcome(world, &request("t.pkr.json")).contains("Error: t.pkr.json:"));
    assert!(json(&deep("[", "", "]")).contains("Error: t.json:"));
    assert!(json(&deep("{\"a\":", "1", "}")).contains("Error: t.json:"));
}

#[test]
fn dynamic_blocks_are_bounded_by_the_work_of_the_template() {
    let mut text = "build { sources = [\"null.a\"] }\nsource \"null\" \"a\" {\n".to_owned();
    for level in 0..4 {
        let open =
            format!("dynamic \"b{level}\" {{\nfor_each = range(1000)\ncontent {{\nx = b{level}.value\n");
        text.push_str(&open);
    }
    text.push_str(&"}\n".repeat(9));
    let shown = hcl(&text);
    assert!(
        shown.contains("Error: t.pkr.hcl:") && shown.contains("Too many blocks"),
        "{}",
        &shown[..shown.len().min(400)]
    );
}

#[test]
fn a_config_of_much_text_is_refused() {
    let text = format!(
        "locals {{\n{BIG}\n}}\nsource \"null\" \"a\" {{\n  x = [local.b, local.b]\n}}\nbuild {{ sources = [\"null.a\"] }}\n"
    );
    assert!(hcl(&text).contains("Error: t.pkr.hcl:7: Configuration too large: The config holds 32 MiB"));
}

#[test]
fn a_template_file_draws_on_the_same_allowance() {
    let template = "locals {\n  a = [for i in range(1000) : templatefile(\"f\", {})]\n}\nsource \"null\" \"a\" {}\nbuild { sources = [\"null.a\"] }\n";
    let loops = "%{ for i in range(1000) }%{ for j in range(1000) }${j}%{ endfor }%{ endfor }";
    let world = World::default().file("t.pkr.hcl", template).file("f", loops);
    let shown = outcome(world, &request("t.pkr.hcl"));
    assert!(shown.contains("Error: t.pkr.hcl:2") && shown.contains("more steps"), "{shown}");
}

#[test]
fn legacy_templates_that_grow_beyond_measure_are_refused() {
    let mut variables = "\"v0\": \"0123456789abcdef\"".to_owned();
    for i in 1..40 {
        write!(
            variables,
            ", \"v{i:02}\": \"{{{{user `v{0}`}}}}{{{{user `v{0}`}}}}\"",
            if i == 1 { "0".into() } else { format!("{:02}", i - 1) }
        )
        .expect("a text takes all");
    }
    let with = |variables: &str| {
        format!("{{\"variables\": {{{variables}}}, \"builders\": [{{\"type\": \"null\"}}]}}")
    };
    let shown = json(&with(&variables));
    assert!(
        shown.contains("all variables together are larger than 16 MiB"),
        "{}",
        &shown[..shown.len().min(400)]
    );
    let recursive = [
        ("{{define `x`}}{{template `x`}}{{end}}{{template `x`}}", "invokes itself"),
        ("{{printf `%999999999d%999999999d` 1 2}}", ""),
    ];
    for (text, expected) in recursive {
        let shown = json(&with(&format!("\"v\": \"{text}\"")));
        assert!(shown.contains(expected) && shown.len() < 400_000, "{}", &shown[..shown.len().min(400)]);
    }
    let definitions: String = (1..60)
        .map(|i| {
            format!("{{{{define `d{i}`}}}}{{{{template `d{0}`}}}}{{{{template `d{0}`}}}}{{{{end}}}}", i - 1)
        })
        .collect();
    let shown = json(&with(&format!(
        "\"v\": \"{{{{define `d0`}}}}x{{{{end}}}}{definitions}{{{{template `d59`}}}}\""
    )));
    assert!(shown.contains("its definitions stand for more"), "{}", &shown[..shown.len().min(400)]);
    let doubling = "{{$x := `0123456789`}}".to_owned() + &"{{$x = print $x $x}}".repeat(40);
    let shown = json(&with(&format!("\"v\": \"{doubling}\"")));
    assert!(shown.contains("the arguments are longer than 4 MiB"), "{}", &shown[..shown.len().min(400)]);
}
