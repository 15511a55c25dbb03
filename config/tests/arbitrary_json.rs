//! Whatever JSON comes, `fix` and `hcl2_upgrade` end without a panic: what is fixed is fixed for good, and what is
//! upgraded is HCL2.

use kiln_config::fix::fix;
use kiln_config::upgrade::{Options, upgrade};
use kiln_lang::SourceFile;
use kiln_lang::format_source::canonical;
use proptest::prelude::*;
use serde_json::{Value, json};

const WORDS: &[&str] = &[
    "a",
    "b c",
    "1",
    "true",
    "é",
    "\n",
    "\"",
    "\\",
    "`",
    "$",
    "$$",
    "${",
    "}",
    "%{",
    "{{",
    "}}",
    "{{user `v`}}",
    "{{ user \"w\" | upper }}",
    "{{env `HOME`}}",
    "{{ .Vars }}",
    "{{.BuildName}}",
    "{{if true}}",
    "{{end}}",
    "{{- build_name -}}",
    "{{timestamp}}",
    "{{split `a-b` `-` 1}}",
    "{{/* c */}}",
    "{{$x := 1}}",
    "{{template_dir}}",
    "{{build `ID`}}",
    "{{.CreateTime}}",
    "clean_ami_name",
    "10s",
];

const KEYS: &[&str] = &[
    "type",
    "name",
    "only",
    "except",
    "override",
    "pause_before",
    "max_retries",
    "iso_md5",
    "iso_checksum",
    "iso_checksum_type",
    "iso_checksum_url",
    "disk_size",
    "ssh_key_path",
    "network",
    "network_adapters",
    "storage",
    "source_ami_filter",
    "tag",
    "tags",
    "environment_vars",
    "remote_type",
    "a b",
    "x",
    "{{user `v`}}",
    "for",
];

const TYPES: &[&str] =
    &["qemu", "virtualbox", "vmware", "vsphere-iso", "amazon-ebs", "docker-tag", "powershell", "x"];

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(WORDS), 0..5).prop_map(|words| words.concat())
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        text().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(|n| json!(n)),
        Just(Value::Null),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(KEYS), inner, 0..4)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

fn component() -> impl Strategy<Value = Value> {
    let options = prop::collection::btree_map(prop::sample::select(KEYS), value(), 0..6);
    (prop::sample::select(TYPES), options).prop_map(|(kind, options)| {
        let mut component: serde_json::Map<_, _> =
            options.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        component.insert("type".to_owned(), kind.into());
        if component.get("name").is_some_and(|name| !name.is_string()) {
            component.remove("name");
        }
        // What the core reads strictly has to fit for a template to be one.
        for strict in ["only", "except", "override", "pause_before", "max_retries"] {
            component.remove(strict);
        }
        component.into()
    })
}

fn template() -> impl Strategy<Value = Value> {
    let components = || prop::collection::vec(component(), 0..3);
    let variables = prop::collection::btree_map(
        prop::sample::select(&["v", "w", "x y"][..]),
        prop::option::of(text()),
        0..3,
    );
    (variables, components(), components(), components(), text()).prop_map(
        |(variables, b, p, pp, description)| {
            let mut builders: Vec<Value> = b;
            let mut names = std::collections::BTreeSet::new();
            builders.retain(|builder| {
                let name = builder["name"].as_str().filter(|name| !name.is_empty());
                names.insert(name.unwrap_or_else(|| builder["type"].as_str().unwrap_or_default()).to_owned())
            });
            let variables: serde_json::Map<_, _> =
                variables.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
            json!({
                "description": description, "variables": variables, "builders": builders, "provisioners": p,
                "post-processors": pp, "sensitive-variables": ["v"],
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_fixed_stays_fixed(template in template()) {
        let once = fix(&SourceFile::new("t.json", template.to_string())).unwrap();
        let twice = fix(&SourceFile::new("t.json", once.text.as_str())).unwrap();
        prop_assert_eq!(&twice.text, &once.text);
    }

    #[test]
    fn what_is_upgraded_is_hcl2(template in template()) {
        let result = upgrade(&SourceFile::new("t.json", template.to_string()), Options::default());
        let shown = |found: &kiln_lang::Diagnostics| found.iter().map(|d| d.detail.clone()).collect::<Vec<_>>();
        prop_assert!(result.is_ok(), "{}\n{:?}", template, result.as_ref().err().map(shown));
        // And `fmt` leaves it as it is.
        let text = result.unwrap().text;
        prop_assert_eq!(canonical(&text), text);
    }

    #[test]
    fn any_json_is_read_to_an_end(value in value()) {
        let file = SourceFile::new("t.json", value.to_string());
        let _ = fix(&file);
        let _ = upgrade(&file, Options::default());
    }

    #[test]
    fn any_text_is_read_to_an_end(text in prop::collection::vec(prop::sample::select(&["{", "}", "[", "]", ",", ":", "\"", "'", "a", "//", "/*", "*/", "1", "null", "\n", "\\u00", "builders", " "][..]), 0..30)) {
        let file = SourceFile::new("t.json", text.concat());
        let _ = fix(&file);
        let _ = upgrade(&file, Options::default());
    }
}
