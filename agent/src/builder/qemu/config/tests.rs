//! Configs as templates give them, and what comes of them.

use std::sync::Arc;

use kiln_component::GeneratedData;
use kiln_lang::diagnostic::Severity;
use kiln_lang::{Diagnostics, Value};

use super::*;
use crate::builder::qemu::schema;
use crate::test_task;

/// A config out of an object in JSON, laid over a minimal one.
pub(in crate::builder::qemu) fn finished(options: serde_json::Value) -> FinishedConfig {
    let task = test_task::task();
    let mut plan = (*task.cx.plan).clone();
    plan.facts.working_dir = "/nowhere".to_owned();
    let mut all = serde_json::json!({
        "iso_url": "/iso/a.iso", "iso_checksum": "md5:d41d8cd98f00b204e9800998ecf8427e", "ssh_username": "root",
    });
    let entries = all.as_object_mut().expect("an object");
    for (name, value) in options.as_object().expect("an object") {
        entries.insert(name.clone(), value.clone());
    }
    entries.retain(|_, value| !value.is_null());
    FinishedConfig {
        options: value(&all),
        plan: Arc::new(plan),
        dry: true,
        generated: GeneratedData::default(),
    }
}

fn value(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::null(),
        Json::Bool(b) => (*b).into(),
        Json::Number(n) => n.as_i64().expect("whole").into(),
        Json::String(s) => s.as_str().into(),
        Json::Array(items) => Value::tuple(items.iter().map(value).collect()),
        Json::Object(entries) => Value::object(entries.iter().map(|(k, v)| (k.clone(), value(v)))),
    }
}

/// A config that has nothing wrong with it.
pub(in crate::builder::qemu) fn config(options: serde_json::Value) -> Config {
    let parsed = Config::parse(&finished(options));
    parsed.unwrap_or_else(|found| panic!("{:?}", summaries(&found))).0
}

fn summaries(found: &Diagnostics) -> Vec<String> {
    found.iter().map(|d| format!("{}: {}", d.summary, d.detail)).collect()
}

#[test]
fn the_schema_and_the_structs_agree() {
    let mut names: Vec<String> = schema::own_options().iter().map(|o| o.name.to_string()).collect();
    let mut fields: Vec<String> = Raw::names().iter().map(|n| (*n).to_owned()).collect();
    names.sort();
    fields.sort();
    assert_eq!(names, fields);
}

#[test]
fn a_silent_template_gets_packers_defaults() {
    let config = config(serde_json::json!({}));
    assert_eq!(config.vm_name, "packer-test");
    assert_eq!(config.output_directory, PathBuf::from("output-test"));
    assert_eq!(config.disk_paths(), [PathBuf::from("/nowhere/output-test/packer-test")]);
    let hardware = &config.hardware;
    assert_eq!((hardware.accelerator, hardware.memory, hardware.machine_type.as_str()), (None, 512, "pc"));
    let disks = &config.disks;
    assert_eq!(
        (disks.size.as_str(), disks.interface.as_str(), disks.format.as_str()),
        ("40960M", "virtio", "qcow2")
    );
    assert_eq!(
        (disks.cache.as_deref(), disks.compact, disks.compress, disks.origin),
        (None, true, false, Origin::Empty)
    );
    assert_eq!((config.boot.wait, config.boot.commands.len()), (Duration::from_secs(10), 0));
    assert_eq!(config.shutdown, Shutdown { command: None, timeout: Duration::from_secs(300) });
    assert_eq!(config.network.host_ports, PortRange { min: 2222, max: 4444 });
    assert_eq!(config.vnc.ports, PortRange { min: 5900, max: 6000 });
    assert_eq!((config.screen.display.as_deref(), config.qmp, config.tpm), (Some("gtk"), None, None));
    assert_eq!(config.firmware, Firmware::default());
}

