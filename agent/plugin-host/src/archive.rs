//! Taking the program out of a release's zip archive: one member by its name, bounded, and never to where the archive
//! wants it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

/// The biggest program that is taken; the biggest public ones have about 200 MiB.
pub(crate) const LARGEST_PROGRAM: u64 = 2 << 30;

/// More members than any release has.
const MOST_MEMBERS: usize = 1000;

/// Why the program can't be taken out of an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It isn't a zip archive, or damaged.
    #[error("the archive can't be read")]
    Zip(#[from] ZipError),
    /// A member would be written elsewhere if somebody unpacked the archive: an archive to be wary of.
    #[error("the archive is refused: its member {0:?} would be unpacked outside of the directory")]
    Escapes(String),
    /// There are too many members.
    #[error("the archive is refused: it has {0} members, a plug-in's has a few")]
    TooMany(usize),
    /// The program isn't in there.
    #[error("the archive doesn't hold {wanted}; it holds {}", held.join(", "))]
    Missing {
        /// The program.
        wanted: String,
        /// What is there instead.
        held: Vec<String>,
    },
    /// The program is too big.
    #[error("the archive is refused: the program in it has more than {} MiB", LARGEST_PROGRAM >> 20)]
    TooBig,
    /// The archive can't be read, or the program not written.
    #[error("cannot unpack to {}", path.display())]
    Copy {
        /// The program.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Writes the member `wanted` of a zip archive to `target`. Blocks.
///
/// # Errors
/// When the archive is damaged, strange, or lacks it.
pub(crate) fn unpack(archive: &Path, wanted: &str, target: &Path) -> Result<(), ArchiveError> {
    let failed = |source| ArchiveError::Copy { path: target.to_owned(), source };
    let mut archive = ZipArchive::new(io::BufReader::new(File::open(archive).map_err(failed)?))?;
    if archive.len() > MOST_MEMBERS {
        return Err(ArchiveError::TooMany(archive.len()));
    }
    let mut held = Vec::new();
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index)?;
        let name = member.name()?.into_owned();
        if !stays_inside(&name) {
            return Err(ArchiveError::Escapes(name));
        }
        held.push(name);
    }
    let Some(index) = held.iter().position(|name| name == wanted) else {
        return Err(ArchiveError::Missing { wanted: wanted.to_owned(), held });
    };
    let member = archive.by_index(index)?;
    if !member.is_file() {
        return Err(ArchiveError::Missing { wanted: wanted.to_owned(), held });
    }
    let mut file = File::create(target).map_err(failed)?;
    // The size that the archive tells may be a lie.
    let copied = io::copy(&mut member.take(LARGEST_PROGRAM + 1), &mut file).map_err(failed)?;
    if copied > LARGEST_PROGRAM {
        return Err(ArchiveError::TooBig);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(0o755)).map_err(failed)?;
    }
    Ok(())
}

/// Whether a member's name leads nowhere but below the directory that an archive is unpacked in, on any system.
fn stays_inside(name: &str) -> bool {
    let part_is_fine = |part: &str| part != ".." && !part.contains([':', '\0']);
    !name.starts_with(['/', '\\']) && name.split(['/', '\\']).all(part_is_fine)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::SimpleFileOptions;

    use super::*;

    type Members<'a> = &'a [(&'a str, &'a [u8])];

    fn unpacked(members: Members<'_>) -> String {
        let place = tempfile::tempdir().unwrap();
        let (archive, target) = (place.path().join("archive"), place.path().join("program"));
        let mut writer = zip::ZipWriter::new(File::create(&archive).unwrap());
        for (name, content) in members {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap();
        match unpack(&archive, "wanted", &target) {
            Ok(()) => std::fs::read_to_string(target).unwrap(),
            Err(error) => {
                assert!(!target.exists());
                error.to_string()
            }
        }
    }

    #[test]
    fn only_the_wanted_member_of_an_honest_archive_comes_out() {
        let cases: [(Members<'_>, &str); 5] = [
            (&[("LICENSE", b"free"), ("wanted", b"program")], "program"),
            (
                &[("wanted", b"program"), ("../../etc/profile", b"evil")],
                "the archive is refused: its member \"../../etc/profile\" would be unpacked outside of the directory",
            ),
            (
                &[("/etc/profile", b"evil"), ("wanted", b"program")],
                "the archive is refused: its member \"/etc/profile\" would be unpacked outside of the directory",
            ),
            (&[("sub/wanted", b"program")], "the archive doesn't hold wanted; it holds sub/wanted"),
            (
                &[("LICENSE", b"free"), ("README", b"")],
                "the archive doesn't hold wanted; it holds LICENSE, README",
            ),
        ];
        for (members, expected) in cases {
            assert_eq!(unpacked(members), expected);
        }
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let archive = place.path().join("archive");
        for content in [&b""[..], b"<html>not found</html>", b"PK\x03\x04 half"] {
            std::fs::write(&archive, content).unwrap();
            let error = unpack(&archive, "wanted", &place.path().join("program")).unwrap_err();
            assert_eq!(error.to_string(), "the archive can't be read");
        }
    }
}
