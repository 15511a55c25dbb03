//! The staging directory of `ansible-local`: what is carried over, and where it lands.

use std::path::Path;

use kiln_component::ProvisionContext;
use kiln_plan::{Failure, Fault};

use super::Options;
use crate::provisioner::remote::{self, Tried};

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
pub(super) async fn fill(cx: &ProvisionContext<'_>, options: &Options) -> Result<Vec<String>, Failure> {
    let staging = &options.staging_directory;
    let carry = Carry { cx, options };
    cx.task.reporter.say("Creating Ansible staging directory...");
    carry.make_directory(staging).await?;
    if !options.playbook_dir.is_empty() {
        cx.task.reporter.say("Uploading Playbook directory to Ansible staging directory...");
        carry.directory(&options.playbook_dir, staging, true).await?;
    }
    let playbooks = carry.playbooks().await?;
    carry.inventory().await?;
    if !options.galaxy_file.is_empty() {
        carry.file(&options.galaxy_file, &format!("{staging}/{}", name_of(&options.galaxy_file))).await?;
    }
    for (path, name) in [(&options.group_vars, "group_vars"), (&options.host_vars, "host_vars")] {
        if !path.is_empty() {
            carry.into_fresh(path, &format!("{staging}/{name}")).await?;
        }
    }
    let kinds = [
        (&options.role_paths, "roles", true),
        (&options.collection_paths, "collections", true),
        (&options.playbook_paths, "playbooks", false),
    ];
    for (paths, name, own_name) in kinds {
        for path in paths {
            let target = if own_name {
                format!("{staging}/{name}/{}", name_of(path))
            } else {
                format!("{staging}/{name}")
            };
            carry.into_fresh(path, &target).await?;
        }
    }
    Ok(playbooks)
}

struct Carry<'a> {
    cx: &'a ProvisionContext<'a>,
    options: &'a Options,
}

impl Carry<'_> {
    async fn playbooks(&self) -> Result<Vec<String>, Failure> {
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
    async fn one_of_several(&self, playbook: &str) -> Result<String, Failure> {
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

    async fn inventory(&self) -> Result<(), Failure> {
        let target = format!("{}/{}", self.options.staging_directory, inventory_name(self.options));
        if !self.options.inventory_file.is_empty() {
            return self.file(&self.options.inventory_file, &target).await;
        }
        let text = inventory(&self.options.inventory_groups);
        let carried = self.cx.communicator.upload_bytes(text.as_bytes(), &target, 0o644);
        remote::unless_cancelled(self.cx, carried).await?.map_err(|e| remote::failure(&e))
    }

    async fn into_fresh(&self, source: &str, target: &str) -> Result<(), Failure> {
        self.make_directory(target).await?;
        self.directory(source, target, true).await
    }

    async fn make_directory(&self, path: &str) -> Result<(), Failure> {
        match remote::run_quietly(self.cx, &format!("mkdir -p '{path}'")).await {
            Ok((exit, _)) if exit.code() == 0 => Ok(()),
            Ok((_, said)) => Err(Failure::new(
                Fault::Guest,
                format!("cannot make the directory {path} in the guest: {said}"),
            )),
            Err(Tried::Unreachable(error)) => Err(remote::failure(&error)),
            Err(Tried::Failed(failure)) => Err(failure),
        }
    }

    async fn file(&self, source: &str, target: &str) -> Result<(), Failure> {
        let local = self.cx.task.resolve(source);
        let carried = self.cx.communicator.upload(&local, target);
        remote::unless_cancelled(self.cx, carried).await?.map_err(|e| remote::failure(&e))
    }

    async fn directory(&self, source: &str, target: &str, contents_only: bool) -> Result<(), Failure> {
        let local = self.cx.task.resolve(source);
        let carried = self.cx.communicator.upload_dir(&local, target, contents_only);
        remote::unless_cancelled(self.cx, carried).await?.map_err(|e| remote::failure(&e))
    }
}
