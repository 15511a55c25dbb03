//! Starts QEMU, and returns when it answers on our monitor: then all of its devices are made. Its early end is
//! learned from the process, not by waiting.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use kiln_component::journal::Entry;
use kiln_component::process::Child;
use kiln_component::{Done, Ending, Intent, Program, Scratch, Step, TaskContext, Undo};
use kiln_plan::{Failure, Fault};
use tokio::time::Instant;
use uuid::Uuid;

use super::take_vnc_port::VncAddress;
use super::unless_cancelled;
use crate::builder::qemu::command_line::{self, Argument, Facts};
use crate::builder::qemu::config::Config;
use crate::builder::qemu::guest::{Parts, QemuGuest, Whereabouts};
use crate::builder::qemu::qmp::{Qmp, QmpListener};
use crate::builder::qemu::serial::{SerialListener, Tail};

/// How long QEMU may take to make the guest's devices, on a very busy machine.
const START_DEADLINE: Duration = Duration::from_secs(120);
/// How long QEMU may take to end when it is told to.
const QUIT_PATIENCE: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub struct StartGuest<'a> {
    /// The config.
    pub config: &'a Config,
    /// The QEMU program.
    pub qemu: &'a Path,
    /// What the steps before found out.
    pub facts: Facts,
    /// The template's `qemuargs`.
    pub qemuargs: Vec<Argument>,
    /// The VNC password.
    pub vnc: VncAddress,
    /// Where the guest will be reached.
    pub whereabouts: Whereabouts,
}

#[async_trait]
impl Step for StartGuest<'_> {
    type Output = QemuGuest;

    fn name(&self) -> &'static str {
        "start the guest"
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<QemuGuest>, Failure> {
        let private = &self.facts.private;
        let machine = |error: &(dyn std::error::Error + 'static)| Failure::from_error(Fault::Machine, error);
        let serial = Tail::default();
        let listener = QmpListener::bind(&private.qmp).map_err(|e| machine(&e))?;
        let listening = SerialListener::bind(&private.serial, serial.clone()).map_err(|e| machine(&e))?;
        let line = command_line::arguments(self.config, &self.facts, &self.qemuargs);
        tracing::debug!(program = %self.qemu.display(), arguments = ?line, "starting QEMU");
        let user_qmp = match &self.facts.user_qmp {
            Some(path) => {
                Some((path.clone(), cx.journal.intend(Intent::file(path)).map_err(|e| machine(&e))?))
            }
            None => None,
        };
        self.announce(cx);
        let powered_on = Instant::now();
        let program = Program::new(self.qemu).args(&line).directory(&cx.working_dir);
        let mut child = program.spawn(&cx.journal)?;
        let words = Tail::default();
        follow(&mut child, &serial, &words);
        let qmp = unless_cancelled(cx, answering(&mut child, listener, &words)).await?;
        if let Some(password) = &self.vnc.password {
            qmp.set_vnc_password(password.reveal()).await.map_err(|e| machine(&e))?;
        }
        let whereabouts = self.whereabouts.clone();
        let guest = QemuGuest::new(Parts { child, qmp, serial, words, powered_on, whereabouts });
        Ok(Done::with_undo(guest.clone(), PowerOff { guest, user_qmp, _serial: listening }))
    }
}

impl StartGuest<'_> {
    fn announce(&self, cx: &TaskContext) {
        use crate::builder::qemu::config::Origin;
        cx.reporter.say(match self.config.disks.origin {
            Origin::Empty => "Starting the guest from its CD",
            Origin::Copy { .. } | Origin::Overlay { .. } => "Starting the guest from its disk image",
        });
        if self.facts.display.is_none() {
            let (address, port) = (&self.config.vnc.bind_address, self.vnc.port);
            let how = match (&self.vnc.password, &self.config.vnc.password) {
                (None, _) => "without a password".to_owned(),
                (Some(_), Some(_)) => "with the template's password".to_owned(),
                // Made up for this guest alone, and of no use unless somebody may read it.
                (Some(made_up), None) => format!("with the password {}", made_up.reveal()),
            };
            cx.reporter.say(format!(
                "The guest runs without a window; to watch it, connect {how} to vnc://{address}:{port}"
            ));
        }
    }
}

/// Reads what QEMU writes. Its standard output is the guest's serial port where the template says so.
fn follow(child: &mut Child, serial: &Tail, words: &Tail) {
    if let Some(stdout) = child.take_stdout() {
        let serial = serial.clone();
        tokio::spawn(async move { serial.follow(stdout).await });
    }
    if let Some(stderr) = child.take_stderr() {
        let words = words.clone();
        tokio::spawn(async move { words.follow(stderr).await });
    }
}

