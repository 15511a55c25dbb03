//! The post-processor `manifest`: notes the artifact in a JSON file that builds share and other tools read.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use kiln_component::factory::Made;
use kiln_component::{
    Artifact, Factory, FinishedConfig, Keep, PostProcessor, Processed, TaskContext, artifact,
};
use kiln_plan::schema::OptionType;
use kiln_plan::{Failure, Fault, OptionSchema};
use serde::Deserialize;

mod document;
mod lock;
#[cfg(test)]
mod tests;

use document::{Entry, File, Manifest};
use lock::Lock;

const OUTPUT: &str = "packer-manifest.json";

/// The post-processor and its options.
pub fn factory() -> Factory {
    let options = vec![
        OptionSchema::new("output", OptionType::String, "Path of the manifest").default(OUTPUT),
        OptionSchema::new(
            "strip_path",
            OptionType::Bool,
            "Note only the names of files, without directories",
        )
        .default("false"),
        OptionSchema::new("strip_time", OptionType::Bool, "Leave out when the build ended").default("false"),
        OptionSchema::new("custom_data", OptionType::StringMap, "Anything else to note"),
    ];
    Factory::post_processor("manifest", options, make)
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Config {
    output: String,
    strip_path: bool,
    strip_time: bool,
    custom_data: Option<BTreeMap<String, String>>,
}

impl Default for Config {
    fn default() -> Self {
        Self { output: OUTPUT.to_owned(), strip_path: false, strip_time: false, custom_data: None }
    }
}

fn make(config: FinishedConfig) -> Made<Box<dyn PostProcessor>> {
    let mut config: Config = config.decode()?;
    if config.output.is_empty() {
        OUTPUT.clone_into(&mut config.output);
    }
    Ok((Box::new(config), Default::default()))
}

#[async_trait]
impl PostProcessor for Config {
    async fn process(&self, cx: &TaskContext, input: Arc<dyn Artifact>) -> Result<Processed, Failure> {
        let entry = self.entry(cx, &*input);
        let path = cx.resolve(&self.output);
        let run = (cx.plan.facts.run_uuid.clone(), cx.plan.options.force);
        if let Some(parent) = path.parent() {
            // What goes wrong here goes wrong again, with better words, when the file is written.
            let _later = tokio::fs::create_dir_all(parent).await;
        }
        let lock = Lock::acquire(&path, &cx.reporter).await;
        let noted = tokio::task::spawn_blocking(move || {
            let result = note(&path, entry, &run.0, run.1);
            drop(lock);
            result
        });
        let noted = noted.await.map_err(io::Error::other).and_then(|result| result);
        noted.map_err(|e| {
            Failure::new(Fault::Machine, format!("cannot note the build in {}: {e}", self.output))
        })?;
        Ok(Processed { artifact: Some(input), keep: Keep::Always })
    }
}

impl Config {
    fn entry(&self, cx: &TaskContext, input: &dyn Artifact) -> Entry {
        let record = artifact::record(input, &cx.working_dir);
        let name = |path: String| match self.strip_path {
            true => Path::new(&path).file_name().map_or(path.clone(), |n| n.to_string_lossy().into_owned()),
            false => path,
        };
        let files: Vec<File> =
            record.files.into_iter().map(|f| File { name: name(f.path), size: f.size }).collect();
        // A manifest is read and handed on by many: no secret belongs there.
        let redacted = |(key, value): (&String, &String)| (key.clone(), cx.reporter.redact(value));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Entry {
            name: cx.plan.source_name.clone(),
            builder_type: cx.plan.builder.name.clone(),
            build_time: if self.strip_time { 0 } else { now },
            files: (!files.is_empty()).then_some(files),
            artifact_id: record.id,
            packer_run_uuid: cx.plan.facts.run_uuid.clone(),
            custom_data: self.custom_data.as_ref().map(|data| data.iter().map(redacted).collect()),
        }
    }
}

/// Adds an entry to the manifest at `path`. With `force`, entries of another run go first.
fn note(path: &Path, entry: Entry, run_uuid: &str, force: bool) -> io::Result<()> {
    let mut manifest = match fs::read(path) {
        Ok(text) => Manifest::parse(&text)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Manifest::default(),
        Err(e) => return Err(e),
    };
    if force && manifest.last_run_uuid != run_uuid {
        manifest.builds.clear();
    }
    manifest.builds.push(entry);
    run_uuid.clone_into(&mut manifest.last_run_uuid);
    replace(path, manifest.text().as_bytes())
}

/// Whoever reads the file sees the old or the new one, never half of it.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut beside = path.clone().into_os_string();
    beside.push(".new");
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o664).open(&beside)?;
    file.write_all(content)?;
    fs::rename(&beside, &path)
}
