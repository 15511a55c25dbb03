//! A real `ansible-playbook` against a guest for which a real sshd of this machine stands, by both roads.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::*;
use crate::communicator::testing::{mode, until};
use crate::provisioner::testing::{Bench, SECRET, processes_with};
use crate::provisioner::tests::expect_fields;

/// The most that a run of Ansible may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);

#[test]
fn the_schema_is_what_is_decoded() {
    expect_fields::<Options>(&options::schema());
}

async fn run(bench: &Bench, options: Json) -> Result<(), Failure> {
    let work = bench.run("ansible", options);
    tokio::time::timeout(LIMIT, work).await.expect("Ansible takes too long")
}

/// A playbook of these tasks, for the guest's directory `target`.
fn playbook(bench: &Bench, tasks: &str) {
    let head =
        "- hosts: all\n  gather_facts: false\n  vars:\n    ansible_python_interpreter: /usr/bin/python3\n";
    bench.write("site.yml", format!("{head}    target: {}\n  tasks:\n{tasks}", bench.guest_text("")), 0o644);
}

const COPY: &str = "
    - copy: {content: \"{{ packer_build_name }} {{ packer_builder_type }} {{ group_names }}\", dest: \"{{ target }}/facts\", mode: \"0640\"}
    - copy: {src: big, dest: \"{{ target }}/big\"}
    - fetch: {src: \"{{ target }}/facts\", dest: fetched, flat: true}
    - shell: \"echo $0 >> {{ target }}/ran; tty || true\"
";

fn check_copied(bench: &Bench, groups: &str) {
    let facts = std::fs::read_to_string(bench.guest("facts")).unwrap();
    assert_eq!(facts, format!("test qemu {groups}"));
    assert_eq!(mode(bench.guest("facts")), 0o640);
    assert_eq!(std::fs::metadata(bench.guest("big")).unwrap().len(), 300_000);
    assert_eq!(std::fs::read_to_string(bench.local("fetched")).unwrap(), facts);
}

#[test]
fn the_check_finds_what_is_wrong() {
    let bench = Bench::alone();
    bench.write("site.yml", "", 0o644);
    bench.write("tool/run", "", 0o755);
    let with = |more: Json| {
        let mut all = json!({"playbook_file": "site.yml"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let cases = [
        (with(json!({})), ""),
        (with(json!({"command": "tool/run"})), ""),
        (with(json!({"command": "./no/such", "skip_version_check": true})), ""),
        (with(json!({"inventory_file": "tool", "use_proxy": false})), ""),
        (with(json!({"command": "no-such-ansible"})), "\"no-such-ansible\" is not on this machine"),
        (with(json!({"galaxy_file": "none.yml"})), "Bad galaxy_file 'none.yml'"),
        (with(json!({"inventory_directory": "site.yml"})), "Bad inventory_directory 'site.yml'"),
        (with(json!({"ansible_proxy_key_type": "DSA"})), "it takes ECDSA or RSA"),
        (json!({}), "Missing playbook"),
        (json!({"playbook_file": "tool"}), "Bad playbook_file 'tool'"),
    ];
    for (options, expected) in cases {
        let found = bench.check("ansible", options.clone()).join("\n");
        assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{options}: {found}");
    }
}

#[tokio::test]
async fn a_playbook_runs_through_the_adapter_and_leaves_nothing_behind() {
    let bench = Bench::new().await;
    bench.write("big", vec![b'x'; 300_000], 0o644);
    playbook(&bench, COPY);
    let began = Instant::now();
    run(&bench, json!({"playbook_file": "site.yml", "groups": ["web"], "empty_groups": ["db"]}))
        .await
        .unwrap();
    eprintln!("through the adapter: {:?}", began.elapsed());
    check_copied(&bench, "['web']");
    assert_eq!(std::fs::read_dir(&bench.task.cx.scratch).unwrap().count(), 0);
    assert!(bench.said("changed=4"), "{:?}", bench.words());
}

#[tokio::test]
async fn a_playbook_runs_through_the_adapter_by_sftp_with_keys_of_the_template() {
    let bench = Bench::new().await;
    bench.write("big", vec![b'x'; 300_000], 0o644);
    playbook(&bench, COPY);
    let inventories = bench.local("inventories");
    std::fs::create_dir(&inventories).unwrap();
    let options = json!({
        "playbook_file": "site.yml",
        "use_sftp": true,
        "ansible_proxy_key_type": "RSA",
        "user": "somebody",
        "host_alias": "guest",
        "inventory_directory": "inventories",
        "keep_inventory_file": true,
        "ansible_env_vars": ["ANSIBLE_PIPELINING=False", "ANSIBLE_NOCOLOR=1"],
        "ansible_ssh_extra_args": ["-o IdentitiesOnly=yes", "-o LogLevel=ERROR"],
    });
    let began = Instant::now();
    run(&bench, options).await.unwrap_or_else(|failure| panic!("{failure:?} {:#?}", bench.words()));
    eprintln!("without pipelining: {:?}", began.elapsed());
    check_copied(&bench, "['ungrouped']");
    let kept: Vec<PathBuf> = std::fs::read_dir(inventories).unwrap().map(|e| e.unwrap().path()).collect();
    let [kept] = kept.as_slice() else { panic!("{kept:?}") };
    let text = std::fs::read_to_string(kept).unwrap();
    assert!(text.starts_with("guest ansible_host=127.0.0.1 ansible_user=somebody ansible_port="), "{text}");
    assert!(bench.said(&format!("Keeping the inventory: {}", kept.display())));
}

/// Tells what a builder tells of its guest.
fn tell(bench: &mut Bench) {
    let sshd = bench.sshd.as_ref().unwrap();
    let key = sshd.path().join("login");
    sshd.key.write_private(&key).unwrap();
    let told = [
        ("ConnType", "ssh".to_owned()),
        ("Host", "127.0.0.1".to_owned()),
        ("Port", sshd.port.to_string()),
        ("User", crate::communicator::testing::me()),
        ("SSHPrivateKey", std::fs::read_to_string(key).unwrap()),
    ];
    for (name, value) in told {
        bench.generated.set(name, value);
    }
}

#[tokio::test]
async fn a_playbook_runs_against_the_guests_own_server() {
    let mut bench = Bench::new().await;
    tell(&mut bench);
    bench.write("big", vec![b'x'; 300_000], 0o644);
    playbook(&bench, COPY);
    let began = Instant::now();
    let template =
        "{{ .HostAlias }} ansible_host={{.Host}} ansible_port={{.Port}} ansible_user={{.User}} x=1\n";
    let options =
        json!({"playbook_file": "site.yml", "use_proxy": false, "inventory_file_template": template});
    run(&bench, options).await.unwrap_or_else(|failure| panic!("{failure:?} {:#?}", bench.words()));
    eprintln!("directly: {:?}", began.elapsed());
    check_copied(&bench, "['ungrouped']");
    assert!(!bench.said("Warning"), "{:?}", bench.words());
}

#[tokio::test]
async fn without_the_guests_address_the_adapter_is_used_and_that_is_said() {
    let bench = Bench::new().await;
    playbook(&bench, "    - raw: 'true'\n");
    run(&bench, json!({"playbook_file": "site.yml", "use_proxy": false})).await.unwrap();
    assert!(bench.said("using the proxy in spite of use_proxy = false"));
}

#[tokio::test]
async fn roles_are_installed_and_secrets_stay_off_the_command_line() {
    let bench = Bench::new().await;
    bench.write(
        "src/greet/meta/main.yml",
        "galaxy_info: {author: a, description: d, license: l, min_ansible_version: '2.9'}",
        0o644,
    );
    bench.write("src/greet/tasks/main.yml", "- debug: {msg: 'hello from the role'}\n", 0o644);
    let packed = std::process::Command::new("tar")
        .args(["-C", &bench.local("src").display().to_string(), "-czf"])
        .args([bench.local("greet.tar.gz"), PathBuf::from("greet")])
        .status();
    assert!(packed.unwrap().success());
    let source = bench.local("greet.tar.gz").display().to_string();
    bench.write("requirements.yml", format!("- src: file://{source}\n  name: greet\n"), 0o644);
    bench.write("expected", SECRET, 0o600);
    playbook(
        &bench,
        "
    - import_role: {name: greet}
    - assert: {that: \"token == lookup('file', 'expected')\"}
    - shell: cat /proc/[0-9]*/cmdline | grep -c -a -F -f {{ playbook_dir }}/expected
      register: seen
      failed_when: seen.stdout != '0'
",
    );
    let options = json!({
        "playbook_file": "site.yml",
        "galaxy_file": "requirements.yml",
        "roles_path": "roles",
        "galaxy_force_install": true,
        "extra_arguments": ["--extra-vars", format!("token={SECRET}")],
    });
    run(&bench, options).await.unwrap_or_else(|failure| panic!("{failure:?} {:#?}", bench.words()));
    assert!(bench.said("hello from the role") && bench.local("roles/greet/tasks/main.yml").exists());
    assert!(bench.said("Executing Ansible: ansible-galaxy install -r "));
}

#[tokio::test]
async fn a_playbook_that_fails_fails_the_provisioner() {
    let bench = Bench::new().await;
    playbook(&bench, "    - raw: 'exit 3'\n");
    let failure = run(&bench, json!({"playbook_file": "site.yml"})).await.unwrap_err();
    assert_eq!(
        (failure.message.as_str(), failure.fault),
        ("ansible-playbook ended with exit code 2", Fault::Guest)
    );
    let options =
        json!({"playbook_file": "site.yml", "command": "no-such-ansible", "skip_version_check": true});
    let failure = run(&bench, options).await.unwrap_err();
    assert!(failure.message.contains("install Ansible"), "{failure:?}");
}

#[tokio::test]
async fn a_cancelled_playbook_goes_with_all_that_it_started() {
    let mut bench = Bench::new().await;
    tell(&mut bench);
    for (use_proxy, seconds) in [(true, "4343.25"), (false, "4344.25")] {
        playbook(&bench, &format!("    - command: sleep {seconds}\n"));
        let task = bench.task.cx.with_cancel(bench.task.cx.cancel.child_token());
        let cancel = async {
            let running = || processes_with(seconds).iter().any(|p| p.starts_with("sleep"));
            let started = until("the task runs", async || running());
            started.await;
            task.cancel.cancel();
            Instant::now()
        };
        let options = json!({"playbook_file": "site.yml", "use_proxy": use_proxy});
        let (result, cancelled) = tokio::join!(bench.run_in("ansible", options, &task), cancel);
        assert!(result.unwrap_err().cancelled);
        assert!(cancelled.elapsed() < Duration::from_secs(15), "{:?}", cancelled.elapsed());
        let here = bench.local("site.yml").display().to_string();
        until("Ansible is gone", async || processes_with(&here).is_empty()).await;
        assert_eq!(std::fs::read_dir(&bench.task.cx.scratch).unwrap().count(), 0);
    }
}
