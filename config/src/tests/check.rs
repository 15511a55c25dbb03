//! Plans against a catalog.

use kiln_plan::schema::{OptionType, Rule};
use kiln_plan::{Catalog, ComponentKind, ComponentSchema, OptionSchema};

use super::{World, outcome_with, request};
use crate::Answers;

fn catalog() -> Catalog {
    let option = |name, ty| OptionSchema::new(name, ty, "");
    let network = || vec![option("model", OptionType::String).required(), option("mtu", OptionType::Integer)];
    let builder = vec![
        OptionSchema::new("iso_url", OptionType::String, "the image to boot").required(),
        option("memory", OptionType::Integer),
        option("headless", OptionType::Bool),
        option("ipv6", OptionType::Trilean),
        option("boot_wait", OptionType::Duration),
        option("boot_command", OptionType::Strings).late(),
        option("ports", OptionType::Integers),
        option("qemuargs", OptionType::StringLists),
        option("labels", OptionType::StringMap),
        option("format", OptionType::String).values(&["qcow2", "raw"]),
        option("old_size", OptionType::String).deprecated("memory"),
        option("vga", OptionType::Block(network())),
        option("network", OptionType::Blocks(network())),
        option("anything", OptionType::Any),
    ];
    let shell = vec![option("inline", OptionType::Strings), option("script", OptionType::String)];
    let schema = |kind, name: &'static str, options, rules| ComponentSchema {
        kind,
        name: name.into(),
        options,
        generated: vec!["VMName".into()],
        answer: None,
        rules,
    };
    Catalog {
        components: vec![
            schema(
                ComponentKind::Builder,
                "qemu",
                builder,
                vec![Rule::at_most_one(&["ports", "memory", "anything"])],
            ),
            schema(
                ComponentKind::Provisioner,
                "shell",
                shell,
                vec![Rule::at_least_one(&["inline", "script"])],
            ),
            schema(ComponentKind::PostProcessor, "manifest", vec![], vec![]),
        ],
    }
}

fn check(path: &str, text: &str) -> String {
    let world = World::default().file(path, text);
    outcome_with(world, &request(path), Some(&catalog()), &Answers::placeholders())
}

/// The complaints about a source's body.
fn source(inside: &str) -> String {
    let text = format!(
        "data \"null\" \"d\" {{}}\nsource \"qemu\" \"a\" {{\n iso_url = \"u\"\n{inside}\n}}\nbuild {{ sources = [\"qemu.a\"] }}\n"
    );
    let text = text.replace("data \"null\" \"d\" {}\n", "\n");
    let shown = check("t.pkr.hcl", &text);
    shown.lines().filter(|l| !l.starts_with("qemu.a")).collect::<Vec<_>>().join("\n")
}

#[test]
fn good_values_pass() {
    let good = [
        "memory = 512",
        "memory = \"512\"",
        "headless = \"true\"",
        "ipv6 = null",
        "boot_wait = \"-1s\"",
        "boot_wait = \"{{ user `x` }}\"",
        "boot_command = [\"<enter>\", 5]",
        "ports = [1, \"2\"]",
        "qemuargs = [[\"-m\", 512], [\"-smp\"]]",
        "labels = { a = 1, b = true }",
        "format = \"raw\"",
        "format = packer.iterationID",
        "vga { model = \"std\" }",
        "network { model = \"e1000\" }\nnetwork { model = \"virtio\" }",
        "anything = { x = [1, {}] }",
        "packer_debug = true",
    ];
    for inside in good {
        assert_eq!(source(inside), "", "{inside}");
    }
}

#[test]
fn bad_values_are_told_with_place_and_block() {
    let bad = [
        (
            "memroy = 1",
            "Error: t.pkr.hcl:4: Unsupported argument: An argument named \"memroy\" is not expected here. (in source \"qemu\" \"a\") [did you mean \"memory\"?]",
        ),
        (
            "memory = \"much\"",
            "Error: t.pkr.hcl:4: Incorrect attribute value type: Inappropriate value for attribute \"memory\": a number is required. (in source \"qemu\" \"a\")",
        ),
        ("memory = 1.5", "a whole number is required"),
        ("headless = \"yes\"", "a bool is required"),
        ("boot_wait = \"5\"", "lacks a unit"),
        ("boot_command = \"<enter>\"", "list of string is required"),
        ("iso_url = [\"u\"]", "Attribute redefined"),
        ("ports = [\"a\"]", "element 0: a number is required"),
        ("format = \"qcow\"", "\"qcow\" is not one of qcow2, raw; did you mean \"qcow2\"?"),
        (
            "old_size = \"1\"",
            "Warning: t.pkr.hcl:4: Deprecated option: The option \"old_size\" is out of date; write memory in its place.",
        ),
        ("iso_checksum_type = \"md5\"", "[write the type before the sum: iso_checksum = \"sha256:…\"]"),
        ("network {}", "The argument \"model\" is required"),
        ("network {\n model = \"m\"\n mtu = \"x\"\n}", "Inappropriate value for attribute \"mtu\""),
        ("network {\n model = \"m\"\n mt = 1\n}", "An argument named \"mt\""),
        ("vga { model = \"a\" }\nvga { model = \"b\" }", "Only one \"vga\" block is allowed"),
        ("vga = { model = \"a\" }", "Did you mean to define a block of type \"vga\"?"),
        ("labels { a = 1 }", "Did you mean to define argument \"labels\"?"),
        ("nonsense {}", "Unsupported block type"),
    ];
    for (inside, expected) in bad {
        let shown = source(inside);
        assert!(shown.contains(expected), "{inside}: {shown}");
    }
}

