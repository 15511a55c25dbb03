//! The builder `null`: makes nothing, but lets provisioners run in a guest that is already there, or, without
//! communicator, beside none at all.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use kiln_component::artifact::ArtifactFacts;
use kiln_component::factory::Made;
use kiln_component::{
    Artifact, Builder, Factory, FinishedConfig, GeneratedData, Pipeline, ProvisionHook, TaskContext,
};
use kiln_lang::{Diagnostic, Diagnostics};
use kiln_plan::Failure;

use crate::artifact::FilesArtifact;
use crate::builder::provision::provision;
use crate::communicator::{self, Address, CommunicatorConfig, Connect, SshConfig};

/// What templates and other tools compare.
const BUILDER_ID: &str = "fnoeding.null";
const ID: &str = "Null";

/// The builder and its options, which are those of the communicators.
pub fn factory() -> Factory {
    Factory::builder("null", communicator::options(), &[], make)
}

fn make(config: FinishedConfig) -> Made<Box<dyn Builder>> {
    let working_dir = Path::new(&config.facts().working_dir);
    let (communicator, mut found) = CommunicatorConfig::parse(&config.options, working_dir)?;
    if let CommunicatorConfig::Ssh(ssh) = &communicator {
        found.extend(missing(ssh));
    }
    if found.has_errors() { Err(found) } else { Ok((Box::new(NullBuilder { communicator }), found)) }
}

/// What a builder that makes no guest must be told about the one that is there.
fn missing(ssh: &SshConfig) -> Diagnostics {
    let mut found = Diagnostics::new();
    if ssh.host.is_none() {
        let detail = "The null builder connects to a guest that is already there, and must be told where.";
        found.push(Diagnostic::error("ssh_host must be specified", detail));
    }
    let ways = [ssh.login.agent, ssh.login.password.is_some(), ssh.login.key.is_some()];
    match ways.into_iter().filter(|given| *given).count() {
        1 => {}
        0 => {
            let detail =
                "The null builder needs one of ssh_agent_auth, ssh_password and ssh_private_key_file.";
            found.push(Diagnostic::error("one authentication method must be specified", detail));
        }
        _ => {
            let detail = "Only one of ssh_agent_auth, ssh_password and ssh_private_key_file may be given.";
            found.push(Diagnostic::error("only one authentication method may be specified", detail));
        }
    }
    found
}

#[derive(Debug)]
struct NullBuilder {
    communicator: CommunicatorConfig,
}

impl NullBuilder {
    fn connect(&self) -> Connect {
        let host = |ssh: &SshConfig| Address::new(ssh.host.clone().unwrap_or_default(), ssh.port);
        // Nobody asks where the guest is when there is no communicator.
        let guest = self.communicator.ssh().map_or_else(|| Address::new("", 0), host);
        let key = self.communicator.ssh().and_then(|ssh| ssh.login.key.clone());
        Connect::new(self.communicator.clone(), key, Arc::new(guest))
    }
}

#[async_trait]
impl Builder for NullBuilder {
    async fn build(
        &self,
        cx: &TaskContext,
        hook: Arc<dyn ProvisionHook>,
    ) -> Result<Option<Arc<dyn Artifact>>, Failure> {
        let connect = self.connect();
        Pipeline::run(cx, async |pipeline: &mut Pipeline| {
            let connected = pipeline.step(&connect).await?;
            let mut generated = connected.generated;
            generated.set("ID", ID);
            provision(pipeline, hook, connected.communicator, generated).await
        })
        .await?;
        let mut generated = GeneratedData::default();
        generated.set("ID", ID);
        let artifact = FilesArtifact {
            builder_id: BUILDER_ID,
            id: ID,
            description: "Did not export anything. This is the null builder".to_owned(),
            files: Vec::new(),
            generated,
            facts: ArtifactFacts::default(),
        };
        Ok(Some(Arc::new(artifact)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kiln_component::factory::Make;
    use kiln_lang::Value;

    use super::*;
    use crate::test_plan::plan;

    fn summaries(options: &[(&str, &str)]) -> Vec<String> {
        let options = options.iter().map(|(n, v)| ((*n).to_owned(), Value::from(*v)));
        let config = FinishedConfig {
            options: Value::object(options),
            plan: Arc::new(plan("null")),
            dry: true,
            generated: GeneratedData::default(),
        };
        let Make::Builder(make) = factory().make else { unreachable!() };
        let found = match make(config) {
            Ok((_, warnings)) => warnings,
            Err(errors) => errors,
        };
        found.iter().map(|d| d.summary.clone()).collect()
    }

    #[test]
    fn a_guest_that_is_there_must_be_described_wholly() {
        let host = ("ssh_host", "h");
        let user = ("ssh_username", "u");
        let password = ("ssh_password", "p");
        type Options<'a> = &'a [(&'a str, &'a str)];
        let cases: [(Options<'_>, &[&str]); 5] = [
            (&[("communicator", "none")], &[]),
            (&[host, user, password], &[]),
            (&[user, password], &["ssh_host must be specified"]),
            (&[host, user], &["one authentication method must be specified"]),
            (
                &[host, user, password, ("ssh_agent_auth", "true")],
                &["only one authentication method may be specified"],
            ),
        ];
        for (options, expected) in cases {
            assert_eq!(summaries(options), expected, "{options:?}");
        }
    }
}
