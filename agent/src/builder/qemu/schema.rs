//! The builder's options as data, for checking, help and documents.

use std::borrow::Cow;

use kiln_plan::schema::OptionType::{Block, Bool, Duration, Integer, String as Text, StringLists, Strings};
use kiln_plan::schema::Rule;
use kiln_plan::{ComponentKind, ComponentSchema, OptionSchema};

use crate::communicator;
use crate::download::iso;
use crate::http_server::config as http;
use crate::media::config as media;

/// The builder `qemu`.
pub fn schema() -> ComponentSchema {
    let mut options = own_options();
    options.extend(iso::options());
    options.extend(http::options());
    options.extend(media::options());
    options.extend(communicator::options());
    ComponentSchema {
        kind: ComponentKind::Builder,
        name: Cow::Borrowed("qemu"),
        options,
        generated: Vec::new(),
        answer: None,
        rules: vec![
            Rule::at_least_one(&["iso_url", "iso_urls"]),
            Rule::at_most_one(&["iso_url", "iso_urls"]),
            Rule::at_most_one(&["boot_command", "boot_steps"]),
            Rule::at_most_one(&["http_directory", "http_content"]),
            Rule::at_most_one(&["ssh_bastion_host", "ssh_proxy_host"]),
        ],
    }
}

/// The options that only this builder has.
pub(super) fn own_options() -> Vec<OptionSchema> {
    [hardware(), disks(), disk_work(), firmware(), screen(), network(), run(), boot()].concat()
}

const fn option(name: &'static str, ty: kiln_plan::schema::OptionType, help: &'static str) -> OptionSchema {
    OptionSchema::new(name, ty, help)
}

fn hardware() -> Vec<OptionSchema> {
    vec![
        option(
            "accelerator",
            Text,
            "What runs the guest's instructions; found out by trying when not given.",
        )
        .values(&["none", "kvm", "tcg", "xen", "hax", "hvf", "whpx"]),
        option("machine_type", Text, "QEMU's machine type; `qemu-system-x86_64 -machine help` lists them.")
            .default("pc"),
        option("cpu_model", Text, "QEMU's processor model, such as \"host\" or \"max\"."),
        option("cpus", Integer, "How many processors the guest has.").default("1"),
        option("sockets", Integer, "How many sockets its processors are in."),
        option("cores", Integer, "How many cores each socket has."),
        option("threads", Integer, "How many threads each core has."),
        option("memory", Integer, "The guest's memory in MiB.").default("512"),
        option("qemu_binary", Text, "The name or path of the QEMU program.").default("qemu-system-x86_64"),
        option(
            "qemuargs",
            StringLists,
            "Arguments for QEMU; a flag given here replaces all that would be generated for it.",
        )
        .late(),
    ]
}

fn disks() -> Vec<OptionSchema> {
    vec![
        option("disk_size", Text, "The size of the main disk; without unit in MiB.").default("40960M"),
        option("disk_additional_size", Strings, "Sizes of further disks; without unit in bytes."),
        option("disk_interface", Text, "How the disks are attached.").default("virtio").values(&[
            "ide",
            "sata",
            "scsi",
            "sd",
            "virtio",
            "virtio-scsi",
        ]),
        option("disk_cache", Text, "QEMU's cache mode; when not given, what is fastest while building.")
            .values(&["writethrough", "writeback", "none", "unsafe", "directsync"]),
        option("disk_discard", Text, "Whether the guest may give disk space back.")
            .default("ignore")
            .values(&["unmap", "ignore"]),
        option("disk_detect_zeroes", Text, "Whether zeroes that the guest writes take up space.")
            .default("off")
            .values(&["unmap", "on", "off"]),
        option("cdrom_interface", Text, "How CD drives are attached; QEMU chooses when not given."),
        option("format", Text, "The format of the disks.").default("qcow2").values(&["qcow2", "raw"]),
        option("disk_image", Bool, "Whether iso_url is a bootable disk image instead of an ISO.")
            .default("false"),
        option("use_backing_file", Bool, "Build an overlay of the disk image instead of a copy.")
            .default("false"),
        option("iso_skip_cache", Bool, "Let QEMU read the ISO from its URL; it is not verified then.")
            .default("false"),
    ]
}

