//! Whole builds with a real QEMU and the small guest of `tests/guest`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kiln_component::communicator::Communicator;
use kiln_component::{FinishedConfig, GeneratedData, ProvisionHook};
use kiln_plan::Failure;
use serde_json::json;
use tokio::io::AsyncReadExt;

use super::*;
use crate::test_task::{self, TestTask};

/// The longest that any of these builds may take on a machine with other work.
const LIMIT: Duration = Duration::from_secs(300);

/// A file of the small guest.
fn guest_file(name: &str) -> String {
    let directory = std::env::var_os("KILN_TEST_GUESTS").map_or_else(
        || {
            let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
            let target = target.unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../target").into());
            target.join("guests")
        },
        PathBuf::from,
    );
    let file = directory.join(name);
    assert!(
        file.exists(),
        "{} is missing; run tests/guest/small-guest.sh DIR and set KILN_TEST_GUESTS",
        file.display()
    );
    file.display().to_string()
}

/// Runs commands in the guest and remembers what they wrote.
#[derive(Default)]
struct Provisioning {
    commands: Vec<&'static str>,
    wrote: Mutex<String>,
    told: Mutex<Option<GeneratedData>>,
    cleaned_up: Mutex<u32>,
    fails: bool,
}

#[async_trait]
impl ProvisionHook for Provisioning {
    async fn provision(
        &self,
        communicator: Arc<dyn Communicator>,
        generated: &GeneratedData,
    ) -> Result<(), Failure> {
        *self.told.lock().expect("no panic") = Some(generated.clone());
        for command in &self.commands {
            let mut remote = communicator.start(command).await.expect("a command");
            let mut wrote = String::new();
            remote.stdout.read_to_string(&mut wrote).await.expect("its output");
            self.wrote.lock().expect("no panic").push_str(&wrote);
        }
        if self.fails { Err(Failure::new(Fault::Guest, "the script failed")) } else { Ok(()) }
    }

    async fn clean_up(&self, _: Arc<dyn Communicator>, _: &GeneratedData) -> Result<(), Failure> {
        *self.cleaned_up.lock().expect("no panic") += 1;
        Ok(())
    }
}

struct Outcome {
    task: TestTask,
    result: Result<Option<Arc<dyn Artifact>>, Failure>,
    hook: Arc<Provisioning>,
}

impl Outcome {
    fn artifact(&self) -> &Arc<dyn Artifact> {
        match &self.result {
            Ok(artifact) => artifact.as_ref().expect("an artifact"),
            Err(failure) => panic!("{failure}\n{:#?}\n{:#?}", failure.evidence, self.task.heard.words()),
        }
    }

    fn failure(&self) -> &Failure {
        self.result.as_ref().expect_err("a failure")
    }

    /// That nothing of the build is left: no process, no output directory.
    async fn left_nothing(&self) {
        assert!(!self.task.cx.working_dir.join("out").exists(), "the output directory is left");
        assert!(self.task.cx.journal.clone().close().await.is_empty(), "something was left to the journal");
    }
}

fn options(changes: serde_json::Value) -> serde_json::Value {
    let mut all = json!({
        "disk_image": true, "iso_checksum": "none", "headless": true, "accelerator": "tcg", "memory": 256,
        "disk_size": "2G", "output_directory": "out", "vm_name": "guest.qcow2", "skip_compaction": true,
        "ssh_username": "root", "ssh_password": "kiln", "ssh_timeout": "2m", "boot_wait": "100ms",
        "shutdown_command": "poweroff",
    });
    let entries = all.as_object_mut().expect("an object");
    entries.extend(changes.as_object().expect("an object").clone());
    entries.retain(|_, value| !value.is_null());
    all
}

/// A task and a builder for it. Its file `fetch.sh` is what the guest may fetch.
fn prepare(changes: serde_json::Value) -> (TestTask, Box<dyn Builder>) {
    let mut task = test_task::task();
    let mut plan = (*task.cx.plan).clone();
    plan.facts.working_dir = task.cx.working_dir.display().to_string();
    let plan = Arc::new(plan);
    task.cx.plan = plan.clone();
    let finished = config::tests::finished(options(changes));
    let (builder, _) = make(FinishedConfig { plan, dry: false, ..finished }).expect("a builder");
    (task, builder)
}

