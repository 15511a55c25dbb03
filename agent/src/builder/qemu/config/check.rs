//! The conditions that Packer's QEMU builder puts on its options, group by group.

use std::time::Duration;

use kiln_lang::value::Data;
use kiln_lang::{Diagnostic, Diagnostics, Value, duration};
use kiln_plan::Sensitive;

use super::raw::Raw;
use super::{
    Boot, BootCommand, Disks, Efi, Firmware, Hardware, ImgArgs, Network, Origin, Qmp, Screen, Shutdown, Vnc,
    given, or,
};
use crate::builder::qemu::{boot_command, keyboard};
use crate::capability::accelerator::Accelerator;
use crate::http_server::config::port_range;

/// The environment variable that sets the pace of typing where the template doesn't.
const KEY_INTERVAL_VARIABLE: &str = "PACKER_KEY_INTERVAL";
const DEFAULT_BOOT_WAIT: Duration = Duration::from_secs(10);
const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5 * 60);
const DEFAULT_DISK_SIZE: &str = "40960M";
const DEFAULT_MEMORY: u64 = 512;
/// Below this many MiB a template can't mean it.
const LEAST_MEMORY: i64 = 10;
const LONGEST_VNC_PASSWORD: usize = 8;

/// The options as if `iso_checksum` were `none`: a file that isn't downloaded can't be verified.
pub(super) fn without_checksum(options: &Value) -> Value {
    let mut entries = options.as_entries().cloned().unwrap_or_default();
    entries.insert("iso_checksum".to_owned(), Value::string("none"));
    Value { data: Data::Object(entries), sensitive: options.sensitive }
}

pub(super) fn hardware(raw: &Raw, found: &mut Diagnostics) -> Hardware {
    let given_hardware = &raw.hardware;
    let accelerator = given(&given_hardware.accelerator).and_then(|name| {
        let known = Accelerator::from_name(&name);
        if known.is_none() {
            let names = Accelerator::ALL.map(Accelerator::name).join(", ");
            invalid(found, "accelerator", format!("{name:?} is not one of {names}."));
        }
        known
    });
    let mut count = |name: &str, n: i64| match u32::try_from(n) {
        Ok(n) => n,
        Err(_) => {
            invalid(found, name, format!("{n} is out of range; it must be 0 or more."));
            0
        }
    };
    let (cpus, sockets) = (count("cpus", given_hardware.cpus), count("sockets", given_hardware.sockets));
    let (cores, threads) = (count("cores", given_hardware.cores), count("threads", given_hardware.threads));
    let memory = match given_hardware.memory {
        n if n >= LEAST_MEMORY => n.unsigned_abs(),
        n => {
            if n != 0 {
                found.push(Diagnostic::warning(
                    "The memory is too small to be meant",
                    format!("memory = {n} is taken as {DEFAULT_MEMORY}; the unit is MiB."),
                ));
            }
            DEFAULT_MEMORY
        }
    };
    for arguments in given_hardware.qemuargs.iter().filter(|a| a.first().is_none_or(String::is_empty)) {
        invalid(found, "qemuargs", format!("{arguments:?} must begin with a flag, as in [\"-smp\", \"4\"]."));
    }
    Hardware {
        accelerator,
        machine_type: or(&given_hardware.machine_type, || "pc".to_owned()),
        cpu_model: given(&given_hardware.cpu_model),
        cpus,
        sockets,
        cores,
        threads,
        memory,
        qemu_binary: or(&given_hardware.qemu_binary, || "qemu-system-x86_64".to_owned()),
        qemuargs: given_hardware.qemuargs.clone(),
    }
}

