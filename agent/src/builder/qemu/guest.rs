//! The guest while it runs: QEMU's process, the private monitor, and what they tell.
//!
//! ```text
//!            ┌─ STOP with status internal-error, io-error, guest-panicked ─► Stuck ─┐
//!  Running ──┤                                                                      ├─► Ended
//!            └─ QEMU exits: the guest powered off, was ended, or QEMU failed ───────┘
//! ```
//!
//! One task owns the process. It learns of the end from the kernel, never by asking again and again.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use kiln_component::process::{Child, ProcessExit};
use kiln_plan::Fault;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::bridge;
use super::qmp::{Qmp, QmpEvent};
use super::serial::Tail;
use crate::communicator::guest::{Address, Guest, NoAddress};

/// How the guest is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Its processors run, or are paused for a moment.
    Running,
    /// QEMU is there, but the guest will never go on.
    Stuck(End),
    /// QEMU is gone.
    Ended(End),
}

/// Why a guest doesn't run any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Whose doing.
    pub fault: Fault,
    /// In words: `the guest powered off`.
    pub reason: String,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl State {
    /// Why it doesn't run, if it doesn't.
    pub fn end(&self) -> Option<&End> {
        match self {
            Self::Running => None,
            Self::Stuck(end) | Self::Ended(end) => Some(end),
        }
    }
}

/// Where the guest is reached.
#[derive(Clone, Debug)]
pub enum Whereabouts {
    /// Here, always.
    Fixed(Address),
    /// Behind this bridge, at this port; the address is found out.
    Bridge {
        /// The bridge's name.
        bridge: String,
        /// The port in the guest.
        port: u16,
    },
    /// It isn't spoken with.
    Nowhere,
}

/// A running guest. Cheap to clone.
#[derive(Clone, Debug)]
pub struct QemuGuest {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    qmp: Qmp,
    serial: Tail,
    words: Tail,
    state: watch::Receiver<State>,
    kill: CancellationToken,
    powered_on: Instant,
    resets: Arc<AtomicU64>,
    whereabouts: Whereabouts,
    hardware_address: OnceLock<String>,
}

/// What a guest is made of.
#[derive(Debug)]
pub struct Parts {
    /// QEMU.
    pub child: Child,
    /// The private monitor.
    pub qmp: Qmp,
    /// The serial output.
    pub serial: Tail,
    /// QEMU's own words.
    pub words: Tail,
    /// When QEMU was started.
    pub powered_on: Instant,
    /// Where it is reached.
    pub whereabouts: Whereabouts,
}

impl QemuGuest {
    /// Watches over a QEMU that has just been started.
    pub fn new(parts: Parts) -> Self {
        let (tell, state) = watch::channel(State::Running);
        let kill = CancellationToken::new();
        let resets = Arc::new(AtomicU64::new(0));
        let watching = Watching {
            child: parts.child,
            qmp: parts.qmp.clone(),
            words: parts.words.clone(),
            tell,
            kill: kill.clone(),
            resets: resets.clone(),
            why: None,
        };
        tokio::spawn(watching.run());
        Self {
            shared: Arc::new(Shared {
                qmp: parts.qmp,
                serial: parts.serial,
                words: parts.words,
                state,
                kill,
                powered_on: parts.powered_on,
                resets,
                whereabouts: parts.whereabouts,
                hardware_address: OnceLock::new(),
            }),
        }
    }

    /// The private monitor.
    pub fn qmp(&self) -> &Qmp {
        &self.shared.qmp
    }

    /// What it wrote to its serial port.
    pub fn serial(&self) -> &Tail {
        &self.shared.serial
    }

    /// What QEMU wrote to its error stream.
    pub fn words(&self) -> &Tail {
        &self.shared.words
    }

    /// When its power went on.
    pub fn powered_on(&self) -> Instant {
        self.shared.powered_on
    }

    /// How often it restarted.
    pub fn resets(&self) -> u64 {
        self.shared.resets.load(Ordering::Relaxed)
    }

    /// How it is now.
    pub fn state(&self) -> State {
        self.shared.state.borrow().clone()
    }

    /// Returns when it doesn't run any more, with the reason.
    pub async fn stopped(&self) -> End {
        let mut state = self.shared.state.clone();
        let stopped = state.wait_for(|state| state.end().is_some()).await;
        let end = stopped.ok().and_then(|state| state.end().cloned());
        end.unwrap_or_else(unwatched)
    }

    /// Returns when QEMU is gone, with the reason.
    pub async fn ended(&self) -> End {
        let mut state = self.shared.state.clone();
        let ended = state.wait_for(|state| matches!(state, State::Ended(_))).await;
        let end = ended.ok().and_then(|state| state.end().cloned());
        end.unwrap_or_else(unwatched)
    }

    /// Cuts the power: asks QEMU to end, so that it writes its caches, and kills it if it doesn't within `patience`.
    pub async fn power_off(&self, patience: Duration) {
        let asked = async {
            // Refused or unanswered when it is ending already.
            let _ = self.shared.qmp.quit().await;
            self.ended().await
        };
        if tokio::time::timeout(patience, asked).await.is_err() {
            self.shared.kill.cancel();
            self.ended().await;
        }
    }
}

