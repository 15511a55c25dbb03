//! Floppy images: 1.44 MB, FAT12.

use std::io::{self, Cursor, Write};
use std::path::Path;

use fatfs::{Dir, FileSystem, FormatVolumeOptions, FsOptions, format_volume};

use super::tree::{Directory, MediaError, Node};

const SECTORS: u32 = 2880;
const SECTOR: usize = 512;

/// Writes an image of `files` with the volume label `label`. Blocks while it writes.
///
/// # Errors
/// When a file can't be read, the image can't be written, or the files don't fit.
pub fn write(path: &Path, label: &str, files: &Directory) -> Result<(), MediaError> {
    let unwritable = |source| MediaError::Write { medium: "Floppy", path: path.to_owned(), source };
    let mut image = Cursor::new(vec![0; SECTORS as usize * SECTOR]);
    format_volume(&mut image, options(label)).map_err(unwritable)?;
    let filled = FileSystem::new(&mut image, FsOptions::new()).and_then(|volume| {
        fill(&volume.root_dir(), files)?;
        volume.unmount()
    });
    filled.map_err(|source| match source.kind() {
        // What the library says of a full volume, and of a full root directory.
        io::ErrorKind::Other | io::ErrorKind::WriteZero => MediaError::FloppyIsFull,
        _ => unwritable(source),
    })?;
    std::fs::write(path, image.into_inner()).map_err(unwritable)
}

fn options(label: &str) -> FormatVolumeOptions {
    FormatVolumeOptions::new()
        .bytes_per_sector(512)
        .bytes_per_cluster(512)
        .total_sectors(SECTORS)
        .max_root_dir_entries(224)
        .media(0xf0)
        .sectors_per_track(18)
        .heads(2)
        .drive_num(0)
        .volume_label(padded(label))
}

/// The label as FAT keeps it: 11 bytes, filled up with spaces.
fn padded(label: &str) -> [u8; 11] {
    let mut padded = [b' '; 11];
    for (place, byte) in padded.iter_mut().zip(label.bytes()) {
        *place = byte;
    }
    padded
}

fn fill<T: fatfs::ReadWriteSeek>(directory: &Dir<'_, T>, files: &Directory) -> io::Result<()> {
    for (name, node) in files {
        match node {
            Node::Directory(inner) => fill(&directory.create_dir(name)?, inner)?,
            Node::Text(text) => save(directory, name, &mut text.as_bytes())?,
            Node::File(path) => save(directory, name, &mut std::fs::File::open(path)?)?,
        }
    }
    Ok(())
}

fn save<T: fatfs::ReadWriteSeek>(
    directory: &Dir<'_, T>,
    name: &str,
    content: &mut dyn io::Read,
) -> io::Result<()> {
    let mut file = directory.create_file(name)?;
    file.truncate()?;
    io::copy(content, &mut file)?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn mtools(arguments: &[&str]) -> String {
        let output = Command::new(arguments[0]).args(&arguments[1..]).env("MTOOLS_SKIP_CHECK", "1").output();
        let output = output.unwrap_or_else(|e| panic!("{} is missing; install mtools ({e})", arguments[0]));
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[test]
    fn another_program_reads_back_names_contents_and_label() {
        let directory = tempfile::tempdir().expect("a directory");
        let image = directory.path().join("floppy.img");
        let text = |text: &str| Node::Text(text.to_owned());
        let files = Directory::from([
            ("Autounattend.xml".to_owned(), text("<unattend/>")),
            ("drivers".to_owned(), Node::Directory([("a long name.inf".to_owned(), text("inf"))].into())),
        ]);
        write(&image, "packer", &files).expect("an image");
        assert_eq!(std::fs::metadata(&image).expect("an image").len(), 1_474_560);
        let image = image.to_str().expect("a path");
        assert_eq!(mtools(&["mtype", "-i", image, "::Autounattend.xml"]), "<unattend/>");
        assert_eq!(mtools(&["mtype", "-i", image, "::drivers/a long name.inf"]), "inf");
        assert!(mtools(&["mlabel", "-s", "-i", image, "::"]).contains("packer"));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let image = directory.path().join("floppy.img");
        let files = Directory::from([("big".to_owned(), Node::Text("x".repeat(1_500_000)))]);
        let error = write(&image, "packer", &files).expect_err("too much");
        assert!(matches!(error, MediaError::FloppyIsFull), "{error:?}");
    }
}
