//! The post-processor `artifice`: replaces the artifact by files that lie on this machine, whatever made them.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use kiln_component::factory::Made;
use kiln_component::{Artifact, Factory, FinishedConfig, Keep, PostProcessor, Processed, TaskContext};
use kiln_lang::{Diagnostic, Diagnostics};
use kiln_plan::schema::OptionType;
use kiln_plan::{Failure, OptionSchema};
use serde::Deserialize;

use crate::artifact::{FilesArtifact, shown};
use crate::post_processor::watched::blocking;

const BUILDER_ID: &str = "packer.post-processor.artifice";

/// The post-processor and its options.
pub fn factory() -> Factory {
    let files =
        OptionSchema::new("files", OptionType::Strings, "Patterns of the files that are the artifact")
            .required();
    Factory::post_processor("artifice", vec![files], make)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Artifice {
    files: Vec<String>,
}

fn make(config: FinishedConfig) -> Made<Box<dyn PostProcessor>> {
    let artifice: Artifice = config.decode()?;
    let mut found = Diagnostics::new();
    if artifice.files.is_empty() {
        let detail = "No files were given; there must be at least one pattern in \"files\".";
        found.push(Diagnostic::error("no files", detail));
    }
    for pattern in &artifice.files {
        if let Err(e) = glob::Pattern::new(pattern) {
            let detail = format!("The pattern {pattern:?} can't be read: {}.", e.msg);
            found.push(Diagnostic::error("an invalid pattern", detail));
        }
    }
    if found.has_errors() { Err(found) } else { Ok((Box::new(artifice), found)) }
}

#[async_trait]
impl PostProcessor for Artifice {
    async fn process(&self, cx: &TaskContext, input: Arc<dyn Artifact>) -> Result<Processed, Failure> {
        let patterns: Vec<PathBuf> = self.files.iter().map(|pattern| cx.resolve(pattern)).collect();
        // A pattern that nothing matches is no mistake, as in Packer.
        let files = blocking(cx, "find the files", move || Ok(matches(&patterns))).await?;
        let names: Vec<String> = files.iter().map(|f| shown(f, &cx.working_dir)).collect();
        let artifact =
            FilesArtifact { facts: Default::default(), ..FilesArtifact::after(&*input, BUILDER_ID, files) };
        let artifact = artifact.described(format!("Created artifact from files: {}", names.join(", ")));
        Ok(Processed { artifact: Some(Arc::new(artifact)), keep: Keep::KeepByDefault })
    }
}

fn matches(patterns: &[PathBuf]) -> Vec<PathBuf> {
    let options = glob::MatchOptions { require_literal_separator: true, ..Default::default() };
    let found = patterns.iter().filter_map(|p| glob::glob_with(&p.to_string_lossy(), options).ok());
    found.flat_map(|paths| paths.flatten()).collect()
}

#[cfg(test)]
mod tests {
    use kiln_lang::Value;

    use super::*;
    use crate::post_processor::testing::Bench;

    #[tokio::test]
    async fn the_artifact_is_what_the_patterns_match() {
        let mut bench = Bench::new("artifice", &[]);
        let patterns = ["out/*.img", "nothing-*", "b"];
        bench.options.push(("files".into(), Value::tuple(patterns.map(Value::from).to_vec())));
        for file in ["out/2.img", "out/1.img", "out/deep/3.img", "b", "a"] {
            bench.file(file, b"x");
        }
        let processed = bench.process(&["a"]).await.unwrap();
        let artifact = processed.artifact.unwrap();
        assert_eq!(processed.keep, Keep::KeepByDefault);
        assert_eq!(artifact.files(), ["out/1.img", "out/2.img", "b"].map(|f| bench.path(f)));
        assert_eq!(artifact.description(), "Created artifact from files: out/1.img, out/2.img, b");
        artifact.destroy().await.unwrap();
        assert!(bench.path("a").exists() && !bench.path("b").exists());
    }
}
