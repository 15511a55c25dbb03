//! HCL2 templates: which plans they stand for, and what is wrong with them.

use kiln_lang::Value;

use super::{World, hcl, outcome, request};

/// A template around the inside of a build block.
fn build(inside: &str) -> String {
    hcl(&format!(
        "variable \"v\" {{ default = \"5\" }}\nlocals {{ l = [\"x\", \"y\"] }}\nsource \"null\" \"a\" {{}}\n\
         source \"null\" \"b\" {{}}\nbuild {{\n sources = [\"null.a\"]\n{inside}\n}}\n"
    ))
}

#[test]
fn builds_times_sources_in_order() {
    let text = r#"
source "qemu" "base" {
  memory = 512
  disk { size = "1G" }
}
build {
  source "qemu.base" {
    name = "big"
    cpus = 4
    disk { size = "2G" }
  }
  sources = ["source.qemu.base", "x.qemu.base"]
}
build {
  name = "second"
  source "source.qemu.base" {}
}
"#;
    let base = "memory=512, disk {size=\"1G\"}";
    assert_eq!(
        hcl(text),
        format!(
            "qemu.base (base): qemu {{{base}}}\nqemu.base (base): qemu {{{base}}}\n\
             qemu.big (base): qemu {{{base}, cpus=4, disk {{size=\"2G\"}}}}\n\
             second.qemu.base (base): qemu {{{base}}}\n"
        )
    );
}

#[test]
fn a_build_adds_options_to_a_source_and_replaces_none() {
    let shown = hcl(
        "source \"null\" \"a\" { x = 1 }\nbuild {\n source \"null.a\" { x = 2 }\n source \"null.a\" { name = \"ok\" }\n}",
    );
    assert!(shown.starts_with("null.ok (a): null {x=1}\nError: t.pkr.hcl:3: Duplicate argument"), "{shown}");
}

#[test]
fn contextual_values_depend_on_the_place() {
    let text = r#"
source "null" "a" { v = "${source.type}/${source.name}/${path.root}/${packer.version}" }
build {
  name = "n"
  source "null.a" { name = "local" }
  provisioner "shell" { inline = ["${source.name} ${build.name}"] }
  provisioner "shell" { inline = [build.ID] }
  post-processor "manifest" {
    name   = "m-${build.name}"
    output = "${build.name}-${build.PackerRunUUID}"
  }
}
"#;
    assert_eq!(
        hcl(text),
        "n.null.local (a): null {v=\"null/local/./1.16.0\"}\n  \
         provisioner shell {inline=[\"local n\"]}\n  provisioner shell {inline=later}\n  \
         post \"m-n\" manifest {output=later}\n"
    );
    let cases = [
        ("source \"null\" \"a\" { v = build.name }\nbuild { sources = [\"null.a\"] }", "Unknown variable"),
        (
            "locals { x = build.name }\nsource \"null\" \"a\" {}\nbuild { sources = [\"null.a\"] }",
            "Unknown variable",
        ),
        ("source \"null\" \"a\" { v = var.nope }\nbuild { sources = [\"null.a\"] }", "Unsupported attribute"),
    ];
    for (text, expected) in cases {
        assert!(hcl(text).contains(expected), "{text}: {}", hcl(text));
    }
}

#[test]
fn meta_arguments_are_read_leniently_and_must_be_known() {
    assert_eq!(
        build(
            "provisioner \"shell\" {\n pause_before = \"10s\"\n timeout = \"1h5m\"\n max_retries = var.v\n \
             continue_on_error = true\n name = \"n\"\n inline = [\"x\"]\n}\n\
             error-cleanup-provisioner \"shell-local\" { inline = [\"c\"] }\n\
             post-processor \"compress\" { keep_input_artifact = true }"
        ),
        "null.a (a): null {}\n  provisioner shell {inline=[\"x\"]} pause=10 timeout=3900 retries=5 continue\n  \
         cleanup shell-local {inline=[\"c\"]}\n  post \"\" compress {} keep=true\n"
    );
    assert!(!build("provisioner \"shell\" { max_retries = -1 }").contains("Error"));
    let cases = [
        ("provisioner \"shell\" { max_retries = source.name }", "value must be known"),
        ("provisioner \"shell\" { max_retries = 1.5 }", "a whole number is required"),
        ("provisioner \"shell\" { max_retries = \"x\" }", "a number is required"),
        ("provisioner \"shell\" { pause_before = \"5\" }", "Failed to parse pause_before duration"),
        (
            "provisioner \"shell\" {\n only = [\"null.a\"]\n except = [\"null.b\"]\n}",
            "only one of 'only' or 'except'",
        ),
        ("provisioner \"shell\" { override = \"x\" }", "provisioner's override block must be an HCL object"),
        (
            "provisioner \"shell\" { override = {a = 1} }",
            "provisioner's override.'a' block must be an HCL object",
        ),
        (
            "error-cleanup-provisioner \"shell\" {}\nerror-cleanup-provisioner \"shell\" {}",
            "Only one error-cleanup-provisioner is allowed",
        ),
    ];
    for (inside, expected) in cases {
        let shown = build(inside);
        assert!(shown.contains(expected), "{inside}: {shown}");
    }
}

