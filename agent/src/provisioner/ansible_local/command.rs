//! The command lines that `ansible-local` runs in the guest.

use kiln_component::ProvisionContext;

use super::Options;
use crate::config;
use crate::provisioner::galaxy::Galaxy;

/// How Ansible is called unless the template says otherwise.
pub(super) const DEFAULT_COMMAND: &str = "ANSIBLE_FORCE_COLOR=1 PYTHONUNBUFFERED=1 ansible-playbook";

/// What playbooks are told of the build.
pub(super) struct BuildFacts {
    name: String,
    builder: String,
    http: String,
}

impl BuildFacts {
    pub(super) fn of(cx: &ProvisionContext<'_>) -> Self {
        Self {
            name: cx.task.plan.source_name.clone(),
            builder: cx.task.plan.builder.name.clone(),
            http: cx.generated.text("PackerHTTPAddr").unwrap_or_default(),
        }
    }
}

fn roles_path(options: &Options) -> String {
    let default = format!("{}/galaxy_roles", options.staging_directory);
    config::given_or(&options.galaxy_roles_path, &default).to_owned()
}

fn collections_path(options: &Options) -> String {
    let default = format!("{}/galaxy_collections", options.staging_directory);
    config::given_or(&options.galaxy_collections_path, &default).to_owned()
}

/// The commands that install what the galaxy file asks for: roles, collections or both, by what it lists.
pub(super) fn galaxy(options: &Options, requirements: &str) -> Vec<String> {
    let staging = &options.staging_directory;
    let program = config::given_or(&options.galaxy_command, "ansible-galaxy");
    let (roles, collections) = (roles_path(options), collections_path(options));
    let galaxy = Galaxy {
        file: format!("{staging}/{}", super::staging::name_of(&options.galaxy_file)),
        flags: options.galaxy_force_install.then_some("-f").into_iter().collect(),
        roles: Some(&roles),
        collections: Some(&collections),
    };
    let command = |call: &Vec<String>| format!("cd {staging} && {program} {}", call.join(" "));
    galaxy.calls(requirements).iter().map(command).collect()
}

/// The command that runs one playbook, which lies at `playbook` in the guest.
pub(super) fn playbook(options: &Options, playbook: &str, facts: &BuildFacts) -> String {
    let staging = &options.staging_directory;
    let mut environment = String::new();
    if !options.galaxy_file.is_empty() || !options.collection_paths.is_empty() {
        environment.push_str(&format!(
            "ANSIBLE_COLLECTIONS_PATH={staging}/collections:{} ",
            collections_path(options)
        ));
    }
    if !options.galaxy_file.is_empty() {
        environment.push_str(&format!("ANSIBLE_ROLES_PATH={staging}/roles:{} ", roles_path(options)));
    }
    let command = config::given_or(&options.command, DEFAULT_COMMAND);
    let variables = format!(
        "packer_build_name={} packer_builder_type={} packer_http_addr={} -o IdentitiesOnly=yes",
        facts.name, facts.builder, facts.http
    );
    let extra: String = options.extra_arguments.iter().map(|a| format!(" {a}")).collect();
    let inventory = format!("{staging}/{}", super::staging::inventory_name(options));
    format!(
        "cd {staging} && {environment}{command} {playbook} --extra-vars \"{variables}\"{extra} -c local -i {inventory}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options { staging_directory: "/tmp/s".to_owned(), ..Options::default() }
    }

    #[test]
    fn a_playbook_runs_locally_with_the_builds_facts() {
        let facts = BuildFacts { name: "n".into(), builder: "qemu".into(), http: "10.0.2.2:80".into() };
        let options = Options { extra_arguments: vec!["-v".into()], ..options() };
        assert_eq!(
            playbook(&options, "/tmp/s/p.yml", &facts),
            "cd /tmp/s && ANSIBLE_FORCE_COLOR=1 PYTHONUNBUFFERED=1 ansible-playbook /tmp/s/p.yml --extra-vars \
             \"packer_build_name=n packer_builder_type=qemu packer_http_addr=10.0.2.2:80 -o IdentitiesOnly=yes\" -v \
             -c local -i /tmp/s/inventory"
        );
    }

    #[test]
    fn galaxy_installs_what_the_file_lists() {
        let options = Options { galaxy_file: "x/req.yml".into(), ..options() };
        let count = |text| galaxy(&options, text).len();
        assert_eq!((count("- src: a"), count("collections:\n"), count("roles:\ncollections:\n")), (1, 1, 2));
        assert_eq!(
            galaxy(&options, "- src: a"),
            ["cd /tmp/s && ansible-galaxy install -r /tmp/s/req.yml -p /tmp/s/galaxy_roles"]
        );
    }
}
