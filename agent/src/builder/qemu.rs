//! The builder `qemu`: boots a guest in QEMU, has it provisioned, and keeps its disks.
//!
//! [`run`] is the readable list of what happens; each step lies in a file of its own under [`step`], the pure parts
//! beside it: [`config`], [`command_line`], [`boot_command`], [`keyboard`].

use std::sync::Arc;

use async_trait::async_trait;
use kiln_component::factory::{Made, Make};
use kiln_component::{
    Artifact, Builder, Factory, FinishedConfig, GeneratedData, Pipeline, ProvisionHook, TaskContext, render,
};
use kiln_lang::Value;
use kiln_lang::go_template::Dot;
use kiln_plan::{Failure, Fault};

pub mod artifact;
pub mod boot_command;
pub mod bridge;
pub mod command_line;
pub mod config;
pub mod evidence;
pub mod guest;
pub mod keyboard;
pub mod programs;
pub mod qemu_img;
pub mod qmp;
pub mod schema;
pub mod serial;
pub mod step;
pub mod typist;

use crate::builder::provision::provision;
use crate::capability::accelerator::Accelerator;
use crate::communicator::keys::MakeKeys;
use crate::communicator::{Address, CommunicatorConfig, KeyPair};
use artifact::QemuArtifact;
use command_line::{Facts, PrivateSockets};
use config::{Config, Origin};
use guest::Whereabouts;
use programs::Programs;
use step::choose_accelerator::ChooseAccelerator;
use step::clear_keys::ClearKeys;
use step::connect::ConnectToGuest;
use step::convert_disk::ConvertDisk;
use step::copy_efi_vars::CopyEfiVars;
use step::create_disks::CreateDisks;
use step::fetch_iso::FetchIso;
use step::forward_port::ForwardPort;
use step::make_cd::MakeCd;
use step::make_floppy::MakeFloppy;
use step::make_output_directory::MakeOutputDirectory;
use step::serve_http::{HttpAddress, ServeHttp};
use step::shut_down::ShutDown;
use step::start_guest::{StartGuest, socket_directory};
use step::start_tpm::StartTpm;
use step::take_vnc_port::TakeVncPort;
use step::type_boot_command::TypeBootCommand;

/// The builder and its options.
pub fn factory() -> Factory {
    Factory { schema: schema::schema(), make: Make::Builder(make) }
}

fn make(finished: FinishedConfig) -> Made<Box<dyn Builder>> {
    let (config, warnings) = Config::parse(&finished)?;
    Ok((Box::new(QemuBuilder { config }), warnings))
}

/// Builds one guest.
#[derive(Debug)]
pub struct QemuBuilder {
    config: Config,
}

#[async_trait]
impl Builder for QemuBuilder {
    async fn build(
        &self,
        cx: &TaskContext,
        hook: Arc<dyn ProvisionHook>,
    ) -> Result<Option<Arc<dyn Artifact>>, Failure> {
        let config = &self.config;
        let programs = Programs::find(&config.hardware.qemu_binary, &cx.working_dir)?;
        let built = Pipeline::run(cx, async |pipeline: &mut Pipeline| {
            run(pipeline, cx, config, (&programs, hook)).await
        });
        let (accelerator, generated) = built.await?;
        Ok(Some(Arc::new(QemuArtifact::gather(config, accelerator, generated)?)))
    }
}

