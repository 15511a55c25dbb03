//! Between the end of an attempt and the report of it: what it made becomes an image. An attempt whose image is not
//! visible has not succeeded.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kiln_component::Reporter;
use kiln_plan::event::TaskOutcome;
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{AgentId, BuildId};
use kiln_proto::image::{InputDigest, Provenance};
use kiln_proto::link::AttemptKey;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::{Publication, SourceFile, Transfer, publish};

/// Publishes for one agent. Clones are the same.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// The way to the coordinators.
    pub channel: Channel,
    /// The way to the object store.
    pub transfer: Transfer,
    /// Who publishes.
    pub agent: AgentId,
    /// The agent's name for people.
    pub agent_name: String,
    /// Tools of the machine with their versions.
    pub tools: BTreeMap<String, String>,
}

/// What an attempt made, and how.
#[derive(Clone, Debug)]
pub struct Made<'a> {
    /// The build.
    pub build: BuildId,
    /// The attempt.
    pub key: AttemptKey,
    /// The name that the template gives the task, as `qemu.debian`.
    pub task_name: &'a str,
    /// The digest of the template's files, when it came with them.
    pub bundle: Option<Fingerprint>,
    /// Where relative paths of its artifacts begin.
    pub working_dir: PathBuf,
    /// When it began and ended, in milliseconds since the Unix epoch.
    pub times_ms: (u64, u64),
    /// What its guest began with.
    pub media: Vec<InputDigest>,
    /// What else went in.
    pub inputs: Vec<InputDigest>,
}

impl Publisher {
    /// Publishes the artifacts of an attempt that succeeded, under the task's name, and returns how the attempt ended all in
    /// all. An attempt that failed, or made no files, ended as it did. Asked twice, it publishes once.
    pub async fn after(
        &self,
        made: &Made<'_>,
        outcome: TaskOutcome,
        reporter: &Reporter,
        cancel: &CancellationToken,
    ) -> TaskOutcome {
        let TaskOutcome::Succeeded { artifacts } = &outcome else { return outcome };
        let paths = artifacts.iter().flat_map(|artifact| &artifact.files);
        let paths = paths.map(|file| made.working_dir.join(&file.path)).filter(|path| path.is_file());
        let files = SourceFile::all(paths, &made.working_dir);
        if files.is_empty() {
            return outcome;
        }
        let name = name(made.task_name);
        let publication = Publication { name, files, provenance: self.provenance(made) };
        let sent = publish(self.channel.clone(), &self.transfer, &publication, reporter, cancel);
        match reporter.step("publish the image".to_owned(), sent).await {
            Ok(_) => outcome,
            Err(_) if cancel.is_cancelled() => TaskOutcome::Cancelled,
            Err(error) => TaskOutcome::Failed { failure: error.into() },
        }
    }

    fn provenance(&self, made: &Made<'_>) -> Provenance {
        let AttemptKey { task, attempt, epoch } = made.key;
        Provenance {
            build: made.build,
            task,
            task_name: made.task_name.to_owned(),
            attempt,
            epoch,
            agent: self.agent,
            agent_name: self.agent_name.clone(),
            kiln: env!("CARGO_PKG_VERSION").to_owned(),
            bundle: made.bundle.map(|digest| digest.to_string()),
            // The coordinator knows it, and writes it in.
            plan: None,
            inputs: made.inputs.clone(),
            media: made.media.clone(),
            tools: self.tools.clone(),
            began_ms: made.times_ms.0,
            ended_ms: made.times_ms.1,
        }
    }
}

/// The name of an image that a task of this name makes: what isn't a letter, a digit, a dot, a dash or an underscore becomes a dash.
fn name(task: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = task.chars().map(plain).take(150).collect();
    let name = name.trim_start_matches(['.', '_', '-']);
    if name.is_empty() { "image".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tasks_become_names_of_images() {
        for (task, expected) in [
            ("qemu.debian-12", "qemu.debian-12"),
            ("my build.qemu.x", "my-build.qemu.x"),
            ("../x", "x"),
            ("ümlaut", "mlaut"),
            ("", "image"),
        ] {
            assert_eq!(name(task), expected);
        }
    }

    #[test]
    fn each_file_is_there_once_under_a_name_of_its_own() {
        let paths = ["/w/out/disk", "/elsewhere/disk", "/w/out/disk", "/other/disk", "/w/disk"];
        let files = SourceFile::all(paths.map(PathBuf::from), std::path::Path::new("/w"));
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["out/disk", "disk", "2-disk", "3-disk"]);
    }
}
