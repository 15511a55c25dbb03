//! The staging directory of `ansible-local`: what is carried over, and where it lands.

use std::path::Path;

use kiln_component::{CommunicatorError, ProvisionContext};

use super::Options;
use crate::provisioner::remote;

/// The last part of a path.
pub(super) fn name_of(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

/// What the inventory is called in the staging directory.
pub(super) fn inventory_name(options: &Options) -> &str {
    if options.inventory_file.is_empty() { "inventory" } else { name_of(&options.inventory_file) }
}

/// The text of the inventory that is made when the template gives none.
fn inventory(groups: &[String]) -> String {
    if groups.is_empty() {
        return "127.0.0.1".to_owned();
    }
    groups.iter().map(|g| format!("[{g}]\n127.0.0.1\n")).collect()
}

/// Carries everything over, and tells where the playbooks lie in the guest.
///
/// # Errors
/// When a directory can't be made or something can't be carried.
pub(super) async fn fill(
    cx: &ProvisionContext<'_>,
    options: &Options,
) -> Result<Vec<String>, CommunicatorError> {
    let staging = &options.staging_directory;
    let carry = Carry { cx, options };
    cx.task.reporter.say("Creating Ansible staging directory...");
    carry.make_directory(staging).await?;
    if !options.playbook_dir.is_empty() {
        cx.task.reporter.say("Uploading Playbook directory to Ansible staging directory...");
        carry.directory(&options.playbook_dir, staging).await?;
    }
    let playbooks = carry.playbooks().await?;
    carry.inventory().await?;
    if !options.galaxy_file.is_empty() {
        carry.file(&options.galaxy_file, &format!("{staging}/{}", name_of(&options.galaxy_file))).await?;
    }
    for (path, target) in directories(options) {
        carry.directory(path, &target).await?;
    }
    Ok(playbooks)
}

/// Directories to carry over, and where their contents land.
fn directories(options: &Options) -> Vec<(&str, String)> {
    let staging = &options.staging_directory;
    let below = |kind: &str, path: &str| format!("{staging}/{kind}/{}", name_of(path));
    let variables = [("group_vars", &options.group_vars), ("host_vars", &options.host_vars)];
    let variables = variables.into_iter().filter(|(_, path)| !path.is_empty());
    let variables = variables.map(|(name, path)| (path.as_str(), format!("{staging}/{name}")));
    let roles = options.role_paths.iter().map(|path| (path.as_str(), below("roles", path)));
    let collections = options.collection_paths.iter().map(|path| (path.as_str(), below("collections", path)));
    let playbooks = options.playbook_paths.iter().map(|path| (path.as_str(), format!("{staging}/playbooks")));
    variables.chain(roles).chain(collections).chain(playbooks).collect()
}

struct Carry<'a> {
    cx: &'a ProvisionContext<'a>,
    options: &'a Options,
}

impl Carry<'_> {
    async fn playbooks(&self) -> Result<Vec<String>, CommunicatorError> {
        let staging = &self.options.staging_directory;
        let mut placed = Vec::new();
        if !self.options.playbook_file.is_empty() {
            let target = format!("{staging}/{}", name_of(&self.options.playbook_file));
            self.file(&self.options.playbook_file, &target).await?;
            placed.push(target);
        }
        for playbook in &self.options.playbook_files {
            placed.push(self.one_of_several(playbook).await?);
        }
        Ok(placed)
    }

    /// A playbook inside `playbook_dir` is there already; another keeps its directories below the staging one.
    async fn one_of_several(&self, playbook: &str) -> Result<String, CommunicatorError> {
        let staging = &self.options.staging_directory;
        let local = self.cx.task.resolve(playbook);
        let carried = self.cx.task.resolve(&self.options.playbook_dir);
        if !self.options.playbook_dir.is_empty()
            && let Ok(inside) = local.strip_prefix(&carried)
        {
            return Ok(format!("{staging}/{}", inside.display()));
        }
        let below = local.strip_prefix("/").unwrap_or(&local);
        let target = format!("{staging}/{}", below.display());
        let parent = Path::new(&target).parent().map(|p| p.display().to_string()).unwrap_or_default();
        self.make_directory(&parent).await?;
        self.file(playbook, &target).await?;
        Ok(target)
    }

    async fn inventory(&self) -> Result<(), CommunicatorError> {
        let target = format!("{}/{}", self.options.staging_directory, inventory_name(self.options));
        if !self.options.inventory_file.is_empty() {
            return self.file(&self.options.inventory_file, &target).await;
        }
        let text = inventory(&self.options.inventory_groups);
        self.cx.communicator.upload_bytes(text.as_bytes(), &target, 0o644).await
    }

    /// The contents of a directory, into one that is made for them.
    async fn directory(&self, source: &str, target: &str) -> Result<(), CommunicatorError> {
        self.make_directory(target).await?;
        self.cx.communicator.upload_dir(&self.cx.task.resolve(source), target, true).await
    }

    async fn make_directory(&self, path: &str) -> Result<(), CommunicatorError> {
        let purpose = format!("make the directory {path} in the guest");
        remote::require(self.cx, &format!("mkdir -p '{path}'"), &purpose).await
    }

    async fn file(&self, source: &str, target: &str) -> Result<(), CommunicatorError> {
        self.cx.communicator.upload(&self.cx.task.resolve(source), target).await
    }
}
