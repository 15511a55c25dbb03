//! The options of `ansible`, and what follows from them alone.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kiln_component::ProvisionContext;
use kiln_lang::decode::Trilean;
use kiln_plan::schema::OptionType;
use kiln_plan::{Failure, OptionSchema};
use serde::Deserialize;

use crate::config;
use crate::provisioner::galaxy::{self, Galaxy};

/// The options, as a template gives them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "one field for each option of a template")]
pub(super) struct Options {
    pub(super) playbook_file: String,
    pub(super) command: String,
    pub(super) extra_arguments: Vec<String>,
    pub(super) ansible_env_vars: Vec<String>,
    pub(super) ansible_ssh_extra_args: Vec<String>,
    pub(super) groups: Vec<String>,
    pub(super) empty_groups: Vec<String>,
    pub(super) host_alias: String,
    pub(super) user: String,
    pub(super) local_port: u16,
    pub(super) ssh_host_key_file: String,
    pub(super) ssh_authorized_key_file: String,
    pub(super) ansible_proxy_key_type: String,
    pub(super) sftp_command: String,
    pub(super) use_sftp: bool,
    pub(super) skip_version_check: bool,
    pub(super) inventory_directory: String,
    pub(super) inventory_file: String,
    pub(super) inventory_file_template: String,
    pub(super) keep_inventory_file: bool,
    pub(super) galaxy_file: String,
    pub(super) galaxy_command: String,
    pub(super) galaxy_force_install: bool,
    pub(super) galaxy_force_with_deps: bool,
    pub(super) roles_path: String,
    pub(super) collections_path: String,
    pub(super) use_proxy: Trilean,
    /// For WinRM without the adapter; taken so that templates keep working.
    pub(super) ansible_winrm_use_http: bool,
}

pub(super) fn schema() -> Vec<OptionSchema> {
    let string = |name, help| OptionSchema::new(name, OptionType::String, help);
    let strings = |name, help| OptionSchema::new(name, OptionType::Strings, help);
    let flag = |name, help| OptionSchema::new(name, OptionType::Bool, help).default("false");
    vec![
        string("playbook_file", "the playbook").required(),
        string("command", "the program").default("ansible-playbook"),
        strings("extra_arguments", "further arguments, each as it is"),
        strings("ansible_env_vars", "environment as KEY=VALUE"),
        strings("ansible_ssh_extra_args", "arguments for Ansible's ssh")
            .default("[\"-o IdentitiesOnly=yes\"]"),
        strings("groups", "groups of the inventory that the guest is in"),
        strings("empty_groups", "further groups of the inventory"),
        string("host_alias", "the guest's name in the inventory").default("default"),
        string("user", "the user that Ansible connects as"),
        OptionSchema::new("local_port", OptionType::Integer, "the adapter's port; tries nine more")
            .default("0"),
        string("ssh_host_key_file", "the adapter's host key"),
        string("ssh_authorized_key_file", "the public key that the adapter lets in"),
        string("ansible_proxy_key_type", "the kind of keys that are made")
            .default("ECDSA")
            .values(&["ECDSA", "RSA"]),
        string("sftp_command", "the guest's SFTP server").default("/usr/lib/sftp-server -e"),
        flag("use_sftp", "have Ansible carry files by SFTP"),
        flag("skip_version_check", "don't look whether Ansible is there"),
        string("inventory_directory", "where the inventory that is made goes"),
        string("inventory_file", "an inventory; one is made when none is given"),
        string("inventory_file_template", "the guest's line of the inventory that is made").late(),
        flag("keep_inventory_file", "leave the inventory behind"),
        string("galaxy_file", "a requirements file for ansible-galaxy"),
        string("galaxy_command", "the program for it").default("ansible-galaxy"),
        flag("galaxy_force_install", "install even what is there"),
        flag("galaxy_force_with_deps", "and what it depends on"),
        string("roles_path", "where roles go"),
        string("collections_path", "where collections go"),
        OptionSchema::new("use_proxy", OptionType::Trilean, "go through the adapter").default("true"),
        flag("ansible_winrm_use_http", "have WinRM go without TLS"),
    ]
}

impl Options {
    /// The program that runs playbooks.
    pub(super) fn command(&self) -> &str {
        config::given_or(&self.command, "ansible-playbook")
    }

    /// The guest's name in the inventory.
    pub(super) fn host_alias(&self) -> &str {
        config::given_or(&self.host_alias, "default")
    }

    /// How the guest's SFTP server is started.
    pub(super) fn sftp_command(&self) -> &str {
        config::given_or(&self.sftp_command, "/usr/lib/sftp-server -e")
    }

    /// The user that Ansible connects as: the one given, else whoever runs the build.
    pub(super) fn user(&self) -> String {
        if !self.user.is_empty() {
            return self.user.clone();
        }
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
        user.map_or_else(|| "root".to_owned(), |user| user.name)
    }

    /// A path of the template; `None` when it isn't given.
    pub(super) fn path(cx: &ProvisionContext<'_>, given: &str) -> Option<PathBuf> {
        (!given.is_empty()).then(|| cx.task.resolve(given))
    }

    /// The environment of Ansible's programs; what the template gives wins.
    pub(super) fn environment(&self, pipelining: bool) -> BTreeMap<String, String> {
        let own = [
            (self.ssh_host_key_file.is_empty(), ("ANSIBLE_HOST_KEY_CHECKING", "False")),
            (!self.use_sftp, ("ANSIBLE_SCP_IF_SSH", "True")),
            (pipelining, ("ANSIBLE_PIPELINING", "True")),
        ];
        let own = own.into_iter().filter(|(wanted, _)| *wanted).map(|(_, variable)| variable);
        let given = self.ansible_env_vars.iter().filter_map(|entry| entry.split_once('='));
        own.chain(given).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// The arguments of each call of ansible-galaxy that the galaxy file asks for.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(super) fn galaxy(&self, cx: &ProvisionContext<'_>) -> Result<Vec<Vec<String>>, Failure> {
        let Some(file) = Self::path(cx, &self.galaxy_file) else { return Ok(Vec::new()) };
        let place = |given: &str| Self::path(cx, given).map(|path| path.display().to_string());
        let (roles, collections) = (place(&self.roles_path), place(&self.collections_path));
        let flags = [(self.galaxy_force_install, "-f"), (self.galaxy_force_with_deps, "--force-with-deps")];
        let galaxy = Galaxy {
            file: file.display().to_string(),
            flags: flags.into_iter().filter(|(wanted, _)| *wanted).map(|(_, flag)| flag).collect(),
            roles: roles.as_deref(),
            collections: collections.as_deref(),
        };
        Ok(galaxy.calls(&galaxy::read(cx, &self.galaxy_file)?))
    }
}