#[test]
fn a_bad_build_does_not_stop_the_good_ones() {
    let text = "source \"qemu\" \"bad\" {}\nsource \"qemu\" \"good\" { iso_url = \"u\" }\n\
                build { sources = [\"qemu.bad\", \"qemu.good\"] }\n";
    assert_eq!(
        check("t.pkr.hcl", text),
        "qemu.good (good): qemu {iso_url=\"u\"}\nError: t.pkr.hcl:1: Missing required argument: The argument \
         \"iso_url\" is required, but no definition was found. (in source \"qemu\" \"bad\") [iso_url: the image to boot]\n"
    );
}

#[test]
fn component_types_that_nobody_offers_stop_everything() {
    let cases = [
        (
            "source \"qmeu\" \"a\" {}\nbuild { sources = [\"qmeu.a\"] }",
            "t.pkr.hcl:2: Unknown source type qmeu: Nobody here offers the builder \"qmeu\". Did you mean to use \"qemu\"?",
        ),
        (
            "source \"amazon-ebs\" \"a\" {}\nbuild { sources = [\"amazon-ebs.a\"] }",
            "It comes with the plug-in github.com/hashicorp/amazon.",
        ),
        (
            "source \"qemu\" \"a\" {}\nbuild {\n sources = [\"qemu.a\"]\n provisioner \"shel\" {}\n}",
            "Unknown provisioner type \"shel\"",
        ),
        (
            "source \"qemu\" \"a\" {}\nbuild {\n sources = [\"qemu.a\"]\n post-processor \"manfest\" {}\n}",
            "Unknown post-processor type \"manfest\"",
        ),
        (
            "source \"qemu\" \"a\" {}\nbuild {\n sources = [\"qemu.a\"]\n error-cleanup-provisioner \"zzz\" {}\n}",
            "Unknown error-cleanup-provisioner type \"zzz\": Nobody here offers the provisioner \"zzz\". Known: [shell]",
        ),
        (
            "data \"http\" \"d\" {}\nsource \"qemu\" \"a\" {}\nbuild { sources = [\"qemu.a\"] }",
            "Unknown data type http",
        ),
        (
            "packer {\n required_plugins {\n foo = { source = \"x.org/y/foo\", version = \"1\" }\n }\n}\nsource \"foo-bar\" \"a\" {}\nbuild { sources = [\"foo-bar.a\"] }",
            "plug-in x.org/y/foo",
        ),
    ];
    for (text, expected) in cases {
        let shown = check("t.pkr.hcl", text);
        assert!(shown.starts_with("Error") && shown.contains(expected), "{text}: {shown}");
    }
    let unused = "source \"other\" \"x\" { y = var.nope }\nsource \"qemu\" \"a\" { iso_url = \"u\" }\nbuild { sources = [\"qemu.a\"] }";
    assert_eq!(check("t.pkr.hcl", unused), "qemu.a (a): qemu {iso_url=\"u\"}\n");
}

#[test]
fn run_time_values_are_the_usual_ones_and_the_builders_own() {
    let inline = |expression: &str| {
        let text = format!(
            "source \"qemu\" \"a\" {{ iso_url = \"u\" }}\nbuild {{\n sources = [\"qemu.a\"]\n provisioner \"shell\" {{ inline = [{expression}] }}\n}}"
        );
        check("t.pkr.hcl", &text)
    };
    for good in ["build.ID", "build.VMName", "upper(build.Host)", "\"${build.SSHPrivateKey}\""] {
        assert!(inline(good).ends_with("provisioner shell {inline=later}\n"), "{good}: {}", inline(good));
    }
    let shown = inline("build.Hots");
    assert!(shown.contains("Unsupported attribute") && shown.contains("did you mean build.Host?"), "{shown}");
}

#[test]
fn json_syntax_writes_nested_blocks_as_objects() {
    let text = r#"{"source": {"qemu": {"a": {"iso_url": "u", "vga": {"model": "std"}, "network": [{"model": "m", "x": 1}]}}},
                   "build": {"sources": ["qemu.a"]}}"#;
    let shown = check("t.pkr.json", text);
    assert!(
        shown.starts_with("Error: t.pkr.json:1: Unsupported argument: An argument named \"x\""),
        "{shown}"
    );
    assert_eq!(shown.lines().count(), 1, "{shown}");
}

