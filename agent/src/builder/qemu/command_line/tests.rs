//! Configs in, command lines out.

use std::sync::Arc;

use kiln_component::render;
use kiln_lang::go_template::Dot;
use serde_json::json;

use super::*;
use crate::builder::qemu::config::tests::config;
use crate::test_task;

fn facts(config: &Config) -> Facts {
    let is_image = config.disks.origin.is_image();
    Facts {
        accelerator: Accelerator::Kvm,
        disks: config.disk_paths(),
        cds: if is_image { Vec::new() } else { vec!["/iso/a.iso".to_owned()] },
        floppy: None,
        host_port: Some(2500),
        vnc: (5903, false),
        display: config.screen.display.clone(),
        user_qmp: config.qmp.as_ref().map(|_| "/out/vm.monitor".into()),
        efi_vars: config.firmware.efi.as_ref().map(|_| "/out/efivars.fd".into()),
        tpm: config.tpm.as_ref().map(|_| "/s/vtpm.sock".into()),
        private: PrivateSockets { qmp: "/s/qmp".into(), serial: "/s/serial".into() },
    }
}

/// The line with one flag and its value per row; what only we add is left out.
fn shown(config: &Config, facts: &Facts) -> String {
    let task = test_task::task();
    let data = template_data(config, ("10.0.2.2", 8123), facts.host_port);
    let renderer = render::renderer(&task.cx.plan).with_dot(Dot::Fields(data));
    let rendered = render(&config.hardware.qemuargs, &renderer).expect("templates");
    let line = arguments(config, facts, &rendered);
    let own = line.iter().position(|a| a.contains("kiln-qmp")).expect("our socket") - 1;
    let mut rows = String::new();
    for argument in &line[..own] {
        let separator = if argument.starts_with('-') { "\n" } else { " " };
        rows.push_str(separator);
        rows.push_str(argument);
    }
    rows.trim_start().to_owned()
}

fn line(options: serde_json::Value) -> String {
    let config = config(options);
    shown(&config, &facts(&config))
}

#[test]
fn an_installation_from_an_iso_has_packers_hardware() {
    assert_eq!(
        line(json!({"headless": true})),
        "-name packer-test\n\
         -machine type=pc,accel=kvm\n\
         -m 512M\n\
         -smp 1\n\
         -boot once=d\n\
         -netdev user,id=user.0,hostfwd=tcp::2500-:22\n\
         -vnc 127.0.0.1:3\n\
         -device virtio-net,netdev=user.0\n\
         -drive file=/nowhere/output-test/packer-test,if=virtio,cache=unsafe,discard=ignore,format=qcow2\n\
         -drive file=/iso/a.iso,media=cdrom"
    );
}

#[test]
fn everything_at_once_stands_in_a_fixed_order() {
    let config = config(json!({
        "cpu_model": "host", "cpus": 8, "sockets": 1, "cores": 2, "threads": 2, "memory": 2048, "machine_type": "q35",
        "efi_boot": true, "vtpm": true, "tpm_device_type": "tpm-crb", "vga": "std", "display": "sdl",
        "disk_interface": "virtio-scsi", "disk_additional_size": ["1G"], "disk_cache": "none", "disk_discard": "unmap",
        "disk_detect_zeroes": "unmap", "cdrom_interface": "virtio-scsi", "vnc_use_password": true,
        "firmware": "fw.bin", "use_pflash": true, "vm_name": "a,b",
    }));
    let facts = Facts {
        cds: vec!["/iso/a.iso".to_owned(), "/s/cd.iso".to_owned()],
        floppy: Some("/s/floppy.img".into()),
        vnc: (5900, true),
        ..facts(&config)
    };
    assert_eq!(
        shown(&config, &facts),
        "-name a,b\n\
         -machine type=q35,accel=kvm\n\
         -m 2048M\n\
         -smp 4,sockets=1,cores=2,threads=2\n\
         -cpu host\n\
         -netdev user,id=user.0,hostfwd=tcp::2500-:22\n\
         -vnc 127.0.0.1:0,password=on\n\
         -qmp unix:/out/vm.monitor,server,nowait\n\
         -fda /s/floppy.img\n\
         -display sdl\n\
         -vga std\n\
         -chardev socket,id=vtpm,path=/s/vtpm.sock\n\
         -tpmdev emulator,id=tpm0,chardev=vtpm\n\
         -device virtio-scsi-pci,id=scsi0\n\
         -device scsi-hd,bus=scsi0.0,drive=drive0\n\
         -device scsi-hd,bus=scsi0.0,drive=drive1\n\
         -device virtio-net,netdev=user.0\n\
         -device scsi-cd,bus=scsi0.0,drive=cdrom0\n\
         -device scsi-cd,bus=scsi0.0,drive=cdrom1\n\
         -device tpm-crb,tpmdev=tpm0\n\
         -drive if=none,file=/nowhere/output-test/a,,b,id=drive0,cache=none,discard=unmap,format=qcow2,detect-zeroes=unmap\n\
         -drive if=none,file=/nowhere/output-test/a,,b-1,id=drive1,cache=none,discard=unmap,format=qcow2,detect-zeroes=unmap\n\
         -drive file=/iso/a.iso,if=none,index=0,id=cdrom0,media=cdrom\n\
         -drive file=/s/cd.iso,if=none,index=1,id=cdrom1,media=cdrom\n\
         -drive file=/nowhere/fw.bin,if=pflash,format=raw,readonly=on\n\
         -drive file=/usr/share/OVMF/OVMF_CODE.fd,if=pflash,unit=0,format=raw,readonly=on\n\
         -drive file=/out/efivars.fd,if=pflash,unit=1,format=raw"
    );
}

