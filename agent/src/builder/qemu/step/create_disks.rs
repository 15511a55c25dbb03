//! The guest's disks: empty, a copy of an image, or an overlay of it; and brought to their size.
//!
//! They lie in the output directory, which is removed when the build fails.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use kiln_component::{Done, Step, TaskContext};
use kiln_plan::event::ProgressUnit;
use kiln_plan::{Failure, Fault};
use tokio_util::sync::CancellationToken;

use super::fetch_iso::Iso;
use crate::builder::qemu::config::{Config, Origin};
use crate::builder::qemu::qemu_img::QemuImg;

/// Bytes copied between two looks at the cancellation.
const PIECE: u64 = 16 << 20;

/// See the module.
#[derive(Debug)]
pub struct CreateDisks<'a> {
    /// The config.
    pub config: &'a Config,
    /// The qemu-img program.
    pub qemu_img: &'a Path,
    /// The disk image to start from, if one is.
    pub iso: &'a Iso,
}

#[async_trait]
impl Step for CreateDisks<'_> {
    /// The files of the disks, the main one first.
    type Output = Vec<PathBuf>;

    fn name(&self) -> &'static str {
        "create the disks"
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<Vec<PathBuf>>, Failure> {
        let disks = &self.config.disks;
        let img = QemuImg { program: self.qemu_img, disks };
        let paths = self.config.disk_paths();
        let Some((main, further)) = paths.split_first() else { return Ok(Done::plain(paths)) };
        for (path, size) in further.iter().zip(&disks.additional_sizes) {
            img.create(cx, path, size).await?;
        }
        let origin = PathBuf::from(self.iso.text());
        let resize = match disks.origin {
            Origin::Empty => {
                img.create(cx, main, &disks.size).await?;
                false
            }
            Origin::Copy { resize } if self.is_rewritten_anyway(&origin) => {
                img.create_layer(cx, main, &origin).await?;
                resize
            }
            Origin::Copy { resize } => {
                self.copy(cx, &img, &origin, main).await?;
                resize
            }
            Origin::Overlay { resize } => {
                img.create_overlay(cx, main, &origin, &disks.size).await?;
                resize
            }
        };
        if resize {
            img.resize(cx, main, &disks.size).await?;
        }
        Ok(Done::plain(paths))
    }
}

impl CreateDisks<'_> {
    /// Whether the step that compacts the disk makes the copy: it writes all of the disk anew, with what lies beneath
    /// an overlay. Until then the image is only read, and gigabytes need not be written twice.
    fn is_rewritten_anyway(&self, from: &Path) -> bool {
        let disks = &self.config.disks;
        (disks.compact || disks.compress) && disks.format == "qcow2" && self.has_same_format(from)
    }

    /// By its extension, as Packer judges it.
    fn has_same_format(&self, from: &Path) -> bool {
        from.extension().is_some_and(|e| e.to_string_lossy() == self.config.disks.format)
    }

    /// Copies byte by byte where the image has the wanted format already.
    async fn copy(&self, cx: &TaskContext, img: &QemuImg<'_>, from: &Path, to: &Path) -> Result<(), Failure> {
        cx.reporter.say("Copying the disk image");
        if !self.has_same_format(from) || !self.config.disks.img_args.convert.is_empty() {
            return img.convert(cx, from, to, false).await;
        }
        let (source, target) = (from.to_owned(), to.to_owned());
        let (cancel, reporter) = (cx.cancel.clone(), cx.reporter.clone());
        let tell = move |done, total| {
            reporter.progress("copy the disk", done, Some(total), ProgressUnit::Bytes);
        };
        let copied =
            tokio::task::spawn_blocking(move || copy_in_pieces(&source, &target, &cancel, tell)).await;
        match copied.map_err(io::Error::other).and_then(|result| result) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::cancelled()),
            Err(error) => {
                let text = format!("cannot copy {} to {}: {error}", from.display(), to.display());
                Err(Failure::new(Fault::Machine, text))
            }
        }
    }
}

/// Copies a file; `false` when it was cancelled. Blocks.
fn copy_in_pieces(
    from: &Path,
    to: &Path,
    cancel: &CancellationToken,
    tell: impl Fn(u64, u64),
) -> io::Result<bool> {
    let mut source = File::open(from)?;
    let total = source.metadata()?.len();
    let mut target = File::create(to)?;
    let mut done = 0;
    loop {
        if cancel.is_cancelled() {
            return Ok(false);
        }
        // In the kernel, shared with the original where the file system can.
        match io::copy(&mut Read::by_ref(&mut source).take(PIECE), &mut target)? {
            0 => return Ok(true),
            count => done += count,
        }
        tell(done, total);
    }
}
