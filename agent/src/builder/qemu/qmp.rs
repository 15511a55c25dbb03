//! QMP: how QEMU is asked and told things, and tells them by itself.
//!
//! QEMU dials a socket that we listen on, so that there is nothing to poll for: the connection arrives when QEMU
//! is there, or its process ends first. Every command has a bounded reply. Events go to whoever listens.
//!
//! ```text
//!  listen ──► QEMU connects ──► greeting ──► qmp_capabilities ──► commands ⇄ replies
//!                                                             └─► events (SHUTDOWN, RESET, STOP, …)
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, broadcast, mpsc};
use tokio::time::timeout;

use super::keyboard::KeyEvent;

/// The longest that QEMU may take to answer a command. Generous: a busy host stalls QEMU's main loop.
const REPLY_DEADLINE: Duration = Duration::from_secs(20);
/// A reply longer than this is nonsense.
const LONGEST_LINE: u64 = 16 << 20;
/// Events kept for a slow listener.
const EVENT_BACKLOG: usize = 256;

/// Why QEMU could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum QmpError {
    /// The socket can't be made.
    #[error("cannot listen for QEMU on {}", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The connection broke: QEMU ended, or is ending.
    #[error("the connection to QEMU ended while asking for {command:?}")]
    Gone {
        /// The command.
        command: String,
    },
    /// No answer.
    #[error("QEMU did not answer {command:?} within {} seconds", REPLY_DEADLINE.as_secs())]
    Silent {
        /// The command.
        command: String,
    },
    /// QEMU refused.
    #[error("QEMU refused {command:?}: {reason}")]
    Refused {
        /// The command.
        command: String,
        /// QEMU's words.
        reason: String,
    },
    /// An answer of an unexpected shape.
    #[error("QEMU's answer to {command:?} makes no sense")]
    Nonsense {
        /// The command.
        command: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// What QEMU tells unasked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct QmpEvent {
    /// Its name, such as `SHUTDOWN`.
    #[serde(rename = "event")]
    pub name: String,
    /// Its details.
    #[serde(default)]
    pub data: Value,
}

/// The state of the guest, as `query-status` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RunStatus {
    /// Whether the guest's processors run.
    pub running: bool,
    /// `running`, `paused`, `internal-error`, `guest-panicked`, `shutdown`, …
    pub status: String,
}

impl RunStatus {
    /// Whether the guest can't go on: the accelerator failed, the disk did, or the guest's kernel panicked.
    pub fn is_dead(&self) -> bool {
        matches!(self.status.as_str(), "internal-error" | "io-error" | "guest-panicked" | "shutdown")
    }
}

/// A socket that QEMU will dial.
#[derive(Debug)]
pub struct QmpListener {
    listener: UnixListener,
}

impl QmpListener {
    /// Listens at `path`, replacing a dead socket.
    ///
    /// # Errors
    /// When the socket can't be made.
    pub fn bind(path: &Path) -> Result<Self, QmpError> {
        let _ = std::fs::remove_file(path);
        let listener =
            UnixListener::bind(path).map_err(|source| QmpError::Listen { path: path.to_owned(), source })?;
        Ok(Self { listener })
    }

    /// The connection of QEMU, ready for commands. Waits without bound: race it against QEMU's exit.
    ///
    /// # Errors
    /// When QEMU goes away again.
    pub async fn accept(self) -> Result<Qmp, QmpError> {
        let gone = |_| QmpError::Gone { command: "a connection".to_owned() };
        let (stream, _) = self.listener.accept().await.map_err(gone)?;
        Qmp::negotiate(stream).await
    }
}

/// A connection to a running QEMU. Cheap to clone; commands of several holders queue up.
#[derive(Clone, Debug)]
pub struct Qmp {
    line: Arc<Mutex<Line>>,
    events: broadcast::Sender<QmpEvent>,
    next_id: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Line {
    writer: OwnedWriteHalf,
    replies: mpsc::UnboundedReceiver<Value>,
}

impl Qmp {
    /// Dials a socket on which QEMU listens (`-qmp unix:…,server`).
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn dial(path: &Path) -> Result<Self, QmpError> {
        let gone = |_| QmpError::Gone { command: "a connection".to_owned() };
        Self::negotiate(UnixStream::connect(path).await.map_err(gone)?).await
    }

    async fn negotiate(stream: UnixStream) -> Result<Self, QmpError> {
        let (reader, writer) = stream.into_split();
        let (events, _) = broadcast::channel(EVENT_BACKLOG);
        let (to_replies, replies) = mpsc::unbounded_channel();
        tokio::spawn(read(reader, to_replies, events.clone()));
        let line = Arc::new(Mutex::new(Line { writer, replies }));
        let qmp = Self { line, events, next_id: Arc::default() };
        qmp.run("qmp_capabilities", json!({})).await?;
        Ok(qmp)
    }

