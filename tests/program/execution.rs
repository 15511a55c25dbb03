//! Order, parallelism, failures and the rules around provisioners and post-processors.

use super::place;

fn sources(count: usize) -> String {
    (0..count).map(|i| format!("source \"null\" \"s{i}\" {{\n  communicator = \"none\"\n}}\n")).collect()
}

fn names(count: usize) -> String {
    (0..count).map(|i| format!("\"null.s{i}\"")).collect::<Vec<_>>().join(", ")
}

#[test]
fn one_builds_failure_does_not_stop_the_others() {
    let place = place();
    let build = format!(
        "{}build {{\n  sources = [{}]\n  provisioner \"shell-local\" {{\n    inline = [\"test $PACKER_BUILD_NAME != s1\"]\n  }}\n}}\n",
        sources(3),
        names(3)
    );
    place.write("t.pkr.hcl", build);
    let ran = place.run(["build", "t.pkr.hcl"]);
    ran.expect_code(1)
        .expect("Build 'null.s0' finished")
        .expect("Build 'null.s1' errored")
        .expect("Build 'null.s2' finished");
}

#[test]
fn parallel_builds_1_runs_one_after_the_other() {
    let place = place();
    let lock = "inline = [\"mkdir busy\", \"sleep 0.1\", \"rmdir busy\"]";
    let build = format!(
        "{}build {{\n  sources = [{}]\n  provisioner \"shell-local\" {{\n    {lock}\n  }}\n}}\n",
        sources(4),
        names(4)
    );
    place.write("t.pkr.hcl", build);
    place.run(["build", "-parallel-builds=1", "t.pkr.hcl"]).expect_code(0);
}

#[test]
fn a_failed_provisioner_is_tried_again_and_the_cleanup_provisioner_runs() {
    let place = place();
    place.write(
        "t.pkr.hcl",
        format!(
            r#"{}
build {{
  sources = ["null.s0"]
  provisioner "shell-local" {{
    max_retries = 2
    inline = ["echo try >> tries", "test $(wc -l < tries) -ge 2"]
  }}
  provisioner "shell-local" {{
    inline = ["exit 1"]
  }}
  error-cleanup-provisioner "shell-local" {{
    inline = ["echo cleaned > cleaned"]
  }}
}}
"#,
            sources(1)
        ),
    );
    let ran = place.run(["build", "t.pkr.hcl"]);
    ran.expect_code(1).expect("retrying with 2 trie(s) left");
    assert_eq!(place.read("tries"), "try\ntry\n");
    assert_eq!(place.read("cleaned"), "cleaned\n");
}

#[test]
fn a_timeout_ends_a_provisioner() {
    let place = place();
    place.write(
        "t.pkr.hcl",
        format!(
            "{}build {{\n  sources = [\"null.s0\"]\n  provisioner \"shell-local\" {{\n    timeout = \"1s\"\n    inline = [\"sleep 100\"]\n  }}\n}}\n",
            sources(1)
        ),
    );
    place
        .run(["build", "t.pkr.hcl"])
        .expect_code(1)
        .expect("Setting a 1s timeout for the next provisioner...");
    place.leftovers().expect_none();
}

#[test]
fn a_chain_of_artifice_compress_and_manifest_keeps_what_it_should() {
    let place = place();
    place.write(
        "t.pkr.hcl",
        r#"
source "file" "a" {
  content = "one"
  target  = "made/a.txt"
}
build {
  sources = ["file.a"]
  post-processors {
    post-processor "shell-local" {
      inline = ["echo two > made/b.txt"]
    }
    post-processor "artifice" {
      files = ["made/*.txt"]
    }
    post-processor "compress" {
      output = "out.tar.gz"
    }
    post-processor "manifest" {
      custom_data = { who = "${source.name}" }
    }
  }
}
"#,
    );
    place.run(["build", "t.pkr.hcl"]).expect_code(0);
    let manifest = place.read("packer-manifest.json");
    assert!(
        manifest.contains("\"name\": \"out.tar.gz\"") && manifest.contains("\"who\": \"a\""),
        "{manifest}"
    );
    assert!(manifest.starts_with("{\n  \"builds\": [\n    {\n      \"name\": \"a\","), "{manifest}");
}

#[test]
fn legacy_json_builds_the_same() {
    let place = place();
    place.write(
        "t.json",
        r#"{
  "variables": {"who": "world", "port": "{{env `HOME`}}"},
  "builders": [{"type": "null", "communicator": "none"}, {"type": "null", "name": "b", "communicator": "none"}],
  "provisioners": [{"type": "shell-local", "inline": ["echo hello {{user `who`}} from {{build_name}}"], "only": ["b"]}]
}"#,
    );
    let ran = place.run(["build", "-var", "who=you", "t.json"]);
    ran.expect_code(0).expect("==> null.b: hello you from b").expect("Build 'null' finished");
    assert!(!ran.stdout.contains("from null"), "{}", ran.stdout);
}