/// Waits until QEMU answers, or ends.
async fn answering(child: &mut Child, listener: QmpListener, words: &Tail) -> Result<Qmp, Failure> {
    let answer = tokio::select! {
        biased;
        answer = tokio::time::timeout(START_DEADLINE, listener.accept()) => answer,
        finished = child.wait() => return Err(not_started(finished.map(|f| f.exit.to_string()), words)),
    };
    match answer {
        Ok(Ok(qmp)) => Ok(qmp),
        // It hung up: the process is about to tell why.
        Ok(Err(_)) => {
            let finished = tokio::time::timeout(QUIT_PATIENCE, child.wait()).await;
            let exit =
                finished.map(|f| f.map(|f| f.exit.to_string())).unwrap_or(Ok("no exit code".to_owned()));
            Err(not_started(exit, words))
        }
        Err(_) => {
            let text = format!("QEMU did not answer within {} seconds", START_DEADLINE.as_secs());
            Err(Failure::new(Fault::Machine, text))
        }
    }
}

fn not_started(exit: Result<String, kiln_component::ProcessError>, words: &Tail) -> Failure {
    let lines = words.last_lines(5);
    let said = lines.last().cloned().unwrap_or_else(|| "it gave no reason".to_owned());
    let how = exit.unwrap_or_else(|error| error.to_string());
    let failure = Failure::new(fault_of(&lines), format!("QEMU ended with {how} while starting: {said}"));
    let failure = match hint_of(&lines) {
        Some(hint) => failure.hint(hint),
        None => failure,
    };
    lines.iter().fold(failure, |failure, line| failure.evidence(format!("QEMU: {line}")))
}

/// Complaints about the command line are the template's doing; all else may go well on another machine.
fn fault_of(lines: &[String]) -> Fault {
    const OF_THE_TEMPLATE: [&str; 8] = [
        "invalid option",
        "nvalid parameter",
        "unsupported machine type",
        "is not a valid device model name",
        "unable to find CPU model",
        "requires an argument",
        "bus supports only",
        "machine type does not support",
    ];
    let of_the_template = |line: &String| OF_THE_TEMPLATE.iter().any(|words| line.contains(words));
    if lines.iter().any(of_the_template) { Fault::Template } else { Fault::Machine }
}

fn hint_of(lines: &[String]) -> Option<&'static str> {
    const HINTS: [(&str, &str); 5] = [
        ("gtk initialization failed", "Set headless = true: this machine has no screen."),
        ("does not support display type", "Set headless = true, or name another display."),
        ("Could not access KVM", "Set accelerator = \"tcg\", or let the agent's user open /dev/kvm."),
        (
            "machine type does not support if=scsi",
            "Write disk_interface = \"virtio-scsi\", or name a machine_type with a SCSI controller.",
        ),
        (
            "Could not set up host forwarding rule",
            "Another program took the port; try again, or change host_port_min.",
        ),
    ];
    HINTS.iter().find(|(words, _)| lines.iter().any(|line| line.contains(words))).map(|(_, hint)| *hint)
}

struct PowerOff {
    guest: QemuGuest,
    /// The template's own monitor socket, which QEMU leaves behind when it is killed.
    user_qmp: Option<(PathBuf, Entry)>,
    _serial: SerialListener,
}

#[async_trait]
impl Undo for PowerOff {
    async fn undo(self: Box<Self>, _: &TaskContext, _: Ending) {
        self.guest.power_off(QUIT_PATIENCE).await;
        if let Some((socket, entry)) = self.user_qmp {
            // Gone already when QEMU ended by itself.
            let _ = tokio::fs::remove_file(socket).await;
            entry.clear();
        }
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// A directory for sockets whose path is short enough: the kernel takes 107 bytes. The task's own, unless that lies
/// too deep.
///
/// # Errors
/// When it can't be made.
pub fn socket_directory(cx: &TaskContext) -> Result<(PathBuf, Option<Scratch>), Failure> {
    const LONGEST: usize = 80;
    if cx.scratch.as_os_str().len() <= LONGEST {
        return Ok((cx.scratch.clone(), None));
    }
    let name = &Uuid::new_v4().simple().to_string()[..12];
    let short = Scratch::make(&Path::new("/tmp").join(format!("kiln-{name}")), &cx.journal);
    let short = short.map_err(|e| Failure::from_error(Fault::Machine, &e))?;
    Ok((short.path().to_owned(), Some(short)))
}
