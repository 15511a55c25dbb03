//! `qemu-img`: makes, resizes and converts disks, and tells how far it has come.

use std::path::{Path, PathBuf};

use kiln_component::{Program, TaskContext};
use kiln_plan::event::ProgressUnit;
use kiln_plan::{Failure, Fault};
use tokio::io::AsyncReadExt;

use super::config::Disks;
use super::serial::Tail;

/// The program, with the template's further arguments for it.
#[derive(Clone, Copy, Debug)]
pub struct QemuImg<'a> {
    /// Where it is.
    pub program: &'a Path,
    /// The config of the disks.
    pub disks: &'a Disks,
}

impl QemuImg<'_> {
    /// Makes an empty disk.
    ///
    /// # Errors
    /// What qemu-img says.
    pub async fn create(&self, cx: &TaskContext, path: &Path, size: &str) -> Result<(), Failure> {
        let arguments = ["create", "-f", &self.disks.format];
        let line = command(&arguments, &self.disks.img_args.create, &[&text(path), size]);
        self.run(cx, line, None).await
    }

    /// Makes an overlay of another disk.
    ///
    /// # Errors
    /// What qemu-img says.
    pub async fn create_overlay(
        &self,
        cx: &TaskContext,
        path: &Path,
        of: &Path,
        size: &str,
    ) -> Result<(), Failure> {
        let of = text(of);
        let arguments = ["create", "-f", "qcow2", "-b", &of, "-F", "qcow2"];
        let line = command(&arguments, &self.disks.img_args.create, &[&text(path), size]);
        self.run(cx, line, None).await
    }

    /// Makes an overlay that stands for a copy: of the same size, and nothing that a template says of overlays counts.
    ///
    /// # Errors
    /// What qemu-img says.
    pub async fn create_layer(&self, cx: &TaskContext, path: &Path, of: &Path) -> Result<(), Failure> {
        let of = text(of);
        let arguments = ["create", "-f", "qcow2", "-b", &of, "-F", "qcow2"];
        self.run(cx, command(&arguments, &[], &[&text(path)]), None).await
    }

    /// Brings a disk to another size.
    ///
    /// # Errors
    /// What qemu-img says: it refuses to make a disk smaller.
    pub async fn resize(&self, cx: &TaskContext, path: &Path, size: &str) -> Result<(), Failure> {
        let arguments = ["resize", "-f", &self.disks.format];
        let line = command(&arguments, &self.disks.img_args.resize, &[&text(path), size]);
        self.run(cx, line, None).await
    }

    /// Writes a disk anew, without its unused parts.
    ///
    /// # Errors
    /// What qemu-img says.
    pub async fn convert(
        &self,
        cx: &TaskContext,
        from: &Path,
        to: &Path,
        compress: bool,
    ) -> Result<(), Failure> {
        let mut arguments = vec!["convert", "-p"];
        arguments.extend(compress.then_some("-c"));
        let mut further = self.disks.img_args.convert.clone();
        further.extend(["-O".to_owned(), self.disks.format.clone()]);
        let line = command(&arguments, &further, &[&text(from), &text(to)]);
        self.run(cx, line, Some("convert the disk")).await
    }

    /// Runs it. Where a `label` is given, it tells its progress (`-p`).
    async fn run(&self, cx: &TaskContext, line: Vec<String>, label: Option<&str>) -> Result<(), Failure> {
        tracing::debug!(arguments = ?line, "running qemu-img");
        let operation = line.first().cloned().unwrap_or_default();
        let program = Program::new(self.program)
            .args(&line)
            .directory(&cx.working_dir)
            .install("QEMU's tools (on Debian: the package qemu-utils)");
        let mut child = program.spawn(&cx.journal)?;
        let words = Tail::default();
        let (stdout, stderr) = (child.take_stdout(), child.take_stderr());
        let reading = async {
            let progress = async {
                let Some(mut stdout) = stdout else { return };
                let mut buffer = [0; 512];
                while let Ok(count @ 1..) = stdout.read(&mut buffer).await {
                    let percent = percent(&String::from_utf8_lossy(&buffer[..count]));
                    if let (Some(label), Some(percent)) = (label, percent) {
                        cx.reporter.progress(label, percent, Some(100), ProgressUnit::Percent);
                    }
                }
            };
            let complaints = async {
                if let Some(stderr) = stderr {
                    words.follow(stderr).await;
                }
            };
            tokio::join!(progress, complaints)
        };
        let (finished, _) = tokio::join!(child.wait_or_stop(&cx.cancel), reading);
        let exit = finished?.exit;
        if exit.is_success() {
            return Ok(());
        }
        let said = words.last_lines(3).join("; ");
        let full = said.contains("No space left on device");
        let failure = Failure::new(Fault::Machine, format!("qemu-img {operation} ended with {exit}: {said}"));
        Err(if full { failure.hint("Free space on the disk of the output directory.") } else { failure })
    }
}

/// The parts of a command line, with the template's arguments before the files.
fn command(arguments: &[&str], further: &[String], last: &[&str]) -> Vec<String> {
    let owned = |list: &[&str]| list.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>();
    [owned(arguments), further.to_vec(), owned(last)].concat()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// The last percentage in what qemu-img prints: `    (12.34/100%)\r`.
fn percent(printed: &str) -> Option<u64> {
    let (before, _) = printed.rsplit_once("/100%)")?;
    let (_, number) = before.rsplit_once('(')?;
    let number: f64 = number.trim().parse().ok()?;
    (0.0..=100.0).contains(&number).then_some(number as u64)
}

/// The temporary name under which a disk is rewritten.
pub fn converted_name(disk: &Path) -> PathBuf {
    let mut name = disk.as_os_str().to_owned();
    name.push(".convert");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_percentage_counts() {
        let cases = [
            ("    (0.00/100%)\r    (12.34/100%)\r", Some(12)),
            ("    (100.00/100%)\r\n", Some(100)),
            ("(x/100%)", None),
            ("", None),
        ];
        for (printed, expected) in cases {
            assert_eq!(percent(printed), expected, "{printed:?}");
        }
    }
}