fn builder(inside: &str) -> String {
    let text = format!(
        "{{\"variables\": {{\"n\": \"5\", \"w\": \"much\", \"f\": \"raw\"}},\n\"builders\": [{{\"type\": \"qemu\", \"iso_url\": \"u\", {inside}}}]}}"
    );
    let shown = check("t.json", &text);
    shown.lines().filter(|l| !l.starts_with("qemu (qemu)")).collect::<Vec<_>>().join("\n")
}

#[test]
fn legacy_values_decode_weakly() {
    let good = [
        r#""memory": "512""#,
        r#""Memory": 512"#,
        r#""memory": "{{user `n`}}""#,
        r#""memory": "{{ .Later }}""#,
        r#""headless": "1""#,
        r#""headless": """#,
        r#""boot_wait": 5000"#,
        r#""boot_command": "<enter>""#,
        r#""boot_command": ["{{ .HTTPIP }}", "{{ nonsense"]"#,
        r#""format": "{{user `f`}}""#,
        r#""network": {"model": "m"}"#,
        r#""vga": null"#,
        r#""labels": [{"a": "b"}]"#,
    ];
    for inside in good {
        assert_eq!(builder(inside), "", "{inside}");
    }
    let bad = [
        (
            r#""memroy": 1"#,
            "Error: t.json:2: Failed to prepare build: \"qemu\": unknown configuration key: '\"memroy\"' [did you mean \"memory\"?]",
        ),
        (
            r#""memory": "{{user `w`}}""#,
            "'memory': a whole number is required, but found the string \"much\"",
        ),
        (r#""iso_md5": "1""#, "[write iso_checksum = \"md5:…\"; `kiln fix` does it for the whole template]"),
        // fix looks at the letters' case.
        (r#""ISO_md5": "1""#, "[write iso_checksum = \"md5:…\"]"),
        (r#""memory": {}"#, "'memory': a whole number is required"),
        (r#""boot_wait": "5""#, "lacks a unit"),
        (r#""format": "qcow""#, "'format': \"qcow\" is not one of qcow2, raw"),
        (r#""network": {"mtu": 1}"#, "model must be specified"),
        (r#""network": "x""#, "'network': an object is required"),
    ];
    for (inside, expected) in bad {
        let shown = builder(inside);
        assert!(shown.contains(expected), "{inside}: {shown}");
    }
}

#[test]
fn a_legacy_build_with_an_unknown_type_leaves_the_others_alone() {
    let text = r#"{"builders": [{"type": "qemu", "iso_url": "u"}, {"type": "amazon-ebs"}]}"#;
    let shown = check("t.json", text);
    assert!(shown.starts_with(
        "qemu (qemu): qemu {iso_url=\"u\"}\nError: t.json:1: Failed to initialize build \"amazon-ebs\""
    ));
}

#[test]
fn rules_between_options_hold_for_what_is_given() {
    let conflict = "Error: t.pkr.hcl:2: Conflicting arguments: Only one of ports, memory, anything may be given, not ports and memory. (in source \"qemu\" \"a\")";
    let cases = [
        ("ports = [1]\nmemory = 5", conflict),
        ("ports = []\nmemory = 5\nanything = null", ""),
        ("ports = split(\",\", packer.iterationID)", ""),
    ];
    for (inside, expected) in cases {
        assert_eq!(source(inside), expected, "{inside}");
    }
    let shell = |inside: &str| {
        let text = format!(
            "source \"qemu\" \"a\" {{ iso_url = \"u\" }}\nbuild {{\n sources = [\"qemu.a\"]\n provisioner \"shell\" {{\n{inside}\n}}\n}}"
        );
        check("t.pkr.hcl", &text)
    };
    for given in ["inline = [\"x\"]", "script = \"x\"", "script = build.ID", "script = packer.iterationID"] {
        assert!(!shell(given).contains("Error"), "{given}: {}", shell(given));
    }
    for missing in ["", "script = \"\"", "inline = []", "inline = split(\",\", packer.iterationID)"] {
        let shown = shell(missing);
        assert!(
            shown.contains("Missing required argument: One of inline, script must be given."),
            "{missing}: {shown}"
        );
    }
}

#[test]
fn rules_look_at_rendered_values_in_legacy_templates() {
    let provisioner = |inside: &str| {
        let text = format!(
            r#"{{"variables": {{"empty": "", "full": "x"}}, "builders": [{{"type": "qemu", "iso_url": "u"}}], "provisioners": [{{"type": "shell", {inside}}}]}}"#
        );
        check("t.json", &text)
    };
    assert!(!provisioner(r#""script": "{{user `full`}}""#).contains("Error"));
    let shown = provisioner(r#""script": "{{user `empty`}}""#);
    assert!(
        shown.contains("Failed to prepare build: \"qemu\": One of inline, script must be given."),
        "{shown}"
    );
}