async fn build(changes: serde_json::Value, hook: Provisioning) -> Outcome {
    let (task, builder) = prepare(changes);
    let hook = Arc::new(hook);
    let result = tokio::time::timeout(LIMIT, builder.build(&task.cx, hook.clone())).await;
    Outcome { result: result.expect("the build ends in time"), hook, task }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_waits_at_its_prompt_is_typed_at_provisioned_and_kept() {
    let changes = json!({
        "iso_url": guest_file("small-prompt.qcow2"),
        "boot_command": ["linux kiln.fetch=http://{{ .HTTPIP }}:{{ .HTTPPort }}/fetch.sh<enter>"],
        "http_content": {"/fetch.sh": "echo fetched > /etc/fetched\n"},
        "cd_content": {"kiln.sh": "echo from the CD > /etc/cd\n"}, "cd_label": "kiln",
        "disk_additional_size": ["64M"], "skip_compaction": false, "disk_compression": true,
    });
    let wait = "i=0; while [ ! -e /etc/fetched ] || [ ! -e /etc/cd ]; do i=$((i+1)); [ $i -gt 60 ] && break; sleep 1; done";
    let commands = vec![wait, "cat /etc/fetched /etc/cd; ls /dev/vdb; sync"];
    let outcome = build(changes, Provisioning { commands, ..Provisioning::default() }).await;
    let artifact = outcome.artifact();
    assert_eq!(*outcome.hook.wrote.lock().expect("no panic"), "fetched\nfrom the CD\n/dev/vdb\n");
    let told = outcome.hook.told.lock().expect("no panic").clone().expect("data");
    assert_eq!(told.text("PackerHTTPIP").as_deref(), Some("10.0.2.2"));
    assert_eq!(told.text("ConnType").as_deref(), Some("ssh"));
    assert_eq!((artifact.builder_id(), artifact.id().as_str()), ("transcend.qemu", "VM"));
    let out = outcome.task.cx.working_dir.join("out");
    assert_eq!(artifact.files(), [out.join("guest.qcow2"), out.join("guest.qcow2-1")]);
    assert_eq!(artifact.facts().disk_format.as_deref(), Some("qcow2"));
    let mut check = std::process::Command::new("qemu-img");
    check.args(["check", "--output=json"]).arg(out.join("guest.qcow2"));
    let checked = String::from_utf8(check.output().expect("qemu-img").stdout).expect("text");
    assert!(checked.contains("\"compressed-clusters\"") && !checked.contains("\"corruptions\""), "{checked}");
    assert_eq!(outcome.hook.cleaned_up.lock().map(|n| *n).expect("no panic"), 0);
    artifact.destroy().await.expect("gone");
    assert!(!out.exists());
    outcome.left_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_installs_itself_from_an_iso_onto_an_empty_disk() {
    let changes = json!({
        "iso_url": guest_file("small.iso"), "disk_image": null, "format": "raw", "vm_name": "installed",
        "boot_command": ["inst", "all<enter>"], "ssh_timeout": "4m", "qmp_enable": true, "vnc_use_password": true,
        "floppy_content": {"a.txt": "text"},
    });
    let commands = vec!["grep -c ' / ext4' /proc/mounts; sync"];
    let outcome = build(changes, Provisioning { commands, ..Provisioning::default() }).await;
    let out = outcome.task.cx.working_dir.join("out");
    // The monitor's socket has gone with QEMU.
    assert_eq!(outcome.artifact().files(), [out.join("installed")]);
    assert_eq!(std::fs::read_dir(&out).expect("the output").count(), 1);
    assert_eq!(*outcome.hook.wrote.lock().expect("no panic"), "1\n");
    assert!(outcome.task.heard.words().iter().any(|words| words.contains("with the password")));
    outcome.artifact().destroy().await.expect("gone");
    outcome.left_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_never_answers_leaves_its_screen_and_its_last_words() {
    let changes = json!({
        "iso_url": guest_file("small-prompt.qcow2"), "http_content": {"/x": ""}, "ssh_timeout": "8s",
        "use_backing_file": true,
    });
    let outcome = build(changes, Provisioning::default()).await;
    let failure = outcome.failure();
    assert_eq!(failure.fault, Fault::Guest);
    assert!(failure.message.contains("Timeout waiting for SSH"), "{failure}");
    let evidence = failure.evidence.join("\n");
    for expected in
        ["the guest is running", "never fetched anything", "serial: boot:", "kiln-qemu.test-screen.png"]
    {
        assert!(evidence.contains(expected), "{expected} is not in\n{evidence}");
    }
    let picture = std::fs::read(outcome.task.cx.working_dir.join("kiln-qemu.test-screen.png"));
    assert!(picture.expect("a picture").starts_with(b"\x89PNG"));
    outcome.left_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_powers_off_while_it_is_waited_for_fails_at_once() {
    let changes = json!({
        "iso_url": guest_file("small-prompt.qcow2"),
        "boot_command": ["linux kiln.fetch=http://{{ .HTTPIP }}:{{ .HTTPPort }}/fetch.sh<enter>"],
        "http_content": {"/fetch.sh": "poweroff -f\n"}, "ssh_port": 2022, "ssh_timeout": "10m",
    });
    let outcome = build(changes, Provisioning::default()).await;
    let failure = outcome.failure();
    assert_eq!(failure.fault, Fault::Guest);
    let evidence = failure.evidence.join("\n");
    assert!(evidence.contains("the guest powered off"), "{failure}\n{evidence}");
    assert!(evidence.contains("/fetch.sh (200)"), "{evidence}");
    outcome.left_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_build_leaves_nothing() {
    let changes =
        json!({"iso_url": guest_file("small-prompt.qcow2"), "boot_wait": "10m", "boot_command": ["x"]});
    let (task, builder) = prepare(changes);
    let (cancel, heard) = (task.cx.cancel.clone(), task.heard.clone());
    let hook = Arc::new(Provisioning::default());
    let building = builder.build(&task.cx, hook.clone());
    let cancelling = async {
        while !heard.words().iter().any(|words| words.starts_with("Waiting 10 minutes")) {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let both = async { tokio::join!(building, cancelling).0 };
    let result = tokio::time::timeout(LIMIT, both).await.expect("the build ends in time");
    assert!(result.as_ref().is_err_and(|failure| failure.cancelled));
    Outcome { task, result, hook }.left_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_provisioner_is_cleaned_up_after_and_leaves_nothing() {
    let changes = json!({"iso_url": guest_file("small.qcow2"), "use_backing_file": true});
    let outcome = build(changes, Provisioning { fails: true, ..Provisioning::default() }).await;
    assert_eq!(outcome.failure().message, "the script failed");
    assert_eq!(*outcome.hook.cleaned_up.lock().expect("no panic"), 1);
    outcome.left_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_without_communicator_is_waited_for_until_it_powers_off() {
    let changes = json!({
        "iso_url": guest_file("small-prompt.qcow2"), "communicator": "none", "shutdown_command": null,
        "boot_command": ["linux kiln.fetch=http://{{ .HTTPIP }}:{{ .HTTPPort }}/fetch.sh<enter>"],
        "http_content": {"/fetch.sh": "sync; poweroff -f\n"},
    });
    let outcome = build(changes, Provisioning::default()).await;
    assert_eq!(outcome.artifact().files().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_boots_by_uefi_with_its_variables_kept() {
    let changes = json!({
        "iso_url": guest_file("small.qcow2"), "efi_boot": true, "efi_firmware_code": "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "efi_firmware_vars": "/usr/share/OVMF/OVMF_VARS_4M.fd", "machine_type": "q35", "shutdown_command": null,
        "vtpm": true, "boot_wait": "-1s",
    });
    let commands = vec!["test -d /sys/firmware/efi && echo uefi; sync"];
    let outcome = build(changes, Provisioning { commands, ..Provisioning::default() }).await;
    let out = outcome.task.cx.working_dir.join("out");
    assert_eq!(outcome.artifact().files(), [out.join("efivars.fd"), out.join("guest.qcow2")]);
    assert_eq!(*outcome.hook.wrote.lock().expect("no panic"), "uefi\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_qemu_that_does_not_start_is_told_in_its_own_words() {
    let cases = [
        (json!({"machine_type": "no-such"}), Fault::Template, "unsupported machine type"),
        (json!({"qemuargs": [["-no-such-flag", ""]]}), Fault::Template, "invalid option"),
        (json!({"accelerator": "xen"}), Fault::Machine, "xen"),
    ];
    for (changes, fault, words) in cases {
        let mut all = json!({"iso_url": guest_file("small.qcow2"), "use_backing_file": true});
        all.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        let outcome = build(all, Provisioning::default()).await;
        let failure = outcome.failure();
        let told = format!("{failure} {:?}", failure.evidence);
        assert!(told.contains(words), "{told}");
        assert_eq!(failure.fault, fault, "{told}");
        outcome.left_nothing().await;
    }
}
