//! QEMU's command line: a pure function of the config and of what the steps found out.
//!
//! Three layers, each laid over the one before:
//!
//! 1. what Packer generates (`-drive`, `-device`, `-netdev`, …), so that a guest sees the same hardware;
//! 2. the template's `qemuargs`: a flag given there replaces *all* that was generated for that flag, textually;
//! 3. what only we need and no guest notices: a private monitor socket, and the serial port's output where the
//!    template leaves it alone.

use std::path::{Path, PathBuf};

use kiln_lang::Value;
use kiln_lang::go_template::{Renderer, TemplateError};

use super::config::{Config, Hardware, Origin};
use crate::capability::accelerator::Accelerator;
use crate::communicator::CommunicatorConfig;

mod devices;

/// What the steps found out.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The accelerator to use.
    pub accelerator: Accelerator,
    /// The disks, absolute, the main one first.
    pub disks: Vec<PathBuf>,
    /// What is in the CD drives, in order: paths, or the ISO's URL.
    pub cds: Vec<String>,
    /// The floppy image.
    pub floppy: Option<PathBuf>,
    /// The port of this machine that leads to the guest; `None` when none does.
    pub host_port: Option<u16>,
    /// VNC's port, and whether viewers must give a password.
    pub vnc: (u16, bool),
    /// QEMU's display when a window is possible here.
    pub display: Option<String>,
    /// The template's own monitor socket.
    pub user_qmp: Option<PathBuf>,
    /// The copy of the UEFI variables.
    pub efi_vars: Option<PathBuf>,
    /// The TPM's socket.
    pub tpm: Option<PathBuf>,
    /// Our sockets.
    pub private: PrivateSockets,
}

/// Sockets on which we listen and that QEMU dials.
#[derive(Clone, Debug)]
pub struct PrivateSockets {
    /// The monitor.
    pub qmp: PathBuf,
    /// The serial port's output.
    pub serial: PathBuf,
}

/// A flag with its values in order; none for a flag that stands alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// With its dash or dashes.
    pub flag: String,
    /// One per time that the flag stands on the command line.
    pub values: Vec<String>,
}

impl Argument {
    fn one(flag: &str, value: impl Into<String>) -> Self {
        Self { flag: flag.to_owned(), values: vec![value.into()] }
    }
}

/// The whole command line without the program's name. `rendered` are the template's `qemuargs` as [`render`] yields
/// them.
pub fn arguments(config: &Config, facts: &Facts, rendered: &[Argument]) -> Vec<String> {
    let merged = overridden(generated(config, facts), rendered, &config.network.device);
    let mut line: Vec<String> = Vec::new();
    for argument in &merged {
        match &argument.values[..] {
            [] => line.push(argument.flag.clone()),
            values => values.iter().for_each(|value| {
                line.push(argument.flag.clone());
                line.extend(Some(value.clone()).filter(|v| !v.is_empty()));
            }),
        }
    }
    line.extend(private(facts, &merged));
    line
}

/// Whether our reader gets the guest's serial output: not where the template arranges it by itself, and not where a
/// window shows it to a person.
pub fn takes_serial(arguments: &[Argument]) -> bool {
    !arguments.iter().any(|argument| match argument.flag.trim_start_matches('-') {
        "serial" | "nographic" | "nodefaults" | "daemonize" => true,
        "display" => argument.values.iter().any(|v| !(v == "none" || v.starts_with("egl-headless"))),
        _ => false,
    })
}

/// Renders the template's `qemuargs`: the first element of each is the flag, the others are joined without
/// separator. Entries of the same flag add up.
///
/// # Errors
/// When an element can't be rendered.
pub fn render(qemuargs: &[Vec<String>], renderer: &Renderer) -> Result<Vec<Argument>, TemplateError> {
    let mut arguments: Vec<Argument> = Vec::new();
    for entry in qemuargs {
        let Some((flag, elements)) = entry.split_first() else { continue };
        let mut value = String::new();
        for element in elements {
            value.push_str(&renderer.render(element)?.text);
        }
        match arguments.iter_mut().find(|a| a.flag == *flag) {
            Some(argument) => argument.values.push(value),
            None => arguments.push(Argument::one(flag, value)),
        }
    }
    Ok(arguments)
}

/// What `qemuargs` may ask for.
pub fn template_data(config: &Config, http: (&str, u16), host_port: Option<u16>) -> Value {
    use crate::http_server::config::HttpSource;
    let (directory, content) = match &config.http.served {
        Some(HttpSource::Directory(directory)) => (directory.clone(), Value::object([])),
        Some(HttpSource::Content(texts)) => {
            let texts = texts.iter().map(|(path, text)| (path.clone(), Value::string(text.as_str())));
            (String::new(), Value::object(texts))
        }
        None => (String::new(), Value::object([])),
    };
    let data: [(&str, Value); 7] = [
        ("HTTPIP", http.0.into()),
        ("HTTPPort", i64::from(http.1).into()),
        ("HTTPDir", directory.into()),
        ("HTTPContent", content),
        ("OutputDir", config.output_directory.display().to_string().into()),
        ("Name", config.vm_name.as_str().into()),
        ("SSHHostPort", i64::from(host_port.unwrap_or(0)).into()),
    ];
    Value::object(data.map(|(name, value)| (name.to_owned(), value)))
}

