//! Signals: the first asks for a clean end, a second for one that doesn't wait for guests to be polite.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a person has asked for so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// End, and leave nothing behind.
    Cancel(&'static str),
    /// End at once; what is left is removed without asking it.
    Leave,
}

/// Counts signals.
#[derive(Debug)]
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    seen: u32,
}

impl Interrupts {
    /// Begins to listen. From now on no signal ends the program by itself.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            seen: 0,
        })
    }

    /// The next one. May be dropped at any time.
    pub(crate) async fn next(&mut self) -> Interrupt {
        let name = tokio::select! {
            _ = self.interrupt.recv() => "interrupt",
            _ = self.terminate.recv() => "terminated",
        };
        self.seen += 1;
        match self.seen {
            1 => Interrupt::Cancel(name),
            _ => Interrupt::Leave,
        }
    }
}
