//! `file`: carries files and directories into the guest, or out of it.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use kiln_component::factory::Made;
use kiln_component::{
    Communicator, CommunicatorError, Factory, FinishedConfig, ProvisionContext, Provisioner,
};
use kiln_lang::{Diagnostic, Diagnostics};
use kiln_plan::schema::OptionType;
use kiln_plan::{Failure, Fault, OptionSchema};
use serde::Deserialize;

use super::remote;
use crate::config;

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
    if upload && !options.generated && !config::has_placeholders(&config) {
        let working_dir = Path::new(&config.facts().working_dir);
        for source in &sources {
            if let Err(error) = std::fs::metadata(working_dir.join(source)) {
                let detail = format!(
                    "It cannot be read: {error}. If a step of this build makes it, set generated = true."
                );
                wrong.push(Diagnostic::error(format!("Bad source '{source}'"), detail));
            }
        }
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
        if self.upload { self.upload(cx).await } else { self.download(cx).await }
    }
}

impl File {
    async fn upload(&self, cx: &ProvisionContext<'_>) -> Result<(), Failure> {
        if let Some(content) = &self.content {
            let destination = into_directory(&self.destination, &content_name());
            cx.task.reporter.say(format!("Uploading content => {destination}"));
            let carried = cx.communicator.upload_bytes(content.as_bytes(), &destination, 0o644);
            return told(remote::unless_cancelled(cx, carried).await?);
        }
        for source in &self.sources {
            let carried = upload_one(cx, &*cx.communicator, source, &self.destination);
            told(remote::unless_cancelled(cx, carried).await?)?;
        }
        Ok(())
    }

    async fn download(&self, cx: &ProvisionContext<'_>) -> Result<(), Failure> {
        for source in &self.sources {
            let target = self.download_target(cx, source);
            make_parent(&target)?;
            cx.task.reporter.say(format!("Downloading {source} => {}", target.display()));
            let many = source.ends_with('/') || source.contains(['*', '?', '[']);
            let carried = async {
                match many {
                    true => cx.communicator.download_dir(source, &target).await,
                    false => cx.communicator.download(source, &target).await,
                }
            };
            told(remote::unless_cancelled(cx, carried).await?)?;
        }
        Ok(())
    }

    fn download_target(&self, cx: &ProvisionContext<'_>, source: &str) -> PathBuf {
        let into = self.destination.ends_with('/') && !source.ends_with(['/', '*']);
        let name = if into { base_name(source) } else { "" };
        cx.task.resolve(format!("{}{name}", self.destination))
    }
}

async fn upload_one(
    cx: &ProvisionContext<'_>,
    communicator: &dyn Communicator,
    source: &str,
    destination: &str,
) -> Result<(), CommunicatorError> {
    let local = cx.task.resolve(source);
    let metadata = tokio::fs::metadata(&local).await;
    let metadata = metadata.map_err(|source_error| CommunicatorError::Local {
        operation: format!("read {source}"),
        source: source_error,
    })?;
    if metadata.is_dir() {
        cx.task.reporter.say(format!("Uploading {source} => {destination}"));
        return communicator.upload_dir(&local, destination, source.ends_with('/')).await;
    }
    let destination = into_directory(destination, base_name(source));
    cx.task.reporter.say(format!("Uploading {source} => {destination}"));
    communicator.upload(&local, &destination).await
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

fn make_parent(target: &Path) -> Result<(), Failure> {
    let Some(parent) = target.parent() else { return Ok(()) };
    std::fs::create_dir_all(parent).map_err(|error| {
        Failure::new(Fault::Machine, format!("cannot make the directory {}: {error}", parent.display()))
    })
}

fn told(result: Result<(), CommunicatorError>) -> Result<(), Failure> {
    result.map_err(|error| remote::failure(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_with_a_slash_gets_the_name() {
        assert_eq!(into_directory("/tmp/", "a"), "/tmp/a");
        assert_eq!(into_directory("/tmp/b", "a"), "/tmp/b");
        assert_eq!(base_name("x/y/"), "y");
        assert_eq!(base_name("z"), "z");
    }
}
