use std::collections::BTreeMap;

use super::*;
use crate::duration::SignedDuration;
use crate::types::Type;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Config {
    memory: u32,
    accelerator: String,
    headless: bool,
    ratio: f64,
    iso_urls: Vec<String>,
    qemuargs: Vec<Vec<String>>,
    ports: Vec<u16>,
    tags: BTreeMap<String, String>,
    boot_wait: SignedDuration,
    pty: Trilean,
    limit: Option<i64>,
    adapter: Adapter,
    network_adapters: Vec<Adapter>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Adapter {
    model: String,
    queues: u8,
}

fn object<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::object(entries.map(|(k, v)| (k.to_owned(), v)))
}

fn list<const N: usize>(items: [Value; N]) -> Value {
    Value::tuple(items.to_vec())
}

fn text(s: &str) -> Value {
    Value::from(s)
}

#[test]
fn values_convert_weakly() {
    let config: Config = decode(&object([
        ("memory", text("0x400")),
        ("Accelerator", Value::from(12)),
        ("headless", text("t")),
        ("ratio", text("1.5")),
        ("iso_urls", text("a,b")),
        ("qemuargs", list([list([text("-m"), Value::from(5)]), text("-x")])),
        ("ports", Value::from(22)),
        ("tags", list([object([("a", Value::from(true))]), object([("b", Value::null())])])),
        ("boot_wait", text("1m")),
        ("pty", text("false")),
        ("limit", text("-7")),
        ("adapter", list([object([("model", text("virtio"))])])),
        ("network_adapters", object([("queues", text("4"))])),
        ("unheard_of", text("x")),
    ]))
    .unwrap();
    let strings = |s: &[&str]| s.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let wanted = Config {
        memory: 1024,
        accelerator: "12".into(),
        headless: true,
        ratio: 1.5,
        iso_urls: strings(&["a", "b"]),
        qemuargs: vec![strings(&["-m", "5"]), strings(&["-x"])],
        ports: vec![22],
        tags: BTreeMap::from([("a".into(), "true".into()), ("b".into(), String::new())]),
        boot_wait: SignedDuration::from_secs(60),
        pty: Trilean::False,
        limit: Some(-7),
        adapter: Adapter { model: "virtio".into(), queues: 0 },
        network_adapters: vec![Adapter { model: String::new(), queues: 4 }],
    };
    assert_eq!(config, wanted);
}

#[test]
fn absent_null_and_unknown_leave_defaults() {
    let unknown = || Value::unknown(Type::Any);
    let config: Config = decode(&object([
        ("memory", Value::null()),
        ("accelerator", unknown()),
        ("ports", unknown()),
        ("boot_wait", unknown()),
        ("pty", unknown()),
        ("adapter", unknown()),
        ("headless", text("")),
    ]))
    .unwrap();
    assert_eq!(config, Config { accelerator: "<unknown>".into(), ..Config::default() });
    let nanoseconds: Config = decode(&object([("boot_wait", Value::from(5))])).unwrap();
    assert_eq!(nanoseconds.boot_wait, SignedDuration { nanoseconds: 5 });
}

#[test]
fn every_wrong_option_is_named_and_no_secret_is_shown() {
    let error = decode::<Config>(&object([
        ("memory", Value::from(-1)),
        ("headless", text("yes")),
        ("accelerator", list([])),
        ("boot_wait", text("5")),
        ("pty", text("hunter2").marked(true)),
        ("limit", text("hunter2").marked(true)),
        ("network_adapters", list([object([("queues", text("many")), ("model", object([]))]), text("x")])),
        ("adapter", list([object([]), object([])])),
    ]))
    .unwrap_err();
    let shown = error.to_string();
    let wanted = [
        "accelerator: a string is required, but found a list",
        "adapter: a single block is required, but found a list",
        "boot_wait: the duration \"5\" lacks a unit; write for example \"5s\"",
        "headless: true or false is required, but found the string \"yes\"",
        "limit: a whole number is required, but found the string (sensitive)",
        "memory: a whole number between 0 and 4294967295 is required, but found the number -1",
        "network_adapters[0].model: a string is required, but found an object",
        "network_adapters[0].queues: a whole number is required, but found the string \"many\"",
        "network_adapters[1]: an object is required, but found the string \"x\"",
        "pty: another value is required, but found the string (sensitive)",
    ];
    assert_eq!(shown.lines().collect::<Vec<_>>(), wanted);
}

#[test]
fn a_required_field_is_told_once() {
    #[derive(Debug, Deserialize)]
    struct Strict {
        #[expect(dead_code, reason = "only decoding matters here")]
        source: u8,
        #[expect(dead_code, reason = "only decoding matters here")]
        destination: String,
    }
    let shown = |value| decode::<Strict>(&value).unwrap_err().to_string();
    assert_eq!(
        shown(object([("source", text("x"))])),
        "source: a whole number is required, but found the string \"x\""
    );
    assert_eq!(shown(object([("source", text("1"))])), "\"destination\" must be specified");
    assert_eq!(shown(text("x")), "an object is required, but found the string \"x\"");
}

#[test]
fn names_of_fields_are_known_without_a_value() {
    assert_eq!(field_names::<Adapter>(), ["model", "queues"]);
    assert!(field_names::<String>().is_empty());
}

#[test]
fn numbers_are_read_as_go_does() {
    let cases = [
        ("", Some(0)),
        ("12", Some(12)),
        ("-0x1F", Some(-31)),
        ("010", Some(8)),
        ("1_000", Some(1000)),
        ("1.0", None),
        ("--1", None),
        (" 1", None),
        ("0x", None),
    ];
    for (text, number) in cases {
        assert_eq!(number::parse_int(text), number, "{text}");
    }
}

#[test]
fn trileans_travel_as_bool_or_null() {
    for (trilean, wire) in [(Trilean::Unset, "null"), (Trilean::True, "true"), (Trilean::False, "false")] {
        assert_eq!(serde_json::to_string(&trilean).unwrap(), wire);
        assert_eq!(serde_json::from_str::<Trilean>(wire).unwrap(), trilean);
    }
}
