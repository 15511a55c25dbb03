//! Programs of this machine, run as if they will misbehave.
//!
//! ```text
//!   Program ── spawn ──► Child ── exits ───────────────────────► ProcessExit
//!                          │ cancelled: SIGTERM to its group ──┬─► exits
//!                          │                                  └─ grace over: SIGKILL ──► exits
//!                          └ dropped: SIGKILL to its group
//! ```
//!
//! Every child has a process group of its own, is in the journal before it exists, and carries a mark in its
//! environment that its own children inherit, so that what it leaves behind is noticed, and removed at the end of the attempt
//! even if the agent dies first. (The kernel's parent-death signal is not used: it follows the thread that
//! forked, and needs unsafe code.)
//!
//! Secrets go through the environment or standard input, never through arguments, which every user of the
//! machine can read.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kiln_plan::{Failure, Fault, Sensitive};
use tokio_util::sync::CancellationToken;

use crate::journal::{Journal, JournalError};
use crate::lines::LineSplitter;

mod child;
mod pump;
mod script_file;
mod search;
pub mod table;
pub mod usage;

pub use child::Child;
pub use script_file::write_script;
pub use search::find;

/// How long a child may take to end by itself after SIGTERM, unless its [`Program`] says otherwise.
pub const GRACE: Duration = Duration::from_secs(5);

/// The most that [`Program::output`] takes from each stream.
const OUTPUT_LIMIT: usize = 64 << 20;

/// Which of a program's two voices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessExit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl ProcessExit {
    /// Whether it ended with code 0.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Code(0))
    }

    /// The code as a shell tells it: 128 and the number for a signal.
    pub const fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(number) => 128 + number,
        }
    }
}

impl fmt::Display for ProcessExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match nix::sys::signal::Signal::try_from(*number) {
                Ok(signal) => write!(f, "signal {number} ({signal})"),
                Err(_) => write!(f, "signal {number}"),
            },
        }
    }
}

/// A program that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// How.
    pub exit: ProcessExit,
    /// Whether it left processes behind. They live until the attempt ends.
    pub leaked: bool,
}

/// A program that has ended, and what it wrote.
#[derive(Clone, Debug)]
pub struct Output {
    /// The program, for words.
    program: String,
    /// How it ended.
    pub exit: ProcessExit,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Itself, if the program succeeded.
    ///
    /// # Errors
    /// [`ProcessError::Failed`] with the last lines of standard error.
    pub fn require_success(self) -> Result<Self, ProcessError> {
        if self.exit.is_success() {
            return Ok(self);
        }
        let lines: Vec<&str> = self.stderr.lines().filter(|l| !l.trim().is_empty()).collect();
        let said = lines[lines.len().saturating_sub(5)..].join("; ");
        Err(ProcessError::Failed { program: self.program, exit: self.exit, said })
    }
}

/// Why a program could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is no such program.
    #[error("cannot find the program {program:?}; install {install}")]
    NotFound {
        /// What was looked for.
        program: String,
        /// What to install.
        install: &'static str,
    },
    /// It is there but can't be started.
    #[error("cannot start the program {program:?}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It could not be announced in the journal, and was not started.
    #[error("cannot start the program {program:?} without a journal")]
    Journal {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: JournalError,
    },
    /// Its end could not be learned.
    #[error("cannot wait for the program {program:?}")]
    Wait {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It does not end, even when killed: it hangs in the kernel, as on a lost disk.
    #[error("the program {program:?} does not end, even after SIGKILL")]
    Stuck {
        /// The program.
        program: String,
    },
    /// It ended without success.
    #[error("the program {program:?} ended with {exit}: {said}")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        exit: ProcessExit,
        /// Its last words on standard error.
        said: String,
    },
    /// It wrote more than can be taken in.
    #[error("the program {program:?} wrote more than {} MiB", OUTPUT_LIMIT >> 20)]
    TooMuchOutput {
        /// The program.
        program: String,
    },
    /// It was stopped because the task was cancelled.
    #[error("the program {program:?} was stopped because the task was cancelled")]
    Cancelled {
        /// The program.
        program: String,
    },
}

