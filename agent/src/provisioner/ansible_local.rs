//! `ansible-local`: carries playbooks into the guest and runs Ansible there.

mod command;
mod staging;

use async_trait::async_trait;
use kiln_component::factory::Made;
use kiln_component::{Exit, Factory, FinishedConfig, ProvisionContext, Provisioner};
use kiln_lang::{Diagnostic, Diagnostics};
use kiln_plan::schema::{OptionType, Rule};
use kiln_plan::{Failure, Fault, OptionSchema};
use serde::Deserialize;

use super::{galaxy, remote};
use crate::config::{self, Expected};

/// The options, as a template gives them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    playbook_file: String,
    playbook_files: Vec<String>,
    command: String,
    staging_directory: String,
    clean_staging_directory: bool,
    playbook_dir: String,
    playbook_paths: Vec<String>,
    role_paths: Vec<String>,
    collection_paths: Vec<String>,
    group_vars: String,
    host_vars: String,
    inventory_file: String,
    inventory_groups: Vec<String>,
    galaxy_file: String,
    galaxy_command: String,
    galaxy_force_install: bool,
    galaxy_roles_path: String,
    galaxy_collections_path: String,
    extra_arguments: Vec<String>,
}

fn schema() -> Vec<OptionSchema> {
    let string = |name, help| OptionSchema::new(name, OptionType::String, help);
    let strings = |name, help| OptionSchema::new(name, OptionType::Strings, help);
    let flag = |name, help| OptionSchema::new(name, OptionType::Bool, help).default("false");
    vec![
        string("playbook_file", "the playbook"),
        strings("playbook_files", "several playbooks, run in order"),
        string("command", "how Ansible is called").default(command::DEFAULT_COMMAND),
        string("staging_directory", "where things lie in the guest")
            .default("/tmp/packer-provisioner-ansible-local/<uuid>"),
        flag("clean_staging_directory", "remove that directory at the end"),
        string("playbook_dir", "a directory of playbooks to carry over"),
        strings("playbook_paths", "further directories, to playbooks/"),
        strings("role_paths", "roles to carry over, to roles/"),
        strings("collection_paths", "collections to carry over, to collections/"),
        string("group_vars", "a directory of group variables"),
        string("host_vars", "a directory of host variables"),
        string("inventory_file", "an inventory; one is made when none is given"),
        strings("inventory_groups", "groups that the guest belongs to in the inventory that is made"),
        string("galaxy_file", "a requirements file for ansible-galaxy"),
        string("galaxy_command", "how ansible-galaxy is called").default("ansible-galaxy"),
        flag("galaxy_force_install", "install roles even when they are there"),
        string("galaxy_roles_path", "where roles go").default("<staging>/galaxy_roles"),
        string("galaxy_collections_path", "where collections go").default("<staging>/galaxy_collections"),
        strings("extra_arguments", "further arguments, joined with spaces"),
    ]
}

/// How it is made.
pub fn factory() -> Factory {
    const PLAYBOOKS: [&str; 2] = ["playbook_file", "playbook_files"];
    Factory::provisioner("ansible-local", schema(), make)
        .with_rules([Rule::at_least_one(&PLAYBOOKS), Rule::at_most_one(&PLAYBOOKS)])
}

fn make(config: FinishedConfig) -> Made<Box<dyn Provisioner>> {
    let mut options: Options = config.decode()?;
    let mut wrong = Diagnostics::new();
    if options.playbook_file.is_empty() == options.playbook_files.is_empty() {
        let detail = "Exactly one of playbook_file and playbook_files must be given.";
        wrong.push(Diagnostic::error("Unsuitable playbook", detail));
    }
    let files = [
        ("playbook_file", std::slice::from_ref(&options.playbook_file)),
        ("playbook_files", &options.playbook_files),
        ("inventory_file", std::slice::from_ref(&options.inventory_file)),
        ("galaxy_file", std::slice::from_ref(&options.galaxy_file)),
    ];
    let directories = [
        ("playbook_dir", std::slice::from_ref(&options.playbook_dir)),
        ("group_vars", std::slice::from_ref(&options.group_vars)),
        ("host_vars", std::slice::from_ref(&options.host_vars)),
        ("playbook_paths", &options.playbook_paths),
        ("role_paths", &options.role_paths),
        ("collection_paths", &options.collection_paths),
    ];
    for (noun, paths) in files {
        wrong.extend(paths.iter().filter_map(|p| config::expect_path(&config, noun, p, Expected::File)));
    }
    for (noun, paths) in directories {
        wrong.extend(paths.iter().filter_map(|p| config::expect_path(&config, noun, p, Expected::Directory)));
    }
    if wrong.has_errors() {
        return Err(wrong);
    }
    if options.staging_directory.is_empty() {
        options.staging_directory = format!("/tmp/packer-provisioner-ansible-local/{}", uuid::Uuid::new_v4());
    }
    Ok((Box::new(AnsibleLocal { options }), wrong))
}

/// The provisioner.
#[derive(Debug)]
pub struct AnsibleLocal {
    options: Options,
}

#[async_trait]
impl Provisioner for AnsibleLocal {
    async fn provision(&self, cx: &ProvisionContext<'_>) -> Result<(), Failure> {
        remote::unless_cancelled(cx, self.run(cx)).await?
    }
}

impl AnsibleLocal {
    async fn run(&self, cx: &ProvisionContext<'_>) -> Result<(), Failure> {
        let reporter = &cx.task.reporter;
        reporter.say("Provisioning with Ansible...");
        let playbooks = staging::fill(cx, &self.options).await.map_err(|error| remote::failure(&error))?;
        if !self.options.galaxy_file.is_empty() {
            let requirements = galaxy::read(cx, &self.options.galaxy_file)?;
            for command in command::galaxy(&self.options, &requirements) {
                reporter.say(format!("Executing Ansible Galaxy: {command}"));
                execute(cx, &command, "ansible-galaxy").await?;
            }
        }
        let facts = command::BuildFacts::of(cx);
        for playbook in &playbooks {
            let command = command::playbook(&self.options, playbook, &facts);
            reporter.say(format!("Executing Ansible: {command}"));
            execute(cx, &command, "ansible-playbook").await?;
        }
        if self.options.clean_staging_directory {
            reporter.say("Removing staging directory...");
            execute(cx, &format!("rm -rf '{}'", self.options.staging_directory), "rm").await?;
        }
        Ok(())
    }
}

async fn execute(cx: &ProvisionContext<'_>, command: &str, program: &str) -> Result<(), Failure> {
    match remote::run(cx, command).await.map_err(|error| remote::failure(&error))? {
        Exit::Code(0) => Ok(()),
        Exit::Code(127) => {
            let text = format!("{program} could not be found in the guest");
            Err(Failure::new(Fault::Guest, text)
                .hint("install Ansible in the guest with a shell provisioner before this one"))
        }
        Exit::Code(code) => Err(Failure::new(Fault::Guest, format!("{program} ended with exit code {code}"))),
        Exit::Disconnected => {
            let text = format!("the connection to the guest went away while {program} was running");
            Err(remote::disconnected(cx, Failure::new(Fault::Guest, text)).await)
        }
    }
}

#[cfg(test)]
mod tests;
