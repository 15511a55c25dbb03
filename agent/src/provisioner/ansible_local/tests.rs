//! A real Ansible in a guest for which a real sshd of this machine stands.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::*;
use crate::provisioner::testing::Bench;
use crate::provisioner::tests::expect_fields;

#[test]
fn the_schema_is_what_is_decoded() {
    expect_fields::<Options>(&schema());
}

async fn run(bench: &Bench, options: Json) -> Result<(), Failure> {
    let work = bench.run("ansible-local", options);
    tokio::time::timeout(Duration::from_secs(240), work).await.expect("Ansible takes too long")
}

#[test]
fn the_check_finds_what_is_wrong() {
    let bench = Bench::alone();
    bench.write("p.yml", "", 0o644);
    let cases = [
        (json!({"playbook_file": "p.yml"}), ""),
        (json!({"playbook_files": ["p.yml"], "role_paths": ["."]}), ""),
        (json!({}), "Exactly one of playbook_file and playbook_files"),
        (json!({"playbook_file": "p.yml", "playbook_files": ["p.yml"]}), "Exactly one of"),
        (json!({"playbook_files": ["p.yml", "q.yml"]}), "Bad playbook_files 'q.yml'"),
        (json!({"playbook_file": "p.yml", "role_paths": ["p.yml"]}), "Bad role_paths 'p.yml'"),
    ];
    for (options, expected) in cases {
        let found = bench.check("ansible-local", options.clone()).join("\n");
        assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{options}: {found}");
    }
}

#[tokio::test]
async fn a_playbook_runs_in_the_guest_with_all_that_it_needs() {
    let bench = Bench::new().await;
    bench.write(
        "my/greet/tasks/main.yml",
        "- debug: {msg: \"{{ who }} {{ packer_build_name }} {{ from_host }}\"}\n",
        0o644,
    );
    bench.write("vars/all.yml", "who: world\n", 0o644);
    bench.write("host/127.0.0.1.yml", "from_host: host-vars\n", 0o644);
    bench.write("one.yml", "- hosts: web\n  gather_facts: false\n  roles: [greet]\n", 0o644);
    bench.write(
        "dir/two.yml",
        "- hosts: all\n  gather_facts: false\n  tasks: [{debug: {msg: \"two {{ x }}\"}}]\n",
        0o644,
    );
    let staging = bench.guest_text("staging");
    let options = |more: Json| {
        let mut all = json!({
            "inventory_groups": ["web"],
            "role_paths": ["my/greet"],
            "group_vars": "vars",
            "host_vars": "host/",
            "extra_arguments": ["-e", "x=1"],
            "staging_directory": staging,
        });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let one = json!({"playbook_file": "one.yml"});
    run(&bench, options(one)).await.unwrap_or_else(|failure| panic!("{failure:?} {:#?}", bench.words()));
    assert!(bench.said("world test host-vars"), "{:#?}", bench.words());
    assert!(bench.guest("staging/one.yml").exists() && bench.guest("staging/roles/greet/tasks").exists());
    bench.write(
        "elsewhere/three.yml",
        "- hosts: web\n  gather_facts: false\n  tasks: [{debug: {msg: three}}]\n",
        0o644,
    );
    let several = json!({"playbook_files": ["dir/two.yml", "elsewhere/three.yml"], "playbook_dir": "dir",
        "clean_staging_directory": true});
    run(&bench, options(several)).await.unwrap_or_else(|failure| panic!("{failure:?} {:#?}", bench.words()));
    assert!(bench.said("two 1") && bench.said("three"), "{:#?}", bench.words());
    let playbook = format!("ansible-playbook {staging}{}", bench.local("elsewhere/three.yml").display());
    assert!(bench.said(&playbook), "other playbooks keep their directories: {:#?}", bench.words());
    assert!(!bench.guest("staging").exists());
}

#[tokio::test]
async fn what_goes_wrong_in_the_guest_is_told() {
    let bench = Bench::new().await;
    bench.write("fail.yml", "- hosts: all\n  gather_facts: false\n  tasks: [{command: /bin/false}]\n", 0o644);
    let staging = bench.guest_text("staging");
    let options = |command: &str| json!({"playbook_file": "fail.yml", "command": command, "staging_directory": staging});
    let failure = run(&bench, options("no-such-ansible")).await.unwrap_err();
    assert_eq!(failure.message, "ansible-playbook could not be found in the guest");
    let failure = run(&bench, options("")).await.unwrap_err();
    assert_eq!(failure.message, "ansible-playbook ended with exit code 2");
    let blocked = json!({"playbook_file": "fail.yml", "staging_directory": "/proc/nothing"});
    let failure = run(&bench, blocked).await.unwrap_err();
    assert!(
        failure.message.starts_with("cannot make the directory /proc/nothing in the guest"),
        "{failure:?}"
    );
}
