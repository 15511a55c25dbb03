//! `ansible`: runs `ansible-playbook` on this machine against the guest.
//!
//! By default Ansible doesn't connect to the guest itself but to an [`adapter`]: a small SSH server of ours whose
//! other side is the build's communicator. So every guest that Kiln can reach, Ansible can too. With
//! `use_proxy = false` Ansible connects to the guest's SSH directly.

pub mod adapter;
mod arguments;
mod inventory;
mod options;
mod pipelining;
mod place;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use kiln_component::factory::Made;
use kiln_component::process::{self, Program, Stream};
use kiln_component::{Factory, FinishedConfig, ProvisionContext, Provisioner};
use kiln_lang::{Diagnostic, Diagnostics};
use kiln_plan::{Failure, Fault};

use crate::config::{self, Expected};
use adapter::{Adapter, AdapterOptions};
use arguments::Connection;
use options::Options;
use place::{Inventory, Place};

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
    let paths = [
        ("playbook_file", &options.playbook_file, Expected::File),
        ("galaxy_file", &options.galaxy_file, Expected::File),
        ("ssh_host_key_file", &options.ssh_host_key_file, Expected::File),
        ("ssh_authorized_key_file", &options.ssh_authorized_key_file, Expected::File),
        ("inventory_file", &options.inventory_file, Expected::Anything),
        ("inventory_directory", &options.inventory_directory, Expected::Directory),
    ];
    let bad = |(noun, path, expected): (&str, &String, _)| config::expect_path(&config, noun, path, expected);
    wrong.extend(paths.into_iter().filter_map(bad));
    if !matches!(options.ansible_proxy_key_type.as_str(), "" | "RSA" | "ECDSA") {
        let detail =
            format!("ansible_proxy_key_type is {:?}; it takes ECDSA or RSA.", options.ansible_proxy_key_type);
        wrong.push(Diagnostic::error("Unknown key type", detail));
    }
    if config.dry && !options.skip_version_check && !is_there(options.command(), &config) {
        let detail = format!("The program {:?} is not on this machine.", options.command());
        let hint = "Install Ansible (apt-get install ansible), or name it with the option command.";
        wrong.push(Diagnostic::error("Ansible is not installed", detail).hint(hint));
    }
    if wrong.has_errors() { Err(wrong) } else { Ok((Box::new(Ansible { options, config }), wrong)) }
}

fn is_there(program: &str, config: &FinishedConfig) -> bool {
    // A path starts where the program will: in the working directory.
    let path = Path::new(&config.facts().working_dir).join(program);
    let program = if program.contains('/') { path.to_string_lossy() } else { program.into() };
    process::find(&program).is_some()
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
        if let Some(direct) = self.direct(cx, &place)? {
            return self.run(cx, &place, &direct, false).await;
        }
        let adapter = Adapter::start(cx, self.adapter(cx, &place)).await?;
        let connection = Connection {
            host: "127.0.0.1".to_owned(),
            port: adapter.port(),
            user: self.options.user(),
            key: adapter.private_key().map(Path::to_owned),
        };
        let variable = |name: &str| self.variable(name);
        let result = self.run(cx, &place, &connection, pipelining::suits(cx, &variable)).await;
        adapter.stop().await;
        result
    }
}

impl Ansible {
    fn adapter(&self, cx: &ProvisionContext<'_>, place: &Place) -> AdapterOptions {
        AdapterOptions {
            user: self.options.user(),
            local_port: self.options.local_port,
            rsa: self.options.ansible_proxy_key_type == "RSA",
            host_key_file: Options::path(cx, &self.options.ssh_host_key_file),
            authorized_key_file: Options::path(cx, &self.options.ssh_authorized_key_file),
            sftp_command: self.options.sftp_command().to_owned(),
            directory: place.path().to_owned(),
        }
    }

    /// A variable of the environment that Ansible will have, but for what is added to it here.
    fn variable(&self, name: &str) -> Option<String> {
        self.options.environment(false).remove(name).or_else(|| std::env::var(name).ok())
    }

