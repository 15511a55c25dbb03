//! The options of `ansible`, and what follows from them alone.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kiln_component::ProvisionContext;
use kiln_lang::decode::Trilean;
use kiln_plan::schema::OptionType;
use kiln_plan::{Failure, Fault, OptionSchema};
use serde::Deserialize;

/// The options, as a template gives them.
#[derive(Debug, Deserialize)]
#[serde(default)]
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
    pub(super) ansible_winrm_use_http: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            playbook_file: String::new(),
            command: "ansible-playbook".to_owned(),
            extra_arguments: Vec::new(),
            ansible_env_vars: Vec::new(),
            ansible_ssh_extra_args: Vec::new(),
            groups: Vec::new(),
            empty_groups: Vec::new(),
            host_alias: "default".to_owned(),
            user: String::new(),
            local_port: 0,
            ssh_host_key_file: String::new(),
            ssh_authorized_key_file: String::new(),
            ansible_proxy_key_type: String::new(),
            sftp_command: "/usr/lib/sftp-server -e".to_owned(),
            use_sftp: false,
            skip_version_check: false,
            inventory_directory: String::new(),
            inventory_file: String::new(),
            inventory_file_template: String::new(),
            keep_inventory_file: false,
            galaxy_file: String::new(),
            galaxy_command: "ansible-galaxy".to_owned(),
            galaxy_force_install: false,
            galaxy_force_with_deps: false,
            roles_path: String::new(),
            collections_path: String::new(),
            use_proxy: Trilean::default(),
            ansible_winrm_use_http: false,
        }
    }
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
    /// The user that Ansible connects as: the one given, else whoever runs the build.
    pub(super) fn user(&self) -> String {
        if !self.user.is_empty() {
            return self.user.clone();
        }
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
        user.map_or_else(|| "root".to_owned(), |user| user.name)
    }

    /// A path of the template; `None` when it isn't given.
    pub(super) fn path(&self, cx: &ProvisionContext<'_>, given: &str) -> Option<PathBuf> {
        (!given.is_empty()).then(|| cx.task.resolve(given))
    }

    /// The environment of Ansible's programs.
    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut set = |key: &str, value: &str| all.insert(key.to_owned(), value.to_owned());
        if self.ssh_host_key_file.is_empty() {
            set("ANSIBLE_HOST_KEY_CHECKING", "False");
        }
        if !self.use_sftp {
            set("ANSIBLE_SCP_IF_SSH", "True");
        }
        for (key, value) in self.ansible_env_vars.iter().filter_map(|entry| entry.split_once('=')) {
            set(key, value);
        }
        all
    }

    /// The arguments of each call of ansible-galaxy that the galaxy file asks for.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(super) fn galaxy(&self, cx: &ProvisionContext<'_>) -> Result<Vec<Vec<String>>, Failure> {
        let path = cx.task.resolve(&self.galaxy_file);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Failure::new(
                Fault::Template,
                format!("cannot read the galaxy_file {}: {error}", self.galaxy_file),
            )
        })?;
        let has = |key: &str| text.lines().any(|l| l.trim_start().starts_with(key));
        let (roles, collections) = (has("roles:"), has("collections:"));
        let call = |what: &[&str], target: &str| {
            let mut call: Vec<String> = what.iter().map(|s| (*s).to_owned()).collect();
            call.extend(["install".to_owned(), "-r".to_owned(), path.display().to_string()]);
            call.extend(self.galaxy_force_install.then(|| "-f".to_owned()));
            call.extend(self.galaxy_force_with_deps.then(|| "--force-with-deps".to_owned()));
            if !target.is_empty() {
                call.extend(["-p".to_owned(), cx.task.resolve(target).display().to_string()]);
            }
            call
        };
        let roles = (roles || !collections).then(|| call(&[], &self.roles_path));
        let collections = collections.then(|| call(&["collection"], &self.collections_path));
        Ok(roles.into_iter().chain(collections).collect())
    }
}