fn unwatched() -> End {
    End { fault: Fault::Machine, reason: "QEMU is no longer watched".to_owned() }
}

#[async_trait]
impl Guest for QemuGuest {
    async fn address(&self) -> Result<Address, NoAddress> {
        match &self.shared.whereabouts {
            Whereabouts::Fixed(address) => Ok(address.clone()),
            Whereabouts::Nowhere => Err(NoAddress("it has no communicator".to_owned())),
            Whereabouts::Bridge { bridge, port } => {
                let known = self.shared.hardware_address.get().cloned();
                let hardware_address = match known {
                    Some(known) => known,
                    None => {
                        let found = bridge::hardware_address(&self.shared.qmp).await;
                        let found = found.map_err(|error| NoAddress(kiln_plan::fault::chain(&error)))?;
                        let found = found.ok_or_else(|| {
                            NoAddress("none of its network cards is on the netdev user.0".to_owned())
                        })?;
                        self.shared.hardware_address.get_or_init(|| found).clone()
                    }
                };
                let host = bridge::neighbour(bridge, &hardware_address)?;
                Ok(Address::new(host, *port))
            }
        }
    }

    async fn gone(&self) -> String {
        self.stopped().await.reason
    }
}

/// The task that owns QEMU's process.
struct Watching {
    child: Child,
    qmp: Qmp,
    words: Tail,
    tell: watch::Sender<State>,
    kill: CancellationToken,
    resets: Arc<AtomicU64>,
    /// Why QEMU is about to end, by its own word.
    why: Option<String>,
}

impl Watching {
    async fn run(mut self) {
        let mut events = self.qmp.events();
        loop {
            tokio::select! {
                finished = self.child.wait() => {
                    // The last events may still be on their way.
                    while let Ok(event) = events.try_recv() {
                        self.note_name(&event);
                    }
                    let end = self.end(finished.map(|f| f.exit).ok());
                    let _ = self.tell.send(State::Ended(end));
                    return;
                }
                () = self.kill.cancelled() => {
                    let exit = self.child.stop().await.ok();
                    let _ = self.tell.send(State::Ended(self.end(exit)));
                    return;
                }
                event = events.recv() => match event {
                    Ok(event) => self.note(&event).await,
                    // Too many at once: the next ones come all the same.
                    Err(error) => tracing::debug!(%error, "events of QEMU were missed"),
                },
            }
        }
    }

    async fn note(&mut self, event: &QmpEvent) {
        tracing::debug!(event = %event.name, data = %event.data, "QEMU tells");
        self.note_name(event);
        if !matches!(event.name.as_str(), "STOP" | "GUEST_PANICKED") {
            return;
        }
        let Ok(status) = self.qmp.status().await else { return };
        if let Some(end) = stuck(&status.status) {
            let _ = self.tell.send(State::Stuck(end));
        }
    }

    fn note_name(&mut self, event: &QmpEvent) {
        match event.name.as_str() {
            "RESET" if event.data["guest"].as_bool() == Some(true) => {
                self.resets.fetch_add(1, Ordering::Relaxed);
            }
            "SHUTDOWN" => self.why = event.data["reason"].as_str().map(str::to_owned),
            _ => {}
        }
    }

    fn end(&self, exit: Option<ProcessExit>) -> End {
        let guest = |reason: &str| End { fault: Fault::Guest, reason: reason.to_owned() };
        match (self.why.as_deref(), exit) {
            (Some("guest-shutdown"), _) => guest("the guest powered off"),
            (Some("guest-panic"), _) => guest("the guest's kernel panicked"),
            (Some("guest-reset"), _) => guest("the guest restarted, which ends QEMU under -no-reboot"),
            (Some("host-qmp-quit"), _) => guest("QEMU was told to end"),
            (Some("host-ui"), _) => guest("somebody closed QEMU's window"),
            (_, Some(exit)) if exit.is_success() => guest("QEMU ended"),
            (_, exit) => {
                let how = exit.map_or_else(|| "for an unknown reason".to_owned(), |e| format!("with {e}"));
                let words = self.words.last_lines(2).join("; ");
                let said = if words.is_empty() { String::new() } else { format!(": {words}") };
                End { fault: Fault::Machine, reason: format!("QEMU ended {how}{said}") }
            }
        }
    }
}

/// What a status from which no guest returns means.
fn stuck(status: &str) -> Option<End> {
    let (fault, reason) = match status {
        "internal-error" => (Fault::Machine, "the accelerator gave up (QEMU's status is internal-error)"),
        "io-error" => (Fault::Machine, "its disk can't be written; the machine's disk may be full"),
        "guest-panicked" => (Fault::Guest, "the guest's kernel panicked"),
        _ => return None,
    };
    Some(End { fault, reason: reason.to_owned() })
}
