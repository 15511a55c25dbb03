//! What `ansible-galaxy` is called with to install what a requirements file asks for, here or in the guest.

use kiln_component::ProvisionContext;
use kiln_plan::{Failure, Fault};

/// A requirements file and where its contents go.
#[derive(Debug)]
pub(super) struct Galaxy<'a> {
    /// The file, as the arguments name it.
    pub(super) file: String,
    /// Options for every call, such as `-f`.
    pub(super) flags: Vec<&'static str>,
    /// Where roles go; Ansible's own place when there is none.
    pub(super) roles: Option<&'a str>,
    /// Where collections go; Ansible's own place when there is none.
    pub(super) collections: Option<&'a str>,
}

impl Galaxy<'_> {
    /// The arguments of each call: one for roles, one for collections, by what the file's `text` lists. A file that lists
    /// neither by name is a list of roles.
    pub(super) fn calls(&self, text: &str) -> Vec<Vec<String>> {
        let lists = |key: &str| text.lines().any(|line| line.trim_start().starts_with(key));
        let collections = lists("collections:");
        let roles = lists("roles:") || !collections;
        let roles = roles.then(|| self.call(&["install"], self.roles));
        let collections = collections.then(|| self.call(&["collection", "install"], self.collections));
        roles.into_iter().chain(collections).collect()
    }

    fn call(&self, what: &[&str], place: Option<&str>) -> Vec<String> {
        let place = place.into_iter().flat_map(|place| ["-p", place]);
        let file = ["-r", self.file.as_str()];
        let all = what.iter().copied().chain(file).chain(self.flags.iter().copied()).chain(place);
        all.map(str::to_owned).collect()
    }
}

/// The text of a requirements file of this machine.
///
/// # Errors
/// When it can't be read.
pub(super) fn read(cx: &ProvisionContext<'_>, file: &str) -> Result<String, Failure> {
    std::fs::read_to_string(cx.task.resolve(file)).map_err(|error| {
        Failure::new(Fault::Template, format!("cannot read the galaxy_file {file}: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_that_a_file_lists_is_installed_by_a_call() {
        let galaxy = Galaxy { file: "r.yml".into(), flags: vec!["-f"], roles: Some("/r"), collections: None };
        let calls = |text| galaxy.calls(text).iter().map(|call| call.join(" ")).collect::<Vec<_>>();
        let roles = "install -r r.yml -f -p /r";
        let collections = "collection install -r r.yml -f";
        assert_eq!(calls("- src: a"), [roles]);
        assert_eq!(calls("roles:\n  - a\n"), [roles]);
        assert_eq!(calls("---\ncollections:\n  - a.b\n"), [collections]);
        assert_eq!(calls("roles:\n  - a\ncollections:\n  - a.b\n"), [roles, collections]);
    }
}