    /// What QEMU tells from now on.
    pub fn events(&self) -> broadcast::Receiver<QmpEvent> {
        self.events.subscribe()
    }

    /// Runs a command and reads its answer.
    ///
    /// # Errors
    /// When QEMU refuses, doesn't answer in time or is gone.
    pub async fn ask<T: DeserializeOwned>(&self, command: &str, arguments: Value) -> Result<T, QmpError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let request = json!({ "execute": command, "arguments": arguments, "id": id });
        let gone = || QmpError::Gone { command: command.to_owned() };
        let exchange = async {
            let mut line = self.line.lock().await;
            line.writer.write_all(format!("{request}\n").as_bytes()).await.map_err(|_| gone())?;
            loop {
                let reply = line.replies.recv().await.ok_or_else(gone)?;
                // Whoever asked before may have given up waiting: its reply is nobody's.
                if reply.get("id").and_then(Value::as_u64) == Some(id) {
                    return Ok(reply);
                }
            }
        };
        let mut reply: Value = timeout(REPLY_DEADLINE, exchange)
            .await
            .map_err(|_| QmpError::Silent { command: command.to_owned() })??;
        if let Some(error) = reply.get("error") {
            let reason = error.get("desc").and_then(Value::as_str).unwrap_or("no reason given").to_owned();
            return Err(QmpError::Refused { command: command.to_owned(), reason });
        }
        serde_json::from_value(reply["return"].take())
            .map_err(|source| QmpError::Nonsense { command: command.to_owned(), source })
    }

    /// Runs a command whose answer doesn't matter.
    ///
    /// # Errors
    /// As for [`Qmp::ask`].
    pub async fn run(&self, command: &str, arguments: Value) -> Result<(), QmpError> {
        self.ask::<Value>(command, arguments).await.map(drop)
    }

    /// How the guest is.
    ///
    /// # Errors
    /// As for [`Qmp::ask`].
    pub async fn status(&self) -> Result<RunStatus, QmpError> {
        self.ask("query-status", json!({})).await
    }

    /// Whether the guest has read anything from a disk or CD since power-on.
    ///
    /// # Errors
    /// As for [`Qmp::ask`].
    pub async fn has_read(&self) -> Result<bool, QmpError> {
        #[derive(Deserialize)]
        struct Device {
            stats: Stats,
        }
        #[derive(Deserialize)]
        struct Stats {
            rd_operations: u64,
        }
        let devices: Vec<Device> = self.ask("query-blockstats", json!({})).await?;
        Ok(devices.iter().any(|device| device.stats.rd_operations > 0))
    }

    /// Writes the guest's screen to `path` as PNG.
    ///
    /// # Errors
    /// As for [`Qmp::ask`]; refused when the guest has no screen.
    pub async fn screenshot(&self, path: &Path) -> Result<(), QmpError> {
        self.run("screendump", json!({ "filename": path, "format": "png" })).await
    }

    /// Moves keys, all at once.
    ///
    /// # Errors
    /// As for [`Qmp::ask`].
    pub async fn send_keys(&self, events: &[KeyEvent]) -> Result<(), QmpError> {
        let event = |e: &KeyEvent| json!({ "type": "key", "data": { "down": e.down, "key": { "type": "qcode", "data": e.qcode } } });
        let events: Vec<Value> = events.iter().map(event).collect();
        self.run("input-send-event", json!({ "events": events })).await
    }

    /// Sets the password that VNC viewers must give, at most 8 characters.
    ///
    /// # Errors
    /// As for [`Qmp::ask`].
    pub async fn set_vnc_password(&self, password: &str) -> Result<(), QmpError> {
        self.run("change-vnc-password", json!({ "password": password })).await
    }

    /// Ends QEMU at once, as if the power cord were pulled; caches are flushed to the image files.
    ///
    /// # Errors
    /// As for [`Qmp::ask`].
    pub async fn quit(&self) -> Result<(), QmpError> {
        self.run("quit", json!({})).await
    }

    /// Reads a property of an object in QEMU's tree.
    ///
    /// # Errors
    /// As for [`Qmp::ask`].
    pub async fn property<T: DeserializeOwned>(&self, path: &str, name: &str) -> Result<T, QmpError> {
        self.ask("qom-get", json!({ "path": path, "property": name })).await
    }
}

/// Sorts what QEMU says into replies and events, until it hangs up.
async fn read(
    reader: OwnedReadHalf,
    replies: mpsc::UnboundedSender<Value>,
    events: broadcast::Sender<QmpEvent>,
) {
    use tokio::io::AsyncReadExt as _;
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
            Ok(read) if read > 0 && line.ends_with(b"\n") => {}
            _ => return,
        }
        let Ok(said) = serde_json::from_slice::<Value>(&line) else { continue };
        if said.get("event").is_some() {
            if let Ok(event) = serde_json::from_value(said) {
                // No listener is no fault.
                let _ = events.send(event);
            }
        } else if said.get("QMP").is_none() && replies.send(said).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
