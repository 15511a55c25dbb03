//! `ansible-local`: carries playbooks into the guest and runs Ansible there.

mod command;
mod staging;

use async_trait::async_trait;
use kiln_component::factory::Made;
use kiln_component::{Exit, Factory, FinishedConfig, ProvisionContext, Provisioner};
use kiln_lang::{Diagnostic, Diagnostics};
use kiln_plan::schema::OptionType;
use kiln_plan::{Failure, Fault, OptionSchema};
use serde::Deserialize;
use std::path::Path;

use super::remote::{self, Tried};
use crate::config;

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
    Factory::provisioner("ansible-local", schema(), make)
}

fn make(config: FinishedConfig) -> Made<Box<dyn Provisioner>> {
    let mut options: Options = config.decode()?;
    let mut wrong = Diagnostics::new();
    if options.playbook_file.is_empty() == options.playbook_files.is_empty() {
        let detail = "Exactly one of playbook_file and playbook_files must be given.";
        wrong.push(Diagnostic::error("Unsuitable playbook", detail));
    }
    let working_dir = Path::new(&config.facts().working_dir);
    let files = [&options.playbook_file, &options.inventory_file, &options.galaxy_file];
    let directories = [&options.playbook_dir, &options.group_vars, &options.host_vars];
    let lists = [&options.playbook_paths, &options.role_paths, &options.collection_paths];
    let directories = directories.into_iter().chain(lists.into_iter().flatten());
    let expected = files
        .into_iter()
        .chain(&options.playbook_files)
        .map(|p| (p, false))
        .chain(directories.map(|p| (p, true)));
    for (path, directory) in expected.filter(|(path, _)| !path.is_empty()) {
        wrong.extend(config::expect_path(&working_dir.join(path), path, directory));
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
        cx.task.reporter.say("Provisioning with Ansible...");
        let playbooks = staging::fill(cx, &self.options).await?;
        if !self.options.galaxy_file.is_empty() {
            for command in command::galaxy(&self.options, &galaxy_text(cx, &self.options)?) {
                self.execute(cx, &command, "ansible-galaxy").await?;
            }
        }
        for playbook in &playbooks {
            let command = command::playbook(&self.options, playbook, &command::BuildFacts::of(cx));
            cx.task.reporter.say(format!("Executing Ansible: {command}"));
            self.execute(cx, &command, "ansible-playbook").await?;
        }
        if self.options.clean_staging_directory {
            cx.task.reporter.say("Removing staging directory...");
            let command = format!("rm -rf '{}'", self.options.staging_directory);
            self.execute(cx, &command, "rm").await?;
        }
        Ok(())
    }
}

impl AnsibleLocal {
    async fn execute(&self, cx: &ProvisionContext<'_>, command: &str, program: &str) -> Result<(), Failure> {
        let exit = remote::run(cx, command).await.map_err(|tried| match tried {
            Tried::Unreachable(error) => remote::failure(&error),
            Tried::Failed(failure) => failure,
        })?;
        match exit {
            Exit::Code(0) => Ok(()),
            Exit::Code(127) => {
                Err(Failure::new(Fault::Guest, format!("the guest has no command {program:?}"))
                    .hint("install Ansible in the guest with a shell provisioner before this one"))
            }
            other => {
                Err(Failure::new(Fault::Guest, format!("{program} failed with exit code {}", other.code())))
            }
        }
    }
}

fn galaxy_text(cx: &ProvisionContext<'_>, options: &Options) -> Result<String, Failure> {
    std::fs::read_to_string(cx.task.resolve(&options.galaxy_file)).map_err(|error| {
        Failure::new(Fault::Template, format!("cannot read the galaxy_file {}: {error}", options.galaxy_file))
    })
}