pub(super) fn disks(raw: &Raw, found: &mut Diagnostics) -> Disks {
    let (disks, work) = (&raw.disks, &raw.disk_work);
    let mut choice = |name: &str, value: &str, default: &str, known: &[&str]| {
        let value = or(value, || default.to_owned());
        if !known.contains(&value.as_str()) {
            invalid(found, name, format!("{value:?} is not one of {}.", known.join(", ")));
        }
        value
    };
    let interface = choice(
        "disk_interface",
        &disks.disk_interface,
        "virtio",
        &["ide", "sata", "scsi", "sd", "virtio", "virtio-scsi"],
    );
    let caches = ["writethrough", "writeback", "none", "unsafe", "directsync"];
    let cache = choice("disk_cache", &disks.disk_cache, "writeback", &caches);
    let discard = choice("disk_discard", &disks.disk_discard, "ignore", &["unmap", "ignore"]);
    let detect_zeroes =
        choice("disk_detect_zeroes", &disks.disk_detect_zeroes, "off", &["unmap", "on", "off"]);
    let format = choice("format", &disks.format, "qcow2", &["qcow2", "raw"]);
    if disks.use_backing_file && !(disks.disk_image && format == "qcow2") {
        let detail = "use_backing_file can only be enabled for disk_image = true and the format qcow2.";
        invalid(found, "use_backing_file", detail.to_owned());
    }
    if work.skip_resize_disk && !disks.disk_image {
        invalid(found, "skip_resize_disk", "It can only be used when disk_image is true.".to_owned());
    }
    let resize = !work.skip_resize_disk;
    let is_qcow2 = format == "qcow2";
    Disks {
        size: disk_size(&disks.disk_size, found),
        additional_sizes: disks.disk_additional_size.clone(),
        interface,
        cache: given(&disks.disk_cache).and(Some(cache)),
        discard,
        detect_zeroes,
        cdrom_interface: given(&disks.cdrom_interface),
        format,
        origin: match (disks.disk_image, disks.use_backing_file) {
            (false, _) => Origin::Empty,
            (true, false) => Origin::Copy { resize },
            (true, true) => Origin::Overlay { resize },
        },
        iso_skip_cache: disks.iso_skip_cache,
        compress: work.disk_compression && is_qcow2,
        compact: !work.skip_compaction && is_qcow2 && !disks.use_backing_file,
        img_args: ImgArgs {
            convert: work.qemu_img_args.convert.clone(),
            create: work.qemu_img_args.create.clone(),
            resize: work.qemu_img_args.resize.clone(),
        },
    }
}

/// A size with its unit: bare digits are MiB.
fn disk_size(text: &str, found: &mut Diagnostics) -> String {
    let digits = text.trim_end_matches(|c: char| "bkmgtBKMGT".contains(c));
    let well_formed =
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && text.len() - digits.len() <= 1;
    match text {
        "" | "0" => DEFAULT_DISK_SIZE.to_owned(),
        _ if !well_formed => {
            let detail = format!("{text:?} is not a size; write for example \"20G\" or \"40960M\".");
            found.push(Diagnostic::error("Invalid disk size.", detail));
            DEFAULT_DISK_SIZE.to_owned()
        }
        _ if digits == text => format!("{text}M"),
        _ => text.to_owned(),
    }
}

pub(super) fn firmware(raw: &Raw) -> Firmware {
    let firmware = &raw.firmware;
    let image = given(&firmware.firmware);
    let (bios, pflash) = if firmware.use_pflash { (None, image) } else { (image, None) };
    let (code, vars) = (&firmware.efi_firmware_code, &firmware.efi_firmware_vars);
    let wanted = firmware.efi_boot || !code.is_empty() || !vars.is_empty();
    let efi = wanted.then(|| Efi {
        code: or(code, || "/usr/share/OVMF/OVMF_CODE.fd".to_owned()),
        vars: or(vars, || "/usr/share/OVMF/OVMF_VARS.fd".to_owned()),
        drop_vars: firmware.efi_drop_efivars,
    });
    Firmware { bios, pflash, efi }
}

pub(super) fn screen(raw: &Raw) -> Screen {
    let screen = &raw.screen;
    let display = match screen.display.as_str() {
        _ if screen.headless => None,
        "none" => None,
        "" if screen.use_default_display => None,
        "" => Some("gtk".to_owned()),
        display => Some(display.to_owned()),
    };
    Screen { display, headless: screen.headless, vga: given(&screen.vga) }
}

pub(super) fn vnc(raw: &Raw, found: &mut Diagnostics) -> Vnc {
    let vnc = &raw.vnc;
    if vnc.vnc_port_min != 0 && vnc.vnc_port_min < 5900 {
        invalid(found, "vnc_port_min", format!("{} is below 5900, where VNC begins.", vnc.vnc_port_min));
    }
    let ports = port_range("vnc", (vnc.vnc_port_min, vnc.vnc_port_max), (5900, 6000), found);
    if vnc.vnc_password.len() > LONGEST_VNC_PASSWORD {
        let detail = format!("VNC knows passwords of at most {LONGEST_VNC_PASSWORD} characters.");
        invalid(found, "vnc_password", detail);
    }
    Vnc {
        bind_address: or(&vnc.vnc_bind_address, || "127.0.0.1".to_owned()),
        ports,
        use_password: vnc.vnc_use_password,
        password: given(&vnc.vnc_password).map(Sensitive::new),
    }
}