#[test]
fn only_except_and_override_choose_by_source() {
    let text = r#"
source "null" "a" {}
source "null" "b" {}
build {
  source "null.a" {}
  source "null.b" { name = "local" }
  provisioner "one" { only = ["null.a", "null.unheard-of"] }
  provisioner "two" { except = ["null.local"] }
  provisioner "three" {
    x        = 1
    override = { local = { x = 2, y = 3 } }
  }
  post-processor "four" { only = ["null.local"] }
}
"#;
    assert_eq!(
        hcl(text),
        "null.a (a): null {}\n  provisioner one {}\n  provisioner two {}\n  provisioner three {x=1}\n\
         null.local (b): null {}\n  provisioner three {x=2, y=3}\n  post \"\" four {}\n"
    );
}

#[test]
fn dynamic_blocks_stand_for_one_block_per_member() {
    let shown = build(
        "dynamic \"provisioner\" {\n for_each = local.l\n iterator = it\n labels = [\"shell\"]\n content {\n inline = [\"${it.key}${it.value}\"]\n}\n}\n\
         dynamic \"source\" {\n for_each = {p = 1, q = 2}\n labels = [\"null.b\"]\n content {\n name = source.key\n x = source.value\n}\n}",
    );
    let provisioners = "  provisioner shell {inline=[\"0x\"]}\n  provisioner shell {inline=[\"1y\"]}\n";
    assert_eq!(
        shown,
        format!(
            "null.a (a): null {{}}\n{provisioners}null.p (b): null {{x=1}}\n{provisioners}\
             null.q (b): null {{x=2}}\n{provisioners}"
        )
    );
    let body = hcl(
        "source \"null\" \"a\" {\n dynamic \"disk\" {\n for_each = [1, 2]\n content { size = disk.value }\n}\n}\nbuild { sources = [\"null.a\"] }",
    );
    assert_eq!(body, "null.a (a): null {disk {size=1}, disk {size=2}}\n");
}

