//! `file`: carries files and directories into the guest, or out of it.

use std::path::Path;

use async_trait::async_trait;
use kiln_component::factory::Made;
use kiln_component::{CommunicatorError, Factory, FinishedConfig, ProvisionContext, Provisioner};
use kiln_lang::{Diagnostic, Diagnostics};
use kiln_plan::schema::{OptionType, Rule};
use kiln_plan::{Failure, OptionSchema};
use serde::Deserialize;

use super::remote;
use crate::config::{self, Expected};

/// The options, as a template gives them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    source: String,
    sources: Vec<String>,
    content: String,
    destination: String,
    direction: String,
    generated: bool,
}

fn schema() -> Vec<OptionSchema> {
    let string = |name, help| OptionSchema::new(name, OptionType::String, help);
    vec![
        string("source", "the file or directory to carry"),
        OptionSchema::new("sources", OptionType::Strings, "several of them"),
        string("content", "the text to write, instead of a source"),
        string("destination", "where it goes").required(),
        string("direction", "which way").default("upload").values(&["upload", "download"]),
        OptionSchema::new("generated", OptionType::Bool, "the source comes to be during the build")
            .default("false"),
    ]
}

/// How it is made.
pub fn factory() -> Factory {
    Factory::provisioner("file", schema(), make)
        .with_rules([Rule::at_most_one(&["source", "content"]), Rule::at_most_one(&["sources", "content"])])
}

fn make(config: FinishedConfig) -> Made<Box<dyn Provisioner>> {
    let options: Options = config.decode()?;
    let mut wrong = Diagnostics::new();
    let sources: Vec<String> =
        options.sources.iter().chain(Some(&options.source).filter(|s| !s.is_empty())).cloned().collect();
    let upload = match options.direction.as_str() {
        "" | "upload" => true,
        "download" => false,
        other => {
            let detail = format!("direction is {other:?}; it must be \"upload\" or \"download\".");
            wrong.push(Diagnostic::error("Invalid direction", detail));
            true
        }
    };
    if options.destination.is_empty() {
        wrong.push(Diagnostic::error("Missing destination", "destination must be given."));
    }
    if !options.content.is_empty() && !sources.is_empty() {
        wrong
            .push(Diagnostic::error("Source and content", "Only one of source(s) and content may be given."));
    }
    if upload && !options.generated {
        let bad = |source: &String| config::expect_path(&config, "source", source, Expected::Anything);
        let hint = "if a step of this build makes it, set generated = true";
        wrong.extend(sources.iter().filter_map(bad).map(|found| found.hint(hint)));
    }
    if wrong.has_errors() {
        return Err(wrong);
    }
    let content = Some(options.content).filter(|c| !c.is_empty());
    Ok((Box::new(File { sources, content, destination: options.destination, upload }), wrong))
}

/// The provisioner.
#[derive(Debug)]
pub struct File {
    sources: Vec<String>,
    content: Option<String>,
    destination: String,
    upload: bool,
}

#[async_trait]
impl Provisioner for File {
    async fn provision(&self, cx: &ProvisionContext<'_>) -> Result<(), Failure> {
        let carried = async { if self.upload { self.upload(cx).await } else { self.download(cx).await } };
        remote::unless_cancelled(cx, carried).await?.map_err(|error| remote::failure(&error))
    }
}

impl File {
    async fn upload(&self, cx: &ProvisionContext<'_>) -> Result<(), CommunicatorError> {
        let (communicator, reporter) = (&cx.communicator, &cx.task.reporter);
        if let Some(content) = &self.content {
            let destination = into_directory(&self.destination, &content_name());
            reporter.say(format!("Uploading content => {destination}"));
            // Packer's way is a temporary file, which only its owner may read.
            return communicator.upload_bytes(content.as_bytes(), &destination, 0o600).await;
        }
        for source in &self.sources {
            let local = cx.task.resolve(source);
            let is_directory = tokio::fs::metadata(&local).await.is_ok_and(|m| m.is_dir());
            let destination = match is_directory {
                true => self.destination.clone(),
                false => into_directory(&self.destination, base_name(source)),
            };
            reporter.say(format!("Uploading {source} => {destination}"));
            match is_directory {
                true => communicator.upload_dir(&local, &destination, source.ends_with('/')).await?,
                false => communicator.upload(&local, &destination).await?,
            }
        }
        Ok(())
    }

    async fn download(&self, cx: &ProvisionContext<'_>) -> Result<(), CommunicatorError> {
        for source in &self.sources {
            let many = source.ends_with('/') || source.contains(['*', '?', '[']);
            let target = match many {
                true => self.destination.clone(),
                false => into_directory(&self.destination, base_name(source)),
            };
            cx.task.reporter.say(format!("Downloading {source} => {target}"));
            let local = cx.task.resolve(&target);
            if many {
                make_directory(&local).await?;
                cx.communicator.download_dir(source, &local).await?;
            } else {
                make_directory(local.parent().unwrap_or(&local)).await?;
                cx.communicator.download(source, &local).await?;
            }
        }
        Ok(())
    }
}

/// The destination, with the name added when it is written as a directory.
fn into_directory(destination: &str, name: &str) -> String {
    if destination.ends_with('/') { format!("{destination}{name}") } else { destination.to_owned() }
}

fn base_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

fn content_name() -> String {
    format!("pkr-file-content{}", uuid::Uuid::new_v4().as_u128() % 1_000_000_000)
}

async fn make_directory(path: &Path) -> Result<(), CommunicatorError> {
    tokio::fs::create_dir_all(path).await.map_err(|source| CommunicatorError::Local {
        operation: format!("make the directory {}", path.display()),
        source,
    })
}

#[cfg(test)]
mod tests;
