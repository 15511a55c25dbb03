//! CD images: ISO 9660 with Rock Ridge and Joliet, so that every guest finds the names as they were given.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use hadris_iso::joliet::JolietLevel;
use hadris_iso::read::PathSeparator;
use hadris_iso::rrip::RripOptions;
use hadris_iso::write::options::{BaseIsoLevel, CreationFeatures, IsoFormatOptions};
use hadris_iso::write::{FileSource, InputEntry, InputEntryKind, InputMetadata, InputTree, IsoImageWriter};

use super::tree::{Directory, MediaError, Node};

/// Writes an image of `files` with the volume label `label`, whose case is kept. Blocks while it writes.
///
/// # Errors
/// When a file can't be read or the image can't be written.
pub fn write(path: &Path, label: &str, files: &Directory) -> Result<(), MediaError> {
    let tree = InputTree { path_separator: PathSeparator::ForwardSlash, entries: entries(files)? };
    let unwritable = |source| MediaError::Write { medium: "CD", path: path.to_owned(), source };
    let image = std::fs::File::options().read(true).write(true).create(true).truncate(true).open(path);
    let image = image.map_err(unwritable)?;
    IsoImageWriter::create(image, tree, options(label))
        .map(drop)
        .map_err(|e| unwritable(std::io::Error::other(e)))
}

fn options(label: &str) -> IsoFormatOptions {
    IsoFormatOptions {
        volume_name: label.to_owned(),
        system_id: None,
        volume_set_id: None,
        publisher_id: None,
        preparer_id: None,
        application_id: None,
        sector_size: 2048,
        path_separator: PathSeparator::ForwardSlash,
        features: CreationFeatures {
            filenames: BaseIsoLevel::Level1 { supports_lowercase: false, supports_rrip: true },
            long_filenames: false,
            joliet: Some(JolietLevel::Level3),
            rock_ridge: Some(RripOptions::default()),
            el_torito: None,
            hybrid_boot: None,
        },
        strict_charset: false,
    }
}

fn entries(files: &Directory) -> Result<Vec<InputEntry>, MediaError> {
    files.iter().map(|(name, node)| entry(name, node)).collect()
}

fn entry(name: &str, node: &Node) -> Result<InputEntry, MediaError> {
    let (kind, mode) = match node {
        Node::Text(text) => (InputEntryKind::File(text.clone().into_bytes()), 0o644),
        Node::File(path) => {
            let unreadable = |source| MediaError::Read { medium: "CD", path: path.clone(), source };
            let metadata = std::fs::metadata(path).map_err(unreadable)?;
            let source = FileSource::from_path(path).map_err(unreadable)?;
            // The guest's users are others than ours: everybody may read.
            (InputEntryKind::Source(source), metadata.permissions().mode() & 0o777 | 0o444)
        }
        Node::Directory(files) => (InputEntryKind::Directory(entries(files)?), 0o755),
    };
    let metadata = InputMetadata { mode: Some(mode), uid: Some(0), gid: Some(0), ..InputMetadata::default() };
    Ok(InputEntry { name: Arc::new(name.to_owned()), kind, metadata })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::tree::{Gathering, add_texts};
    use std::process::Command;

    fn tool(program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).output();
        let output = output.unwrap_or_else(|e| panic!("{program} is missing; install xorriso ({e})"));
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[test]
    fn another_program_reads_back_names_contents_and_label() {
        let directory = tempfile::tempdir().expect("a directory");
        let long = "A Long Name with Spaces and ümläuts.conf.d-2024.tar.gz";
        std::fs::create_dir_all(directory.path().join("in/Deep/er")).expect("a directory");
        std::fs::write(directory.path().join("in").join(long), "long").expect("a file");
        std::fs::write(directory.path().join("in/Deep/er/big.bin"), vec![b'x'; 3_000_000]).expect("a file");
        std::fs::write(directory.path().join("in/empty"), "").expect("a file");
        let mut files = Directory::new();
        let gathering = Gathering { medium: "CD", working_dir: directory.path() };
        gathering.add(&mut files, "in/", "file").expect("files");
        let texts = [("meta-data", ""), ("user-data", "#cloud-config\n"), ("dir/run.sh", "#!/bin/sh\n")];
        add_texts(&mut files, &texts.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        let image = directory.path().join("cd.iso");
        write(&image, "cidata", &files).expect("an image");

        let image = image.to_str().expect("a path");
        assert!(tool("xorriso", &["-indev", image, "-pvd_info"]).contains("Volume Id    : cidata"));
        let out = directory.path().join("out");
        let out_text = out.to_str().expect("a path");
        tool("xorriso", &["-osirrox", "on", "-indev", image, "-extract", "/", out_text]);
        let read = |name: &str| std::fs::read(out.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(read(long), b"long");
        assert_eq!(read("Deep/er/big.bin").len(), 3_000_000);
        assert_eq!(read("empty"), b"");
        assert_eq!(read("user-data"), b"#cloud-config\n");
        assert_eq!(read("dir/run.sh"), b"#!/bin/sh\n");
        // The same through Joliet, as Windows reads it.
        let joliet = tool("xorriso", &["-read_fs", "norock", "-indev", image, "-find", "/", "-exec", "echo"]);
        assert!(joliet.contains("user-data") && joliet.contains("big.bin"), "{joliet}");
    }
}