#[test]
fn single_options_change_single_rows() {
    let cases = [
        (json!({"disk_image": true}), "-boot c"),
        (json!({"firmware": "/fw"}), "-bios /fw"),
        (json!({"net_bridge": "br0"}), "-netdev bridge,id=user.0,br=br0"),
        (json!({"net_device": "e1000"}), "-device e1000,netdev=user.0"),
        (json!({"ssh_port": 2022}), "-netdev user,id=user.0,hostfwd=tcp::2500-:2022"),
        (json!({"cdrom_interface": "ide"}), "-drive file=/iso/a.iso,if=ide,index=0,id=cdrom0,media=cdrom"),
        (json!({"cpus": 3}), "-smp 3"),
        (json!({"sockets": 2, "cores": 3}), "-smp 6,sockets=2,cores=3"),
        (json!({"cpus": 2, "cores": 4}), "-smp 2,cores=4"),
        (json!({"communicator": "none"}), "-netdev user,id=user.0"),
    ];
    for (options, row) in cases {
        let mut config = config(options);
        config.screen.display = None;
        let mut facts = facts(&config);
        if config.communicator.ssh().is_none() {
            facts.host_port = None;
        }
        let line = shown(&config, &facts);
        assert!(line.lines().any(|l| l == row), "{row} is not in\n{line}");
    }
    let config = config(json!({}));
    let none = Facts { accelerator: Accelerator::None, ..facts(&config) };
    assert!(shown(&config, &none).contains("-machine type=pc\n"));
}

#[test]
fn a_flag_of_the_template_replaces_all_that_was_generated_for_it() {
    let args = json!({"headless": true, "qemuargs": [
        ["-m", "1024M"],
        ["-netdev", "user,hostfwd=tcp::", "{{ .SSHHostPort }}", "-:22,id=forward"],
        ["-device", "virtio-net,netdev=forward"],
        ["-device", "virtio-rng-pci"],
        ["--no-acpi", ""],
        ["-nographic"],
        ["-fw_cfg", "name=opt/url,string=http://{{ .HTTPIP }}:{{ .HTTPPort }}/{{ .Name }}"],
        ["-drive", "file={{ .OutputDir }}/x.img,if=virtio"],
    ]});
    assert_eq!(
        line(args),
        "-name packer-test\n\
         -machine type=pc,accel=kvm\n\
         -m 1024M\n\
         -smp 1\n\
         -boot once=d\n\
         -netdev user,hostfwd=tcp::2500-:22,id=forward\n\
         -vnc 127.0.0.1:3\n\
         -device virtio-net,netdev=forward\n\
         -device virtio-rng-pci\n\
         -drive file=output-test/x.img,if=virtio\n\
         --no-acpi\n\
         -nographic\n\
         -fw_cfg name=opt/url,string=http://10.0.2.2:8123/packer-test"
    );
}

#[test]
fn the_network_card_comes_back_when_the_template_replaces_the_devices() {
    let line = line(json!({"headless": true, "qemuargs": [["-device", "virtio-rng-pci"]]}));
    assert!(line.contains("-device virtio-rng-pci\n-device virtio-net,netdev=user.0\n"), "{line}");
}

#[test]
fn a_name_that_qemuargs_cannot_ask_for_is_an_error() {
    let config = config(json!({"qemuargs": [["-m", "{{ .Memory }}"]]}));
    let plan = Arc::clone(&test_task::task().cx.plan);
    let renderer = render::renderer(&plan).with_dot(Dot::Fields(template_data(&config, ("", 0), None)));
    assert!(render(&config.hardware.qemuargs, &renderer).is_err());
}

#[test]
fn our_additions_leave_the_serial_port_to_a_template_that_uses_it() {
    let cases = [
        (json!({"headless": true}), true),
        (json!({"headless": true, "qemuargs": [["-display", "none"]]}), true),
        (json!({"headless": true, "qemuargs": [["-serial", "stdio"]]}), false),
        (json!({"headless": true, "qemuargs": [["--nographic", ""]]}), false),
        (json!({"headless": true, "qemuargs": [["-nodefaults", ""]]}), false),
        (json!({}), false),
    ];
    for (options, expected) in cases {
        let config = config(options);
        let task = test_task::task();
        let rendered =
            render(&config.hardware.qemuargs, &render::renderer(&task.cx.plan)).expect("templates");
        let line = arguments(&config, &facts(&config), &rendered).join(" ");
        assert!(line.contains("-chardev socket,id=kiln-qmp,path=/s/qmp -mon chardev=kiln-qmp,mode=control"));
        assert_eq!(line.contains("-serial chardev:kiln-serial"), expected, "{line}");
    }
}