/// Layer 1.
fn generated(config: &Config, facts: &Facts) -> Vec<Argument> {
    let hardware = &config.hardware;
    let machine = machine(hardware, facts.accelerator);
    let mut line = vec![
        Argument::one("-name", &config.vm_name),
        Argument::one("-machine", machine),
        Argument::one("-m", format!("{}M", hardware.memory)),
        Argument::one("-smp", processors(config)),
    ];
    let mut add = |flag: &str, value: Option<String>| line.extend(value.map(|v| Argument::one(flag, v)));
    add("-cpu", hardware.cpu_model.clone());
    let first = if config.disks.origin == Origin::Empty { "once=d" } else { "c" };
    add("-boot", config.firmware.efi.is_none().then(|| first.to_owned()));
    add("-netdev", Some(network(config, facts)));
    add("-vnc", Some(vnc(config, facts)));
    add("-qmp", facts.user_qmp.as_ref().map(|path| format!("unix:{},server,nowait", escaped(path))));
    add("-bios", config.firmware.bios.as_ref().map(|f| config.resolve(f).display().to_string()));
    add("-fda", facts.floppy.as_ref().map(|path| path.display().to_string()));
    add("-display", facts.display.clone());
    add("-vga", config.screen.vga.clone());
    add("-chardev", facts.tpm.as_ref().map(|path| format!("socket,id=vtpm,path={}", escaped(path))));
    add("-tpmdev", facts.tpm.as_ref().map(|_| "emulator,id=tpm0,chardev=vtpm".to_owned()));
    let (devices, drives) = devices::devices_and_drives(config, facts);
    line.push(Argument { flag: "-device".to_owned(), values: devices });
    line.push(Argument { flag: "-drive".to_owned(), values: drives });
    line
}

/// Without its HPET an emulated PC is about 5 % faster: a guest that reads the time from it leaves the translated
/// code each time, for longer than with the other clocks. No image remembers it; libvirt's guests have none either.
fn machine(hardware: &Hardware, accelerator: Accelerator) -> String {
    let machine_type = &hardware.machine_type;
    let pc = ["pc", "q35"].iter().any(|name| machine_type.starts_with(name));
    let x86 = ["x86_64", "i386"].iter().any(|name| hardware.qemu_binary.ends_with(name));
    match accelerator {
        Accelerator::None => format!("type={machine_type}"),
        Accelerator::Tcg if pc && x86 => format!("type={machine_type},accel=tcg,hpet=off"),
        accelerator => format!("type={machine_type},accel={accelerator}"),
    }
}

/// Layer 2.
fn overridden(generated: Vec<Argument>, given: &[Argument], net_device: &str) -> Vec<Argument> {
    let named = |flag: &str| given.iter().find(|a| a.flag == flag).cloned();
    let mut merged: Vec<Argument> = Vec::with_capacity(generated.len() + given.len());
    for argument in generated {
        merged.push(named(&argument.flag).unwrap_or(argument));
    }
    for argument in given {
        if !merged.iter().any(|a| a.flag == argument.flag) {
            merged.push(argument.clone());
        }
    }
    // A template that replaces the devices nearly always means to keep the network card.
    if let Some(devices) = merged.iter_mut().find(|a| a.flag == "-device")
        && !devices.values.concat().contains(net_device)
    {
        devices.values.push(format!("{net_device},netdev=user.0"));
    }
    merged
}

/// Layer 3.
fn private(facts: &Facts, merged: &[Argument]) -> Vec<String> {
    let socket = |id: &str, path: &Path| format!("socket,id={id},path={}", escaped(path));
    let mut line = vec![
        "-chardev".to_owned(),
        socket("kiln-qmp", &facts.private.qmp),
        "-mon".to_owned(),
        "chardev=kiln-qmp,mode=control".to_owned(),
    ];
    if takes_serial(merged) {
        line.extend(["-chardev".to_owned(), socket("kiln-serial", &facts.private.serial)]);
        line.extend(["-serial".to_owned(), "chardev:kiln-serial".to_owned()]);
    }
    line
}

/// The value of `-smp`, by Packer's arithmetic.
fn processors(config: &Config) -> String {
    let hardware = &config.hardware;
    let parts = [("sockets", hardware.sockets), ("cores", hardware.cores), ("threads", hardware.threads)];
    let most = match parts.iter().filter(|(_, n)| *n > 0).map(|(_, n)| *n).reduce(u32::saturating_mul) {
        Some(product) => product,
        None if hardware.cpus == 0 => return "1".to_owned(),
        None => hardware.cpus,
    };
    let count = if hardware.cpus == 0 { most } else { hardware.cpus.min(most) };
    let parts = parts.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!(",{name}={n}"));
    std::iter::once(count.to_string()).chain(parts).collect()
}

fn network(config: &Config, facts: &Facts) -> String {
    if let Some(bridge) = &config.network.bridge {
        return format!("bridge,id=user.0,br={bridge}");
    }
    match (&config.communicator, facts.host_port) {
        (CommunicatorConfig::Ssh(ssh), Some(port)) => {
            format!("user,id=user.0,hostfwd=tcp::{port}-:{}", ssh.port)
        }
        _ => "user,id=user.0".to_owned(),
    }
}

fn vnc(config: &Config, facts: &Facts) -> String {
    let (port, password) = facts.vnc;
    let display = port.saturating_sub(5900);
    format!("{}:{display}{}", config.vnc.bind_address, if password { ",password=on" } else { "" })
}

/// A path inside an option list, where a comma ends a value unless it is doubled.
fn escaped(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests;
