//! Disks, CDs, flash drives, network card and TPM: what `-device` and `-drive` say.

use super::{Facts, escaped};
use crate::builder::qemu::config::Config;

/// The controller that disks and CDs of `virtio-scsi` share.
const SCSI_CONTROLLER: &str = "virtio-scsi-pci,id=scsi0";

/// The values of `-device` and of `-drive`, in order.
pub(super) fn devices_and_drives(config: &Config, facts: &Facts) -> (Vec<String>, Vec<String>) {
    let mut devices = Vec::new();
    let mut drives = Vec::new();
    disks(config, facts, &mut devices, &mut drives);
    devices.push(format!("{},netdev=user.0", config.network.device));
    cds(config, facts, &mut devices, &mut drives);
    if let Some(tpm) = config.tpm.as_ref().filter(|_| facts.tpm.is_some()) {
        devices.push(format!("{},tpmdev=tpm0", tpm.device));
    }
    if let Some(image) = &config.firmware.pflash {
        let image = escaped(config.resolve(image));
        drives.push(format!("file={image},if=pflash,format=raw,readonly=on"));
    }
    if let (Some(efi), Some(vars)) = (&config.firmware.efi, &facts.efi_vars) {
        let code = escaped(config.resolve(&efi.code));
        drives.push(format!("file={code},if=pflash,unit=0,format=raw,readonly=on"));
        drives.push(format!("file={},if=pflash,unit=1,format=raw", escaped(vars)));
    }
    (devices, drives)
}

fn disks(config: &Config, facts: &Facts, devices: &mut Vec<String>, drives: &mut Vec<String>) {
    let disks = &config.disks;
    // Silent templates get the fastest: a crash of this machine loses the build anyway, and the finished disks are
    // synced before they are called an artifact.
    let cache = disks.cache.as_deref().unwrap_or("unsafe");
    let zeroes = match disks.detect_zeroes.as_str() {
        "off" => String::new(),
        mode => format!(",detect-zeroes={mode}"),
    };
    let manner = format!("cache={cache},discard={},format={}{zeroes}", disks.discard, disks.format);
    for (n, path) in facts.disks.iter().enumerate() {
        let path = escaped(path);
        if disks.interface != "virtio-scsi" {
            drives.push(format!("file={path},if={},{manner}", disks.interface));
            continue;
        }
        if n == 0 {
            devices.push(SCSI_CONTROLLER.to_owned());
        }
        devices.push(format!("scsi-hd,bus=scsi0.0,drive=drive{n}"));
        drives.push(format!("if=none,file={path},id=drive{n},{manner}"));
    }
}

fn cds(config: &Config, facts: &Facts, devices: &mut Vec<String>, drives: &mut Vec<String>) {
    for (n, cd) in facts.cds.iter().enumerate() {
        let file = cd.replace(',', ",,");
        drives.push(match config.disks.cdrom_interface.as_deref() {
            None => format!("file={file},media=cdrom"),
            Some("virtio-scsi") => {
                if !devices.iter().any(|d| d == SCSI_CONTROLLER) {
                    devices.push(SCSI_CONTROLLER.to_owned());
                }
                // Packer adds a bare `virtio-scsi-device` here, with which no PC starts.
                devices.push(format!("scsi-cd,bus=scsi0.0,drive=cdrom{n}"));
                format!("file={file},if=none,index={n},id=cdrom{n},media=cdrom")
            }
            Some(interface) => format!("file={file},if={interface},index={n},id=cdrom{n},media=cdrom"),
        });
    }
}