    /// The way to the guest's own SSH, if the template wants it and there is one.
    fn direct(&self, cx: &ProvisionContext<'_>, place: &Place) -> Result<Option<Connection>, Failure> {
        if self.options.use_proxy.unwrap_or(true) {
            return Ok(None);
        }
        let text = |name| cx.generated.text(name).filter(|v| !v.is_empty() && !v.starts_with("ERR_"));
        let (Some(host), Some("ssh")) = (text("Host"), text("ConnType").as_deref()) else {
            let warning =
                "Warning: the guest's SSH isn't known; using the proxy in spite of use_proxy = false";
            cx.task.reporter.say(warning);
            return Ok(None);
        };
        let by_agent = text("SSHAgentAuth").is_some_and(|v| v == "true");
        let key = match (by_agent, text("SSHPrivateKeyFile"), text("SSHPrivateKey")) {
            (false, Some(file), _) => Some(cx.task.resolve(file)),
            (false, None, Some(key)) => Some(place.write("guest-key", &key)?),
            _ => None,
        };
        let user = match self.options.user.as_str() {
            "" => text("User").unwrap_or_else(|| self.options.user()),
            given => given.to_owned(),
        };
        let port = text("Port").and_then(|p| p.parse().ok()).unwrap_or(22);
        Ok(Some(Connection { host, port, user, key }))
    }

    async fn run(
        &self,
        cx: &ProvisionContext<'_>,
        place: &Place,
        connection: &Connection,
        pipelining: bool,
    ) -> Result<(), Failure> {
        let inventory = self.inventory(cx, place, connection)?;
        let call = Call { cx, environment: self.options.environment(pipelining) };
        let galaxy = config::given_or(&self.options.galaxy_command, "ansible-galaxy");
        for arguments in self.options.galaxy(cx)? {
            call.run(galaxy, &arguments).await?;
        }
        let write = |name: &str, text: &str| place.write(name, text);
        let extra = arguments::without_secrets(&self.options.extra_arguments, &cx.task.reporter, &write)?;
        let playbook = cx.task.resolve(&self.options.playbook_file);
        let for_ssh = &self.options.ansible_ssh_extra_args;
        let files = (inventory.path(), playbook.as_path());
        let all = arguments::playbook(cx, connection, for_ssh, &extra, files);
        call.run(self.options.command(), &all).await
    }

    fn inventory(
        &self,
        cx: &ProvisionContext<'_>,
        place: &Place,
        connection: &Connection,
    ) -> Result<Inventory, Failure> {
        let options = &self.options;
        if let Some(given) = Options::path(cx, &options.inventory_file) {
            return Ok(Inventory::Given(given));
        }
        let port = connection.port.to_string();
        let own = [
            ("HostAlias", options.host_alias()),
            ("Host", &connection.host),
            ("User", &connection.user),
            ("Port", &port),
        ];
        let template = config::given_or(&options.inventory_file_template, inventory::LINE);
        let line = config::render_late(&self.config, "inventory_file_template", template, &own)?;
        let text = inventory::text(&line, &options.groups, &options.empty_groups);
        let keep = options.keep_inventory_file;
        let directory = match Options::path(cx, &options.inventory_directory) {
            Some(given) => given,
            // What is kept outlives the task's own directories.
            None if keep => std::env::temp_dir(),
            None => place.path().to_owned(),
        };
        let inventory = Inventory::write(&directory, &text, keep)?;
        if let Inventory::Kept(path) = &inventory {
            cx.task.reporter.say(format!("Keeping the inventory: {}", path.display()));
        }
        Ok(inventory)
    }
}

/// Calls of Ansible's programs.
struct Call<'a> {
    cx: &'a ProvisionContext<'a>,
    environment: BTreeMap<String, String>,
}

impl Call<'_> {
    async fn run(&self, command: &str, arguments: &[String]) -> Result<(), Failure> {
        let task = self.cx.task;
        let reporter = &task.reporter;
        reporter.say(format!("Executing Ansible: {command} {}", arguments::masked(arguments)));
        let program = Program::new(command)
            .args(arguments)
            .directory(&task.working_dir)
            .install("Ansible, for example with apt-get install ansible");
        let program =
            self.environment.iter().fold(program, |program, (name, value)| program.env(name, value));
        let finished = program.run(&task.journal, &task.cancel, |stream, line| match stream {
            Stream::Stdout => reporter.say(line),
            Stream::Stderr => reporter.error(line),
        });
        let exit = finished.await?.exit;
        if exit.is_success() {
            return Ok(());
        }
        let failure = Failure::new(Fault::Guest, format!("{command} ended with {exit}"));
        Err(failure.hint("its own words stand above; extra_arguments = [\"-vvvv\"] makes it tell more"))
    }
}
