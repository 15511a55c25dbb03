//! The builder's options under the names that templates use, read group by group.

use kiln_lang::decode::{DecodeErrors, decode};
use kiln_lang::duration::SignedDuration;
use kiln_lang::{Diagnostic, Diagnostics, Value};
use serde::Deserialize;

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Raw {
    pub(super) hardware: Hardware,
    pub(super) disks: Disks,
    pub(super) disk_work: DiskWork,
    pub(super) firmware: Firmware,
    pub(super) tpm: Tpm,
    pub(super) screen: Screen,
    pub(super) vnc: Vnc,
    pub(super) network: Network,
    pub(super) run: Run,
    pub(super) boot: Boot,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Hardware {
    pub(super) accelerator: String,
    pub(super) machine_type: String,
    pub(super) cpu_model: String,
    pub(super) cpus: i64,
    pub(super) sockets: i64,
    pub(super) cores: i64,
    pub(super) threads: i64,
    pub(super) memory: i64,
    pub(super) qemu_binary: String,
    pub(super) qemuargs: Vec<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Disks {
    pub(super) disk_size: String,
    pub(super) disk_additional_size: Vec<String>,
    pub(super) disk_interface: String,
    pub(super) disk_cache: String,
    pub(super) disk_discard: String,
    pub(super) disk_detect_zeroes: String,
    pub(super) cdrom_interface: String,
    pub(super) format: String,
    pub(super) disk_image: bool,
    pub(super) use_backing_file: bool,
    pub(super) iso_skip_cache: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DiskWork {
    pub(super) disk_compression: bool,
    pub(super) skip_compaction: bool,
    pub(super) skip_resize_disk: bool,
    pub(super) qemu_img_args: ImgArgs,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ImgArgs {
    pub(super) convert: Vec<String>,
    pub(super) create: Vec<String>,
    pub(super) resize: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Firmware {
    pub(super) firmware: String,
    pub(super) use_pflash: bool,
    pub(super) efi_boot: bool,
    pub(super) efi_firmware_code: String,
    pub(super) efi_firmware_vars: String,
    pub(super) efi_drop_efivars: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tpm {
    pub(super) vtpm: bool,
    pub(super) use_tpm1: bool,
    pub(super) tpm_device_type: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Screen {
    pub(super) headless: bool,
    pub(super) display: String,
    pub(super) use_default_display: bool,
    pub(super) vga: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Vnc {
    pub(super) disable_vnc: bool,
    pub(super) vnc_bind_address: String,
    pub(super) vnc_port_min: i64,
    pub(super) vnc_port_max: i64,
    pub(super) vnc_use_password: bool,
    pub(super) vnc_password: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Network {
    pub(super) net_device: String,
    pub(super) net_bridge: String,
    pub(super) host_port_min: i64,
    pub(super) host_port_max: i64,
    pub(super) ssh_host_port_min: i64,
    pub(super) ssh_host_port_max: i64,
    pub(super) skip_nat_mapping: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Run {
    pub(super) vm_name: String,
    pub(super) output_directory: String,
    pub(super) qmp_enable: bool,
    pub(super) qmp_socket_path: String,
    pub(super) run_once: bool,
    pub(super) shutdown_command: String,
    pub(super) shutdown_timeout: SignedDuration,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Boot {
    pub(super) boot_command: Vec<String>,
    pub(super) boot_steps: Vec<Vec<String>>,
    pub(super) boot_wait: SignedDuration,
    pub(super) boot_key_interval: SignedDuration,
    pub(super) boot_keygroup_interval: SignedDuration,
}

impl Raw {
    /// Reads every group; what can't be read goes to `found`, and `None` comes back.
    pub(super) fn read(options: &Value, found: &mut Diagnostics) -> Option<Self> {
        let mut reading = Reading { options, found, whole: true };
        let raw = Self {
            hardware: reading.group(),
            disks: reading.group(),
            disk_work: reading.group(),
            firmware: reading.group(),
            tpm: reading.group(),
            screen: reading.group(),
            vnc: reading.group(),
            network: reading.group(),
            run: reading.group(),
            boot: reading.group(),
        };
        reading.whole.then_some(raw)
    }

    /// The names of all options that are read.
    #[cfg(test)]
    pub(super) fn names() -> Vec<&'static str> {
        use kiln_lang::decode::field_names;
        [
            field_names::<Hardware>(),
            field_names::<Disks>(),
            field_names::<DiskWork>(),
            field_names::<Firmware>(),
            field_names::<Tpm>(),
            field_names::<Screen>(),
            field_names::<Vnc>(),
            field_names::<Network>(),
            field_names::<Run>(),
            field_names::<Boot>(),
        ]
        .concat()
    }
}

struct Reading<'a> {
    options: &'a Value,
    found: &'a mut Diagnostics,
    whole: bool,
}

impl Reading<'_> {
    fn group<T: serde::de::DeserializeOwned + Default>(&mut self) -> T {
        decode(self.options).unwrap_or_else(|DecodeErrors(errors)| {
            self.whole = false;
            self.found.extend(errors.iter().map(|e| Diagnostic::error("Invalid option", e.to_string())));
            T::default()
        })
    }
}
