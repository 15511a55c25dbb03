//! Ends the guest: by the template's command, by itself, or by the power switch.
//!
//! | communicator | `shutdown_command` | |
//! |---|---|---|
//! | none | – | wait for the guest to power itself off |
//! | some | given | run it, whatever it answers; wait for the guest to power off |
//! | some | not given | cut the power |

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kiln_component::communicator::RemoteCommand;
use kiln_component::{Communicator, CommunicatorError, Done, Step, TaskContext};
use kiln_lang::duration;
use kiln_plan::{Failure, Fault};

use super::unless_cancelled;
use crate::builder::qemu::config::{Config, Shutdown};
use crate::builder::qemu::evidence;
use crate::builder::qemu::guest::{End, QemuGuest};
use crate::builder::qemu::serial::Tail;
use crate::communicator::CommunicatorConfig;

/// How long QEMU may take to write its caches when the power is cut.
const QUIT_PATIENCE: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub struct ShutDown<'a> {
    /// The config.
    pub config: &'a Config,
    /// The guest.
    pub guest: &'a QemuGuest,
    /// The way to it.
    pub communicator: Arc<dyn Communicator>,
}

#[async_trait]
impl Step for ShutDown<'_> {
    type Output = ();

    fn name(&self) -> &'static str {
        "shut the guest down"
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<()>, Failure> {
        let Shutdown { command, timeout } = &self.config.shutdown;
        let said = Tail::default();
        let ending = async {
            match (&self.config.communicator, command) {
                (CommunicatorConfig::None, _) => {
                    cx.reporter.say("Waiting for the guest to power itself off");
                    self.wait_for_end(*timeout, &said).await
                }
                (CommunicatorConfig::Ssh(_), Some(command)) => {
                    cx.reporter.say("Shutting the guest down");
                    let remote = self.start(command).await.map_err(|error| {
                        let text =
                            format!("cannot run the shutdown command: {}", kiln_plan::fault::chain(&error));
                        Failure::new(Fault::Guest, text)
                    })?;
                    let wait = self.wait_for_end(*timeout, &said);
                    tokio::pin!(wait);
                    tokio::select! {
                        biased;
                        ended = &mut wait => return ended,
                        () = listen(remote, &said) => {}
                    }
                    wait.await
                }
                (CommunicatorConfig::Ssh(_), None) => {
                    cx.reporter.say("Cutting the guest's power");
                    self.guest.power_off(QUIT_PATIENCE).await;
                    Ok(())
                }
            }
        };
        match unless_cancelled(cx, ending).await {
            Ok(()) => Ok(Done::plain(())),
            Err(failure) => Err(evidence::gather(cx, self.guest, None, failure).await),
        }
    }
}

impl ShutDown<'_> {
    /// Starts the command; once more where the connection had been lost without anybody noticing. A guest that is told
    /// twice to shut down does so once.
    async fn start(&self, command: &str) -> Result<RemoteCommand, CommunicatorError> {
        match self.communicator.start(command).await {
            Err(CommunicatorError::Unreachable { .. }) => self.communicator.start(command).await,
            started => started,
        }
    }

    async fn wait_for_end(&self, patience: Duration, said: &Tail) -> Result<(), Failure> {
        let ended = async {
            let stopped = self.guest.stopped().await;
            match self.guest.state() {
                crate::builder::qemu::guest::State::Ended(_) => Ok(stopped),
                _ => Err(stopped),
            }
        };
        match tokio::time::timeout(patience, ended).await {
            Ok(Ok(End { fault: Fault::Guest, .. })) => Ok(()),
            Ok(Ok(end) | Err(end)) => {
                Err(Failure::new(end.fault, format!("the guest did not shut down cleanly: {end}")))
            }
            Err(_) => {
                let words = duration::in_words(patience);
                let failure = Failure::new(Fault::Guest, "Timeout while waiting for machine to shut down.")
                    .hint(format!("It had {words}; raise shutdown_timeout, or look at its screen."));
                Err(said
                    .last_lines(5)
                    .iter()
                    .fold(failure, |f, l| f.evidence(format!("shutdown command: {l}"))))
            }
        }
    }
}

/// Reads what the command writes until it ends; how it ends doesn't matter, since its guest does.
async fn listen(mut remote: RemoteCommand, said: &Tail) {
    remote.stdin = None;
    tokio::join!(said.follow(remote.stdout), said.follow(remote.stderr));
}
