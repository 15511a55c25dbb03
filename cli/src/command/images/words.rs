//! Images in words, tables and JSON.

use std::fmt::Write as _;

use kiln_plan::byte_count::in_words;
use kiln_proto::image::{ImageManifest, ImageRecord, InputDigest};
use serde_json::{Value, json};

/// The most inputs that are told in words.
const INPUTS: usize = 20;

/// An image as an object.
pub(super) fn object(image: &ImageRecord) -> Value {
    json!({
        "image": image.image.to_string(),
        "name": image.name,
        "version": image.version,
        "published": time(image.published_ms),
        "size": image.size,
        "files": image.files,
        "project": image.project,
        "build": image.build.to_string(),
        "task": image.task.to_string(),
        "digest": image.digest,
    })
}

fn time(ms: u64) -> String {
    let at = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms / 1_000 * 1_000).ok());
    at.unwrap_or_default().to_string()
}

/// Rows in columns, the head first; numbers to the right.
fn columns(rows: &[[String; 5]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut out = String::new();
    for row in rows {
        let [name, version, size, published, image] = row;
        let line = format!(
            "{name:<w0$}  {version:>w1$}  {size:>w2$}  {published:<w3$}  {image}",
            w0 = widths[0],
            w1 = widths[1],
            w2 = widths[2],
            w3 = widths[3],
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// Images, one per line.
pub(super) fn table(images: &[ImageRecord]) -> String {
    let head = ["NAME", "VERSION", "SIZE", "PUBLISHED", "IMAGE"].map(str::to_owned);
    let row = |image: &ImageRecord| {
        [
            image.name.clone(),
            image.version.to_string(),
            in_words(image.size),
            time(image.published_ms),
            image.image.to_string(),
        ]
    };
    columns(&std::iter::once(head).chain(images.iter().map(row)).collect::<Vec<_>>())
}

/// What went in, in one line.
fn origin(of: &InputDigest) -> String {
    let size = of.size.map(|size| format!("  {}", in_words(size))).unwrap_or_default();
    let digest = of.digest.as_ref().map(|digest| format!("  {digest}")).unwrap_or_default();
    // It may be a file's name, and those may hold anything.
    format!("{}{size}{digest}", of.name.replace(char::is_control, "?"))
}

/// All about an image.
pub(super) fn page(image: &ImageRecord, manifest: &ImageManifest) -> String {
    let head = &manifest.head;
    let from = &head.provenance;
    let mut out = format!("{}:{}\n", image.name, image.version);
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "  {name:<12}{value}");
    };
    line("image", &image.image.to_string());
    line("published", &time(image.published_ms));
    line("manifest", &image.digest);
    line("project", &image.project);
    line("build", &from.build.to_string());
    line("task", &format!("{} ({})", from.task_name, from.task));
    line("attempt", &format!("{} under epoch {}", from.attempt, from.epoch));
    line(
        "made by",
        &format!(
            "{} with kiln {}, {} to {}",
            from.agent_name,
            from.kiln,
            time(from.began_ms),
            time(from.ended_ms)
        ),
    );
    for (name, digest) in [("bundle", &from.bundle), ("plan", &from.plan)] {
        digest.iter().for_each(|digest| line(name, digest));
    }
    from.media.iter().for_each(|medium| line("medium", &origin(medium)));
    from.inputs.iter().take(INPUTS).for_each(|input| line("input", &origin(input)));
    if let Some(others) = from.inputs.len().checked_sub(INPUTS).filter(|others| *others > 0) {
        line("", &format!("and {others} more; -format json has all"));
    }
    from.tools.iter().for_each(|(tool, version)| line("tool", &format!("{tool} {version}")));
    let stored: u64 = manifest.chunks.iter().map(|chunk| u64::from(chunk.stored)).sum();
    let (chunks, packs) = (manifest.chunks.len(), head.packs.len());
    line("stored", &format!("{} in {chunks} chunks of {packs} packs", in_words(stored)));
    for file in &head.files {
        line("file", &format!("{}  {}  sha256:{}", file.path, in_words(file.size), file.sha256));
    }
    out
}

#[cfg(test)]
mod tests {
    use kiln_plan::id::{BuildId, ImageId, TaskId};

    use super::*;

    #[test]
    fn what_went_in_is_one_line_whatever_is_known_of_it() {
        let of = |digest: Option<&str>, size| InputDigest {
            name: "a\n\u{1b}b".into(),
            digest: digest.map(str::to_owned),
            size,
        };
        for (input, told) in [
            (of(Some("sha256:0"), Some(2_048)), "a??b  2.0 KiB  sha256:0"),
            (of(None, Some(1)), "a??b  1 B"),
            (of(None, None), "a??b"),
        ] {
            assert_eq!(origin(&input), told);
        }
    }

    #[test]
    fn a_table_has_straight_columns() {
        let image = |name: &str, version, size| ImageRecord {
            image: ImageId::new(Default::default()),
            name: name.into(),
            version,
            published_ms: 1_767_225_600_123,
            size,
            files: 1,
            build: BuildId::new(Default::default()),
            project: "default".into(),
            task: TaskId::new(Default::default()),
            digest: "sha256:0".into(),
        };
        let told = table(&[image("debian", 12, 442_761_216), image("a", 1, 5)]);
        let expected = "\
NAME    VERSION       SIZE  PUBLISHED             IMAGE
debian       12  422.2 MiB  2026-01-01T00:00:00Z  00000000-0000-0000-0000-000000000000
a             1        5 B  2026-01-01T00:00:00Z  00000000-0000-0000-0000-000000000000
";
        assert_eq!(told, expected);
    }
}
