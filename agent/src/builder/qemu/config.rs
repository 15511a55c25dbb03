//! The builder's config: Packer's defaults filled in, Packer's conditions checked, and put into types in which a
//! wrong combination can't be written. Everything that is wrong is told at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kiln_component::FinishedConfig;
use kiln_component::factory::Made;
use kiln_lang::{Diagnostic, Diagnostics};

mod check;
mod raw;

use crate::capability::accelerator::Accelerator;
use crate::communicator::CommunicatorConfig;
use crate::download::{Wanted, iso};
use crate::http_server::config::HttpConfig;
use crate::media::config::MediaConfig;
use crate::port::PortRange;
use raw::Raw;

/// All that a template says about the guest to be built.
#[derive(Clone, Debug)]
pub struct Config {
    /// The guest's name, and its main disk's file name.
    pub vm_name: String,
    /// Where the results go, as the template has it.
    pub output_directory: PathBuf,
    /// Where relative paths of the template resolve.
    pub working_dir: PathBuf,
    /// Processors, memory, and the program that plays them.
    pub hardware: Hardware,
    /// The disks and what is done to them.
    pub disks: Disks,
    /// What the guest boots with.
    pub firmware: Firmware,
    /// The TPM, if it has one.
    pub tpm: Option<Tpm>,
    /// What shows the guest's screen.
    pub screen: Screen,
    /// VNC, always there for people; not used for typing.
    pub vnc: Vnc,
    /// How the guest reaches the network, and we the guest.
    pub network: Network,
    /// The template's own monitor socket; ours is private and always there.
    pub qmp: Option<Qmp>,
    /// What is typed at boot.
    pub boot: Boot,
    /// How the guest is told to end.
    pub shutdown: Shutdown,
    /// The ISO or disk image to start from.
    pub iso: Wanted,
    /// The HTTP server beside the guest.
    pub http: HttpConfig,
    /// The CD and the floppy.
    pub media: MediaConfig,
    /// How the guest is spoken with.
    pub communicator: CommunicatorConfig,
}

/// Processors, memory, and the program that plays them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hardware {
    /// `None`: to be found out.
    pub accelerator: Option<Accelerator>,
    /// QEMU's `-machine type`.
    pub machine_type: String,
    /// QEMU's `-cpu`.
    pub cpu_model: Option<String>,
    /// Processors in all; 0: as sockets, cores and threads make.
    pub cpus: u32,
    /// Sockets; 0 for unset, as the two below.
    pub sockets: u32,
    /// Cores per socket.
    pub cores: u32,
    /// Threads per core.
    pub threads: u32,
    /// MiB.
    pub memory: u64,
    /// Name or path of the program.
    pub qemu_binary: String,
    /// The template's own arguments, not rendered: flag first, the rest to be joined.
    pub qemuargs: Vec<Vec<String>>,
}

/// The disks and what is done to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disks {
    /// Of the main disk, with its unit.
    pub size: String,
    /// Of further disks, as given: without unit they are bytes.
    pub additional_sizes: Vec<String>,
    /// `if=`
    pub interface: String,
    /// `cache=`; `None` when the template is silent.
    pub cache: Option<String>,
    /// `discard=`
    pub discard: String,
    /// `detect-zeroes=`
    pub detect_zeroes: String,
    /// The interface of CDs; `None` leaves it to QEMU.
    pub cdrom_interface: Option<String>,
    /// `qcow2` or `raw`.
    pub format: String,
    /// What the main disk begins as.
    pub origin: Origin,
    /// Whether QEMU reads the ISO from its URL.
    pub iso_skip_cache: bool,
    /// Whether the main disk is compressed at the end.
    pub compress: bool,
    /// Whether the main disk is rewritten without its unused parts at the end.
    pub compact: bool,
    /// Further arguments for `qemu-img`.
    pub img_args: ImgArgs,
}

/// What the main disk begins as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Empty; the ISO is in the CD drive.
    Empty,
    /// A copy of the image at `iso_url`.
    Copy {
        /// Whether it is brought to `disk_size`.
        resize: bool,
    },
    /// An overlay of it.
    Overlay {
        /// Whether it is brought to `disk_size`.
        resize: bool,
    },
}

impl Origin {
    /// Whether `iso_url` is a disk image.
    pub fn is_image(self) -> bool {
        self != Self::Empty
    }
}

/// Further arguments for `qemu-img`, by its command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImgArgs {
    /// For `convert`.
    pub convert: Vec<String>,
    /// For `create`.
    pub create: Vec<String>,
    /// For `resize`.
    pub resize: Vec<String>,
}

/// What the guest boots with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firmware {
    /// A firmware image for `-bios`.
    pub bios: Option<String>,
    /// A firmware image for a flash drive.
    pub pflash: Option<String>,
    /// UEFI.
    pub efi: Option<Efi>,
}

/// UEFI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Efi {
    /// The code's image.
    pub code: String,
    /// The image that the guest's variables begin as.
    pub vars: String,
    /// Whether `efivars.fd` is left out of the artifact.
    pub drop_vars: bool,
}

/// A software TPM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tpm {
    /// Version 1.2 instead of 2.0.
    pub version_1: bool,
    /// QEMU's device.
    pub device: String,
}

