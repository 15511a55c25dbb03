//! Which archive and which algorithm the name of an output asks for.

use std::fmt;

/// What is made of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// `None` when one file is compressed as it is.
    pub(super) archive: Option<Archive>,
    /// Around the archive; zip compresses by itself.
    pub(super) algorithm: Option<Algorithm>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Archive {
    Tar,
    Zip,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Gzip,
    /// Gzip in small blocks, which can be read from the middle.
    Bgzf,
    Lz4,
    Xz,
    Bzip2,
}

impl Format {
    /// Reads the last two endings of `output`, with `format` as a further one if it is given. As in Packer the name
    /// is looked at before it is rendered, and only lower-case letters and digits count.
    pub(super) fn of(output: &str, format: &str) -> Self {
        let name = if format.is_empty() { output.to_owned() } else { format!("{output}.{format}") };
        let endings = endings(&name);
        let last = endings.last().copied().unwrap_or_default();
        let after_tar = endings.len() >= 2 && endings[endings.len() - 2] == "tar";
        let tar = after_tar.then_some(Archive::Tar);
        let compressed = |algorithm| Self { archive: tar, algorithm: Some(algorithm) };
        match last {
            "tar" => Self { archive: Some(Archive::Tar), algorithm: None },
            "zip" => Self { archive: Some(Archive::Zip), algorithm: None },
            "gz" => compressed(Algorithm::Gzip),
            "bgzf" => compressed(Algorithm::Bgzf),
            "lz4" => compressed(Algorithm::Lz4),
            "xz" => compressed(Algorithm::Xz),
            "bzip2" => compressed(Algorithm::Bzip2),
            _ => Self { archive: Some(Archive::Tar), algorithm: Some(Algorithm::Gzip) },
        }
    }
}

/// The groups of lower-case letters and digits that stand after dots, in order.
fn endings(name: &str) -> Vec<&str> {
    let ends = |rest: &str| rest.find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit());
    let groups = name.split('.').skip(1).map(|rest| &rest[..ends(rest).unwrap_or(rest.len())]);
    groups.filter(|group| !group.is_empty()).collect()
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let archive = self.archive.map(|a| match a {
            Archive::Tar => "tar",
            Archive::Zip => "zip",
        });
        let algorithm = self.algorithm.map(|a| match a {
            Algorithm::Gzip => "gzip",
            Algorithm::Bgzf => "bgzf",
            Algorithm::Lz4 => "lz4",
            Algorithm::Xz => "xz",
            Algorithm::Bzip2 => "bzip2",
        });
        let words: Vec<&str> = archive.into_iter().chain(algorithm).collect();
        f.write_str(&words.join(" + "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides() {
        let cases = [
            ("packer_{{.BuildName}}_{{.BuilderType}}", "", "tar + gzip"),
            ("a.tar.gz", "", "tar + gzip"),
            ("a.gz", "", "gzip"),
            ("a.bgzf", "", "bgzf"),
            ("a.tar.lz4", "", "tar + lz4"),
            ("a.tar.xz", "", "tar + xz"),
            ("a.xz", "", "xz"),
            ("a.bzip2", "", "bzip2"),
            ("a.bz2", "", "tar + gzip"),
            ("a.zip", "", "zip"),
            ("a.tar", "", "tar"),
            ("a.GZ", "", "tar + gzip"),
            ("a", "zip", "zip"),
            ("a.tar", "xz", "tar + xz"),
            ("a.b.c.gz", "", "gzip"),
            ("x/{{.BuildName}}.tar.gz", "", "tar + gzip"),
        ];
        for (output, format, expected) in cases {
            assert_eq!(Format::of(output, format).to_string(), expected, "{output} {format}");
        }
    }
}
