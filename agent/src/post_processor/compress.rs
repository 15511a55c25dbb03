//! The post-processor `compress`: packs the artifact's files into one compressed file. What kind of file, the output's
//! name decides.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use kiln_component::artifact::ArtifactFacts;
use kiln_component::factory::Made;
use kiln_component::{
    Artifact, Factory, FinishedConfig, Intent, Keep, PostProcessor, Processed, TaskContext,
};
use kiln_plan::schema::OptionType;
use kiln_plan::{Failure, Fault, OptionSchema};
use serde::Deserialize;

use crate::artifact::{FilesArtifact, shown};
use crate::post_processor::output_path;
use crate::post_processor::watched::blocking;

mod archive;
mod block;
mod encoder;
mod format;
#[cfg(test)]
mod tests;

use archive::Member;
use encoder::Encoder;
use format::{Archive, Format};

const BUILDER_ID: &str = "packer.post-processor.compress";
const OUTPUT: &str = "packer_{{.BuildName}}_{{.BuilderType}}";

/// The post-processor and its options.
pub fn factory() -> Factory {
    let options = vec![
        OptionSchema::new(
            "output",
            OptionType::String,
            "Path of the file to make; its ending decides what is made: .tar, .zip, .gz, .bgzf, .lz4, .xz, .bzip2, or one \
             of the latter after .tar; anything else is .tar.gz",
        )
        .default(OUTPUT)
        .late(),
        OptionSchema::new("format", OptionType::String, "What is made, as if it were the output's ending"),
        OptionSchema::new("compression_level", OptionType::Integer, "From 1, fast, to 9, small; 0 and -1 leave it open"),
    ];
    Factory::post_processor("compress", options, make)
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Config {
    output: String,
    format: String,
    compression_level: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self { output: OUTPUT.to_owned(), format: String::new(), compression_level: 0 }
    }
}

#[derive(Debug)]
struct Compress {
    output: String,
    format: Format,
    /// 1 to 9; `None` for the algorithm's own choice.
    level: Option<u32>,
}

fn make(config: FinishedConfig) -> Made<Box<dyn PostProcessor>> {
    let options: Config = config.decode()?;
    let template = if options.output.is_empty() { OUTPUT } else { &options.output };
    let compress = Compress {
        output: output_path(&config, template, None)?,
        format: Format::of(template, &options.format),
        level: u32::try_from(options.compression_level).ok().filter(|level| *level > 0).map(|l| l.min(9)),
    };
    Ok((Box::new(compress), Default::default()))
}

#[async_trait]
impl PostProcessor for Compress {
    async fn process(&self, cx: &TaskContext, input: Arc<dyn Artifact>) -> Result<Processed, Failure> {
        let members: Vec<Member> = input
            .files()
            .into_iter()
            .map(|path| Member { name: shown(&path, &cx.working_dir), path })
            .collect();
        if self.format.archive.is_none() && members.len() != 1 {
            let text = format!(
                "cannot compress {} files into one {}: without .tar or .zip there must be exactly one",
                members.len(),
                self.output
            );
            return Err(Failure::new(Fault::Template, text).hint("let the output end with .tar.gz or .zip"));
        }
        let target = cx.resolve(&self.output);
        let entry = cx.journal.intend(Intent::file(&target));
        let entry = entry.map_err(|e| Failure::from_error(Fault::Machine, &e))?;
        cx.reporter.say(format!(
            "Compressing {} file(s) into {} ({})",
            members.len(),
            self.output,
            self.format
        ));
        let (format, level, context, path) = (self.format, self.level, cx.clone(), target.clone());
        let packed = blocking(cx, &format!("make {}", self.output), move || {
            let result = pack(&path, &members, (format, level), &context);
            if result.is_err() {
                // It may not even have been begun; the first error is the one to tell.
                let _absent = fs::remove_file(&path);
            }
            result
        })
        .await;
        entry.clear();
        packed?;
        let artifact = FilesArtifact {
            facts: ArtifactFacts::default(),
            ..FilesArtifact::after(&*input, BUILDER_ID, vec![target])
        };
        let artifact = artifact.described(format!("compressed artifacts in: {}", self.output));
        Ok(Processed { artifact: Some(Arc::new(artifact)), keep: Keep::DropByDefault })
    }
}

fn pack(
    target: &Path,
    members: &[Member],
    (format, level): (Format, Option<u32>),
    cx: &TaskContext,
) -> io::Result<()> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    let file = BufWriter::with_capacity(1 << 20, File::create(target)?);
    let mut file = match format.archive {
        Some(Archive::Zip) => archive::zip(file, members, level, cx)?,
        Some(Archive::Tar) => {
            let encoder = Encoder::new(file, format.algorithm, level)?;
            archive::tar(encoder, members, cx)?.finish()?
        }
        None => {
            let mut encoder = Encoder::new(file, format.algorithm, level)?;
            for member in members {
                io::copy(&mut member.open(cx)?, &mut encoder)?;
            }
            encoder.finish()?
        }
    };
    file.flush()
}
