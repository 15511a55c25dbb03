//! The files that an attempt works in: fetched from the coordinator, and laid out where the attempt runs.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use kiln_plan::bundle_root::relocated;
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::{BuildPlan, Failure, Fault};
use kiln_proto::bundle::{BundleError, BundleFiles, Entry, LARGEST_BUNDLE};
use kiln_proto::link::AttemptKey;
use kiln_proto::v1::agent_link_client::AgentLinkClient;
use kiln_proto::{Code, Problem, v1};
use tonic::transport::Channel;

/// How long fetching may take, all tries together.
const FETCH_LIMIT: Duration = Duration::from_secs(600);

/// Between two tries.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// Whoever has the bundles.
#[async_trait]
pub trait Bundles: std::fmt::Debug + Send + Sync + 'static {
    /// The packed bundle that an attempt works in, which this agent holds.
    async fn fetch(&self, attempt: AttemptKey) -> Result<Vec<u8>, Problem>;
}

/// The coordinator at the other end of a channel.
#[derive(Clone, Debug)]
pub struct Remote(pub Channel);

#[async_trait]
impl Bundles for Remote {
    async fn fetch(&self, attempt: AttemptKey) -> Result<Vec<u8>, Problem> {
        let AttemptKey { task, attempt, epoch } = attempt;
        let request =
            v1::FetchBundleRequest { task: task.to_string(), attempt: attempt.to_string(), epoch: epoch.0 };
        let mut client =
            AgentLinkClient::new(self.0.clone()).max_decoding_message_size(kiln_proto::MESSAGE_LIMIT);
        let mut parts = client.fetch_bundle(request).await.map_err(Problem::from)?.into_inner();
        let mut packed = Vec::new();
        while let Some(part) = parts.message().await.map_err(Problem::from)? {
            packed.extend_from_slice(&part.data);
            if packed.len() as u64 > LARGEST_BUNDLE {
                return Err(Problem::new(Code::TooLarge, "the bundle is larger than bundles may be"));
            }
        }
        Ok(packed)
    }
}

/// Fetches a bundle and sees that it is the right one.
pub(super) async fn fetch(
    bundles: &dyn Bundles,
    attempt: AttemptKey,
    digest: Fingerprint,
) -> Result<BundleFiles, Failure> {
    let fetched = async {
        loop {
            match bundles.fetch(attempt).await {
                Err(problem) if problem.code == Code::Unavailable => {
                    tracing::info!(%problem, "a bundle can't be had yet");
                    tokio::time::sleep(TRY_AGAIN).await;
                }
                other => return other,
            }
        }
    };
    let farm =
        |text: String| Failure::new(Fault::Farm, format!("cannot fetch the files of the template: {text}"));
    let packed = tokio::time::timeout(FETCH_LIMIT, fetched).await;
    let packed = packed.map_err(|_| farm("no coordinator sent them in time".to_owned()))?;
    let packed = packed.map_err(|problem| farm(problem.message))?;
    let unpacked = tokio::task::spawn_blocking(move || BundleFiles::unpack(&packed, digest)).await;
    let unpacked: Result<_, BundleError> =
        unpacked.map_err(|_| farm("internal error while they were unpacked".to_owned()))?;
    unpacked.map_err(|error| farm(kiln_plan::fault::chain(&error)))
}

/// Lays files out below `root`, which exists and is empty. Links come last, so that nothing is written through one.
pub(super) fn lay_out(files: &BundleFiles, root: &Path) -> io::Result<()> {
    let place = |name: &str| {
        let path = root.join(name);
        let parent = path.parent().unwrap_or(root);
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map(|()| path)
    };
    for (name, entry) in files.iter() {
        if let Entry::File { contents, executable } = entry {
            let mode = if *executable { 0o700 } else { 0o600 };
            let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(place(name)?);
            file?.write_all(contents)?;
        }
    }
    for (name, entry) in files.iter() {
        if let Entry::Link { target } = entry {
            symlink(target, place(name)?)?;
        }
    }
    Ok(())
}

/// The plan with `root` in the place of its bundle's root.
pub(super) fn moved(plan: &BuildPlan, root: &Path) -> BuildPlan {
    let text = serde_json::to_string(plan).expect("a plan has only string keys");
    // It was one before, and only texts in it change.
    serde_json::from_str(&relocated(&text, root)).unwrap_or_else(|_| plan.clone())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use kiln_plan::bundle_root::BUNDLE_ROOT;

    use super::*;
    use crate::test_plan;

    #[test]
    fn files_lie_as_they_were_bundled_and_the_plan_finds_them() {
        let mut files = BundleFiles::default();
        let file =
            |text: &str, executable| Entry::File { contents: text.as_bytes().to_vec().into(), executable };
        files.add("scripts/run.sh", file("#!/bin/sh", true)).unwrap();
        files.add("http/user-data", file("x", false)).unwrap();
        files.add("http/link", Entry::Link { target: "user-data".into() }).unwrap();
        let root = tempfile::tempdir().unwrap();
        lay_out(&files, root.path()).unwrap();
        let mode = |name: &str| fs::metadata(root.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("scripts/run.sh"), mode("http/user-data")), (0o700, 0o600));
        assert_eq!(fs::read_to_string(root.path().join("http/link")).unwrap(), "x");
        let mut plan = test_plan::plan("null");
        plan.facts.working_dir = format!("{BUNDLE_ROOT}/images");
        assert_eq!(moved(&plan, root.path()).facts.working_dir, format!("{}/images", root.path().display()));
    }
}