/// What shows the guest's screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screen {
    /// QEMU's `-display`; `None` leaves it out.
    pub display: Option<String>,
    /// Whether no window is wanted.
    pub headless: bool,
    /// QEMU's `-vga`.
    pub vga: Option<String>,
}

/// VNC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vnc {
    /// Where QEMU listens, and where ports are tried.
    pub bind_address: String,
    /// The ports to choose from.
    pub ports: PortRange,
    /// Whether viewers must give a password.
    pub use_password: bool,
    /// The password; `None`: one is made up.
    pub password: Option<kiln_plan::Sensitive<String>>,
}

/// How the guest reaches the network, and we the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// QEMU's device.
    pub device: String,
    /// The bridge of this machine to join; `None`: QEMU's own network.
    pub bridge: Option<String>,
    /// Ports of this machine that lead to the guest.
    pub host_ports: PortRange,
    /// Take the communicator's own port of this machine instead.
    pub skip_nat_mapping: bool,
}

/// The template's own monitor socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qmp {
    /// Where; `None`: `<vm_name>.monitor` in the output directory.
    pub socket_path: Option<String>,
}

/// What is typed at boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// Each with its description; not rendered. At most one without `boot_steps`.
    pub commands: Vec<BootCommand>,
    /// How long to wait before typing.
    pub wait: Duration,
    /// The time after each event of a key, if the template or the environment says so.
    pub key_interval: Option<Duration>,
}

/// One text to be typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootCommand {
    /// Not rendered.
    pub text: String,
    /// What it does, for people.
    pub description: Option<String>,
}

/// How the guest is told to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Run in the guest; `None`: the power is cut.
    pub command: Option<String>,
    /// How long the guest may take.
    pub timeout: Duration,
}

impl Config {
    /// Reads and checks a finished config.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(finished: &FinishedConfig) -> Made<Self> {
        let mut found = Diagnostics::new();
        let working_dir = PathBuf::from(&finished.facts().working_dir);
        let communicator = match CommunicatorConfig::parse(&finished.options, &working_dir) {
            Ok((config, warnings)) => {
                found.extend(warnings);
                Some(config)
            }
            Err(errors) => {
                found.extend(errors);
                None
            }
        };
        let http = HttpConfig::parse(&finished.options, &mut found);
        let media = MediaConfig::parse(&finished.options, &working_dir, &mut found);
        let raw = Raw::read(&finished.options, &mut found);
        let skips_cache = raw.as_ref().is_some_and(|raw| raw.disks.iso_skip_cache);
        let options =
            if skips_cache { check::without_checksum(&finished.options) } else { finished.options.clone() };
        let iso = iso::parse(&options, &mut found);
        let (Some(communicator), Some(http), Some(media), Some(raw), Some(iso)) =
            (communicator, http, media, raw, iso)
        else {
            return Err(found);
        };
        let boot = check::boot(&raw, &mut found);
        let config = Self {
            vm_name: or(&raw.run.vm_name, || format!("packer-{}", finished.plan.source_name)),
            output_directory: or(&raw.run.output_directory, || {
                format!("output-{}", finished.plan.source_name)
            })
            .into(),
            hardware: check::hardware(&raw, &mut found),
            disks: check::disks(&raw, &mut found),
            firmware: check::firmware(&raw),
            tpm: raw.tpm.vtpm.then(|| Tpm {
                version_1: raw.tpm.use_tpm1,
                device: or(&raw.tpm.tpm_device_type, || "tpm-tis".to_owned()),
            }),
            screen: check::screen(&raw),
            vnc: check::vnc(&raw, &mut found),
            network: check::network(&raw, &mut found),
            qmp: check::qmp(&raw),
            boot,
            shutdown: check::shutdown(&raw),
            iso,
            http,
            media,
            communicator,
            working_dir,
        };
        config.check_output_directory(finished.plan.options.force, &mut found);
        if found.has_errors() { Err(found) } else { Ok((config, found)) }
    }

    /// The output directory, absolute.
    pub fn output_path(&self) -> PathBuf {
        self.working_dir.join(&self.output_directory)
    }

    /// A path of the template, absolute.
    pub fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        self.working_dir.join(path)
    }

    /// The files of the disks, the main one first.
    pub fn disk_paths(&self) -> Vec<PathBuf> {
        let main = self.output_path().join(&self.vm_name);
        let further = (1..=self.disks.additional_sizes.len())
            .map(|n| self.output_path().join(format!("{}-{n}", self.vm_name)));
        std::iter::once(main.clone()).chain(further).collect()
    }

    fn check_output_directory(&self, force: bool, found: &mut Diagnostics) {
        if !force && self.output_path().exists() {
            let shown = self.output_directory.display();
            found.push(
                Diagnostic::error(
                    format!("Output directory '{shown}' already exists"),
                    "It must not exist before the build.",
                )
                .hint("Remove it, or build with -force to have it replaced."),
            );
        }
    }
}

fn or(text: &str, default: impl FnOnce() -> String) -> String {
    if text.is_empty() { default() } else { text.to_owned() }
}

fn given(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|t| !t.is_empty())
}

#[cfg(test)]
pub(super) mod tests;
