//! A software TPM for the guest: swtpm on a socket that QEMU connects to.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use kiln_component::process::Child;
use kiln_component::{Done, Ending, Program, Step, TaskContext, Undo};
use kiln_plan::{Failure, Fault};

use super::unless_cancelled;
use crate::builder::qemu::config::Config;
use crate::builder::qemu::serial::Tail;

/// How long swtpm may take until its socket is there.
const START_DEADLINE: Duration = Duration::from_secs(15);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// See the module.
#[derive(Debug)]
pub struct StartTpm<'a> {
    /// The config.
    pub config: &'a Config,
    /// A short directory for the socket and the TPM's state.
    pub sockets: PathBuf,
}

#[async_trait]
impl Step for StartTpm<'_> {
    /// The socket, if the guest has a TPM.
    type Output = Option<PathBuf>;

    fn name(&self) -> &'static str {
        "start the TPM"
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<Option<PathBuf>>, Failure> {
        let Some(tpm) = &self.config.tpm else { return Ok(Done::plain(None)) };
        let state = self.sockets.join("tpm");
        let socket = state.join("vtpm.sock");
        tokio::fs::create_dir_all(&state).await.map_err(|error| {
            Failure::new(
                Fault::Machine,
                format!("cannot make the TPM's directory {}: {error}", state.display()),
            )
        })?;
        cx.reporter.say("Starting the guest's TPM");
        let mut program = Program::new("swtpm")
            .args(["socket", "--tpmstate"])
            .arg(format!("dir={}", state.display()))
            .arg("--ctrl")
            .arg(format!("type=unixio,path={}", socket.display()))
            .install("swtpm (on Debian: the package swtpm)");
        if !tpm.version_1 {
            program = program.arg("--tpm2");
        }
        let mut child = program.spawn(&cx.journal)?;
        let words = Tail::default();
        for stream in [child.take_stderr().map(boxed), child.take_stdout().map(boxed)].into_iter().flatten() {
            let words = words.clone();
            tokio::spawn(async move { words.follow(stream).await });
        }
        let ready = async {
            // The first connection ends the service, hence the socket is only looked for.
            while !socket.exists() {
                tokio::time::sleep(LOOK_AGAIN_AFTER).await;
            }
        };
        let started = async {
            tokio::select! {
                finished = child.wait() => Err(match finished {
                    Ok(finished) => format!("it ended with {}: {}", finished.exit, words.last_lines(2).join("; ")),
                    Err(error) => error.to_string(),
                }),
                ready = tokio::time::timeout(START_DEADLINE, ready) => ready.map_err(|_| "it makes no socket".to_owned()),
            }
            .map_err(|reason| Failure::new(Fault::Machine, format!("cannot start the TPM: {reason}")))
        };
        unless_cancelled(cx, started).await?;
        Ok(Done::with_undo(Some(socket), Stop(child)))
    }
}

fn boxed(
    stream: impl tokio::io::AsyncRead + Send + Unpin + 'static,
) -> Box<dyn tokio::io::AsyncRead + Send + Unpin> {
    Box::new(stream)
}

struct Stop(Child);

#[async_trait]
impl Undo for Stop {
    async fn undo(mut self: Box<Self>, cx: &TaskContext, _: Ending) {
        if let Err(error) = self.0.stop().await {
            cx.reporter.error(format!("Cannot stop the TPM: {error}"));
        }
    }
}
