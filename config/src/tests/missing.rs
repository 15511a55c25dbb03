//! Components that aren't here: where they come from, and what to do.

use kiln_plan::{Catalog, ComponentKind, ComponentSchema};

use super::{World, outcome_with, request};
use crate::Answers;

fn told(world: World, path: &str, text: &str) -> String {
    let schema = |kind, name: &'static str| ComponentSchema::new(kind, name, vec![]);
    let components =
        vec![schema(ComponentKind::Builder, "null"), schema(ComponentKind::Provisioner, "shell")];
    outcome_with(
        world.file(path, text),
        &request(path),
        Some(&Catalog { components }),
        &Answers::placeholders(),
    )
}

fn builder(kind: &str, required: &str) -> String {
    let text = format!(
        "packer {{\n required_plugins {{\n{required}\n }}\n}}\nsource \"{kind}\" \"a\" {{}}\nbuild {{ sources = [\"{kind}.a\"] }}\n"
    );
    told(World::default(), "t.pkr.hcl", &text)
}

#[test]
fn a_component_of_a_plugin_leads_to_the_plugin() {
    let declare =
        "[To install it, add this to the template and run: kiln init\n\n  packer {\n    required_plugins {\n";
    let cases = [
        ("amazon-ebs", "", "It comes with the plug-in github.com/hashicorp/amazon."),
        ("amazon-ebs", "", declare),
        ("amazon-ebs", "", "source  = \"github.com/hashicorp/amazon\"\n        version = \"~> 1.0\"\n"),
        ("amazon-brand-new", "", "It comes with the plug-in github.com/hashicorp/amazon."),
        ("vsphere-iso", "", "It comes with the plug-in github.com/vmware/vsphere."),
        // Short names near to native ones are still what they are.
        ("nul", "", "Did you mean to use \"null\"?"),
        ("nobody-has-it", "", "Nobody here offers the builder \"nobody-has-it\". Known: [null]"),
        // What the template itself says goes first.
        (
            "amazon-ebs",
            "amazon = { source = \"x.org/y/amazon\", version = \"1\" }",
            "It comes with the plug-in x.org/y/amazon. [The template requires it; to install it, run: kiln init]",
        ),
        (
            "aws-ebs",
            "aws = { source = \"github.com/hashicorp/amazon\", version = \"1\" }",
            "It comes with the plug-in github.com/hashicorp/amazon. [The template requires it; to install it, run: kiln init]",
        ),
    ];
    for (kind, required, expected) in cases {
        let told = builder(kind, required);
        let complaint = format!("t.pkr.hcl:7: Unknown source type {kind}: ");
        assert!(told.contains(expected) && told.contains(&complaint), "{kind} with {required:?}: {told}");
    }
}

#[test]
fn every_kind_of_component_leads_to_its_plugin() {
    let cases = [
        ("provisioner \"windows-update\" {}", "plug-in github.com/rgl/windows-update."),
        ("post-processor \"vagrant\" {}", "plug-in github.com/hashicorp/vagrant."),
        ("}\ndata \"git-repository\" \"d\" {", "plug-in github.com/ethanmdavidson/git."),
    ];
    for (block, expected) in cases {
        let text = format!("source \"null\" \"a\" {{}}\nbuild {{\n sources = [\"null.a\"]\n {block}\n}}\n");
        let told = told(World::default(), "t.pkr.hcl", &text);
        assert!(told.contains(expected), "{block}: {told}");
    }
}

#[test]
fn legacy_templates_are_told_the_command() {
    let told = told(World::default(), "t.json", r#"{"builders": [{"type": "amazon-ebs"}]}"#);
    let expected = "It comes with the plug-in github.com/hashicorp/amazon. [To install it, run: kiln plugins install \
                    github.com/hashicorp/amazon]";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn what_is_installed_already_is_not_advised_to_be_installed() {
    let world = World::default().plugin("github.com/hashicorp/amazon", "/p/packer-plugin-amazon");
    let text = "source \"amazon-ebs\" \"a\" {}\nbuild { sources = [\"amazon-ebs.a\"] }\n";
    let told = told(world, "t.pkr.hcl", text);
    let expected = "[It is installed (/p/packer-plugin-amazon), but this version of Kiln doesn't run external plug-ins.]";
    assert!(told.contains(expected), "{told}");
}
