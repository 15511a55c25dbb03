//! `kiln inspect`: the exact text, since scripts cut it up.

use super::place;

const TEMPLATE: &str = r#"
variable "set" { default = ["a"] }
variable "unset" {}
locals { quoted = "say \"hi\"" }
source "null" "a" {}
build {
  name        = "first"
  description = "Two lines,\nthe second."
  sources     = ["null.a"]
  source "null.a" { name = "b" }
  provisioner "shell" {}
  provisioner "file" { name = "keys" }
  post-processor "manifest" {}
  post-processors {
    post-processor "compress" { name = "packed" }
    post-processor "checksum" {}
  }
}
build {
  sources = []
  source "null.a" {}
}
"#;

const SHOWN: &str = r#"Packer Inspect: HCL2 mode

> input-variables:

var.set: "[\n  \"a\",\n]"
var.unset: "<unknown>"

> local-variables:

local.quoted: "say \"hi\""

> builds:

  > first:

  > Description: Two lines,
the second.

    sources:

      null.a

      null.b

    provisioners:

      shell
      file.keys

    post-processors:

      0:
        manifest

      1:
        compress.packed
        checksum

  > <unnamed build 1>:

    sources:

      null.a

    provisioners:

      <no provisioner>

    post-processors:

      <no post-processor>

"#;

#[test]
fn an_hcl2_template_is_shown_section_by_section() {
    let place = place();
    place.write("t.pkr.hcl", TEMPLATE);
    let ran = place.run(["inspect", "t.pkr.hcl"]);
    ran.expect_code(0);
    assert_eq!(ran.stdout, SHOWN);
    let machine = place.run(["inspect", "-machine-readable", "t.pkr.hcl"]);
    let sections: Vec<_> =
        machine.stdout.lines().filter_map(|l| l.split_once(",,ui,say,")).map(|(_, s)| s).collect();
    assert_eq!(sections.len(), 3, "{}", machine.stdout);
    assert!(
        sections[1]
            .starts_with("> input-variables:\\n\\nvar.set: \"[\\n  \\\"a\\\"%!(PACKER_COMMA)\\n]\"\\n"),
        "{}",
        sections[1]
    );
}

#[test]
fn an_empty_template_shows_empty_sections() {
    let place = place();
    place.write("t.pkr.hcl", "");
    let ran = place.run(["inspect", "t.pkr.hcl"]);
    ran.expect_code(0);
    assert_eq!(
        ran.stdout,
        "Packer Inspect: HCL2 mode\n\n> input-variables:\n\n\n> local-variables:\n\n\n> builds:\n\n"
    );
}

const LEGACY: &str = r#"{
  "description": "Made of old.",
  "variables": {"must": null, "longest": "x", "b": ""},
  "builders": [{"type": "null", "name": "n"}, {"type": "file"}],
  "provisioners": [{"type": "shell"}]
}"#;

const LEGACY_SHOWN: &str = "Packer Inspect: JSON mode
Description:

Made of old.

Required variables:

  must

Optional variables and their defaults:

  b       = \n  longest = x

Builders:

  file
  n    (null)

Provisioners:

  shell

Note: If your build names contain user variables or template
functions such as 'timestamp', these are processed at build time,
and therefore only show in their raw form here.
";

#[test]
fn a_legacy_template_is_shown_as_it_is_written() {
    let place = place();
    place.write("t.json", LEGACY);
    let ran = place.run(["inspect", "t.json"]);
    ran.expect_code(0);
    assert_eq!(ran.stdout, LEGACY_SHOWN);
    let machine = place.run(["inspect", "-machine-readable", "t.json"]);
    for line in [
        ",,template-variable,must,,1\n",
        ",,template-variable,longest,x,0\n",
        ",,template-builder,n,null\n",
        ",,template-provisioner,shell\n",
    ] {
        machine.expect(line);
    }
    place.write("empty.json", "{}");
    let empty = place.run(["inspect", "empty.json"]);
    for words in ["Variables:\n\n  <No variables>\n\n", "  <No builders>\n\n", "  <No provisioners>\n\nNote"]
    {
        empty.expect(words);
    }
}

#[test]
fn a_text_that_can_not_be_read_is_an_error() {
    let place = place();
    place.write("t.pkr.hcl", "source {");
    place.write("t.json", "{\"builders\": 1}");
    for name in ["t.pkr.hcl", "t.json", "absent.pkr.hcl"] {
        place.run(["inspect", name]).expect_code(1).expect("Error: ");
    }
}