impl From<ProcessError> for Failure {
    fn from(error: ProcessError) -> Self {
        match &error {
            ProcessError::Cancelled { .. } => Self::cancelled(),
            _ => Self::from_error(Fault::Machine, &error),
        }
    }
}

/// What a program reads.
#[derive(Debug)]
enum Input {
    /// Nothing.
    Empty,
    /// What [`Child::take_stdin`]'s holder writes.
    Piped,
    /// These bytes.
    Bytes(Sensitive<Vec<u8>>),
}

/// A program about to be started. It inherits this process's environment.
pub struct Program {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    input: Input,
    grace: Duration,
    install: &'static str,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("program", &self.program)
            .field("arguments", &self.arguments)
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl Program {
    /// A program by its path, or by a name to be found along `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: None,
            input: Input::Empty,
            grace: GRACE,
            install: "it, or add its directory to PATH",
        }
    }

    /// Adds an argument. No secrets.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments. No secrets.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Where it runs; this process's working directory unless given.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Lets it read these bytes; nothing unless given. Secrets are safe here.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Bytes(Sensitive::new(bytes.into()));
        self
    }

    /// Lets it read what is written to [`Child::take_stdin`].
    #[must_use]
    pub fn piped_stdin(mut self) -> Self {
        self.input = Input::Piped;
        self
    }

    /// How long it may take to end by itself after SIGTERM; [`GRACE`] unless given.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// What to install when it isn't found, as in `the package qemu-utils`.
    #[must_use]
    pub fn install(mut self, what: &'static str) -> Self {
        self.install = what;
        self
    }

    /// Starts it, to be watched by the caller. Dropping the child kills it.
    ///
    /// # Errors
    /// When it isn't found or can't be started.
    pub fn spawn(self, journal: &Journal) -> Result<Child, ProcessError> {
        Child::spawn(self, journal)
    }

    /// Runs it to its end and hands over its lines as they come. Dropping the future kills it.
    ///
    /// # Errors
    /// When it can't be started or is cancelled; its exit code is no error.
    pub async fn run(
        self,
        journal: &Journal,
        cancel: &CancellationToken,
        mut on_line: impl FnMut(Stream, &str) + Send,
    ) -> Result<Finished, ProcessError> {
        let mut out = LineSplitter::default();
        let mut err = LineSplitter::default();
        let finished = pump::run(self, journal, cancel, |stream, bytes| {
            match stream {
                Stream::Stdout => out.push(bytes, |l| on_line(stream, l)),
                Stream::Stderr => err.push(bytes, |l| on_line(stream, l)),
            }
            true
        })
        .await;
        out.finish(|l| on_line(Stream::Stdout, l));
        err.finish(|l| on_line(Stream::Stderr, l));
        finished
    }

    /// Runs it to its end and takes what it writes, at most 64 MiB from each stream. Dropping the future kills it.
    ///
    /// # Errors
    /// When it can't be started, writes too much or is cancelled; its exit code is no error until
    /// [`Output::require_success`].
    pub async fn output(self, journal: &Journal, cancel: &CancellationToken) -> Result<Output, ProcessError> {
        let program = self.name();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let finished = pump::run(self, journal, cancel, |stream, bytes| {
            let taken = match stream {
                Stream::Stdout => &mut stdout,
                Stream::Stderr => &mut stderr,
            };
            taken.extend_from_slice(bytes);
            taken.len() <= OUTPUT_LIMIT
        })
        .await?;
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        Ok(Output { program, exit: finished.exit, stdout, stderr })
    }

    /// What words call it: its file name.
    fn name(&self) -> String {
        let path = Path::new(&self.program);
        path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests;
