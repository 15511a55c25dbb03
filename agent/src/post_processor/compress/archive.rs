//! Archives of files. Nothing that changes from run to run goes into them: no times, no owners.

use std::io::{self, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use kiln_component::TaskContext;

use crate::post_processor::watched::WatchedFile;

/// A file that goes into an archive.
pub(super) struct Member {
    /// As the template would write it.
    pub(super) name: String,
    /// Absolute.
    pub(super) path: PathBuf,
}

impl Member {
    pub(super) fn open(&self, cx: &TaskContext) -> io::Result<WatchedFile> {
        WatchedFile::open(&self.path, &format!("compress {}", self.base_name()), cx)
    }

    fn base_name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }
}

/// A flat tar archive in GNU format; hands back what it wrote to.
pub(super) fn tar<W: Write>(writer: W, members: &[Member], cx: &TaskContext) -> io::Result<W> {
    let mut builder = tar::Builder::new(writer);
    for member in members {
        let file = member.open(cx)?;
        let metadata = file.metadata()?;
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(metadata.len());
        header.set_mode(metadata.permissions().mode() & 0o7777);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        builder.append_data(&mut header, member.base_name(), file)?;
    }
    builder.into_inner()
}

/// A zip archive with the paths as they were given; hands back what it wrote to.
pub(super) fn zip<W: Write + Seek>(
    writer: W,
    members: &[Member],
    level: Option<u32>,
    cx: &TaskContext,
) -> io::Result<W> {
    let mut archive = zip::ZipWriter::new(writer);
    for member in members {
        let mut file = member.open(cx)?;
        let metadata = file.metadata()?;
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .compression_level(level.map(i64::from))
            .unix_permissions(metadata.permissions().mode() & 0o7777)
            .last_modified_time(zip::DateTime::default())
            .large_file(metadata.len() >= u64::from(u32::MAX));
        // Absolute paths would be refused or cut by whoever unpacks it.
        archive.start_file(member.name.trim_start_matches('/'), options).map_err(io::Error::other)?;
        io::copy(&mut file, &mut archive)?;
    }
    archive.finish().map_err(io::Error::other)
}
