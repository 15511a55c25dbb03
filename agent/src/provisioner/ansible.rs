//! `ansible`: runs `ansible-playbook` on this machine against the guest.
//!
//! By default Ansible doesn't connect to the guest itself but to an [`adapter`]: a small SSH server of ours whose
//! other side is the build's communicator. So every guest that Kiln can reach, Ansible can too. With
//! `use_proxy = false` Ansible connects to the guest's SSH directly.

pub mod adapter;
mod arguments;
mod inventory;
mod options;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use kiln_component::factory::Made;
use kiln_component::process::{self, Program, Stream};
use kiln_component::{Factory, FinishedConfig, ProvisionContext, Provisioner};
use kiln_lang::{Diagnostic, Diagnostics};
use kiln_plan::{Failure, Fault};

use crate::config;
use adapter::{Adapter, AdapterOptions};
use arguments::Connection;
use options::Options;

/// How it is made.
pub fn factory() -> Factory {
    Factory::provisioner("ansible", options::schema(), make)
}

fn make(config: FinishedConfig) -> Made<Box<dyn Provisioner>> {
    let options: Options = config.decode()?;
    let mut wrong = Diagnostics::new();
    if options.playbook_file.is_empty() {
        wrong.push(Diagnostic::error("Missing playbook", "playbook_file must be given."));
    }
    let working_dir = Path::new(&config.facts().working_dir);
    let files = [
        &options.playbook_file,
        &options.galaxy_file,
        &options.ssh_host_key_file,
        &options.ssh_authorized_key_file,
        &options.inventory_file,
    ];
    let paths = files.into_iter().map(|p| (p, false)).chain([(&options.inventory_directory, true)]);
    for (path, directory) in paths.filter(|(path, _)| !path.is_empty()) {
        wrong.extend(config::expect_path(&working_dir.join(path), path, directory));
    }
    if !matches!(options.ansible_proxy_key_type.as_str(), "" | "RSA" | "ECDSA") {
        let detail =
            format!("ansible_proxy_key_type is {:?}; it takes ECDSA or RSA.", options.ansible_proxy_key_type);
        wrong.push(Diagnostic::error("Unknown key type", detail));
    }
    if config.dry && !options.skip_version_check && process::find(&options.command).is_none() {
        let detail = format!("The program {:?} is not on this machine.", options.command);
        let hint = "Install Ansible (apt-get install ansible), or name it with the option command.";
        wrong.push(Diagnostic::error("Ansible is not installed", detail).hint(hint));
    }
    if wrong.has_errors() { Err(wrong) } else { Ok((Box::new(Ansible { options, config }), wrong)) }
}

/// The provisioner.
#[derive(Debug)]
pub struct Ansible {
    options: Options,
    config: FinishedConfig,
}

#[async_trait]
impl Provisioner for Ansible {
    async fn provision(&self, cx: &ProvisionContext<'_>) -> Result<(), Failure> {
        cx.task.reporter.say("Provisioning with Ansible...");
        let place = Place::new(cx)?;
        let (connection, adapter) = self.connect(cx, &place).await?;
        let result = self.run(cx, &place, &connection).await;
        if let Some(adapter) = adapter {
            adapter.stop().await;
        }
        result
    }
}

/// A private directory for what a run needs: keys, inventory, variables. Goes with the run.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new(cx: &ProvisionContext<'_>) -> Result<Self, Failure> {
        let made = tempfile::Builder::new().prefix("ansible").tempdir_in(&cx.task.scratch);
        made.map(|directory| Self { directory }).map_err(|error| {
            Failure::new(
                Fault::Machine,
                format!("cannot make a directory in {}: {error}", cx.task.scratch.display()),
            )
        })
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file that only this user can read.
    fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.path().join(name);
        let file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut f| f.write_all(text.as_bytes())).map_err(|error| {
            Failure::new(Fault::Machine, format!("cannot write {}: {error}", path.display()))
        })?;
        Ok(path)
    }
}

impl Ansible {
    /// Where Ansible connects to, and the adapter that must outlive the run.
    async fn connect(
        &self,
        cx: &ProvisionContext<'_>,
        place: &Place,
    ) -> Result<(Connection, Option<Adapter>), Failure> {
        if !self.options.use_proxy.unwrap_or(true) {
            if let Some(direct) = self.direct(cx, place)? {
                return Ok((direct, None));
            }
            cx.task.reporter.say(
                "Warning: the guest's address isn't known; using the adapter in spite of use_proxy = false",
            );
        }
        let options = AdapterOptions {
            user: self.options.user(),
            local_port: self.options.local_port,
            rsa: self.options.ansible_proxy_key_type == "RSA",
            host_key_file: self.options.path(cx, &self.options.ssh_host_key_file),
            authorized_key_file: self.options.path(cx, &self.options.ssh_authorized_key_file),
            sftp_command: self.options.sftp_command.clone(),
            directory: place.path().to_owned(),
        };
        let adapter = Adapter::start(cx, options).await?;
        let connection = Connection {
            host: "127.0.0.1".to_owned(),
            port: adapter.port(),
            user: self.options.user(),
            key: adapter.private_key().map(Path::to_owned),
            agent: false,
        };
        Ok((connection, Some(adapter)))
    }