pub(super) fn network(raw: &Raw, found: &mut Diagnostics) -> Network {
    let network = &raw.network;
    let mut range = (network.host_port_min, network.host_port_max);
    // Their old names; the schema says so.
    let deprecated = [(network.ssh_host_port_min, &mut range.0), (network.ssh_host_port_max, &mut range.1)];
    for (value, place) in deprecated {
        if value != 0 {
            *place = value;
        }
    }
    if !network.net_bridge.is_empty() && !cfg!(target_os = "linux") {
        invalid(found, "net_bridge", "Bridges can only be used on Linux.".to_owned());
    }
    Network {
        device: or(&network.net_device, || "virtio-net".to_owned()),
        bridge: given(&network.net_bridge),
        host_ports: port_range("host", range, (2222, 4444), found),
        skip_nat_mapping: network.skip_nat_mapping,
    }
}

/// The socket that the template can see: asked for, or needed in Packer for a bridge or a password.
pub(super) fn qmp(raw: &Raw) -> Option<Qmp> {
    let wanted = raw.run.qmp_enable || !raw.network.net_bridge.is_empty() || raw.vnc.vnc_use_password;
    wanted.then(|| Qmp { socket_path: given(&raw.run.qmp_socket_path) })
}

pub(super) fn shutdown(raw: &Raw) -> Shutdown {
    let timeout = raw.run.shutdown_timeout;
    Shutdown {
        command: given(&raw.run.shutdown_command),
        timeout: if timeout.is_zero() { DEFAULT_SHUTDOWN_TIMEOUT } else { timeout.max_zero() },
    }
}

pub(super) fn boot(raw: &Raw, found: &mut Diagnostics) -> Boot {
    let boot = &raw.boot;
    let joined = boot.boot_command.concat();
    if !joined.is_empty() && !boot.boot_steps.is_empty() {
        invalid(found, "boot_steps", "Both boot_command and boot_steps are given; use one.".to_owned());
    }
    let mut commands: Vec<BootCommand> = Vec::new();
    commands.extend((!joined.is_empty()).then_some(BootCommand { text: joined, description: None }));
    for step in &boot.boot_steps {
        match &step[..] {
            [text] => commands.push(BootCommand { text: text.clone(), description: None }),
            [text, description] => {
                commands.push(BootCommand { text: text.clone(), description: given(description) });
            }
            _ => {
                let detail = format!("A boot step has a command and perhaps a description, not {step:?}.");
                invalid(found, "boot_steps", detail);
            }
        }
    }
    if raw.vnc.disable_vnc && !commands.is_empty() {
        let detail = "A boot command cannot be used when vnc is disabled.";
        invalid(found, "disable_vnc", detail.to_owned());
    }
    commands.iter().for_each(|command| check_command(&command.text, found));
    Boot {
        commands,
        wait: match boot.boot_wait {
            wait if wait.is_zero() => DEFAULT_BOOT_WAIT,
            wait => wait.max_zero(),
        },
        key_interval: match boot.boot_key_interval {
            interval if interval > duration::SignedDuration::default() => Some(interval.max_zero()),
            _ => interval_of_the_environment(),
        },
    }
}

/// Reads the command as it stands: it is rendered only when it is typed.
fn check_command(text: &str, found: &mut Diagnostics) {
    let strokes = match boot_command::parse(text) {
        Ok(strokes) => strokes,
        Err(error) => return invalid(found, "boot_command", format!("{error}.")),
    };
    let typed = boot_command::suspicious(text);
    if !typed.is_empty() {
        found.push(Diagnostic::warning(
            "The boot command has words in angle brackets that are no keys",
            format!("{} will be typed letter by letter.", typed.join(", ")),
        ));
    }
    let missing: Vec<String> = keyboard::untypable(&strokes).iter().map(|c| format!("{c:?}")).collect();
    if !missing.is_empty() {
        found.push(Diagnostic::warning(
            "The boot command has characters that a US keyboard lacks",
            format!("{} will be left out; for a new line write <enter>.", missing.join(", ")),
        ));
    }
}

fn interval_of_the_environment() -> Option<Duration> {
    let text = std::env::var(KEY_INTERVAL_VARIABLE).ok()?;
    duration::parse(&text).ok().map(duration::SignedDuration::max_zero).filter(|d| !d.is_zero())
}

fn invalid(found: &mut Diagnostics, option: &str, detail: String) {
    found.push(Diagnostic::error(format!("Invalid {option}"), detail));
}