/// What happens, in order.
async fn run(
    pipeline: &mut Pipeline,
    cx: &TaskContext,
    config: &Config,
    (programs, hook): (&Programs, Arc<dyn ProvisionHook>),
) -> Result<(Accelerator, GeneratedData), Failure> {
    let (sockets, _short) = socket_directory(cx)?;
    let qemu = programs.qemu.as_path();
    let qemu_img = programs.qemu_img.as_path();
    let accelerator = pipeline.step(&ChooseAccelerator { config, qemu }).await?;
    let iso = pipeline.step(&FetchIso { config }).await?;
    pipeline.step(&MakeOutputDirectory { config }).await?;
    let tpm = pipeline.step(&StartTpm { config, sockets: sockets.clone() }).await?;
    let floppy = pipeline.step(&MakeFloppy { config }).await?;
    let cd = pipeline.step(&MakeCd { config }).await?;
    let disks = pipeline.step(&CreateDisks { config, qemu_img, iso: &iso }).await?;
    let http = pipeline.step(&ServeHttp { config }).await?;
    let host_port = pipeline.step(&ForwardPort { config }).await?;
    let key = match config.communicator.ssh() {
        Some(ssh) => Some(pipeline.step(&MakeKeys { config: ssh.clone() }).await?),
        None => None,
    };
    let vnc = pipeline.step(&TakeVncPort { config }).await?;
    let efi_vars = pipeline.step(&CopyEfiVars { config }).await?;
    let installer = (config.disks.origin == Origin::Empty).then(|| iso.text());
    let facts = Facts {
        accelerator,
        disks,
        cds: installer.into_iter().chain(cd.map(|path| path.display().to_string())).collect(),
        floppy,
        host_port,
        vnc: (vnc.port, vnc.password.is_some()),
        display: display(cx, config),
        user_qmp: config.qmp.as_ref().map(|qmp| match &qmp.socket_path {
            Some(path) => config.resolve(path),
            None => config.output_path().join(format!("{}.monitor", config.vm_name)),
        }),
        efi_vars,
        tpm,
        private: PrivateSockets { qmp: sockets.join("qmp"), serial: sockets.join("serial") },
    };
    let qemuargs = qemuargs(cx, config, &http, host_port)?;
    let whereabouts = whereabouts(config, host_port);
    let guest = pipeline.step(&StartGuest { config, qemu, facts, qemuargs, vnc, whereabouts }).await?;
    let data = boot_data(config, &http, key.as_ref());
    pipeline.step(&TypeBootCommand { config, guest: &guest, data }).await?;
    let fetches = http.fetches.clone();
    let connect = ConnectToGuest { config: &config.communicator, key: key.clone(), guest: &guest, fetches };
    let connected = pipeline.step(&connect).await?;
    let communicator = connected.communicator;
    let generated = generated(connected.generated, &http);
    provision(pipeline, hook, communicator.clone(), generated.clone()).await?;
    if let Some(ssh) = config.communicator.ssh() {
        pipeline.step(&ClearKeys { config: ssh, communicator: communicator.clone(), key }).await?;
    }
    pipeline.step(&ShutDown { config, guest: &guest, communicator }).await?;
    pipeline.step(&ConvertDisk { config, qemu_img }).await?;
    Ok((accelerator, generated))
}

/// The window, unless the template only has it by Packer's default and this machine has no screen.
fn display(cx: &TaskContext, config: &Config) -> Option<String> {
    let wanted = config.screen.display.as_deref()?;
    let has_screen = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if wanted == "gtk" && !has_screen && !cfg!(target_os = "macos") {
        cx.reporter.say("This machine has no screen: the guest runs as with headless = true");
        return None;
    }
    Some(wanted.to_owned())
}

fn whereabouts(config: &Config, host_port: Option<u16>) -> Whereabouts {
    let CommunicatorConfig::Ssh(ssh) = &config.communicator else { return Whereabouts::Nowhere };
    let port = host_port.unwrap_or(ssh.port);
    match (&ssh.host, &config.network.bridge) {
        (Some(host), _) => Whereabouts::Fixed(Address::new(host, port)),
        (None, Some(bridge)) => Whereabouts::Bridge { bridge: bridge.clone(), port },
        (None, None) => Whereabouts::Fixed(Address::new("127.0.0.1", port)),
    }
}

fn qemuargs(
    cx: &TaskContext,
    config: &Config,
    http: &HttpAddress,
    host_port: Option<u16>,
) -> Result<Vec<command_line::Argument>, Failure> {
    let data = command_line::template_data(config, (&http.ip, http.port), host_port);
    let renderer = render::renderer(&cx.plan).with_dot(Dot::Fields(data));
    command_line::render(&config.hardware.qemuargs, &renderer)
        .map_err(|error| Failure::new(Fault::Template, format!("cannot render qemuargs: {error}")))
}

/// What the boot command may ask for.
fn boot_data(config: &Config, http: &HttpAddress, key: Option<&KeyPair>) -> Value {
    let data: [(&str, Value); 4] = [
        ("HTTPIP", http.ip.as_str().into()),
        ("HTTPPort", i64::from(http.port).into()),
        ("Name", config.vm_name.as_str().into()),
        ("SSHPublicKey", key.map_or("", KeyPair::public_line).into()),
    ];
    Value::object(data.map(|(name, value)| (name.to_owned(), value)))
}

/// What provisioners may ask for.
fn generated(mut generated: GeneratedData, http: &HttpAddress) -> GeneratedData {
    generated.set("PackerHTTPIP", http.ip.as_str());
    generated.set("PackerHTTPPort", http.port.to_string());
    generated.set("PackerHTTPAddr", format!("{}:{}", http.ip, http.port));
    generated
}

#[cfg(test)]
mod tests;