    fn direct(&self, cx: &ProvisionContext<'_>, place: &Place) -> Result<Option<Connection>, Failure> {
        let text = |name| cx.generated.text(name).filter(|v| !v.is_empty() && !v.starts_with("ERR_"));
        let (Some(host), Some("ssh")) = (text("Host"), text("ConnType").as_deref()) else { return Ok(None) };
        let key = match (text("SSHPrivateKeyFile"), text("SSHPrivateKey")) {
            (Some(file), _) => Some(cx.task.resolve(file)),
            (None, Some(key)) => Some(place.write("guest-key", &key)?),
            (None, None) => None,
        };
        let user = match self.options.user.as_str() {
            "" => text("User").unwrap_or_else(|| self.options.user()),
            given => given.to_owned(),
        };
        let agent = text("SSHAgentAuth").is_some_and(|v| v == "true");
        let port = text("Port").and_then(|p| p.parse().ok()).unwrap_or(22);
        Ok(Some(Connection { host, port, user, key: key.filter(|_| !agent), agent }))
    }

    async fn run(
        &self,
        cx: &ProvisionContext<'_>,
        place: &Place,
        connection: &Connection,
    ) -> Result<(), Failure> {
        let inventory = self.inventory(cx, place, connection)?;
        if !self.options.galaxy_file.is_empty() {
            for arguments in self.options.galaxy(cx)? {
                self.call(cx, &self.options.galaxy_command, &arguments).await?;
            }
        }
        let hide = |name: &str, text: &str| place.write(name, text);
        let extra = arguments::without_secrets(&self.options.extra_arguments, &cx.task.reporter, &hide)?;
        let playbook = cx.task.resolve(&self.options.playbook_file);
        let all = arguments::playbook(cx, &self.options, connection, &extra, (&inventory, &playbook));
        self.call(cx, &self.options.command, &all).await?;
        if self.options.keep_inventory_file {
            cx.task.reporter.say(format!("Kept the inventory: {}", self.keep(cx, &inventory)?.display()));
        }
        Ok(())
    }

    fn inventory(
        &self,
        cx: &ProvisionContext<'_>,
        place: &Place,
        connection: &Connection,
    ) -> Result<PathBuf, Failure> {
        if let Some(given) = self.options.path(cx, &self.options.inventory_file) {
            return Ok(given);
        }
        let host = inventory::Host { alias: &self.options.host_alias, connection };
        let line = match self.options.inventory_file_template.as_str() {
            "" => host.line(),
            template => {
                let port = connection.port.to_string();
                let own = [
                    ("HostAlias", self.options.host_alias.as_str()),
                    ("Host", &connection.host),
                    ("User", &connection.user),
                    ("Port", &port),
                ];
                config::render_late(&self.config, "inventory_file_template", template, &own)?
            }
        };
        let text = inventory::text(&line, &self.options.groups, &self.options.empty_groups);
        match self.options.path(cx, &self.options.inventory_directory) {
            None => place.write("inventory", &text),
            Some(directory) => {
                let name =
                    format!("packer-provisioner-ansible{}", uuid::Uuid::new_v4().as_u128() % 1_000_000_000);
                let path = directory.join(name);
                std::fs::write(&path, text).map_err(|error| {
                    Failure::new(
                        Fault::Machine,
                        format!("cannot write the inventory {}: {error}", path.display()),
                    )
                })?;
                Ok(path)
            }
        }
    }

    /// A copy that outlives the run's own directory.
    fn keep(&self, cx: &ProvisionContext<'_>, inventory: &Path) -> Result<PathBuf, Failure> {
        if !inventory.starts_with(&cx.task.scratch) {
            return Ok(inventory.to_owned());
        }
        let kept = cx.task.resolve(format!("packer-provisioner-ansible-{}", cx.task.plan.source_name));
        std::fs::copy(inventory, &kept).map_err(|error| {
            Failure::new(Fault::Machine, format!("cannot keep the inventory as {}: {error}", kept.display()))
        })?;
        Ok(kept)
    }

    async fn call(
        &self,
        cx: &ProvisionContext<'_>,
        command: &str,
        arguments: &[String],
    ) -> Result<(), Failure> {
        let reporter = &cx.task.reporter;
        reporter.say(format!("Executing Ansible: {command} {}", arguments::masked(arguments)));
        let program = Program::new(command)
            .args(arguments)
            .directory(&cx.task.working_dir)
            .install("Ansible, for example with apt-get install ansible");
        let environment = self.options.environment();
        let program = environment.iter().fold(program, |program, (name, value)| program.env(name, value));
        let finished = program.run(&cx.task.journal, &cx.task.cancel, |stream, line| match stream {
            Stream::Stdout => reporter.say(line),
            Stream::Stderr => reporter.error(line),
        });
        let exit = finished.await?.exit;
        if exit.is_success() {
            return Ok(());
        }
        Err(Failure::new(Fault::Guest, format!("{command} ended with {exit}"))
            .hint("its own words stand above; extra_arguments = [\"-vvvv\"] makes it tell more"))
    }
}