fn disk_work() -> Vec<OptionSchema> {
    let arguments = vec![
        option("convert", Strings, "Arguments for `qemu-img convert`."),
        option("create", Strings, "Arguments for `qemu-img create`."),
        option("resize", Strings, "Arguments for `qemu-img resize`."),
    ];
    vec![
        option("disk_compression", Bool, "Whether the finished disk is compressed (qcow2 only).")
            .default("false"),
        option("skip_compaction", Bool, "Whether the finished disk keeps its unused parts.").default("false"),
        option("skip_resize_disk", Bool, "Whether a disk image keeps its size.").default("false"),
        option("qemu_img_args", Block(arguments), "Further arguments for qemu-img."),
    ]
}

fn firmware() -> Vec<OptionSchema> {
    vec![
        option("firmware", Text, "A firmware image to boot with."),
        option("use_pflash", Bool, "Whether `firmware` goes into a flash drive.").default("false"),
        option("efi_boot", Bool, "Whether the guest boots by UEFI; implied by the next two.")
            .default("false"),
        option("efi_firmware_code", Text, "The UEFI code image.").default("/usr/share/OVMF/OVMF_CODE.fd"),
        option("efi_firmware_vars", Text, "The image that UEFI variables begin as.")
            .default("/usr/share/OVMF/OVMF_VARS.fd"),
        option("efi_drop_efivars", Bool, "Whether efivars.fd is left out of the artifact.").default("false"),
        option("vtpm", Bool, "Whether the guest has a TPM; needs swtpm.").default("false"),
        option("use_tpm1", Bool, "Whether the TPM is of version 1.2.").default("false"),
        option("tpm_device_type", Text, "QEMU's TPM device.").default("tpm-tis"),
    ]
}

fn screen() -> Vec<OptionSchema> {
    vec![
        option("headless", Bool, "Whether no window shows the guest.").default("false"),
        option("display", Text, "QEMU's display, \"none\" to leave it out.").default("gtk"),
        option("use_default_display", Bool, "Whether QEMU chooses the display.").default("false"),
        option("vga", Text, "QEMU's graphics card."),
        option("disable_vnc", Bool, "Whether no boot command is typed.").default("false"),
        option("vnc_bind_address", Text, "Where VNC listens.").default("127.0.0.1"),
        option("vnc_port_min", Integer, "The lowest VNC port, at least 5900.").default("5900"),
        option("vnc_port_max", Integer, "One above the highest VNC port.").default("6000"),
        option("vnc_use_password", Bool, "Whether VNC viewers must give a password.").default("false"),
        option(
            "vnc_password",
            Text,
            "The password for VNC viewers, at most 8 characters; else a random one.",
        ),
    ]
}

fn network() -> Vec<OptionSchema> {
    vec![
        option("net_device", Text, "QEMU's network card.").default("virtio-net"),
        option("net_bridge", Text, "A bridge of this machine to join, instead of QEMU's own network."),
        option("host_port_min", Integer, "The lowest port of this machine that may lead to the guest.")
            .default("2222"),
        option(
            "host_port_max",
            Integer,
            "One above the highest port of this machine that may lead to the guest.",
        )
        .default("4444"),
        option("ssh_host_port_min", Integer, "Old name of host_port_min.").deprecated("host_port_min"),
        option("ssh_host_port_max", Integer, "Old name of host_port_max.").deprecated("host_port_max"),
        option(
            "skip_nat_mapping",
            Bool,
            "Whether the communicator's own port of this machine leads to the guest.",
        )
        .default("false"),
    ]
}

fn run() -> Vec<OptionSchema> {
    vec![
        option("vm_name", Text, "The guest's name and its disk's file name.").default("packer-<build>"),
        option("output_directory", Text, "Where the disks go; must not exist.").default("output-<build>"),
        option("qmp_enable", Bool, "Whether QEMU's monitor has a socket of the template's own.")
            .default("false"),
        option("qmp_socket_path", Text, "That socket.").default("<output_directory>/<vm_name>.monitor"),
        option("run_once", Bool, "Does nothing.").deprecated("nothing"),
        option("shutdown_command", Text, "Run in the guest to shut it down; else the power is cut."),
        option("shutdown_timeout", Duration, "How long the guest may take to shut down.").default("5m"),
    ]
}

fn boot() -> Vec<OptionSchema> {
    vec![
        option("boot_command", Strings, "What is typed when the guest boots, with keys in angle brackets.")
            .late(),
        option("boot_steps", StringLists, "The same in steps, each a command and perhaps its description.")
            .late(),
        option("boot_wait", Duration, "How long to wait before typing; negative for not at all.")
            .default("10s"),
        option(
            "boot_key_interval",
            Duration,
            "The time between two events of keys; when not given, as fast as the guest takes them.",
        ),
        option("boot_keygroup_interval", Duration, "Has no effect on this builder."),
    ]
}
