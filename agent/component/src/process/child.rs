//! One running child and its process group.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

use super::script_file;
use super::{Finished, Input, ProcessError, ProcessExit, Program};
use crate::journal::{Entry, Intent, Journal};

/// How long the kernel may take to end a killed process.
const KILLED: Duration = Duration::from_secs(10);

/// A running program. Dropping it kills it with its whole process group, unless the journal leaves everything.
#[derive(Debug)]
pub struct Child {
    program: String,
    child: tokio::process::Child,
    /// Kept apart from `child`, which forgets it when the process has ended.
    pid: u32,
    grace: Duration,
    journal: Journal,
    entry: Option<Entry>,
    /// Whether stopping it has begun, so that its end is no end of its own.
    stopping: bool,
}

impl Child {
    pub(super) fn spawn(program: Program, journal: &Journal) -> Result<Self, ProcessError> {
        let name = program.name();
        let entry = journal
            .intend(Intent::Process { program: name.clone() })
            .map_err(|source| ProcessError::Journal { program: name.clone(), source })?;
        let (mark, value) = entry.mark();
        let mut command = Command::new(&program.program);
        command
            .args(&program.arguments)
            .envs(program.environment.iter().map(|(n, v)| (n, v)))
            .env(mark, value)
            .stdin(if matches!(program.input, Input::Empty) { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if let Some(directory) = &program.directory {
            command.current_dir(directory);
        }
        let spawned = {
            let _turn = script_file::forking();
            command.spawn()
        };
        let child = match spawned {
            Ok(child) => child,
            Err(source) => {
                entry.clear();
                return Err(start_error(&program, name, source));
            }
        };
        let pid = child.id().unwrap_or_default();
        if let Err(error) = entry.started(pid) {
            tracing::warn!(program = %name, pid, %error, "a process is in the journal by its mark alone");
        }
        let grace = program.grace;
        Ok(Self {
            program: name,
            child,
            pid,
            grace,
            journal: journal.clone(),
            entry: Some(entry),
            stopping: false,
        })
    }

    /// Its process number, which is also its group's.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The way to write to it, once, if the program asked for it. Dropping that sends end-of-file.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// What it writes to standard output, once. Must be read, or the child stalls.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// What it writes to standard error, once. Must be read, or the child stalls.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Waits for its end. May be dropped and called again.
    ///
    /// # Errors
    /// When the kernel refuses to tell.
    pub async fn wait(&mut self) -> Result<Finished, ProcessError> {
        let status = self.child.wait().await;
        let exit =
            exit(status.map_err(|source| ProcessError::Wait { program: self.program.clone(), source })?);
        let leaked = match &self.entry {
            Some(entry) => !entry.processes().await.is_empty(),
            None => false,
        };
        // What is left behind stays in the journal and goes when the attempt ends.
        if leaked {
            tracing::info!(program = %self.program, "a program left processes behind");
        } else if let Some(entry) = self.entry.take() {
            entry.clear();
        }
        Ok(Finished { exit, leaked })
    }

    /// Waits for its end; when `cancel` fires first, stops it. May be dropped and called again.
    ///
    /// # Errors
    /// [`ProcessError::Cancelled`] when it was stopped.
    pub async fn wait_or_stop(&mut self, cancel: &CancellationToken) -> Result<Finished, ProcessError> {
        if !self.stopping {
            tokio::select! {
                biased;
                finished = self.wait() => return finished,
                () = cancel.cancelled() => self.stopping = true,
            }
        }
        self.stop().await?;
        Err(ProcessError::Cancelled { program: self.program.clone() })
    }

    /// Ends it and everything that it started: SIGTERM, its grace, SIGKILL. Returns at once when it has ended already.
    ///
    /// # Errors
    /// When it doesn't end even when killed.
    pub async fn stop(&mut self) -> Result<ProcessExit, ProcessError> {
        self.signal_group(Signal::SIGTERM);
        let mut finished = tokio::time::timeout(self.grace, self.wait()).await;
        if finished.is_err() {
            self.signal_group(Signal::SIGKILL);
            finished = tokio::time::timeout(KILLED, self.wait()).await;
        }
        // Those that it left behind, even ones that had gone to a group of their own.
        if let Some(entry) = self.entry.take() {
            for process in entry.processes().await {
                // A process that has ended by itself in the meantime is as good as killed.
                let _gone = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            }
            if finished.is_ok() {
                entry.clear();
            } else {
                self.entry = Some(entry);
            }
        }
        let stuck = || ProcessError::Stuck { program: self.program.clone() };
        finished.map_err(|_| stuck())?.map(|f| f.exit)
    }

    /// Signals the whole group, unless the child has ended: then the number may be another's.
    fn signal_group(&self, signal: Signal) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // It may end in this very moment.
            let _gone = killpg(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.journal.is_leaving() {
            // The entry stays open: closing the journal makes sure that all of the group is gone.
            self.signal_group(Signal::SIGKILL);
        }
    }
}

fn exit(status: ExitStatus) -> ProcessExit {
    match (status.code(), status.signal()) {
        (Some(code), _) => ProcessExit::Code(code),
        (None, signal) => ProcessExit::Signal(signal.unwrap_or_default()),
    }
}

fn start_error(program: &Program, name: String, source: io::Error) -> ProcessError {
    let directory_is_there = program.directory.as_ref().is_none_or(|d| d.is_dir());
    // A script whose interpreter is missing is reported by the kernel as missing itself.
    let program_is_there = Path::new(&program.program).is_file();
    if source.kind() == io::ErrorKind::NotFound && directory_is_there && !program_is_there {
        let program_text = program.program.to_string_lossy().into_owned();
        return ProcessError::NotFound { program: program_text, install: program.install };
    }
    ProcessError::Start { program: name, source }
}