#[test]
fn run_time_expressions_are_finished_with_what_the_agent_knows() {
    let text = r#"
locals { suffix = ["x", "y"] }
source "null" "a" {}
build {
  name    = "n"
  sources = ["null.a"]
  provisioner "shell" {
    one   = "${build.name}-${upper(build.ID)}-${join("+", local.suffix)}"
    two   = build
    three = [for k in ["ID", "Host"] : build[k]]
    four  = templatefile("greet.tpl", { who = build.ID, greetings = local.suffix })
  }
}
"#;
    let world = World::default()
        .file("t.pkr.hcl", text)
        .file("greet.tpl", "%{ for g in greetings ~}${g} ${upper(who)} %{ endfor ~}");
    let plan = super::plans(world, &request("t.pkr.hcl")).remove(0);
    let agent = Value::object([
        ("name".to_owned(), Value::from(plan.facts.block_name.as_str())),
        ("ID".to_owned(), Value::from("id")),
        ("Host".to_owned(), Value::from("host")),
    ]);
    let scope = kiln_lang::Scope::new(&kiln_lang::function::carried()).with("build", agent);
    let finish = |name: &str| match plan.provisioners[0].component.body.attribute(name) {
        Some(kiln_plan::Leaf::Deferred(deferred)) => format!("{:?}", deferred.finish(&scope).unwrap()),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(finish("one"), "\"n-ID-x+y\"");
    assert_eq!(finish("two"), r#"{"Host": "host", "ID": "id", "name": "n"}"#);
    assert_eq!(finish("three"), r#"["id", "host"]"#);
    assert_eq!(finish("four"), "\"x ID y ID \"");
}

#[test]
fn what_the_world_knows_can_not_wait_for_the_run() {
    let shown = build("provisioner \"shell\" { x = file(build.ID) }");
    assert!(shown.contains("no function named \"file\"") && shown.contains("from a local"), "{shown}");
    let shown = build("provisioner \"shell\" { x = templatefile(build.ID, {}) }");
    assert!(shown.contains("must be known before the build starts"), "{shown}");
    let shown = build("provisioner \"shell\" { x = templatefile(\"absent\", {a = build.ID}) }");
    assert!(shown.contains("absent"), "{shown}");
    let shown = build("provisioner \"shell\" { x = \"${build.ID}${length(file(\"t.pkr.hcl\")) > 0}\" }");
    assert!(shown.contains("{x=later}"), "{shown}");
}

#[test]
fn references_to_sources_are_texts_of_two_or_more_parts() {
    let cases = [
        ("build { sources = [\"null\"] }", "Invalid source reference"),
        ("build { sources = [\"null.a b\"] }", "Invalid source reference"),
        ("build { sources = [source.null.a] }", "references to sources are texts"),
        ("build { sources = [\"null.ab\"] }", "Unknown source null.ab: Did you mean to use \"null.a\"?"),
        ("build { sources = [\"file.cho\"] }", "t.pkr.hcl:2: Unknown source file.cho: Known: [null.a]"),
        ("build {}", "missing source reference"),
        ("", "Missing build block"),
        ("source \"null\" \"a\" {}\nbuild { sources = [\"null.a\"] }", "Duplicate source block"),
    ];
    for (text, expected) in cases {
        let shown = hcl(&format!("source \"null\" \"a\" {{}}\n{text}"));
        assert!(shown.contains(expected), "{text}: {shown}");
    }
}

#[test]
fn what_may_not_stand_where_it_stands_is_told() {
    let cases = [
        ("x = 1", "Unsupported argument"),
        (
            "sourc \"null\" \"a\" {}",
            "Unsupported block type: Blocks of type \"sourc\" are not expected here. Did you mean \"source\"?",
        ),
        ("source \"null\" {}", "Missing name for source"),
        ("source {}", "Missing type for source"),
        ("dynamic \"source\" {}", "Unsupported block type"),
        ("packer { version = \"1\" }", "Unsupported argument"),
        ("local \"a\" {}", "Missing required argument"),
        ("locals { a = 1 }\nlocal \"a\" { expression = 2 }", "Duplicate local definition"),
        ("data \"x\" {}", "Missing name for data"),
        ("build {\n provisioner {}\n}", "Missing type for provisioner"),
        ("build {\n provsioner \"x\" {}\n}", "Did you mean \"provisioner\"?"),
        ("build {\n post-processors {\n provisioner \"x\" {}\n }\n}", "Unsupported block type"),
    ];
    for (text, expected) in cases {
        let shown = hcl(text);
        assert!(shown.contains(expected), "{text}: {shown}");
    }
    let accepted = "communicator \"ssh\" \"x\" {}\nhcp_packer_registry { whatever = 1 }\n\
                    source \"null\" \"a\" {}\nbuild {\n sources = [\"null.a\"]\n hcp_packer_registry {}\n from \"x\" {}\n}";
    assert_eq!(hcl(accepted), "null.a (a): null {}\n");
}

#[test]
fn the_version_gate_comes_before_any_other_complaint() {
    let gate =
        |constraint: &str| hcl(&format!("packer {{ required_version = \"{constraint}\" }}\nnonsense {{}}"));
    assert!(gate(">= 1.17").starts_with("Error: t.pkr.hcl:1: Unsupported Packer Core version"));
    assert!(!gate(">= 1.17").contains("nonsense"));
    assert!(gate("latest").contains("Invalid version constraint"));
    assert!(gate("~> 1.7").starts_with("Error: t.pkr.hcl:2: Unsupported block type"));
}

#[test]
fn required_plugins_are_objects_of_source_and_version() {
    let entry = |entry: &str| {
        hcl(&format!(
            "packer {{\n required_plugins {{\n {entry}\n }}\n}}\nsource \"null\" \"a\" {{}}\nbuild {{ sources = [\"null.a\"] }}"
        ))
    };
    let good = entry("qemu = { source = \"github.com/hashicorp/qemu\", version = \">= 1.0\" }");
    assert_eq!(good, "null.a (a): null {}\n");
    let bad = [
        ("qemu = \"1.0\"", "an object with 'source' and 'version'"),
        ("qemu = { source = \"hashicorp/qemu\", version = \"1\" }", "host/namespace/name"),
        ("qemu = { source = \"a.b/c/packer-x\", version = \"1\" }", "packer-"),
        ("Qemu = { source = \"a.b/c/x\", version = \"1\" }", "lower case"),
        ("qemu = { source = \"a.b/c/x\", version = \"1-beta\" }", "prerelease"),
        ("qemu = { source = \"a.b/c/x\" }", "\"version\""),
        ("qemu = { source = \"a.b/c/x\", version = \"1\", x = 1 }", "\"x\""),
    ];
    for (text, expected) in bad {
        let shown = entry(text);
        assert!(shown.contains("Invalid plugin requirement") && shown.contains(expected), "{text}: {shown}");
    }
}

#[test]
fn json_syntax_says_the_same() {
    let text = r#"{
  "//": "a comment",
  "variable": {"v": {"default": "w", "type": "string"}, "l": {"type": "list(string)", "default": []}},
  "source": {"null": {"a": {"x": "${upper(var.v)}", "disk": [{"size": 1}]}}},
  "build": [{
    "sources": ["null.a"],
    "provisioner": [{"shell": {"inline": ["${build.ID}"], "pause_before": "1s"}}],
    "post-processors": [{"post-processor": {"manifest": {}}}]
  }]
}"#;
    let world = World::default().file("t.pkr.json", text);
    assert_eq!(
        outcome(world, &request("t.pkr.json")),
        "null.a (a): null {x=\"W\", disk=[{\"size\": 1}]}\n  provisioner shell {inline=later} pause=1\n  \
         post \"\" manifest {}\n"
    );
}

#[test]
fn blocks_of_all_files_are_one_template() {
    let world = World::default()
        .file("d/1.pkr.hcl", "build { sources = [\"null.a\"] }")
        .file("d/2.pkr.hcl", "source \"null\" \"a\" { x = local.y }")
        .file("d/3.pkr.json", "{\"locals\": {\"y\": \"${var.z}\"}}")
        .file("d/4.pkr.hcl", "variables { z = 3 }");
    assert_eq!(outcome(world, &request("d")), "null.a (a): null {x=3}\n");
}

#[test]
fn a_plan_carries_what_the_agent_needs() {
    let world = World::default().file(
        "d/t.pkr.hcl",
        "source \"qemu\" \"a\" {\n cpus = 4\n memory = \"2048\"\n disk_size = \"10G\"\n disk_additional_size = [\"1G\"]\n}\nbuild {\n sources = [\"qemu.a\"]\n provisioner \"shell\" {}\n post-processor \"manifest\" {}\n}",
    );
    let mut request = request("d");
    request.options.force = true;
    let plans = super::plans(world, &request);
    let plan = &plans[0];
    let needs = &plan.requirements;
    assert_eq!((needs.cpus, needs.memory_mib, needs.disk_mib), (4, 2048, 11_264));
    let acceleration = needs.acceleration.accelerator().map(ToString::to_string);
    assert_eq!(acceleration.as_deref(), Some("kvm for x86_64"));
    let components: Vec<_> = needs.components.iter().map(String::as_str).collect();
    assert_eq!(components, ["builder/qemu", "post-processor/manifest", "provisioner/shell"]);
    assert!(plan.options.force);
    assert_eq!(plan.facts.template_dir, "/start/d");
    assert_eq!(plan.facts.working_dir, "/start");
    assert_eq!(plan.facts.run_uuid, "run");
    let text = serde_json::to_string(plan).unwrap();
    assert_eq!(&serde_json::from_str::<kiln_plan::BuildPlan>(&text).unwrap(), plan);
}
