//! The post-processor `checksum`: appends the digests of the artifact's files to files beside them, which become part
//! of the artifact.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use kiln_component::artifact::ArtifactFacts;
use kiln_component::factory::Made;
use kiln_component::{Artifact, Factory, FinishedConfig, Keep, PostProcessor, Processed, TaskContext};
use kiln_lang::{Diagnostic, Diagnostics, Value};
use kiln_plan::schema::OptionType;
use kiln_plan::{Failure, OptionSchema};
use serde::Deserialize;
use sha1::Digest;
use sha1::digest::DynDigest;

use crate::artifact::{FilesArtifact, shown};
use crate::post_processor::output_path;
use crate::post_processor::watched::{WatchedFile, blocking};

const BUILDER_ID: &str = "packer.post-processor.checksum";
const OUTPUT: &str = "packer_{{.BuildName}}_{{.BuilderType}}_{{.ChecksumType}}.checksum";
const TYPES: [&str; 6] = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];

/// The post-processor and its options.
pub fn factory() -> Factory {
    let options = vec![
        OptionSchema::new("checksum_types", OptionType::Strings, "Which digests to compute")
            .default("[\"md5\"]")
            .values(&TYPES),
        OptionSchema::new("output", OptionType::String, "Path of the file that the digests are appended to")
            .default(OUTPUT)
            .late(),
    ];
    Factory::post_processor("checksum", options, make)
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Config {
    checksum_types: Vec<String>,
    output: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { checksum_types: Vec::new(), output: OUTPUT.to_owned() }
    }
}

/// For each type, where its digests go.
#[derive(Debug)]
struct Checksum {
    outputs: Vec<(String, String)>,
}

fn make(config: FinishedConfig) -> Made<Box<dyn PostProcessor>> {
    let mut options: Config = config.decode()?;
    if options.checksum_types.is_empty() {
        options.checksum_types.push("md5".to_owned());
    }
    let mut found = Diagnostics::new();
    let mut outputs = Vec::new();
    for kind in options.checksum_types {
        if hasher(&kind).is_none() {
            let detail = format!("{kind:?} is none of {}.", TYPES.join(", "));
            found.push(Diagnostic::error(format!("Unrecognized checksum type: {kind}"), detail));
            continue;
        }
        let name = Some(("ChecksumType", Value::from(kind.as_str())));
        match output_path(&config, &options.output, name) {
            Ok(path) => outputs.push((kind, path)),
            Err(errors) => found.extend(errors),
        }
    }
    if found.has_errors() { Err(found) } else { Ok((Box::new(Checksum { outputs }), found)) }
}

fn hasher(kind: &str) -> Option<Box<dyn DynDigest>> {
    Some(match kind {
        "md5" => Box::new(md5::Md5::new()),
        "sha1" => Box::new(sha1::Sha1::new()),
        "sha224" => Box::new(sha2::Sha224::new()),
        "sha256" => Box::new(sha2::Sha256::new()),
        "sha384" => Box::new(sha2::Sha384::new()),
        "sha512" => Box::new(sha2::Sha512::new()),
        _ => return None,
    })
}

#[async_trait]
impl PostProcessor for Checksum {
    async fn process(&self, cx: &TaskContext, input: Arc<dyn Artifact>) -> Result<Processed, Failure> {
        let files = input.files();
        let (kinds, paths): (Vec<String>, Vec<PathBuf>) =
            self.outputs.iter().map(|(kind, path)| (kind.clone(), cx.resolve(path))).unzip();
        let (context, read) = (cx.clone(), files.clone());
        let made = blocking(cx, "compute the digests", move || {
            // All digests of a file in one reading: disks are big.
            let digests: Vec<Vec<String>> =
                read.iter().map(|file| digests(file, &kinds, &context)).collect::<io::Result<_>>()?;
            append(&paths, &read, &digests)
        });
        let made = made.await?;
        let all: Vec<PathBuf> = files.into_iter().chain(made).collect();
        let names: Vec<String> = all.iter().map(|f| shown(f, &cx.working_dir)).collect();
        let artifact = FilesArtifact {
            facts: ArtifactFacts::default(),
            ..FilesArtifact::after(&*input, BUILDER_ID, all)
        };
        let artifact = artifact.described(format!("Created artifact from files: {}", names.join(", ")));
        Ok(Processed { artifact: Some(Arc::new(artifact)), keep: Keep::Always })
    }
}

fn digests(file: &Path, kinds: &[String], cx: &TaskContext) -> io::Result<Vec<String>> {
    let mut reader = WatchedFile::open(file, &format!("checksum {}", base_name(file)), cx)?;
    let mut hashers: Vec<Box<dyn DynDigest>> = kinds.iter().filter_map(|kind| hasher(kind)).collect();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok(hashers.into_iter().map(|h| hex::encode(h.finalize())).collect());
        }
        hashers.iter_mut().for_each(|hasher| hasher.update(&buffer[..count]));
    }
}

/// Appends to each output a line for each file; the outputs that weren't there before, each once.
fn append(outputs: &[PathBuf], files: &[PathBuf], digests: &[Vec<String>]) -> io::Result<Vec<PathBuf>> {
    let mut made: Vec<PathBuf> = Vec::new();
    for (index, output) in outputs.iter().enumerate() {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", output.display()));
        if let Some(parent) = output.parent() {
            fs::create_dir_all(parent).map_err(named)?;
        }
        if !output.exists() {
            made.push(output.clone());
        }
        let mut file = OpenOptions::new().append(true).create(true).open(output).map_err(named)?;
        for (path, digests) in files.iter().zip(digests) {
            let line = format!("{}\t{}\n", digests[index], base_name(path));
            file.write_all(line.as_bytes()).map_err(named)?;
        }
    }
    Ok(made)
}

fn base_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::post_processor::testing::Bench;

    #[tokio::test]
    async fn digests_are_appended_and_their_files_join_the_artifact() {
        let mut bench = Bench::new("checksum", &[("output", "sums/{{.BuildName}}.{{.ChecksumType}}")]);
        bench.options.push(("checksum_types".into(), Value::tuple(vec!["md5".into(), "sha256".into()])));
        bench.file("a", b"abc");
        bench.file("deep/b", b"");
        for round in 1..=2 {
            let processed = bench.process(&["a", "deep/b"]).await.unwrap();
            assert_eq!(processed.keep, Keep::Always);
            let mut expected = vec![bench.path("a"), bench.path("deep/b")];
            // Those that were there before are no part of the artifact.
            if round == 1 {
                expected.extend([bench.path("sums/test.md5"), bench.path("sums/test.sha256")]);
            }
            assert_eq!(processed.artifact.unwrap().files(), expected);
            let md5 = "900150983cd24fb0d6963f7d28e17f72\ta\nd41d8cd98f00b204e9800998ecf8427e\tb\n";
            assert_eq!(fs::read_to_string(bench.path("sums/test.md5")).unwrap(), md5.repeat(round));
        }
        let sha256 = fs::read_to_string(bench.path("sums/test.sha256")).unwrap();
        assert!(sha256.starts_with("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\ta\n"));
    }

    #[tokio::test]
    async fn md5_is_computed_unless_told_otherwise() {
        let bench = Bench::new("checksum", &[]);
        bench.file("a", b"abc");
        bench.process(&["a"]).await.unwrap();
        assert!(bench.path("packer_test_file_md5.checksum").exists());
    }
}