#[test]
fn options_change_what_follows_from_them() {
    let show = |options: serde_json::Value| {
        let c = config(options);
        let d = &c.disks;
        format!(
            "{} {:?} compact={} compress={} efi={} qmp={} display={:?} wait={:?}",
            d.size,
            d.origin,
            d.compact,
            d.compress,
            c.firmware.efi.is_some(),
            c.qmp.is_some(),
            c.screen.display,
            c.boot.wait,
        )
    };
    let cases = [
        (
            serde_json::json!({"disk_size": 5000}),
            "5000M Empty compact=true compress=false efi=false qmp=false display=Some(\"gtk\") wait=10s",
        ),
        (
            serde_json::json!({"disk_size": "20g", "headless": true}),
            "20g Empty compact=true compress=false efi=false qmp=false display=None wait=10s",
        ),
        (
            serde_json::json!({"format": "raw", "disk_compression": true, "display": "none"}),
            "40960M Empty compact=false compress=false efi=false qmp=false display=None wait=10s",
        ),
        (
            serde_json::json!({"disk_image": true, "use_backing_file": true, "disk_compression": true}),
            "40960M Overlay { resize: true } compact=false compress=true efi=false qmp=false display=Some(\"gtk\") wait=10s",
        ),
        (
            serde_json::json!({"disk_image": true, "skip_resize_disk": true, "boot_wait": "-1s"}),
            "40960M Copy { resize: false } compact=true compress=false efi=false qmp=false display=Some(\"gtk\") wait=0ns",
        ),
        (
            serde_json::json!({"efi_firmware_code": "c", "vnc_use_password": true, "boot_wait": "3s"}),
            "40960M Empty compact=true compress=false efi=true qmp=true display=Some(\"gtk\") wait=3s",
        ),
        (
            serde_json::json!({"use_default_display": true, "net_bridge": "br0", "skip_compaction": true}),
            "40960M Empty compact=false compress=false efi=false qmp=true display=None wait=10s",
        ),
    ];
    for (options, expected) in cases {
        assert_eq!(show(options.clone()), expected, "{options}");
    }
}

#[test]
fn what_is_wrong_is_told_all_at_once() {
    let wrong = serde_json::json!({
        "accelerator": "warp", "cpus": -1, "disk_size": "12Q", "disk_interface": "usb", "disk_cache": "x",
        "disk_discard": "x", "disk_detect_zeroes": "x", "format": "vmdk", "use_backing_file": true,
        "skip_resize_disk": true, "vnc_port_min": 5000, "vnc_password": "123456789",
        "host_port_min": 5000, "host_port_max": 4000, "boot_command": ["<wait0>"], "boot_steps": [["a", "b", "c"]],
        "disable_vnc": true, "iso_checksum": "", "http_port_min": 9001, "http_port_max": 9000, "qemuargs": [[""]],
    });
    let found = Config::parse(&finished(wrong)).expect_err("wrong");
    let mut told: Vec<_> = found.iter().map(|d| d.summary.as_str()).collect();
    told.sort_unstable();
    let mut expected = [
        "Invalid accelerator",
        "Invalid cpus",
        "Invalid disk size.",
        "Invalid disk_interface",
        "Invalid disk_cache",
        "Invalid disk_discard",
        "Invalid disk_detect_zeroes",
        "Invalid format",
        "Invalid use_backing_file",
        "Invalid skip_resize_disk",
        "Invalid vnc_port_min",
        "Invalid vnc_password",
        "host_port_min must be less than host_port_max",
        "Invalid boot_command",
        "Invalid boot_steps",
        "Invalid boot_steps",
        "Invalid disable_vnc",
        "Invalid iso_checksum",
        "http_port_min must be less than http_port_max",
        "Invalid qemuargs",
    ];
    expected.sort_unstable();
    assert_eq!(told, expected);
}

#[test]
fn what_works_but_is_probably_not_meant_is_a_warning() {
    let cases = [
        (serde_json::json!({"memory": 4}), "The memory is too small to be meant"),
        (serde_json::json!({"iso_checksum": "none"}), "The ISO is not verified"),
        (
            serde_json::json!({"boot_command": "<space>"}),
            "The boot command has words in angle brackets that are no keys",
        ),
        (
            serde_json::json!({"boot_command": "é"}),
            "The boot command has characters that a US keyboard lacks",
        ),
    ];
    for (options, expected) in cases {
        let (_, found) = Config::parse(&finished(options)).expect("only a warning");
        let told: Vec<_> = found.iter().map(|d| d.summary.as_str()).collect();
        assert!(told == [expected] && found.iter().all(|d| d.severity == Severity::Warning), "{told:?}");
    }
}

#[test]
fn an_iso_that_is_not_downloaded_needs_no_checksum() {
    config(serde_json::json!({"iso_skip_cache": true, "iso_checksum": null}));
}

#[test]
fn an_output_directory_that_exists_is_an_error_unless_forced() {
    let existing = serde_json::json!({"output_directory": "/tmp"});
    let found = Config::parse(&finished(existing.clone())).expect_err("it exists");
    assert_eq!(summaries(&found).len(), 1);
    let mut forced = finished(existing);
    let mut plan = (*forced.plan).clone();
    plan.options.force = true;
    forced.plan = Arc::new(plan);
    Config::parse(&forced).expect("it may be replaced");
}
